"""Scarce stock that is shared out by precedence, which departments decide: by hand, in the slow world, in C++."""

import numpy as np
import pytest
import torch

from environment import CompiledWorld, Exogenous, OrderUpTo, World, parse_firm
from environment.events import Portions
from tests.random_firms import run, slow_replay


def content(allocation="learned", shop=None, **fields):
    points = {"warehouse": {"holding_cost": 0.5, "max_order": 40, "allocation": allocation} | fields}
    points |= {name: {"holding_cost": 1, "backorder_cost": 9, "max_order": 20, "demand": 5} for name in ("a", "b", "c")}
    points["b"] |= shop or {}
    supply = [{"from": "outside", "to": "warehouse"}, *({"from": "warehouse", "to": name} for name in ("a", "b", "c"))]
    return {"name": "favoured", "stock_points": points, "supply": supply}


def column(*units, dtype=torch.float64):
    return torch.tensor(units, dtype=dtype)[:, None, None]


def sent(want, precedence, stock):
    """What a warehouse sends to shops a, b and c, of whom each orders what it wants."""
    world = World(parse_firm(content()), np.zeros((4, 1)), dtype=torch.float64)
    state = world.reset(1, column(stock, 0.0, 0.0, 0.0))
    order = world.feasible(column(0.0, *want, *precedence), state.inventory_position, 0)
    after, _ = world.step(state, order, world.draw(1, 1, world.generator(0)).at(0))
    return after.pipeline[0, :3].flatten().tolist()


@pytest.mark.parametrize(
    ("want", "precedence", "stock", "expected"),
    [
        ((7.0, 3.0, 7.0), (0.0, 0.0, 0.0), 9.0, [5, 0, 4]),  # as by shortage
        ((7.0, 3.0, 7.0), (0.0, 4.0, 0.0), 9.0, [3, 3, 3]),  # b counts as one that misses 7; of these it wants 3
        ((7.0, 3.0, 7.0), (0.0, 20.0, 0.0), 9.0, [3, 3, 3]),  # b gets all it wants, and no more
        ((7.0, 3.0, 7.0), (-20.0, 0.0, 0.0), 9.0, [0, 3, 6]),  # a gets what others leave
        ((7.0, 3.0, 7.0), (2.4, 0.0, 1.6), 9.0, [5, 0, 4]),  # whole units
        ((7.0, 3.0, 7.0), (-20.0, -20.0, -20.0), 9.0, [5, 0, 4]),  # the same for all is the same as none
        ((7.0, 3.0, 7.0), (20.0, -20.0, 3.0), 17.0, [7, 3, 7]),  # nothing is scarce
        ((7.0, 3.0, 7.0), (99.0, 0.0, 0.0), 8.0, [7, 0, 1]),  # cut off at what a may order
        ((0.0, 0.0, 0.0), (5.0, 0.0, 0.0), 8.0, [0, 0, 0]),
    ],
)
def test_what_is_missing_counts_as_more_by_precedence(want, precedence, stock, expected):
    assert sent(want, precedence, stock) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"demand": 4},
        {"shop": {"review_period": 3}, "lost_share": 0.5, "demand": 4},
        {"shelf_life": 3},
    ],
)
def test_both_worlds_are_the_slow_world(fields):
    firm = parse_firm(content(**fields))
    episode = run(firm, copies=11, seed=3, periods=14)
    assert episode.orders[:, episode.world.orders :].unique().numel() > 20
    chance = Exogenous(*(None if field is None else field[:-1] for field in episode.chance))
    played = CompiledWorld(episode.world).play(episode.states[0], episode.orders[:-1], chance)
    assert all(map(torch.equal, played.state, episode.states[-1]))
    for copy in (0, 10):
        slow = slow_replay(episode, copy)
        for state, expected in zip(episode.states, slow, strict=True):
            assert state.on_hand[..., copy].flatten().tolist() == list(expected.on_hand.values())


def test_rules_which_say_nothing_of_it_are_served_by_shortage():
    given = {"demand": 4, "lost_share": 0}
    worlds = [World(parse_firm(content(how, **given)), np.full((4, 1), 9.0)) for how in ("learned", "shortage")]
    rule = OrderUpTo(torch.tensor([20.0, 14.0, 17.0, 15.0])[:, None, None])
    chance = worlds[0].draw(40, 64, worlds[0].generator(1))
    played = [CompiledWorld(world).play(world.reset(64), rule, chance) for world in worlds]
    assert torch.equal(played[0].cost, played[1].cost)
    ends = []
    for world in worlds:
        state = world.reset(64)
        for t in range(40):
            wish = rule.level - state.inventory_position
            state, _ = world.step(state, world.feasible(wish, state.inventory_position, t), chance.at(t))
        ends.append(state)
    for state in (*ends, played[1].state):
        assert all(map(torch.equal, played[0].state, state))
    order = worlds[0].parted(wish)
    short, _ = worlds[0].step(state, order[:4], chance.at(0))  # precedence is left out
    assert all(map(torch.equal, short, worlds[0].step(state, order, chance.at(0))[0]))


def test_its_gradient_is_that_of_equal_parts_among_those_who_get_some_of_it():
    portions = Portions([0, 1, 2], [0, 0, 0], [True], torch.device("cpu"), [0, 1, 2])
    want = torch.tensor([70.0, 30.0, 70.0], dtype=torch.float64)[:, None]
    stock, none = torch.full((3, 1), 90.0, dtype=torch.float64), torch.zeros_like(want)

    def served(stock, want, precedence):
        return portions.served(stock, torch.stack((none, want), 1), precedence)

    for precedence in ([0.0, 8.0, 0.0], [0.0, 30.0, 4.0], [12.0, 90.0, -7.0]):
        at = torch.tensor(precedence, dtype=torch.float64)[:, None]
        jacobian = torch.autograd.functional.jacobian(served, (stock, want, at))
        for number, by in enumerate(jacobian):
            step = torch.zeros_like(want)
            for line in range(3):
                step[:], step[line] = 0.0, 6.0  # whole units, which two and three lines share evenly
                moved = [stock, want, at]
                if number == 0:
                    step[:] = 6.0  # the stock of one supplier
                moved[number] = moved[number] + step
                change = served(*moved) - served(stock, want, at)
                expected = torch.einsum("ixjy,jy->ix", by, step)
                assert change.flatten().tolist() == pytest.approx(expected.flatten().tolist())


def test_precedence_has_units_of_each_customer_and_the_gradient_of_orders():
    firm = parse_firm(content(demand=4, shop={"max_order": 7}))
    world = World(firm, np.zeros((4, 1)), dtype=torch.float64)
    network = world.network
    assert network.customers_of(0) == ["a", "b", "c", "customers"]
    assert network.customers_of(1) == []
    assert network.decisions_of(0) == [0, 4, 5, 6, 7]
    assert network.decision_unit.tolist() == [0, 1, 2, 3, 1, 2, 3, 0]
    wish = column(1.2, 2.0, 3.0, 4.0, -2.6, 9.0, 1.5, -50.0).requires_grad_()
    accepted = world.feasible(wish, torch.zeros(4, 1, 1, dtype=torch.float64), 0)
    assert accepted.flatten().tolist() == [1, 2, 3, 4, -3, 7, 2, -40]
    (slope,) = torch.autograd.grad(accepted.sum(), wish)
    assert slope.flatten().tolist() == [1, 1, 1, 1, 1, 0, 1, 0]


CROWD = {"a": {"segments": {"all": {"traffic": 3, "preference": {"unit": 0}}}}}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"supply": content()["supply"][:2]}, "is learned, and warehouse has one customer alone: remove it"),
        (
            {"supply": [*content()["supply"][:3], {"from": "warehouse", "to": "c", "priority": 1}]},
            "is learned, but supply edges from here have a priority",
        ),
        ({"customers": CROWD}, "learned is for laws of demand, and customers of a choose: take another"),
    ],
)
def test_what_makes_no_sense_is_refused(change, line):
    firm = content() | change
    if "customers" in change:
        del firm["stock_points"]["a"]["demand"]
    with pytest.raises(ValueError, match=rf"stock_points.warehouse.allocation:? ?{line}"):
        parse_firm(firm)


def test_another_word_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"allocation must be position or .* or learned, got 'learnt'"):
        parse_firm(content("learnt"))

"""Who ships before anything arrives, and who gets scarce stock by other rules: by hand, in the slow world, in C++."""

import numpy as np
import pytest
import torch

from environment import CompiledWorld, Exogenous, World, parse_firm
from environment.events import Portions
from tests.random_firms import run, slow_replay


def content(allocation="position", sequence="geevers", **fields):
    points = {"warehouse": {"holding_cost": 0.5, "max_order": 40, "allocation": allocation} | fields}
    points |= {name: {"holding_cost": 1, "backorder_cost": 9, "max_order": 20, "demand": 5} for name in ("a", "b", "c")}
    supply = [{"from": "outside", "to": "warehouse"}, *({"from": "warehouse", "to": name} for name in ("a", "b", "c"))]
    return {"name": "first", "sequence": sequence, "stock_points": points, "supply": supply}


@pytest.mark.parametrize("allocation", ["position", "proportional", "shortage", "inventory-level"])
def test_points_that_ship_first_are_those_of_the_slow_world_in_both_worlds(allocation):
    firm = parse_firm(content(allocation))
    episode = run(firm, copies=11, seed=3, periods=12)
    chance = Exogenous(*(None if field is None else field[:-1] for field in episode.chance))
    played = CompiledWorld(episode.world).play(episode.states[0], episode.orders[:-1], chance)
    assert all(map(torch.equal, played.state, episode.states[-1]))
    for copy in (0, 10):
        slow = slow_replay(episode, copy)
        for state, expected in zip(episode.states, slow, strict=True):
            assert state.on_hand[..., copy].flatten().tolist() == list(expected.on_hand.values())


def test_who_ships_first_has_what_arrives_a_period_later():
    for sequence, there in (("standard", 5), ("geevers", 0)):
        firm = parse_firm(content(sequence=sequence, initial_on_hand=0))
        world = run(firm, copies=1, seed=0).world
        state = world.reset(1)
        state.pipeline[0, -1] = 5.0  # from outside, due in the next period
        order = torch.tensor([0.0, 5.0, 0.0, 0.0], dtype=world.dtype)[:, None, None]
        after, _ = world.step(state, order, world.draw(1, 1, world.generator(0)).at(0))
        assert after.pipeline[0, 0].item() == there
        assert after.on_hand[0].item() == 5 - there


def test_what_stays_missing_is_level_and_its_gradient_is_that_of_equal_parts():
    portions = Portions([0, 1, 2], [0, 0, 0], [True], torch.device("cpu"))
    stock = torch.full((3, 1), 9.0, dtype=torch.float64, requires_grad=True)
    want = torch.tensor([7.0, 3.0, 7.0], dtype=torch.float64)[:, None].requires_grad_()
    served = portions.served(stock, torch.stack((torch.zeros_like(want), want), 1))
    assert served.flatten().tolist() == [5, 0, 4]  # unit by unit to whom most is missing
    (by_want,) = torch.autograd.grad(served[0, 0], want)
    assert by_want.sum().item() == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("allocation", "sent"),
    [
        ("position", [0, 4, 3]),  # b is owed 4, then c, whose position is lowest, gets what is left of 7
        (
            "inventory-level",
            [5, 0, 2],
        ),  # new orders first: a, who has least on hand, then c, though more is under way to a
    ],
)
def test_who_serves_by_inventory_level_does_so_by_what_is_on_hand_and_serves_new_orders_first(allocation, sent):
    world = run(parse_firm(content(allocation, "standard", initial_on_hand=7)), copies=1, seed=0).world
    stock = torch.tensor([7.0, 1.0, 9.0, 2.0], dtype=world.dtype)[:, None, None]
    state = world.reset(1, stock)
    pipeline, owed = torch.cat((state.pipeline, 0 * state.pipeline[:1])), state.owed.clone()
    pipeline[1, 0], owed[1] = 30.0, 4.0  # under way to a, behind what arrives now; owed to b
    position = state.inventory_position + torch.tensor([-4.0, 30.0, 4.0, 0.0], dtype=world.dtype)[:, None, None]
    order = torch.tensor([0.0, 5.0, 0.0, 6.0], dtype=world.dtype)[:, None, None]
    wide = World(world.firm, np.zeros((4, 1)), dtype=world.dtype, slots=2)
    before = state._replace(pipeline=pipeline, owed=owed, inventory_position=position)
    after, _ = wide.step(before, order, wide.draw(1, 1, wide.generator(0)).at(0))
    assert after.pipeline[0, :3, 0, 0].tolist() == [30 + sent[0], *sent[1:]]


def test_external_customers_have_no_inventory_level():
    with pytest.raises(
        ValueError, match="allocation is inventory-level, and external customers of warehouse have none"
    ):
        parse_firm(content("inventory-level", "standard", demand=3))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"demand": 3}, "warehouse has customers of both kinds"),
        ({"shelf_life": 3}, "warehouse has a shelf_life"),
    ],
)
def test_what_does_not_go_with_shipping_first_is_refused(change, line):
    with pytest.raises(ValueError, match=f"sequence geevers: {line}"):
        parse_firm(content(**change))


def test_nobody_ships_first_where_nobody_supplies_another():
    alone = {"shop": {"holding_cost": 1, "max_order": 9, "demand": 3}}
    with pytest.raises(ValueError, match="no stock point supplies another"):
        parse_firm({"name": "one", "sequence": "geevers", "stock_points": alone})

"""A state goes from one structure of a firm to another, and every unit stands in the account."""

import numpy as np
import pytest
import torch
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from coordinator.live.crossing import Crossing
from coordinator.live.structures import WRITE_OFF
from environment import World, parse_firm
from environment.state import State
from tests.random_firms import examples, firms, run


def arrays_of(state):
    return {field: value.numpy() for field, value in zip(State._fields, state, strict=True) if len(value)}


def state_of(world, arrays):
    nothing = torch.zeros(0, world.products, arrays["on_hand"].shape[-1], dtype=world.dtype)
    return State(*(torch.tensor(arrays[field]) if field in arrays else nothing for field in State._fields))


def world_of(firm, slots=1):
    return World(firm, np.zeros((len(firm.names), len(firm.products))), dtype=torch.float64, slots=slots)


def without(firm, names, at_once=False):
    """The same without these points; None where that is no firm. `at_once`: and everything comes after one period.

    Who has lost all its customers gets some.
    """
    plain = yaml.safe_load(firm.to_yaml())
    plain["stock_points"] = {name: point for name, point in plain["stock_points"].items() if name not in names}
    plain["supply"] = [edge for edge in plain.get("supply", ()) if not {edge["from"], edge["to"]} & set(names)]
    for edge in plain["supply"] if at_once else ():
        edge["lead_time"] = 1
    for name, point in plain["stock_points"].items():
        if name not in {edge["from"] for edge in plain["supply"]}:
            point.pop("allocation", None)
            point.setdefault("demand", 3)
    try:
        return parse_firm(plain)
    except ValueError:
        return None


@examples(20)
@given(firms(), st.integers(0, 1000))
def test_a_firm_that_stays_as_it_is_keeps_everything(firm, seed):
    episode = run(firm, 3, seed)
    before, arrays = episode.world, arrays_of(episode.states[-1])
    crossing = Crossing(before, world_of(firm, before.slots), arrays, {})
    after = crossing.arrays()
    assert after.keys() == arrays.keys()
    for key, value in arrays.items():
        np.testing.assert_array_equal(after[key], value, err_msg=key)
    told = crossing.told(after)
    assert told["moves"] == []
    assert told["units"]["before"] == told["units"]["after"]


@examples(50)
@given(firms(), st.integers(0, 1000), st.data())
def test_every_unit_of_a_point_that_closes_stands_in_the_account(firm, seed, data):
    closed = data.draw(st.lists(st.sampled_from(firm.names), min_size=1, max_size=2, unique=True))
    later = without(firm, closed, data.draw(st.booleans())) or without(firm, closed[:1])
    assume(later is not None)
    closed = [name for name in closed if name not in later.names]
    stock = {name: data.draw(st.sampled_from([WRITE_OFF, *later.names])) for name in closed}
    strict = data.draw(st.booleans())
    episode = run(firm, 2, seed)
    before, arrays = episode.world, arrays_of(episode.states[-1])
    world = world_of(later, before.slots)
    given_stock = {
        name: to for name, to in stock.items() if strict or to != WRITE_OFF
    }  # in shadow nothing need be said
    crossing = Crossing(before, world, arrays, given_stock, strict)
    after = crossing.arrays()
    told = crossing.told(after)
    for what in ("units", "owed", "ordered"):
        for product in firm.products:
            account = {key: values[product] for key, values in told[what].items()}
            assert account["before"] + account.get("brought", 0) == account["after"] + account["gone"], told
    for name in firm.names:
        heir = stock.get(name, name)
        if heir != WRITE_OFF:
            takes = [firm.names.index(each) for each in firm.names if stock.get(each, each) == heir]
            np.testing.assert_array_equal(after["on_hand"][later.names.index(heir)], arrays["on_hand"][takes].sum(0))
    own = state_of(world, after)
    expected = own.on_hand + world.in_transit(own)
    expected = expected.numpy().copy()
    for line, supplier in enumerate(world.network.line_supplier):
        expected[supplier] -= after["owed"][line]
        if line < world.network.internal:
            expected[world.network.edge_target[line]] += after["owed"][line]
    shut = [e for e in np.flatnonzero(world.network.disruption[:, 1]) if e >= world.network.internal]
    for units, edge in zip(world.waiting(own).numpy(), shut, strict=True):
        expected[world.network.edge_target[edge]] += units
    np.testing.assert_array_equal(after["inventory_position"], expected)
    chance = world.draw(4, 2, world.generator(seed))
    for t in range(4):  # and it goes on
        order = world.feasible(torch.full_like(own.on_hand, 3.0), own.inventory_position, t)
        own, outcome = world.step(own, order, chance.at(t))
        assert bool((own.on_hand >= 0).all())
        assert bool(torch.isfinite(outcome.cost).all())


def test_what_is_left_and_not_spoken_of_is_refused_in_one_line_that_names_both(tree):
    before, later, arrays = tree
    with pytest.raises(ValueError, match="west closes with 4 on hand, 3 under way, 2 owed by it, 5 ordered: say "):
        Crossing(before, later, arrays, {})
    for stock, reason in (
        ({"west": "depot", "east": "depot"}, "east does not close; it keeps what it has"),
        ({"west": "north"}, "--stock west=north must name one of depot, east, or write-off"),
    ):
        with pytest.raises(ValueError, match=reason):
            Crossing(before, later, arrays, stock)


@pytest.fixture
def tree():
    from tests.small_firms import tree

    before = world_of(tree())
    arrays = arrays_of(before.reset(1, torch.zeros(3, 1, 1)))
    place = {edge: e for e, edge in enumerate(before.network.edge_names)}
    arrays["on_hand"][:, 0, 0] = [10, 6, 4]
    arrays["pipeline"][1, place["depot", "west"]] = 3
    arrays["owed"][place["depot", "west"]] = 5
    arrays["owed"][place["depot", "east"]] = 1
    arrays["owed"][before.network.internal :, 0, 0] = [7, 2]
    return before, world_of(without(tree(), ["west"]), before.slots), arrays


def test_who_takes_over_gets_stock_debts_and_what_is_under_way(tree):
    before, later, arrays = tree
    crossing = Crossing(before, later, arrays, {"west": "east"})
    after = crossing.arrays()
    assert after["on_hand"][:, 0, 0].tolist() == [10, 10]
    assert after["pipeline"][1, :, 0, 0].tolist() == [3, 0]
    assert after["owed"][:, 0, 0].tolist() == [6, 9]
    assert after["inventory_position"][:, 0, 0].tolist() == [4, 10]
    moves = [(m["what"], m["of"], m["units"], m["to"]) for m in crossing.told(after)["moves"]]
    assert moves == [
        ("on hand", "west", 4, "east"),
        ("under way", "depot>west", 3, "east"),
        ("ordered", "depot>west", 5, "depot>east"),
        ("owed to customers", "west>customers", 2, "east>customers"),
    ]


def test_what_is_written_off_is_gone_and_counts_in_nobodys_position(tree):
    before, later, arrays = tree
    crossing = Crossing(before, later, arrays, {"west": WRITE_OFF})
    after = crossing.arrays()
    assert after["inventory_position"][:, 0, 0].tolist() == [9, 0]
    told = crossing.told(after)
    assert [told[what]["gone"]["unit"] for what in ("units", "owed", "ordered")] == [7, 2, 5]

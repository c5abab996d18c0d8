"""Hand-worked periods of one supplier and its customers."""

import numpy as np
import pytest
import torch

from environment import Network, World, events, parse_firm
from environment.events import Incidence, dispatch, fulfil, route


def firm(retailers=3, faces_customers=False, extra=()):
    points = {"depot": {"holding_cost": 1, "max_order": 100}}
    points |= {f"shop-{i}": {"holding_cost": 1, "max_order": 100, "demand": 5} for i in range(retailers)}
    if faces_customers:
        points["depot"]["demand"] = 5
    supply = [{"from": "depot", "to": f"shop-{i}"} for i in range(retailers)]
    return parse_firm({"name": "one", "stock_points": points, "supply": [*supply, *extra]})


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def shipments(stock, owed, ordered, positions, faces_customers=False):
    """Units the depot ships on its lines to three shops (and its own customers); `positions` of the shops [3, 1]."""
    network = Network.of(firm(faces_customers=faces_customers))
    incidence = Incidence(network, torch.device("cpu"), torch.float64)
    lines = len(network.line_supplier)
    depot = np.flatnonzero(network.line_supplier == 0)
    all_owed, all_ordered = torch.zeros(2, lines, 1, dtype=torch.float64)
    all_owed[depot], all_ordered[depot] = column(*owed), column(*ordered)
    on_hand = column(stock, 0, 0, 0)
    return fulfil(on_hand, all_owed, all_ordered, torch.cat((column(0), positions)), incidence)[depot, 0]


def shipped(stock, owed, ordered, positions, faces_customers=False):
    return shipments(stock, owed, ordered, column(*positions), faces_customers).tolist()


def test_all_is_shipped_where_there_is_enough():
    assert shipped(20, (1, 0, 2), (3, 4, 5), (9, 8, 7)) == [4, 4, 7]


def test_the_lowest_inventory_position_is_served_first():
    assert shipped(6, (0, 0, 0), (5, 5, 5), (3, 1, 2)) == [0, 5, 1]


def test_ties_are_served_lower_index_first():
    assert shipped(6, (0, 0, 0), (5, 5, 5), (2, 2, 2)) == [5, 1, 0]
    assert shipped(6, (0, 0, 0), (5, 5, 5), (2, 1, 1)) == [0, 5, 1]


def test_every_backorder_stands_before_any_new_order():
    assert shipped(7, (0, 3, 3), (9, 9, 9), (-9, 5, 5)) == [1, 3, 3]


def test_external_customers_come_first_within_a_class():
    assert shipped(4, (0, 0, 0, 0), (3, 3, 3, 2), (1, 2, 3), faces_customers=True) == [2, 0, 0, 2]
    assert shipped(4, (3, 0, 0, 0), (3, 3, 3, 2), (1, 2, 3), faces_customers=True) == [3, 0, 0, 1]


def test_to_stand_lower_is_worth_what_those_before_leave_where_positions_are_near():
    """Mean demands of 5 smear a difference of positions over 5 units to either side."""
    owed, ordered = (0, 0, 0), (5, 5, 5)
    for positions, slopes in (((0, 3, 50), (0.5, -0.5, 0)), ((0, 6, 50), (0, 0, 0)), ((4, 3, 50), (-0.5, 0.5, 0))):
        given = column(*positions).requires_grad_()
        units = shipments(8, owed, ordered, given)
        assert units.tolist() == shipped(8, owed, ordered, positions)
        second = units[1 if positions[0] < positions[1] else 0]
        assert second == 3
        (found,) = torch.autograd.grad(second, given, retain_graph=True)
        assert found[:, 0].tolist() == pytest.approx(slopes)
        for sure in (units[0 if positions[0] < positions[1] else 1], units[2]):
            (found,) = torch.autograd.grad(sure, given, retain_graph=True)
            assert not found.any(), "who gets all or nothing either way"


def test_nothing_is_shipped_from_empty_shelves():
    assert shipped(0, (1, 1, 1), (1, 1, 1), (0, 0, 0)) == [0, 0, 0]


def test_a_whole_order_goes_to_the_supplier_that_was_drawn():
    two = parse_firm(
        {
            "name": "two",
            "stock_points": {
                "east": {"holding_cost": 1, "max_order": 9},
                "west": {"holding_cost": 1, "max_order": 9},
                "shop": {"holding_cost": 1, "max_order": 9, "demand": 2},
            },
            "supply": [
                {"from": "outside", "to": "shop"},
                {"from": "west", "to": "shop"},
                {"from": "east", "to": "shop"},
            ],
        }
    )
    network = Network.of(two)
    assert network.edge_names[:3] == [("east", "shop"), ("west", "shop"), ("outside", "east")]
    assert network.edge_names[3:] == [("outside", "west"), ("outside", "shop")]
    incidence = Incidence(network, torch.device("cpu"), torch.float64)
    order = torch.tensor([[1.0] * 3, [2.0] * 3, [7.0] * 3], dtype=torch.float64)
    choice = torch.tensor([[0.0] * 3, [0.0] * 3, [0.0, 1.0, 2.0]], dtype=torch.float64)
    kept = choice.clone()
    assert route(order, choice, incidence).tolist() == [[7, 0, 0], [0, 7, 0], [1, 1, 1], [2, 2, 2], [0, 0, 7]]
    assert choice.equal(kept)


def test_a_shipment_joins_the_slot_of_its_lead_time_and_the_rest_moves_up():
    pipeline = torch.arange(1.0, 7.0).view(3, 2, 1)
    lead_time = torch.tensor([[3], [1]])
    after = dispatch(pipeline, column(10, 20).float(), lead_time)
    assert after[..., 0].tolist() == [[3, 24], [5, 6], [10, 0]]
    assert pipeline.flatten().tolist() == [1, 2, 3, 4, 5, 6]


def test_with_lead_time_one_the_pipeline_is_what_left_last():
    after = dispatch(torch.ones(1, 2, 1), column(3, 4).float(), torch.ones(2, 1, dtype=torch.int64))
    assert after[..., 0].tolist() == [[3, 4]]


def test_an_order_meets_the_demand_of_lead_time_plus_one_periods():
    world = World(firm(1), np.zeros((2, 1)), dtype=torch.float64)
    state = world.reset(1, torch.tensor([[[30.0]], [[10.0]]], dtype=torch.float64))
    chance = world.draw(4, 1, world.generator(0))  # demand is fixed at 5
    stocks = []
    for t in range(3):
        order = torch.tensor([[[0.0]], [[7.0 if t == 0 else 0.0]]], dtype=torch.float64)
        state, outcome = world.step(state, order, chance.at(t))
        stocks.append((state.on_hand[1].item(), world.in_transit(state)[1].item(), outcome.sales[0].item()))
    assert stocks == [
        (5, 7, 5),
        (7, 0, 5),
        (2, 0, 5),
    ]  # ordered in 0, shipped in 1, received in 2, after demands 0 and 1


@pytest.mark.parametrize("faces_customers", [False, True])
def test_a_crowd_is_served_as_it_would_be_pair_by_pair(faces_customers, monkeypatch):
    crowd, rng = 60, np.random.default_rng(0)
    network = Network.of(firm(retailers=crowd, faces_customers=faces_customers))
    lines = len(network.line_supplier)
    position = torch.tensor(rng.integers(-3, 4, (crowd + 1, 64)), dtype=torch.float64)  # many ties
    owed, ordered = torch.tensor(rng.integers(0, 6, (2, lines, 64)), dtype=torch.float64)
    on_hand = torch.tensor(rng.integers(0, 300, (crowd + 1, 64)), dtype=torch.float64)
    found = []
    for few, dense in ((32, 2**16), (1000, 2**16), (32, 0)):
        monkeypatch.setattr(events, "_FEW", few)
        monkeypatch.setattr(events, "_DENSE", dense)
        incidence = Incidence(network, torch.device("cpu"), torch.float64)
        assert len(incidence.crowds) == (few == 32)
        assert incidence.outgoing.is_sparse == (dense == 0)
        found.append(fulfil(on_hand.clone(), owed, ordered, position, incidence))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    depot = [line for line in range(lines) if network.line_supplier[line] == 0]
    assert torch.equal(found[0][depot].sum(0), torch.minimum(on_hand[0], (owed + ordered)[depot].sum(0)))


def test_a_thousand_customers_take_memory_by_the_customer_not_by_the_pair():
    network = Network.of(firm(retailers=1000))
    incidence = Incidence(network, torch.device("cpu"), torch.float32)
    held = [incidence.outgoing, incidence.incoming, incidence.owed_by]
    assert sum(matrix.values().numel() for matrix in held) <= 5000
    assert len(incidence.few.lines) == 0
    assert [len(lines) for lines in incidence.crowds] == [1000]

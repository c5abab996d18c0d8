"""Orders by edge: `supplier_choice: ordered`, and suppliers outside that have names."""

import numpy as np
import pytest
import torch
import yaml

from environment import CompiledWorld, OrderUpTo, World, parse_firm


def firm_of(point=None, first=None, second=None, **firm):
    """A shop that buys from a depot and from a trader outside."""
    content = {
        "name": "two-ways",
        "supplier_choice": "ordered",
        "suppliers": ["trader"],
        "stock_points": {
            "depot": {"holding_cost": 1, "max_order": 50, "initial_on_hand": 40},
            "shop": {"holding_cost": 1, "backorder_cost": 9, "max_order": 20, "demand": 4, "initial_on_hand": 10}
            | (point or {}),
        },
        "supply": [
            {"from": "outside", "to": "depot"},
            {"from": "depot", "to": "shop", "lead_time": 2, "unit_cost": 1} | (first or {}),
            {"from": "trader", "to": "shop", "lead_time": 0, "unit_cost": 3} | (second or {}),
        ],
    }
    return parse_firm(content | firm)


def world_of(firm):
    return World(firm, np.zeros((len(firm.names), len(firm.products))), dtype=torch.float64)


def column(*units):
    return torch.tensor(units, dtype=torch.float64).view(-1, 1, 1)


def test_every_edge_has_an_order_that_costs_and_arrives_by_itself():
    firm = firm_of({"unit_cost": 0.5, "fixed_order_cost": 7}, second={"fixed_order_cost": 2})
    world = world_of(firm)
    assert world.network.edge_names == [("depot", "shop"), ("outside", "depot"), ("trader", "shop")]
    state = world.reset(1)
    order = world.feasible(column(5.0, 0.0, 6.0), state.inventory_position, 0)
    state, outcome = world.step(state, order, world.draw(1, 1, world.generator(0)).at(0))
    assert state.on_hand.flatten().tolist() == [35, 12]  # the trader's 6 were there for the demand of 4
    assert state.pipeline[:, 0].flatten().tolist() == [0, 5]
    assert outcome.cost.flatten().tolist() == [35, 12 + 5 * 1.5 + 6 * 3.5 + 2 * 7 + 2]


@pytest.mark.parametrize(
    ("firm", "wish", "taken"),
    [
        (firm_of({"order_multiple": 4, "min_order": 6}), (5.0, 0.0, 9.0), [8, 0, 12]),  # each in packs and its minimum
        (firm_of(second={"capacity": 7}), (15.0, 0.0, 15.0), [15, 0, 7]),
        (firm_of(), (30.0, 0.0, -3.0), [20, 0, 0]),
        (firm_of(), (0.0, 7.0), [4, 0, 3]),  # one number a point is parted, here alike
        (firm_of(first={"share": 0.3}, second={"share": 0.7}), (0.0, 9.0), [3, 0, 6]),
        (firm_of(first={"share": 0}, second={"share": 1}), (3.0, -9.0), [0, 3, 0]),
        (firm_of({"review_period": 2, "review_offset": 1}), (5.0, 4.0, 6.0), [0, 4, 0]),
    ],
)
def test_limits_are_of_each_order(firm, wish, taken):
    world = world_of(firm)
    assert world.feasible(column(*wish), world.reset(1).inventory_position, 0).flatten().tolist() == taken


def test_base_stock_is_that_of_split_orders():
    """The sum that is parted is the same, so but for limits of each order it is the same firm."""
    ordered = firm_of(second={"unit_cost": 1})
    apart, split = world_of(ordered), world_of(ordered.model_copy(update={"supplier_choice": "split"}))
    rule = OrderUpTo(torch.tensor([[30.0], [15.0]]).unsqueeze(-1))
    chance = apart.draw(40, 64, apart.generator(1))
    played = [CompiledWorld(world).play(world.reset(64), rule, chance) for world in (apart, split)]
    assert torch.equal(played[0].cost, played[1].cost)
    assert all(torch.equal(a, b) for a, b in zip(played[0].state, played[1].state, strict=True))


def test_suppliers_outside_have_lead_times_of_their_own():
    firm = firm_of(
        supplier_choice="random",
        suppliers=["trader", "mill"],
        supply=[
            {"from": "outside", "to": "depot"},
            {"from": "depot", "to": "shop"},
            {"from": "mill", "to": "shop", "lead_time": 3},
            {"from": "trader", "to": "shop", "lead_time": 2},
        ],
    )
    world = world_of(firm)
    assert world.network.edge_names[2:] == [("trader", "shop"), ("mill", "shop")]  # as they are listed
    assert world.fixed_lead_time.flatten().tolist() == [1, 1, 2, 3]
    again = parse_firm(yaml.safe_load(firm.to_yaml()))
    assert again.suppliers == firm.suppliers


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"supply": [{"from": "trader", "to": "shop"}]}, "needs a stock point with several suppliers"),
        ({"point": {"capacity": 30}}, "stock_points.shop.capacity and supplier_choice ordered do not go together"),
        (
            {"supplier_choice": "preferred", "second": {"share": 1}},
            "share is for supplier_choice random, split or ordered",
        ),
        ({"second": {"preference": 1}}, "preference is for supplier_choice preferred or in-stock, got ordered"),
        ({"suppliers": ["trader", "mill"]}, "suppliers: 'mill' delivers to nobody"),
        ({"suppliers": ["trader", "depot"]}, "suppliers: 'depot' is there already"),
        ({"suppliers": ["trader", "outside"]}, "suppliers: 'outside' is the external supplier"),
        ({"suppliers": []}, "must be 'outside' or one of depot, shop, got unknown 'trader'"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, line):
    with pytest.raises(ValueError, match=line):
        firm_of(**changes)


def test_customers_who_choose_do_not_go_with_it():
    crowd = {"shop": {"segments": {"all": {"traffic": 3, "preference": {"unit": 0}}}}}
    with pytest.raises(ValueError, match="is for laws of demand, and customers of shop choose"):
        firm_of({"demand": None}, customers=crowd)

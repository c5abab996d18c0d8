import numpy as np
import pytest
import torch
import yaml
from scipy.stats import nbinom, poisson

from departments.named_policies import parse_rule
from departments.play.episode import run_costs
from departments.play.stepping import play
from departments.rules.ordering import BaseStock, baseline_levels, echelon_weights, reorder_rule
from environment import World, load_firm, parse_firm
from heuristics.mass import lead_time_demand, point_mass
from heuristics.reorder import order_up_to_cost
from tests.small_firms import after_some_periods, tree, world_of


@pytest.mark.parametrize(
    ("firm", "levels"),
    [
        ("a1", [(59, 61), (34, 34), (34, 34), (34, 34)]),
        ("b1", [(33, 33), (40, 40), (28, 28), (49, 49), *[(34, 34)] * 5]),
        ("c1", [(163, 165), *[(67, 67)] * 3, *[(34, 34)] * 9]),
    ],
)
def test_decomposition_aggregation_gives_the_levels_measured_by_two_other_implementations(firm, levels):
    found = baseline_levels(load_firm(firm))[:, 0]
    for level, (low, high) in zip(found, levels, strict=True):
        assert low <= level <= high


def test_on_the_toy_firm_the_benchmark_is_the_newsvendor_level_of_two_periods():
    assert baseline_levels(load_firm("toy"))[0, 0] == poisson.ppf(0.9, 20) == 26


@pytest.mark.parametrize(
    ("demand", "lead_time", "level"),
    [
        ("{law: poisson, mean: 10}", 0, poisson.ppf(0.9, 10)),
        ("{law: poisson, mean: 10}", 2, poisson.ppf(0.9, 30)),
        (
            "{law: negative_binomial, mean: 600, cv: 1.5}",
            1,
            nbinom.ppf(0.9, 2 / (1.5**2 - 1 / 600), 1 / (600 * 1.5**2)),
        ),
        ("{law: mass, values: [200000, 250000], probabilities: [0.5, 0.5]}", 1, 500_000),  # 450,000 are enough for 75%
    ],
)
def test_the_level_of_a_shop_is_the_newsvendor_s_of_its_protection_interval(demand, lead_time, level):
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 1_000_000, "demand": yaml.safe_load(demand)}
    supply = [{"from": "outside", "to": "shop", "lead_time": lead_time}]
    firm = parse_firm({"name": "one", "stock_points": {"shop": point}, "supply": supply})
    assert baseline_levels(firm)[0, 0] == level


def test_levels_by_name_replace_the_benchmarks_and_the_others_stay():
    firm = load_firm("a1")
    rule = parse_rule("base-stock:warehouse=70,retailer-2=-5", firm)
    expected = baseline_levels(firm)
    expected[0], expected[2] = 70, -5
    np.testing.assert_array_equal(rule.levels, expected)


def test_a_level_may_be_one_products():
    firm = tree(products=("tea", "rice"))
    rule = parse_rule("base-stock:east=9,west/rice=4", firm)
    expected = baseline_levels(firm)
    expected[1, :], expected[2, 1] = 9, 4
    np.testing.assert_array_equal(rule.levels, expected)


@pytest.mark.parametrize("text", ["base-stock:depot=30,east=7,west=8", "echelon-base-stock:depot=45,east=7,west=8"])
def test_an_order_is_the_level_less_the_position_of_the_point_or_of_its_echelon(text):
    world, _ = world_of(tree())
    state = after_some_periods(world)
    rule = parse_rule(text, world.firm)
    position = state.inventory_position.clone()
    if text.startswith("echelon"):
        position[0] += position[1] + position[2]
    for point, level in enumerate(rule.levels[:, 0]):
        expected = float(level) - position[point]
        assert torch.equal(rule.order(world, state)[point], expected)


def test_echelon_levels_start_as_the_sums_of_the_local_ones():
    firm = load_firm("c1")
    local, rule = baseline_levels(firm)[:, 0], parse_rule("echelon-base-stock", firm)
    assert rule.levels[0, 0] == pytest.approx(local.sum())
    assert rule.levels[1, 0] == pytest.approx(local[1] + local[4:7].sum())
    assert rule.levels[12, 0] == pytest.approx(local[12])


def test_where_several_suppliers_share_a_point_it_counts_for_each_by_its_share():
    weights = echelon_weights(load_firm("b1"))
    assert weights[0].tolist() == pytest.approx([1, 0, 0, 0, 1 / 3, 1 / 3, 1 / 3, 0, 0])
    assert weights[:4, 4:].sum(0).tolist() == pytest.approx([1] * 5)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("magic", ["policy must be", "base-stock", "reorder", "'magic'"]),
        ("", ["policy must be", "''"]),
        ("base-stock:shop=4", ["'shop' is not a stock point of a1", "warehouse"]),
        ("base-stock:warehouse", ["base-stock:warehouse=60", "got 'warehouse'"]),
        ("base-stock:warehouse=6.5", ["whole number", "got '6.5'"]),
        ("base-stock:warehouse=nan", ["whole number", "'nan'"]),
        ("base-stock:warehouse=", ["whole number", "''"]),
        ("base-stock:warehouse=--5", ["whole number", "'--5'"]),
        ("base-stock:warehouse=²", ["whole number", "'²'"]),
        ("base-stock:warehouse=99999999", ["whole number", "'99999999'"]),
        ("base-stock:warehouse=6,warehouse=7", ["warehouse is given twice", "remove one"]),
        ("base-stock:warehouse/tea=3", ["'tea' is not a product of a1", "unit"]),
        ("reorder:warehouse=3", ["takes no levels", "base-stock"]),
        ("tuned-base-stock:warehouse=3", ["takes no levels", "base-stock"]),
    ],
)
def test_a_rule_that_is_not_one_is_refused_in_one_line_that_names_the_cure(text, parts):
    with pytest.raises(ValueError) as refused:  # noqa: PT011  (the parts of the message are checked below)
        parse_rule(text, load_firm("a1"))
    message = str(refused.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def _costly_orders():
    return parse_firm(
        {
            "name": "costly-orders",
            "periods": {"evaluate": 300, "warm_up": 50},
            "stock_points": {
                "shop": {
                    "holding_cost": 1,
                    "backorder_cost": 9,
                    "fixed_order_cost": 64,
                    "max_order": 200,
                    "demand": {"law": "poisson", "mean": 10},
                }
            },
            "supply": [{"from": "outside", "to": "shop", "lead_time": 1}],
        }
    )


def test_reorder_waits_with_a_fixed_order_cost_and_costs_what_theory_says():
    firm = _costly_orders()
    rule = reorder_rule(firm)
    small, large = rule.reorder_points[0, 0], rule.levels[0, 0]
    world = World(firm, baseline_levels(firm))
    chance = world.draw(299, 400, world.generator(1))
    cost = run_costs(world, rule, chance).sum(0).double() / 250
    demand = firm.stock_points["shop"].demand.mass()
    over_interval = lead_time_demand(demand, point_mass(1))
    exact = order_up_to_cost(int(small), int(large), demand, over_interval, 1, 9, 64)
    error = float(cost.std()) / 20
    assert float(cost.mean()) == pytest.approx(exact, abs=4 * error + 0.001 * exact)
    every_period = run_costs(world, BaseStock("always", baseline_levels(firm)), chance).sum(0).double() / 250
    assert float(cost.mean()) < 0.8 * float(every_period.mean())


def test_a_reorder_rule_orders_nothing_above_its_reorder_point():
    world, _ = world_of(_costly_orders())
    rule = reorder_rule(world.firm)
    s, big_s = rule.reorder_points[0, 0], rule.levels[0, 0]
    state = world.reset(3, torch.tensor([[[s, s + 1, s - 7]]], dtype=torch.float32))
    assert rule.order(world, state).flatten().tolist() == [big_s - s, 0.0, big_s - s + 7]


def test_without_a_fixed_order_cost_reorder_is_base_stock():
    rule = reorder_rule(load_firm("toy"))
    assert rule.levels[0, 0] == 26
    assert rule.reorder_points[0, 0] == 25


def shop_of(unmet="backorder", demand="{law: poisson, mean: 10}", **more):
    point = {"holding_cost": 1, "max_order": 200, "demand": yaml.safe_load(demand), "fixed_order_cost": 30} | more
    return parse_firm({"name": "shop-firm", "unmet": unmet, "products": ["p1", "p2"], "stock_points": {"shop": point}})


def test_of_a_product_that_never_sells_reorder_keeps_nothing():
    rule = reorder_rule(shop_of(demand="{p1: {law: poisson, mean: 10}, p2: 0}", backorder_cost=9))
    assert rule.levels[0, 1] == 0
    assert rule.reorder_points[0, 1] < 0, "nothing is ordered at a position of 0"
    alone = reorder_rule(shop_of(demand="{law: poisson, mean: 10}", backorder_cost=9))
    assert rule.levels[0, 0] == alone.levels[0, 0] > 20


def test_of_a_far_supplier_reorder_orders_what_is_sold_and_no_more():
    firm = parse_firm(
        shop_of(backorder_cost=9).model_dump(by_alias=True, exclude_unset=True)
        | {"supply": [{"from": "outside", "to": "shop", "lead_time": 40}]}
    )
    world = World(firm, baseline_levels(firm))
    orders = [
        step.order for step in play(world, reorder_rule(firm), world.draw(300, 64, world.generator(1)), world.reset(64))
    ]
    assert torch.stack(orders[100:]).mean() == pytest.approx(10, rel=0.02)


def test_reorder_protects_the_margin_of_a_lost_sale_as_a_penalty():
    priced = reorder_rule(shop_of("lost", price=25, unit_cost=10))
    penalised = reorder_rule(shop_of("lost", backorder_cost=15))
    np.testing.assert_array_equal(priced.levels, penalised.levels)
    np.testing.assert_array_equal(priced.reorder_points, penalised.reorder_points)
    assert priced.levels[0, 0] > 20

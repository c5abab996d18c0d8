import numpy as np
import pytest

from departments.numerics.native import why_not
from departments.play.default_rule import default_rule
from departments.play.episode import run_costs
from departments.rules.ordering import BaseStock, baseline_levels
from environment import World, load_firm, parse_firm
from environment.streams import Stream, torch_stream
from tests.small_markets import market

MADE_FOR = "decomposition-aggregation, which is made for backorders"


def lost(price=7, fixed=0, shops=3, unmet="lost"):
    """A depot and shops whose customers do not wait, at a thin margin."""
    own = {"holding_cost": 1, "max_order": 60, "price": price, "demand": {"law": "poisson", "mean": 5}}
    depot = {"holding_cost": 0.2, "max_order": 200, "unit_cost": 6, "fixed_order_cost": fixed}
    supply = [{"from": "outside", "to": "depot", "lead_time": 3}]
    supply += [{"from": "depot", "to": f"s{i}", "lead_time": 2} for i in range(shops)]
    points = {"depot": depot, **{f"s{i}": own for i in range(shops)}}
    return parse_firm({"name": "lost", "unmet": unmet, "stock_points": points, "supply": supply})


def profit_beside_the_benchmark(firm, rule):
    """On episodes that nothing was chosen on: profit by the rule, and by the benchmark."""
    world = World(firm, baseline_levels(firm))
    chance = world.draw(firm.periods.evaluate - 1, 1024, torch_stream("cpu", Stream.REPORT, 5, 0))
    benchmark = BaseStock("benchmark", baseline_levels(firm))
    return (-float(run_costs(world, one, chance).sum(0).mean()) for one in (rule, benchmark))


@pytest.mark.skipif(why_not() is not None, reason="without a compiler tuning is not cheap")
def test_where_sales_are_lost_at_a_thin_margin_tuned_levels_order_and_earn_much_more():
    rule, why = default_rule(lost())
    chosen, benchmark = profit_beside_the_benchmark(lost(), rule)
    assert rule.name == "tuned-base-stock"
    assert chosen > 1.3 * benchmark > 0
    assert why.startswith("tuned-base-stock: ")
    assert why.endswith(f" more profit an episode than by {MADE_FOR}")


def test_where_orders_have_a_fixed_cost_too_a_reorder_point_may_decide():
    firm = lost(price=20, fixed=200, shops=1)
    rule, why = default_rule(firm)
    chosen, benchmark = profit_beside_the_benchmark(firm, rule)
    assert why.startswith("reorder: ")
    assert chosen > benchmark


@pytest.mark.parametrize(
    ("firm", "reason"),
    [
        (lost(unmet="backorder"), "the default where unmet demand is backordered"),
        (load_firm("a1"), "the default where unmet demand is backordered"),
        (market(), "the default where customers choose"),
    ],
)
def test_elsewhere_the_benchmark_orders_and_nothing_is_searched(firm, reason, monkeypatch):
    monkeypatch.setattr("departments.play.default_rule.tuned_base_stock", None)
    rule, why = default_rule(firm)
    np.testing.assert_array_equal(rule.levels, baseline_levels(firm))
    assert why == f"decomposition-aggregation, {reason}"


def test_the_benchmark_stays_where_nothing_is_better():
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 9, "demand": 3}
    firm = parse_firm({"name": "sure", "unmet": "lost", "stock_points": {"shop": shop}})
    rule, why = default_rule(firm)
    assert rule.name == "decomposition-aggregation"
    assert "tuned-base-stock it would be no better" in why or why_not() is not None


def test_a_search_that_would_take_a_while_is_left_out_and_named(monkeypatch):
    monkeypatch.setattr("departments.play.default_rule._CHEAP", 3)
    rule, why = default_rule(lost())
    assert rule.name == "decomposition-aggregation"
    assert why.endswith("and tuned-base-stock, whose search takes a while here, was not tried")

import io

import pytest
from rich.console import Console

from coordinator.evaluation.evaluate import evaluate
from coordinator.evaluation.table import comparison
from tests.coordinator.evaluation.test_check import shop
from tests.departments.play.test_footprint import shops
from tests.small_firms import pair

RULES = ["base-stock:shop=18", "base-stock:shop=14"]


def drawn(result):
    page = io.StringIO()
    Console(file=page, width=160).print(comparison(result, next(iter(result.results))))
    return page.getvalue()


def test_the_table_tells_the_numbers_of_the_evaluation():
    result = evaluate(pair(), RULES, episodes=200)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in drawn(result).splitlines() if "│" in line]
    first, second = (next(row for row in rows if row[0] == rule) for rule in RULES)
    for row, rule in ((first, RULES[0]), (second, RULES[1])):
        mean, error = result.mean(rule)
        assert row[1] == f"{mean:,.1f} ± {error:.1f}"
    difference, error = result.difference(RULES[1], RULES[0])
    assert first[2:4] == ["", ""]
    assert second[2] == f"{-difference:+,.1f} ± {error:.1f}"
    assert float(second[3]) == round(-100 * difference / result.mean(RULES[0])[0], 2)
    shop = next(row for row in rows if row[0] == "shop")
    episodes = result.results[RULES[0]]
    assert shop[1:4] == [RULES[0], f"{episodes.point_cost[1]:,.1f}", f"{episodes.on_hand[1]:.1f}"]
    assert shop[5] == f"{episodes.fill_rate[0]:.4f}"
    warehouse = next(row for row in rows if row[0] == "warehouse")
    assert warehouse[5] == "", "a point without customers has no fill rate"


def test_costs_that_the_stock_at_the_start_falsifies_are_not_told_without_a_word():
    short = evaluate(shop({"evaluate": 75, "warm_up": 25}, 40), ["decomposition-aggregation"], episodes=4)
    assert "warning: the way through the network takes 41 periods" in drawn(short)
    assert short.to_json()["warnings"]
    assert "warning" not in drawn(evaluate(pair(), RULES[:1], episodes=4))


def test_emissions_regions_and_suppliers_are_told_where_a_firm_has_them():
    firm = shops(big="north", small="north", far="south")
    firm = firm.model_copy(update={"supply": tuple(e.model_copy(update={"emissions": 2.0}) for e in firm.supply)})
    result = evaluate(firm, ["base-stock", "base-stock:big=17,small=14,far=6"], episodes=64)
    text = drawn(result)
    for told in ("fill rate north", "gap between regions", "supplier concentration", "Herfindahl", "emissions"):
        assert told in text
    for name, own in result.to_json()["policies"].items():
        assert own["emissions"] == pytest.approx(2 * result.results[name].product_shipped.sum())
        assert own["emissions"] == pytest.approx(sum(own["stock_points"][point]["emissions"] for point in firm.names))
        assert own["gaps"]["regions"] == pytest.approx(abs(own["regions"]["north"] - own["regions"]["south"]))
    assert "footprint" not in drawn(evaluate(pair(), RULES[:1], episodes=4))

"""The page of an evaluation: the curve of stock against service, policies beside it, and tables by product."""

import numpy as np
import pytest
from scipy import stats

from coordinator.cli import run as command
from coordinator.evaluation.evaluate import evaluate
from coordinator.evaluation.tradeoff import cost_without_emissions, emissions_curve, trade_off
from coordinator.report.evaluation_page import write_evaluation_page
from coordinator.report.run_page import _by_product, _products
from environment import load_firm, parse_firm
from environment.parts import Emissions
from tests.small_firms import tree


def shop(**more):
    """One shop of a large demand, so that a unit is little."""
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 9000, "demand": {"law": "poisson", "mean": 400}}
    periods = {"evaluate": 30, "warm_up": 6}
    return parse_firm({"name": "shop", "stock_points": {"shop": point}, "periods": periods} | more)


def test_levels_reach_each_target_with_ever_more_stock():
    found = trade_off(shop(), (0.9, 0.98), episodes=512)
    assert [aim.reached for aim in found] == pytest.approx([aim.target for aim in found], abs=0.005)
    held = [aim.on_hand for aim in found]
    assert held == sorted(held)
    by_cycle = trade_off(shop(service={"cycle_service": 0.9}), (0.95,), episodes=512)[0]
    level = stats.poisson.ppf(0.95, 800)
    units = np.arange(2000)
    left = np.maximum(level - units, 0) @ stats.poisson.pmf(units, 800)
    assert by_cycle.on_hand == pytest.approx(left, rel=0.05)


def test_the_page_draws_policies_beside_the_curve(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("coordinator.report.evaluation_page.AIMS", (0.9, 0.98))
    (tmp_path / "shop.yaml").write_text(shop().to_yaml())
    page = tmp_path / "page.html"
    line = ["evaluate", str(tmp_path / "shop.yaml"), "--policy", "half=base-stock:shop=800", "--episodes", "256"]
    assert command([*line, "--compile", "--html", str(page)]) == 0
    capsys.readouterr()
    text = page.read_text()
    assert "Stock that service takes" in text
    assert "half" in text
    assert "<svg" in text
    assert command([*line, "--html", str(tmp_path)]) == 2
    assert "--html must be a file" in capsys.readouterr().err


def test_where_levels_cannot_meet_targets_by_themselves_there_is_no_curve():
    with pytest.raises(ValueError, match="of levels product by product, and customers choose here"):
        trade_off(load_firm("closing-loop"))
    narrow = parse_firm({"name": "x", "stock_points": {"shop": {"holding_cost": 1, "max_order": 4, "demand": 5}}})
    with pytest.raises(ValueError, match=r"stock_points.shop.fill_rate 0.99 is not met by any level"):
        trade_off(narrow, (0.99,))


def test_products_stand_worst_first_with_their_stock_and_service():
    firm = tree(products=("tea", "rice"))
    levels = ",".join(
        f"{name}/{product}={9 if product == 'tea' else 3}" for name in firm.names for product in firm.products
    )
    done = evaluate(firm, {"plain": f"base-stock:{levels}", "more": "decomposition-aggregation"}, episodes=64)
    result = done.to_json()
    own = result["policies"]["plain"]["products"]
    rows = _products(result, "plain").rows
    assert [row["product"].text for row in rows] == sorted(["tea", "rice"] * 2, key=lambda name: own[name]["fill_rate"])
    assert _by_product(result)
    for name, episodes in done.results.items():
        told = result["policies"][name]["products"]
        assert sum(product["on_hand"] for product in told.values()) == pytest.approx(episodes.on_hand.sum())
        asked = [product["demand"] for product in told.values()]
        met = np.dot(asked, [product["fill_rate"] for product in told.values()])
        assert met / sum(asked) == pytest.approx(result["policies"][name]["fill_rate"])
    assert not _by_product(evaluate(tree(), ["decomposition-aggregation"], episodes=8).to_json())


def emitting(edge, **more):
    """The shop, whose shipments emit."""
    firm = shop(**more)
    supply = [edge | {"from": "outside", "to": "shop"}]
    return parse_firm(firm.model_dump(by_alias=True, exclude_unset=True) | {"supply": supply})


def test_shipments_get_rarer_and_costs_rise_with_the_price_of_emissions():
    firm = emitting({"emissions": 0.5, "shipment_emissions": 1000})
    rule, curve = emissions_curve(firm, (0.0, 1.0, 10.0), episodes=256)
    assert rule == "reorder"
    emitted, cost = [at.emissions for at in curve], [at.cost for at in curve]
    assert emitted == sorted(emitted, reverse=True)
    assert cost == sorted(cost)
    assert emitted[0] == pytest.approx(0.5 * 400 + 1000, rel=0.01), "demand is never 0"
    assert curve[1].price == pytest.approx(400 / emitted[0], rel=0.01)
    priced = firm.model_copy(update={"emissions": Emissions(price=curve[1].price)})
    found = evaluate(priced, ["reorder"], episodes=256)
    assert cost_without_emissions(found, "reorder") == pytest.approx(cost[1], rel=1e-3)


def test_the_page_draws_costs_against_emissions_and_tells_who_is_served(tmp_path, monkeypatch):
    monkeypatch.setattr("coordinator.report.evaluation_page.AIMS", (0.9,))
    firm = emitting({"shipment_emissions": 1000})
    page = write_evaluation_page(evaluate(firm, ["reorder"], episodes=64), tmp_path / "page.html").read_text()
    assert "Cost that emissions save" in page
    assert "reorder by the price of emissions" in page
    plain = evaluate(emitting({"emissions": 1}), ["base-stock"], episodes=64)
    text = write_evaluation_page(plain, tmp_path / "plain.html").read_text()
    assert "no rule goes by emissions unless shipments have some" in text
    assert "Cost that emissions save" in text

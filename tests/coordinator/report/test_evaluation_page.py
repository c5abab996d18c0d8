"""The page of an evaluation: the curve of stock against service, policies beside it, and tables by product."""

import numpy as np
import pytest
from scipy import stats

from coordinator.cli import run as command
from coordinator.evaluation.evaluate import evaluate
from coordinator.evaluation.tradeoff import trade_off
from coordinator.report.run_page import _by_product, _products
from environment import load_firm, parse_firm
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

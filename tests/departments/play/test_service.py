"""Levels that meet fill-rate targets: against a closed form, in fresh episodes, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from coordinator.cli import run as command
from coordinator.evaluation.check import facts
from coordinator.evaluation.evaluate import evaluate
from departments.play.service import meet_targets
from departments.play.tuning import tuned_base_stock
from environment import parse_firm


def shop(rate, mean=10, lead_time=1, **more):
    """One shop with backorders."""
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 1000, "fill_rate": rate}
    point["demand"] = {"law": "poisson", "mean": mean}
    supply = [{"from": "outside", "to": "shop", "lead_time": lead_time}]
    return parse_firm({"name": "shop", "stock_points": {"shop": point}, "supply": supply} | more)


def fill_rate(mean, lead_time, level):
    """Of base-stock under Poisson demand: what the last period of the protection interval adds to what is short.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 4.3.
    """

    def short(over):
        units = np.arange(int(over + 20 * np.sqrt(over) + 50))
        return (np.maximum(units - level, 0) * stats.poisson.pmf(units, over)).sum()

    return 1 - (short(mean * (lead_time + 1)) - short(mean * lead_time)) / mean


@pytest.mark.parametrize(("rate", "lead_time"), [(0.9, 1), (0.95, 3), (0.98, 1), (0.99, 2)])
def test_the_level_is_the_least_that_meets_the_target(rate, lead_time):
    met = meet_targets(shop(rate, lead_time=lead_time))
    exact = next(level for level in range(200) if fill_rate(10, lead_time, level) >= rate)
    assert met.levels.tolist() == [[exact]]
    assert met.reached[0, 0] == pytest.approx(fill_rate(10, lead_time, exact), abs=0.001)
    # the last unit pays from h F / (1 - F) on, with F the chance that it is not sold in the protection interval
    share = stats.poisson.cdf(exact - 1, 10 * (lead_time + 1))
    assert met.backorder_cost[0, 0] == pytest.approx(share / (1 - share), rel=0.03)


@pytest.mark.parametrize("unmet", ["backorder", "lost"])
@pytest.mark.parametrize("rate", [0.9, 0.95, 0.98, 0.99])
def test_targets_are_reached_in_fresh_episodes_within_half_a_point(rate, unmet):
    firm = shop(rate, mean=120, unmet=unmet)
    done = evaluate(firm, ["tuned-base-stock"], episodes=4096, seed=7)
    assert float(done.results["tuned-base-stock"].fill_rate[0]) == pytest.approx(rate, abs=0.005)


@pytest.fixture(scope="module")
def tree():
    """A depot, two shops and two products, one target for all and one of its own."""
    law = {"law": "poisson", "mean": 30}
    point = {"holding_cost": 1, "max_order": 1000}
    points = {"depot": point | {"holding_cost": 0.5}, "a": point | {"demand": law}}
    points["b"] = point | {"demand": law, "fill_rate": {"tea": 0.99}}
    supply = [{"from": "outside", "to": "depot", "lead_time": 3}, {"from": "depot", "to": "a"}]
    supply += [{"from": "depot", "to": "b"}]
    content = {"name": "tree", "products": ["tea", "rice"], "service": {"fill_rate": 0.95}}
    return parse_firm(content | {"stock_points": points, "supply": supply})


def test_in_a_network_each_point_and_product_meets_its_own_target_and_no_unit_is_to_spare(tree):
    assert tree.fill_rates()[1:].tolist() == [[0.95, 0.95], [0.99, 0.95]]
    levels = tuned_base_stock(tree).levels
    for k, product in enumerate(tree.products):
        alone, own = tree.of_product(product), levels[:, k]

        def played(tried, alone=alone):
            texts = [f"base-stock:depot={tried[0]:.0f},a={tried[1]:.0f},b={tried[2]:.0f}"]
            return evaluate(alone, texts, episodes=4096, seed=3).results[texts[0]]

        found = played(own)
        assert (found.fill_rate >= tree.fill_rates()[1:, k] - 0.005).all()
        assert (played(own - [0, 1, 1]).fill_rate < tree.fill_rates()[1:, k] + 0.002).all()


def test_check_shows_the_target_its_level_and_what_it_implies(tmp_path, capsys):
    (tmp_path / "firm.yaml").write_text(shop(0.98).to_yaml())
    assert command(["check", str(tmp_path / "firm.yaml")]) == 0
    out = capsys.readouterr().out
    assert "implied backorder" in out
    assert "fill_rate: tuned-base-stock meets it" in " ".join(out.split())
    point = facts(shop(0.98))["points"][0]
    assert (point["fill_rate"], point["service_level"]) == (0.98, 27)
    assert point["implied_backorder_cost"] == pytest.approx(11.8, abs=0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fill_rate": 1.0}, "fill_rate must be a number above 0 and at most 0.9999, got 1.0"),
        ({"fill_rate": "high"}, "fill_rate must be a number above 0"),
        ({"max_order": 9}, "stock_points.shop.fill_rate 0.98 is not met by any level: raise max_order"),
    ],
)
def test_what_cannot_be_met_is_refused(change, said):
    point = {"holding_cost": 1, "max_order": 1000, "fill_rate": 0.98, "demand": 10} | change
    with pytest.raises(ValueError, match=said):
        meet_targets(parse_firm({"name": "shop", "stock_points": {"shop": point}}))


def test_a_target_of_nothing_or_of_some_alone_is_refused():
    point = {"holding_cost": 1, "max_order": 100}
    with pytest.raises(ValueError, match=r"stock_points.depot.fill_rate: it has no demand, remove it"):
        parse_firm(
            {
                "name": "x",
                "stock_points": {"depot": point | {"fill_rate": 0.9}, "a": point | {"demand": 3, "fill_rate": 0.9}},
                "supply": [{"from": "depot", "to": "a"}],
            }
        )
    with pytest.raises(ValueError, match=r"stock_points.b.fill_rate is missing, and others have one"):
        parse_firm(
            {"name": "x", "stock_points": {"a": point | {"demand": 3, "fill_rate": 0.9}, "b": point | {"demand": 3}}}
        )

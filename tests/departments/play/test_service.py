"""Levels that meet service targets: against a closed form, in fresh episodes, and what is refused."""

import numpy as np
import pytest
import yaml
from scipy import stats

from coordinator.cli import run as command
from coordinator.evaluation.check import facts
from coordinator.evaluation.evaluate import evaluate
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.episode import run_episodes
from departments.play.service import meet_targets
from departments.play.tuning import quiet, tuned_base_stock
from departments.rules.ordering import BaseStock
from environment import Network, World, load_firm, parse_firm


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


@pytest.mark.parametrize("rate", [0.95, 0.98])
def test_shops_that_take_from_each_other_all_end_within_half_a_point(rate):
    firm = parse_firm(yaml.safe_load(load_firm("a1").to_yaml()) | {"service": {"fill_rate": rate}})
    found = evaluate(firm, ["tuned-base-stock"], episodes=4096, seed=11, compiled=quiet).results["tuned-base-stock"]
    np.testing.assert_allclose(found.fill_rate, rate, atol=0.005)


def cycled(rate, **more):
    """One shop whose target is of replenishment cycles."""
    own = {"max_order": 100_000, "fill_rate": None, "cycle_service": rate} | more
    content = shop(0.5, mean=1500, lead_time=2).to_yaml()
    firm = yaml.safe_load(content)
    firm["stock_points"]["shop"] |= own
    firm["periods"] = {"evaluate": 40, "warm_up": 16}
    return parse_firm(firm)


@pytest.mark.parametrize(("rate", "review"), [(0.9, 1), (0.95, 4), (0.98, 1), (0.99, 3)])
def test_a_cycle_has_no_stock_out_as_often_as_the_demand_until_the_next_order_is_there_is_within_the_level(
    rate, review
):
    firm = cycled(rate, review_period=review, review_offset=review - 1)
    exact = int(stats.poisson.ppf(rate, 1500 * (2 + review)))  # of lead time and review period
    found = tuned_base_stock(firm).levels
    assert found.item() == pytest.approx(exact, abs=2)
    played = evaluate(firm, {"it": BaseStock("it", found)}, episodes=4096, seed=7, compiled=print).results["it"]
    assert played.cycle_service[0] == pytest.approx(rate, abs=0.005)
    assert played.cycles.item() == pytest.approx(1 / review, abs=0.02)
    assert (played.cycle_service[0] < played.full_service[0] - 0.002) == (review > 1)


def test_a_cycle_ends_before_the_order_of_a_review_can_be_there():
    days = {"cycle": 7, "days": [0, 3]}
    network = Network.of(cycled(0.9, review_days=days))  # of lead time 2: orders are there in periods 2, 5, 9, 12 ..
    assert [t for t in range(14) if network.cycle_ends(t).item()] == [1, 4, 8, 11]


@pytest.mark.parametrize("days", [None, [0, 3]])
def test_the_core_counts_cycles_as_the_eager_world_does(days):
    firm = cycled(0.9, review_days=days, demand={"law": "poisson", "mean": 3}, shelf_life=4)
    points = {"shop": firm.stock_points["shop"], "kiosk": firm.stock_points["shop"]}
    firm = firm.model_copy(update={"stock_points": points, "products": ("tea", "rice")})
    world, rule = World(firm, np.full((2, 2), 9.0)), BaseStock("it", np.array([[20.0, 9.0], [12.0, 3.0]]))
    chance = world.draw(firm.periods.evaluate - 1, 70, world.generator(5))
    found, expected = CompiledEpisodes(world, pytest.fail).episodes(rule, chance), run_episodes(world, rule, chance)
    np.testing.assert_allclose(found.full_cycles, expected.full_cycles, rtol=1e-12)
    assert (expected.product_cycle_service < 0.99).any()
    assert 0 < expected.cycle_service.min() < expected.cycle_service.max() < 1


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
    assert tree.targets("fill_rate")[1:].tolist() == [[0.95, 0.95], [0.99, 0.95]]
    levels = tuned_base_stock(tree).levels
    for k, product in enumerate(tree.products):
        alone, own = tree.of_product(product), levels[:, k]

        def played(tried, alone=alone):
            texts = [f"base-stock:depot={tried[0]:.0f},a={tried[1]:.0f},b={tried[2]:.0f}"]
            return evaluate(alone, texts, episodes=4096, seed=3).results[texts[0]]

        found = played(own)
        assert (found.fill_rate >= tree.targets("fill_rate")[1:, k] - 0.005).all()
        assert (played(own - [0, 1, 1]).fill_rate < tree.targets("fill_rate")[1:, k] + 0.002).all()


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


def test_a_target_is_of_one_kind_and_a_points_own_goes_before_the_firms():
    shops = {name: {"holding_cost": 1, "max_order": 100, "demand": 3} for name in ("a", "b")}
    firm = {"name": "x", "stock_points": shops, "service": {"fill_rate": 0.9}}
    shops["b"]["cycle_service"] = 0.95
    parsed = parse_firm(firm)
    np.testing.assert_equal(parsed.targets("fill_rate"), [[0.9], [np.nan]])
    np.testing.assert_equal(parsed.targets("cycle_service"), [[np.nan], [0.95]])
    assert facts(parsed)["points"][1]["cycle_service_reached"] == 1  # of demand that is always the same
    shops["a"] |= {"fill_rate": 0.9, "cycle_service": 0.9}
    with pytest.raises(ValueError, match=r"stock_points.a has a fill_rate and a cycle_service: remove one of the two"):
        parse_firm(firm)
    for wrong in ({}, {"fill_rate": 0.9, "cycle_service": 0.9}):
        with pytest.raises(ValueError, match=r"service must be fill_rate or cycle_service, .* one of the two"):
            parse_firm(firm | {"service": wrong})

import numpy as np
import pytest

from departments.named_policies import parse_policy
from departments.play.episode import run_costs
from departments.rules.optimum import optimum
from departments.rules.ordering import BaseStock, baseline_levels
from environment import World, load_firm, parse_firm
from heuristics.recommendation import grid_exposures
from tests.known_optima import halves, lost_sales, tiny, waiting
from tests.small_markets import market

HALVES = 616.95  # profit an episode of `halves` where a slot is divided in two
SERIAL = {  # three points in a line, lead times that differ
    "name": "line",
    "periods": {"evaluate": 60, "warm_up": 20},
    "stock_points": {
        "plant": {"holding_cost": 0.4, "max_order": 60, "unit_cost": 2},
        "depot": {"holding_cost": 0.6, "max_order": 60},
        "shop": {
            "holding_cost": 1,
            "backorder_cost": 19,
            "max_order": 60,
            "price": 5,
            "demand": {"law": "poisson", "mean": 5},
        },
    },
    "supply": [
        {"from": "outside", "to": "plant", "lead_time": 1},
        {"from": "plant", "to": "depot", "lead_time": 2},
        {"from": "depot", "to": "shop", "lead_time": 1},
    ],
}


def played(firm, policy, copies=2048, seed=5):
    """Mean cost of episodes and its standard error."""
    world = World(firm, baseline_levels(firm))
    chance = world.draw(firm.periods.evaluate - 1, copies, world.generator(seed))
    cost = run_costs(world, policy, chance).sum(0).double().numpy()
    return cost.mean(), cost.std(ddof=1) / np.sqrt(copies)


def seasonal():
    return tiny(
        customers={
            "shop": {
                "season": {"amplitude": 0.5, "period": 6},
                "segments": {
                    "old": {"traffic": 3, "preference": {"p1": 0.2}, "uplift": 1},
                    "young": {"traffic": 4, "preference": {"p1": 0.2, "p2": -0.2}, "uplift": 2},
                },
            }
        },
        periods={"train": 8, "evaluate": 9, "warm_up": 0},
    )


def two_products():
    """Nobody chooses; the products have lead times of their own."""
    law = {"a": {"law": "poisson", "mean": 3}, "b": {"law": "uniform", "low": 0, "high": 4}}
    shop = {"holding_cost": {"a": 1, "b": 2}, "backorder_cost": {"a": 4, "b": 9}, "max_order": 30, "demand": law}
    supply = {"from": "outside", "to": "shop", "lead_time": {"a": 1, "b": 3}, "initial_pipeline": 2}
    periods = {"evaluate": 80, "warm_up": 30}
    firm = {"name": "two", "unmet": "lost", "periods": periods, "products": ["a", "b"]}
    return parse_firm(firm | {"stock_points": {"shop": shop}, "supply": [supply]})


def waits():
    """Unmet demand waits, in an episode that ends, and two products stand in one slot."""
    return tiny({"backorder_cost": 3}, unmet="backorder", periods={"train": 10, "evaluate": 11, "warm_up": 0})


def goes_on(unmet):
    """Customers who choose, in the long run."""
    shop, periods = {"salvage_value": 0, "max_order": 6}, {"train": 30, "evaluate": 70, "warm_up": 20}
    return tiny(shop, {"traffic": 3}, unmet=unmet, periods=periods)


def narrow(max_order=7, **periods):
    """Backorders, and orders that hardly keep up with demand."""
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": max_order, "demand": {"law": "poisson", "mean": 5}}
    lengths = {"evaluate": 160, "warm_up": 60} | periods
    supply = [{"from": "outside", "to": "shop", "lead_time": 2}]
    return parse_firm({"name": "narrow", "periods": lengths, "stock_points": {"shop": shop}, "supply": supply})


@pytest.mark.parametrize(
    ("firm", "name", "known"),  # profit an episode where the firm says it
    [
        (tiny(), "optimum", 682.5),
        (narrow(), "optimum", None),
        (goes_on("lost"), "optimum", None),
        (goes_on("backorder"), "optimum", None),
        (tiny(), "optimum-blind", 656.75),
        (halves(), "optimum:2", HALVES),
        (waiting(), "optimum", 247.74),
        (waits(), "optimum", None),
        (seasonal(), "optimum", None),
        (two_products(), "optimum", None),
        (lost_sales(9, 2), "optimum", None),
        (parse_firm(SERIAL), "optimum", None),
    ],
    ids=lambda given: getattr(given, "name", given),
)
def test_episodes_bring_what_the_optimum_says(firm, name, known):
    policy = parse_policy(name, firm)
    if known is not None:
        assert -policy.expected_cost == pytest.approx(known, abs=0.01)
    mean, error = played(firm, policy)
    assert mean == pytest.approx(policy.expected_cost, abs=3 * error)
    assert error < 0.02 * abs(policy.expected_cost)


def test_published_optima_are_found():
    assert optimum(load_firm("s1")).expected_cost == pytest.approx(968.4, abs=0.05)
    assert optimum(lost_sales(4, 4)).expected_cost / 100 == pytest.approx(4.73, abs=0.005)


def test_a_point_whose_orders_are_too_small_is_dearer_than_clark_and_scarf_say():
    free, bound = (optimum(narrow(most)) for most in (60, 7))
    assert isinstance(free, BaseStock)
    assert free.expected_cost * 1.02 < bound.expected_cost < free.expected_cost * 1.5


def test_half_a_slot_can_be_best():
    whole, quarter = (-optimum(halves(), steps=steps).expected_cost for steps in (1, 4))
    assert whole * 1.05 < HALVES < quarter


def test_a_line_is_led_by_echelon_levels_that_no_neighbour_beats():
    policy = optimum(parse_firm(SERIAL))
    assert isinstance(policy, BaseStock)
    best, _ = played(parse_firm(SERIAL), policy)
    for step in np.vstack((np.eye(3), -np.eye(3))):
        other = BaseStock("other", policy.levels + 2 * step[:, None], policy.weights)
        assert played(parse_firm(SERIAL), other)[0] > best - 1e-6


def test_exposures_fill_the_slots_in_steps():
    assert grid_exposures(np.array([True, True]), 1, 1).tolist() == [[0, 0], [0, 1], [1, 0]]
    assert grid_exposures(np.array([True, False]), 1, 4).tolist() == [[0, 0], [0.25, 0], [0.5, 0], [0.75, 0], [1, 0]]
    assert len(grid_exposures(np.array([True, True, True]), 2, 2)) == 23  # of 27, without 1 1 1, and 1 1 1/2 thrice


def changed(**changes):
    return parse_firm(SERIAL | changes)


@pytest.mark.parametrize(
    ("firm", "name", "reason"),
    [
        (load_firm("a1"), "optimum", "no line of stock points"),
        (load_firm("s3"), "optimum", "a lead time is random"),
        (load_firm("b1"), "optimum", "several suppliers"),
        (changed(unmet="lost"), "optimum", "serial ones need backorders and a warm-up"),
        (changed(periods={"evaluate": 20, "warm_up": 0}), "optimum", "serial ones need a warm-up"),
        (tiny({"fixed_order_cost": 1}), "optimum", "a fixed cost"),
        (tiny({"salvage_value": 7}), "optimum", "worth more when an episode ends than it costs"),
        (tiny(periods={"train": 9, "evaluate": 40, "warm_up": 9}), "optimum", "salvage value, and a warm-up"),
        (tiny(segment={"volatility": 0.1}), "optimum", "hidden regime"),
        (tiny({"max_order": 400}, {"traffic": 500}), "optimum", r"programme would take .* numbers a period"),
        (tiny(), "optimum:0", "from 1 to 99, got '0'"),
        (narrow(5), "optimum", "max_order is no more than mean demand"),
        (
            changed(stock_points=SERIAL["stock_points"] | {"depot": {"holding_cost": 0.6, "max_order": 9}}),
            "optimum",
            "max_order is below",
        ),
        (lost_sales(4, 1), "optimum:2", "divides a slot, and lost-4-1 has no customers"),
        (tiny(), "none+optimum", "optimum recommends by itself; write optimum alone"),
        (market(), "optimum", "a lead time is random"),
    ],
)
def test_why_there_is_no_optimum_is_told_in_a_line(firm, name, reason):
    with pytest.raises(ValueError, match=reason) as refusal:
        parse_policy(name, firm)
    assert "\n" not in str(refusal.value)

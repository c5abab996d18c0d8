import numpy as np
import pytest
from scipy.stats import poisson

from departments.play.episode import run_costs
from departments.play.tuning import tuned_base_stock, tuned_echelon_base_stock
from departments.rules.ordering import BaseStock, baseline_levels
from environment import load_firm, parse_firm
from tests.small_firms import pair, tree, world_of


def _newsvendor_cost(level, mean=20.0, holding=1.0, backorder=9.0):
    units = np.arange(200)
    left = level - units
    return float(poisson.pmf(units, mean) @ np.where(left > 0, holding * left, -backorder * left))


def test_on_the_toy_firm_the_search_finds_the_newsvendor_optimum():
    level = tuned_base_stock(load_firm("toy")).levels[0, 0]
    best = min(_newsvendor_cost(candidate) for candidate in range(60))
    assert _newsvendor_cost(level) <= 1.005 * best
    assert _newsvendor_cost(level + 2) > 1.01 * best, "the margin tells neighbours of the optimum apart"


def test_the_compiled_world_finds_the_same_levels():
    said = []
    for tuned in (tuned_base_stock, tuned_echelon_base_stock):
        np.testing.assert_array_equal(tuned(tree(), note=said.append).levels, tuned(tree(), eager=True).levels)
    assert all(line.startswith("not compiled: no C++ compiler") for line in said)


def test_tuned_levels_cost_less_than_the_benchmarks_on_fresh_episodes():
    firm = tree()
    tuned = tuned_base_stock(firm)
    assert tuned.levels.shape == baseline_levels(firm).shape
    world, _ = world_of(firm)
    chance = world.draw(firm.periods.evaluate - 1, 2048, world.generator(99))
    benchmark = run_costs(world, BaseStock("benchmark", baseline_levels(firm)), chance).sum(0).double()
    for rule in (tuned, tuned_echelon_base_stock(firm)):
        saving = benchmark - run_costs(world, rule, chance).sum(0)
        assert float(saving.mean()) > 3 * float(saving.std()) / 2048**0.5


@pytest.mark.parametrize("search", [tuned_base_stock, tuned_echelon_base_stock])
def test_the_search_is_the_same_for_the_same_seed(search):
    np.testing.assert_array_equal(search(pair(), seed=3).levels, search(pair(), seed=3).levels)


def test_every_product_has_a_level_of_its_own():
    demand = {"tea": {"law": "poisson", "mean": 10}, "rice": 3}
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 40, "demand": demand}
    firm = parse_firm({"name": "two", "products": ["tea", "rice"], "stock_points": {"shop": shop}})
    tea, rice = tuned_base_stock(firm).levels[0]
    assert _newsvendor_cost(tea) <= 1.005 * _newsvendor_cost(26)
    assert rice == 6

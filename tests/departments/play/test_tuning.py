import time

import numpy as np
import pytest
import torch
from scipy.stats import poisson

from departments.numerics.native import why_not
from departments.play.episode import run_costs
from departments.play.tuning import tuned_base_stock, tuned_echelon_base_stock
from departments.rules.ordering import BaseStock, baseline_levels
from environment import Exogenous, World, load_firm, parse_firm
from tests.neighbours import better_neighbours
from tests.small_firms import pair, tree, world_of
from tests.small_markets import market


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


@pytest.mark.parametrize("name", ["a1", "s1", "a3"])
def test_no_neighbour_of_tuned_levels_is_better_by_three_standard_errors(name):
    """By 1 to 4 units in one or two levels; `python -m tests.neighbours` tries b1 and c1 too, in minutes."""
    if why_not() is not None:
        pytest.skip("without a compiler this takes minutes")
    firm = load_firm(name)
    better, close = better_neighbours(firm, tuned_base_stock(firm).levels.ravel().astype(int))
    assert better == {}
    assert close > 0


def test_levels_that_are_not_tuned_have_better_neighbours():
    better, _ = better_neighbours(load_firm("a1"), np.array([56, 34, 34, 34]), 2048)
    assert (57, 34, 34, 34) in better


def test_products_are_tuned_one_by_one_as_if_each_were_alone():
    law = {"law": "poisson", "mean": 5}
    shop = {
        "holding_cost": {"tea": 1, "rice": 2},
        "backorder_cost": 9,
        "max_order": 40,
        "demand": {"tea": law, "rice": 3},
    }
    supply = [{"from": "outside", "to": "shop", "lead_time": {"tea": 2, "rice": 1}}]
    both = parse_firm({"name": "two", "products": ["tea", "rice"], "stock_points": {"shop": shop}, "supply": supply})
    for tuned in (tuned_base_stock, tuned_echelon_base_stock):
        alone = [tuned(both.of_product(product)).levels for product in both.products]
        np.testing.assert_array_equal(tuned(both).levels, np.concatenate(alone, axis=1))


def test_the_parts_of_a_firm_by_product_cost_what_the_whole_costs():
    firm = tree(products=("tea", "rice"))
    world, _ = world_of(firm)
    chance = world.draw(firm.periods.evaluate - 1, 5, world.generator(1))
    whole = run_costs(world, BaseStock("levels", baseline_levels(firm)), chance)
    parts = 0
    for k, product in enumerate(firm.products):
        one = firm.of_product(product)
        own = Exogenous._make(
            None if field is None else field if name == "cost_factor" else field[..., k : k + 1, :]
            for name, field in chance._asdict().items()
        )
        parts += run_costs(world_of(one)[0], BaseStock("levels", baseline_levels(one)), own)
    torch.testing.assert_close(parts, whole)


def many(count, shops):
    """A warehouse and some shops that sell many products, each at a mean of its own."""
    rng = np.random.default_rng(1)
    products = [f"i{k}" for k in range(count)]
    own = {"holding_cost": 1, "backorder_cost": 9, "max_order": 100}
    demand = [{p: {"law": "poisson", "mean": round(rng.uniform(0.2, 8), 2)} for p in products} for _ in range(shops)]
    points = {"dc": {"holding_cost": 0.5, "max_order": 500}} | {
        f"s{i}": own | {"demand": d} for i, d in enumerate(demand)
    }
    supply = [{"from": "outside", "to": "dc", "lead_time": 3}, *({"from": "dc", "to": f"s{i}"} for i in range(shops))]
    firm = parse_firm({"name": "many", "products": products, "stock_points": points, "supply": supply})
    return firm, np.array([[law["mean"] for law in shop.values()] for shop in demand])


def test_many_products_are_tuned_in_little_time():
    if why_not() is not None:
        pytest.skip("without a compiler this takes minutes")
    firm, mean = many(8, 3)
    begun = time.process_time()
    levels = tuned_base_stock(firm).levels
    assert time.process_time() - begun < 12
    assert (levels[1:] >= 2 * mean - 1).all(), "two periods' demand"


def test_a_search_says_how_far_it_is_and_ends_with_what_it_has_when_its_time_is_up(monkeypatch):
    monkeypatch.setattr("departments.play.tuning._TELL", 0.0)
    firm, told = many(3, 2)[0], []
    found = tuned_base_stock(firm, note=told.append).levels
    assert [line for line in told if "i1, 2 of 3 products" in line]
    assert all(line.startswith("tuning base-stock levels: ") for line in told)
    assert not any("time was up" in line for line in told)
    hurried = tuned_base_stock(firm, seconds=0.0, note=told.append).levels
    assert told[-1].endswith("its time was up before the end of the search of i0, 1 of 3 products and others")
    np.testing.assert_array_equal(hurried, np.rint(baseline_levels(firm)))
    again = tuned_base_stock(firm, start=found).levels
    np.testing.assert_array_equal(again, found, "what is known to be good is where a search begins and ends")


def test_products_that_customers_choose_among_are_searched_together():
    firm = market(train=16)
    tuned = tuned_base_stock(firm)
    assert tuned.levels.shape == (len(firm.names), len(firm.products))
    world = World(firm, baseline_levels(firm))
    chance = world.draw(firm.periods.evaluate - 1, 512, world.generator(99))
    before, after = (run_costs(world, rule, chance).sum(0) for rule in (BaseStock("b", baseline_levels(firm)), tuned))
    assert float((before - after).mean()) >= 0

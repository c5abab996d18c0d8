from itertools import product

import numpy as np
import pytest
from scipy.stats import poisson

from heuristics.mass import as_mass, lead_time_demand, point_mass
from heuristics.newsvendor import newsvendor
from heuristics.programme import (
    Decisions,
    Point,
    Programme,
    best_blind,
    best_in_episode,
    best_in_long_run,
    order_bounds,
    touched,
    value_of,
)
from heuristics.reorder import position_cost
from heuristics.serial import clark_scarf

POISSON_5 = as_mass(poisson.pmf(np.arange(40), 5) / poisson.cdf(39, 5))
MONEY = {"holding_cost": [0.3, 0.4], "shortage_cost": [1, 2], "price": [5, 7], "unit_cost": [2, 3]}
MONEY |= {"salvage_value": [1.5, 1]}
TWO_EXPOSURES = [[[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], [[0.6, 0.2, 0.2], [0.1, 0.3, 0.6]]]  # [A][K] chances of 0, 1, 2


def point_of(products=1, *, lost=True, lead=1, most=2, low=0, high=9, **changes):
    money = {name: values[:products] for name, values in MONEY.items()} | changes
    return Point(lost, [lead] * products, [most] * products, [low] * products, [high] * products, **money)


def by_enumeration(point, laws, periods, on_hand, pipeline):
    """All decisions against all demands, event by event: receive, serve, account, decide; nothing is remembered."""
    products = range(len(point.lead_time))
    actions = list(product(range(len(laws)), *(range(most + 1) for most in point.max_order)))

    def worth(stock, owed, under_way, left):
        if not left:
            held = [stock[k] + sum(under_way[k]) for k in products]
            return sum(point.salvage_value[k] * held[k] for k in products)
        return max(after(stock, owed, under_way, left, shown, orders) for shown, *orders in actions)

    def after(stock, owed, under_way, left, shown, orders):
        total = -sum(point.unit_cost[k] * orders[k] for k in products)
        for demands in product(*(range(len(laws[shown][k])) for k in products)):
            chance = np.prod([laws[shown][k][demands[k]] for k in products])
            money, new_stock, new_owed = 0.0, [], []
            for k in products:
                there, wanted = stock[k] + under_way[k][0], owed[k] + demands[k]
                sold = min(there, wanted)
                short = wanted - sold
                money += point.price[k] * sold - point.holding_cost[k] * (there - sold) - point.shortage_cost[k] * short
                new_stock.append(there - sold)
                new_owed.append(0 if point.lost else short)
            moved = [[*under_way[k][1:], orders[k]] for k in products]
            total += chance * (money + worth(new_stock, new_owed, moved, left - 1))
        return total

    return worth(list(on_hand), [0] * len(on_hand), [list(own) for own in pipeline], periods)


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "backorder"])
@pytest.mark.parametrize(("products", "lead", "periods"), [(1, 1, 3), (1, 2, 3), (1, 3, 3), (2, 1, 2), (2, 2, 2)])
def test_an_episodes_optimum_is_what_enumeration_finds(lost, products, lead, periods):
    point = point_of(products, lost=lost, lead=lead, low=0 if lost else -8)
    laws = [of[:products] for of in TWO_EXPOSURES]
    start = [1, 0][:products], [[1] * lead, [0, 2, 1][:lead]][:products]
    best = best_in_episode([Programme(point, [list(map(as_mass, of)) for of in laws])] * periods, point.state(*start))
    assert best.value == pytest.approx(by_enumeration(point, laws, periods, *start), abs=1e-9)


def test_one_period_is_the_newsvendor():
    point = point_of(most=20, high=40, holding_cost=[0.0])
    best = best_in_episode([Programme(point, [[POISSON_5]])] * 2, point.state([0], [[0]]))
    missed, left_over = 5 + 1 - 2, 2 - 1.5  # of a unit that is short or too much in the one period it is ordered for
    assert best.decisions.order[0, 0, 0] == newsvendor(POISSON_5, missed, left_over)
    assert best.decisions.order[1, 0, 0] == 0  # would arrive when nobody buys any more


def test_what_the_clock_changes_by_period_is_used():
    point = point_of(high=12)
    quiet, busy = ([[as_mass(mass)]] for mass in ([0.9, 0.1], [0, 0, 1.0]))
    programmes = [Programme(point, laws) for laws in (quiet, quiet, busy, quiet)]
    best = best_in_episode(programmes, point.state([0], [[0]]))
    assert best.decisions.order[:, 0, 0].tolist() == [0, 2, 0, 0]


def test_without_a_clock_the_best_of_all_tables_is_found():
    """All 3^7 tables of a point with one product, played out; the programme's ascent ends at the same value."""
    point, periods = point_of(high=6), 4
    programmes = [Programme(point, [[as_mass([0.2, 0.5, 0.3])]])] * periods
    start = point.state([1], [[1]])
    nothing = np.zeros(point.shape, dtype=np.int16)

    def earned(table):
        order = np.array([table], dtype=np.int16)
        return value_of(programmes, [Decisions(order, nothing, order[None])] * periods, start)

    found = best_blind(programmes, start)
    assert found.value == pytest.approx(max(map(earned, product(range(3), repeat=7))), abs=1e-9)
    assert found.value == pytest.approx(earned(found.decisions.order[0]))
    assert found.value < best_in_episode(programmes, start).value - 0.5


def test_a_policy_is_worth_what_its_chances_say():
    """Backwards by values, forwards by chances of states: the same money."""
    point = point_of(2, lead=2)
    programme, start = (
        Programme(point, [list(map(as_mass, of)) for of in TWO_EXPOSURES]),
        point.state([2, 1], [[1, 0]] * 2),
    )
    best = best_in_episode([programme] * 3, start)
    chance, earned = np.zeros(point.shape), 0.0
    chance[start] = 1.0
    nothing = np.zeros(point.after_shape)
    for t in range(3):
        now = best.decisions.at(t)
        earned += (chance * programme.under(programme.actions(nothing), now)).sum()
        chance = programme.spread(chance, now)
        assert chance.sum() == pytest.approx(1.0)
    left = sum(
        worth * (chance * np.add(*np.indices(point.shape)[2 * k : 2 * k + 2])).sum()
        for k, worth in enumerate(point.salvage_value)
    )
    assert earned + left == pytest.approx(best.value, abs=1e-9)
    assert touched([programme] * 3, [best.decisions.at(t) for t in range(3)], start) == 0.0


PUBLISHED = {  # Zipkin (2008), Old and new methods for lost-sales inventory systems, tables 3: Poisson demand of mean 5
    4: (4.04, 4.40, 4.60, 4.73),
    9: (5.44, 6.09, 6.53, 6.84),
    19: (6.68, 7.66, 8.36, 8.89),
    39: (7.84, 9.11, 10.04, 10.79),
}


@pytest.mark.parametrize("penalty", PUBLISHED)
@pytest.mark.parametrize("lead", [1, 2, 3, 4])
def test_lost_sales_in_the_long_run_cost_what_is_published(penalty, lead):
    single, position = order_bounds(POISSON_5, lead, penalty / (penalty + 1))
    point = Point(True, [lead], [single], [0], [position + 1], [1], [penalty], [0], [0], [0])
    best = best_in_long_run(Programme(point, [[POISSON_5]]))
    assert -best.value == pytest.approx(PUBLISHED[penalty][lead - 1], abs=0.005001)


def test_bounds_on_orders_cut_nothing_off():
    wide = Point(True, [2], [14], [0], [32], [1], [9], [0], [0], [0])
    single, position = order_bounds(POISSON_5, 2, 0.9)
    tight = Point(True, [2], [single], [0], [position + 1], [1], [9], [0], [0], [0])
    costs = [best_in_long_run(Programme(point, [[POISSON_5]])).value for point in (wide, tight)]
    assert costs[0] == pytest.approx(costs[1], abs=1e-6)


def test_backorders_in_the_long_run_cost_what_clark_and_scarf_say():
    point = Point(False, [1], [20], [-40], [25], [1], [9], [0], [0], [0])
    best = best_in_long_run(Programme(point, [[POISSON_5]]))
    over = lead_time_demand(POISSON_5, point_mass(1))
    exact = clark_scarf([over], [1.0], 9.0)
    assert -best.value == pytest.approx(exact.cost, abs=1e-5)
    assert -best.value == pytest.approx(float(position_cost(over, exact.echelon_level[0], 1, 9)), abs=1e-5)
    orders = best.decisions.order[0, 40:]
    np.testing.assert_array_equal(orders[:14], exact.echelon_level[0] - np.arange(14))


def test_what_cannot_be_earned_is_that_of_a_grid_that_is_too_small():
    point = point_of(most=9, high=4)
    programme = Programme(point, [[POISSON_5]])
    best = best_in_episode([programme] * 6, point.state([4], [[0]]))
    assert touched([programme] * 6, [best.decisions.at(t) for t in range(6)], point.state([4], [[0]])) > 0.1


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"lead": 0}, "lead_time and max_order must be at least 1"),
        ({"most": 0}, "lead_time and max_order must be at least 1"),
        ({"low": -1}, "low must be at most 0"),
        ({"high": 0}, "low must be at most 0"),
    ],
)
def test_grids_that_are_none_are_refused(changes, refusal):
    with pytest.raises(ValueError, match=refusal):
        point_of(**changes)


def test_what_waits_beyond_the_grid_is_noticed():
    """Two units an order and 1.9 asked for: what waits grows for long."""
    point = point_of(lost=False, most=2, low=-9, high=9)
    programme = Programme(point, [[as_mass([0.05, 0.3, 0.4, 0.2, 0.05])]])
    best = best_in_episode([programme] * 40, point.state([0], [[0]]))
    decisions = [best.decisions.at(t) for t in range(40)]
    assert touched([programme] * 40, decisions, point.state([0], [[0]])) > 0.05
    assert touched([programme] * 2, decisions[:2], point.state([4], [[0]])) == 0.0

import numpy as np
import pytest
from scipy.stats import norm, poisson

from heuristics.mass import as_mass, demand_over, lead_time_demand, point_mass
from heuristics.newsvendor import newsvendor
from heuristics.reorder import position_cost
from heuristics.serial import clark_scarf, local_levels, shang_song, shang_song_mass

# Snyder & Shen, example 6.1: demand N(5, 1) per period, lead times 1, 1, 2 from the customer upwards
LOCAL_HOLDING, PENALTY, INTERVALS = [7.0, 4.0, 2.0], 37.12, [1, 1, 2]


def fine_normal(periods, step):
    law = norm(5 * periods, periods**0.5)
    units = step * np.arange(int((5 * periods + 8 * periods**0.5) / step))
    return as_mass(np.diff(law.cdf(np.append(units, units[-1] + step) - step / 2)))


def test_shang_song_reproduces_the_textbook_example():
    quantiles = [norm(5 * n, n**0.5).ppf for n in np.cumsum(INTERVALS)]
    level = shang_song(quantiles, LOCAL_HOLDING, PENALTY)
    np.testing.assert_allclose(level, [6.490881, 12.027435, 22.634032], atol=1e-6)
    np.testing.assert_allclose(local_levels(level), [6.490881, 5.536554, 10.606597], atol=2e-6)


def test_shang_song_of_a_fine_mass_function_is_that_of_the_normal():
    level = 0.01 * shang_song_mass([fine_normal(n, 0.01) for n in INTERVALS], LOCAL_HOLDING, PENALTY)
    np.testing.assert_allclose(level, [6.490881, 12.027435, 22.634032], atol=0.02)


def test_clark_scarf_reproduces_the_textbook_example():
    best = clark_scarf([fine_normal(n, 0.01) for n in INTERVALS], LOCAL_HOLDING, PENALTY, step=0.01)
    # the known cost 47.6687 comes from a coarser grid; quadrature agrees with ours
    np.testing.assert_allclose(best.echelon_level, [6.49, 12.02, 22.71], atol=0.011)
    assert best.cost == pytest.approx(47.6687, rel=2.5e-4)
    assert best.cost == pytest.approx(normal_optimum_by_quadrature(), abs=1e-3)


def normal_optimum_by_quadrature():
    """The same optimum with the continuous normal, every expectation by Gauss-Legendre on a grid of levels."""
    nodes, weight = np.polynomial.legendre.leggauss(200)
    z, density = 8 * nodes, 8 * weight * norm.pdf(8 * nodes)
    levels = np.linspace(-30, 60, 18_001)
    penalty = (PENALTY + LOCAL_HOLDING[0]) * np.maximum(-levels, 0)
    cost = np.inf
    for h, periods in zip([3.0, 2.0, 2.0], INTERVALS, strict=True):
        values = h * levels + penalty
        below, slope = levels[0], (values[1] - values[0]) / (levels[1] - levels[0])
        expected = np.zeros_like(levels)
        for point, share in zip(z, density, strict=True):
            at = levels - 5 * periods - periods**0.5 * point
            expected += share * (np.interp(at, levels, values) + slope * np.minimum(at - below, 0))
        best = np.argmin(expected)
        cost = expected[best]
        penalty = np.where(np.arange(levels.size) < best, expected, cost)
    return cost


def test_one_stage_is_the_newsvendor():
    demand = as_mass(poisson.pmf(np.arange(60), 10))
    best = clark_scarf([demand], [1.0], 19.0)
    assert best.echelon_level[0] == newsvendor(demand, 19, 1)
    assert best.cost == pytest.approx(float(position_cost(demand, best.echelon_level[0], 1, 19)))
    assert shang_song_mass([demand], [1.0], 19.0)[0] == newsvendor(demand, 19, 1)


def test_the_optimum_costs_no_more_than_any_other_pair_of_levels():
    laws = [as_mass(poisson.pmf(np.arange(40), 6)), as_mass(poisson.pmf(np.arange(40), 3))]
    best = clark_scarf(laws, [2.0, 1.0], 15.0)
    lower, upper = np.arange(laws[0].size), np.arange(laws[1].size)

    def cost(first, second):
        total = 0.0
        for v, q in zip(upper, laws[1], strict=True):
            reached = min(first, second - v)
            gap = reached - lower
            total += q * (1.0 * (second - v) + (1.0 * gap + 17.0 * np.maximum(-gap, 0)) @ laws[0])
        return total

    found = {(a, b): cost(a, b) for a in range(20) for b in range(30)}
    assert min(found.values()) == pytest.approx(best.cost, abs=1e-9)
    assert found[tuple(best.echelon_level.astype(int))] == pytest.approx(best.cost, abs=1e-9)


def simulated_serial_cost(levels, holding, penalty, lead_time, copies=1500, periods=120, warm_up=60):
    """Echelon base-stock in the firm's world, step by step: receive, fulfil last period's orders, account, order."""
    rng = np.random.default_rng(7)
    stages = len(levels)
    on_hand = np.tile(np.diff(levels, prepend=0).astype(float)[:, None], copies)
    owed, ordered = np.zeros((stages + 1, copies)), np.zeros((stages + 1, copies))  # row 0: the customer
    pipeline = [[np.zeros(copies) for _ in range(lead)] for lead in lead_time]
    costs = []
    for period in range(periods):
        for stage in range(stages):
            on_hand[stage] += pipeline[stage].pop(0)
        owed += ordered
        for stage in range(stages + 1):  # row r is served by stage r, the last row by the outside
            shipped = owed[stage].copy() if stage == stages else np.minimum(owed[stage], on_hand[stage])
            owed[stage] -= shipped
            if stage < stages:
                on_hand[stage] -= shipped
            if stage > 0:
                pipeline[stage - 1].append(shipped)
        if period >= warm_up:
            costs.append(np.dot(holding, on_hand) + penalty * owed[0])
        installed = on_hand - owed[:-1] + owed[1:] + np.array([sum(queue) for queue in pipeline])
        position = np.cumsum(installed, axis=0)
        ordered[1:] = np.maximum(np.asarray(levels)[:, None] - position, 0)
        ordered[0] = rng.poisson(5, copies)
    return np.mean(costs)


def test_clark_scarf_predicts_the_cost_of_the_firms_world():
    demand, lead_time, holding = as_mass(poisson.pmf(np.arange(50), 5)), [1, 2, 1], np.array([1.0, 0.6, 0.4])
    laws = [lead_time_demand(demand, point_mass(1)), *(demand_over(demand, point_mass(n)) for n in lead_time[1:])]
    best = clark_scarf(laws, holding, 19.0)
    in_world = best.cost - 5 * (holding[1] + holding[1:] @ lead_time[:-1])
    simulated = simulated_serial_cost(best.echelon_level, holding, 19.0, lead_time)
    assert simulated == pytest.approx(in_world, rel=0.01)
    for shift in ([3, 3, 3], [-2, -2, -2], [0, 0, 6], [0, 4, 4]):
        assert simulated_serial_cost(best.echelon_level + np.array(shift), holding, 19.0, lead_time) > simulated


@pytest.mark.parametrize(
    ("holding", "penalty", "message"),
    [
        ([1.0], 9.0, "one entry"),
        ([1.0, 2.0], 9.0, "rise upstream"),
        ([1.0, -2.0], 9.0, ">= 0"),
        ([2.0, 1.0], 0.0, "backorder_cost must be above 0"),
        ([1.0, 1.0], 9.0, "strictly"),
    ],
)
def test_costs_without_an_optimum_are_refused(holding, penalty, message):
    with pytest.raises(ValueError, match=message):
        clark_scarf([point_mass(1), point_mass(1)], holding, penalty)

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import logistic

from heuristics.timescales import OrderAndExposure, OwnIndicators, exponent, follow

FIRM = OrderAndExposure()


def test_the_best_order_and_exposure_are_where_the_profit_is_largest():
    found = minimize(lambda z: -FIRM.profit(*z), [30.0, 5.0], tol=1e-10).x
    np.testing.assert_allclose(found, [FIRM.best_order(FIRM.best_exposure), FIRM.best_exposure], atol=1e-3)
    order = minimize(lambda x: -FIRM.profit(x[0], 4.0), [30.0], tol=1e-10).x[0]
    assert order == pytest.approx(float(FIRM.best_order(4.0)), abs=1e-3)


def test_expected_profit_is_that_of_sampled_periods():
    demand = FIRM.base + 7 + logistic.rvs(scale=FIRM.spread, size=400_000, random_state=1)
    sold = np.minimum(demand, 40.0)
    money = 10 * sold + 2 * (40 - sold) - 2 * (demand - sold) - 5 * 40 - FIRM.effort * 7**2 / 2
    assert float(FIRM.profit(40.0, 7.0)) == pytest.approx(money.mean(), abs=4 * money.std() / len(money) ** 0.5)


def test_sampled_gradients_are_those_of_the_profit_on_average():
    now = np.tile([[38.0], [6.0]], (1, 400_000))
    sampled = FIRM.gradient(now, np.random.default_rng(2)).mean(1)
    step = 1e-4
    by_order = (FIRM.profit(38 + step, 6) - FIRM.profit(38 - step, 6)) / (2 * step)
    by_exposure = (FIRM.profit(38, 6 + step) - FIRM.profit(38, 6 - step)) / (2 * step)
    np.testing.assert_allclose(sampled, [by_order, by_exposure], atol=0.04)
    assert float(FIRM.exposure_slope(38, 6)) == pytest.approx(float(by_exposure), abs=1e-6)
    critic = FIRM.gradient_by_critic(np.vstack((np.full(400_000, 1.5), now)), np.random.default_rng(2)).mean(1)
    np.testing.assert_allclose(critic, [by_exposure - 1.5, by_order, 1.5], atol=0.04)


@pytest.mark.parametrize(("ratio", "rests"), [(0.3, True), (0.45, True), (0.6, False), (1.0, False), (4.0, False)])
def test_two_indicators_rest_up_to_the_ratio_that_the_trace_says(ratio, rests):
    own = OwnIndicators(noise=0.0)
    assert own.largest_ratio == 0.5
    steps = np.tile([0.02, 0.02 * ratio], (12_000, 1))
    *_, last = follow(own.drift, [[0.1], [0.4]], steps, np.random.default_rng(0))
    late = [now for n, now in enumerate(follow(own.drift, last, steps[:2_000], np.random.default_rng(0)))]
    reach = np.abs(np.array(late)[:, 1]).max()
    assert reach < 1e-3 if rests else reach > 0.5


def test_an_exponent_is_the_slope_of_logarithms():
    at = np.array([10.0, 100.0, 1000.0])
    assert exponent(at, 3 * at**-0.4) == pytest.approx(-0.4)


def test_following_takes_each_parameter_by_its_own_step():
    steps = np.array([[1.0, 0.5], [0.5, 0.0]])
    paths = list(follow(lambda now, rng: np.ones_like(now), [[0.0], [10.0]], steps, np.random.default_rng(0)))
    assert [path.tolist() for path in paths] == [[[1.0], [10.5]], [[1.5], [10.5]]]

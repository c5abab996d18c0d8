"""The worst 5% of episodes beside known laws."""

import numpy as np
import pytest
from scipy import stats

from departments.play.tail import tail


@pytest.mark.parametrize("episodes", [20, 400, 4096, 1])
def test_the_mean_is_that_of_the_worst_episodes(episodes):
    cost = np.random.default_rng(3).gamma(2.0, size=episodes)
    whole, part = divmod(0.05 * episodes, 1.0)
    worst = np.sort(cost)[::-1]
    slow = (worst[: int(whole)].sum() + part * worst[int(whole)]) / (0.05 * episodes) if whole else worst[0]
    np.testing.assert_allclose(tail(cost).mean(), slow)


def test_it_comes_to_the_normal_law_s_and_its_error_to_the_spread_over_samples():
    costs = np.random.default_rng(5).normal(size=(400, 2000))
    found = np.array([tail(cost) for cost in costs])
    means, exact = found.mean(1), stats.norm.pdf(stats.norm.ppf(0.95)) / 0.05
    assert abs(means.mean() - exact) < 3.5 * stats.sem(means) + 0.005  # the bias is of order 1 / n
    np.testing.assert_allclose(found.std(1, ddof=1).mean() / np.sqrt(2000), means.std(), rtol=0.12)


def test_a_difference_is_paired():
    rng = np.random.default_rng(7)
    common, own = rng.normal(size=(300, 2000)), 0.1 * rng.normal(size=(300, 2000))
    adds = np.array([tail(cost) for cost in common]) - np.array([tail(cost) for cost in common + own])
    error = adds.std(1, ddof=1).mean() / np.sqrt(2000)
    np.testing.assert_allclose(error, adds.mean(1).std(), rtol=0.15)
    assert error < np.mean([tail(cost).std() for cost in common]) / np.sqrt(2000), "unpaired it is larger"

"""Kaplan and Meier's estimate against a published table, and what it makes of days that ran out of stock."""

import numpy as np
import pytest

from heuristics.censoring import completed, kaplan_meier


def test_it_is_the_published_curve_of_freireich_et_al():
    """Remission under 6-MP, weeks: Freireich et al. (1963), as in Cox & Oakes (1984), table 1.1 and section 4.2."""
    ended, left = [6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    censored = np.array([False] * len(ended) + [True] * len(left))
    support, survival = kaplan_meier(np.array(ended + left, dtype=float), censored)
    assert support.tolist() == [6, 7, 10, 13, 16, 22, 23]
    np.testing.assert_allclose(survival, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=6e-4)


def test_without_censoring_it_is_the_observed_law():
    values = np.array([0, 0, 3, 5.0])
    support, survival = kaplan_meier(values, np.zeros(4, dtype=bool))
    assert support.tolist() == [0, 3, 5]
    np.testing.assert_allclose(survival, [0.5, 0.25, 0.0])
    assert completed(values, np.zeros(4, dtype=bool)).tolist() == values.tolist()


def test_demand_that_stock_cut_off_is_found_again():
    rng = np.random.default_rng(1)
    demand, stock = rng.poisson(8, 20_000).astype(float), rng.integers(4, 14, 20_000)
    found = completed(np.minimum(demand, stock), demand >= stock)
    assert np.minimum(demand, stock).mean() < 7.3
    assert found.mean() == pytest.approx(np.minimum(demand, 13).mean(), abs=0.03)  # nobody ever saw more than 13

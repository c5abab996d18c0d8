"""What packs and minima do to a base-stock level."""

import numpy as np
import pytest
from scipy.stats import poisson

from heuristics.orders import level_below, overshoot


def test_an_overshoot_is_even_below_a_pack_and_what_a_long_run_shows_under_a_minimum():
    demand = poisson.pmf(np.arange(40), 5)
    assert overshoot(demand, 4, 4) == pytest.approx(np.full(4, 0.25))
    rng, over, seen = np.random.default_rng(0), 0, np.zeros(9)
    for units in rng.poisson(5, 100_000):
        over -= units
        over += max(9, -(over // 3) * 3) if over < 0 else 0
        seen[over] += 1
    assert overshoot(demand, 3, 9) == pytest.approx(seen / seen.sum(), abs=0.01)


def test_a_level_falls_by_what_is_overshot():
    demand = poisson.pmf(np.arange(60), 10)
    assert level_below(demand, np.ones(1), 0.9) == 14
    needed, over = demand, np.full(6, 1 / 6)
    level = level_below(needed, over, 0.9)
    met = [sum(p * demand[: at + z + 1].sum() for z, p in enumerate(over)) for at in (level - 1, level)]
    assert met[0] < 0.9 <= met[1]
    assert level_below(demand, np.full(40, 1 / 40), 0.5) < 0

import numpy as np
import pytest

from heuristics.polish import neighbours, polish_levels


def bowl(centre, matrix, noise=0.0, floor=0):
    """A quadratic cost with common noise; counts what it is asked."""
    asked = []
    swing = np.random.default_rng(0).standard_normal(70_000)

    def cost(levels, episodes):
        assert (levels >= floor).all()
        asked.append((len(levels), episodes))
        away = levels - np.asarray(centre)
        return np.einsum("mi,ij,mj->m", away, matrix, away)[:, None] + noise * swing[:episodes]

    return cost, asked


RIDGE = np.array([[1.0, 3.9], [3.9, 15.5]])  # along (4, -1) it hardly rises


def test_along_a_ridge_the_bottom_is_reached_where_single_steps_all_rise():
    cost, _ = bowl((60, 33), RIDGE)
    at = np.array([56, 34])
    here = cost(at[None], 1)[0, 0]
    assert all(
        cost(at[None] + step, 1)[0, 0] > here for step in np.vstack([np.eye(2, dtype=int), -np.eye(2, dtype=int)])
    )
    np.testing.assert_array_equal(polish_levels(at, cost), [60, 33])


@pytest.mark.parametrize("seed", range(5))
def test_no_neighbour_is_better_than_what_is_found(seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((5, 5))
    cost, _ = bowl(rng.uniform(5, 40, 5), root @ root.T + 0.1 * np.eye(5), noise=100.0)
    found = polish_levels(rng.integers(0, 45, 5), cost)
    here = cost(found[None], 1)[0, 0]
    around = found + neighbours(5)
    assert (cost(around[(around >= 0).all(1)], 1)[:, 0] >= here).all()


def test_levels_stay_within_their_limits():
    cost, _ = bowl((-3, 50), np.eye(2))
    np.testing.assert_array_equal(polish_levels([4, 20], cost, max_level=30), [0, 30])


def test_only_few_are_simulated_on_all_episodes():
    cost, asked = bowl((60, 33), RIDGE)
    polish_levels([50, 36], cost, episodes=(100, 1000, 5000))
    assert {episodes for _, episodes in asked} == {100, 1000, 5000}
    assert max(number for number, episodes in asked if episodes == 5000) == 2


def test_neighbours_are_all_that_differ_by_up_to_four_in_one_or_two():
    moves = neighbours(4)
    assert len(moves) == len(np.unique(moves, axis=0)) == 4 * 8 + 6 * 64
    assert np.abs(moves).max() == 4
    assert set(np.count_nonzero(moves, axis=1)) == {1, 2}

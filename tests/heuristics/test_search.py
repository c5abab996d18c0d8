import numpy as np
import pytest

from heuristics.search import tune_levels

EPISODES = 400


def simulator(true_cost, noise, calls=None):
    """A cost with common random numbers: shifted targets (each episode's demand) and a large shared disturbance."""
    rng = np.random.default_rng(11)
    shift, shared = rng.normal(size=EPISODES), rng.normal(size=EPISODES)
    shift -= shift.mean()

    def cost(candidates):
        if calls is not None:
            calls.append(len(candidates))
        distance = true_cost(candidates)
        return distance[:, None] * (1 + 0.05 * noise * shift) + 50 * noise * shared

    return cost


def valley(candidates):
    """Upstream and downstream stock stand in for each other; the floor of the valley falls gently to one end."""
    target = np.array([7, 8, 7, 13, 48, 48, 48, 48, 48])
    gap = candidates - target
    warehouse, retailer = gap[:, :4].sum(axis=1), gap[:, 4:].sum(axis=1)
    return 4830 + 0.3 * (warehouse + retailer) ** 2 + 0.02 * (warehouse**2 + retailer**2) + 0.5 * (gap**2).sum(axis=1)


def test_a_long_valley_is_followed_to_its_end():
    calls = []
    start = [33, 40, 28, 49] + [34] * 5
    found = tune_levels(start, simulator(valley, 0.3, calls), [range(4), range(4, 9)])
    assert found.levels.tolist() == [7, 8, 7, 13] + [48] * 5
    assert found.rounds == len(calls)
    assert found.evaluations == sum(calls)
    assert found.rounds < 60


def test_blocks_move_together_to_the_end():
    found = tune_levels(
        [33, 40, 28, 49] + [34] * 5,
        simulator(valley, 0.3),
        [range(4), range(4, 9)],
        blocks=[[0], [1], [2], [3], range(4, 9)],
    )
    assert found.levels.tolist() == [7, 8, 7, 13] + [48] * 5


def test_a_start_next_to_the_optimum_moves_one_step():
    found = tune_levels(
        [60, 34, 34, 34], lambda c: np.abs(c - [60, 33, 33, 33]).sum(1)[:, None] + np.zeros(8), [[0], [1, 2, 3]]
    )
    assert found.levels.tolist() == [60, 33, 33, 33]
    assert found.mean == 0


def test_demand_met_from_a_newsvendor_sample_gives_its_quantile():
    demand = np.random.default_rng(5).poisson(20, size=2001)
    found = tune_levels([5], lambda c: np.maximum(c - demand, 0) + 9.0 * np.maximum(demand - c, 0), significance=0)
    assert found.levels[0] == np.quantile(demand, 0.9, method="inverted_cdf")


def test_pure_noise_that_is_common_moves_nothing():
    noise = np.random.default_rng(1).normal(size=EPISODES)
    found = tune_levels([20, 30], lambda c: np.tile(noise, (len(c), 1)))
    assert found.levels.tolist() == [20, 30]
    assert found.standard_error == pytest.approx(noise.std(ddof=1) / EPISODES**0.5)


def test_limits_hold_and_the_start_is_left_alone():
    start = np.array([10, 10])
    seen = []

    def cost(candidates):
        seen.append(candidates)
        return ((candidates - np.array([-5, 90])) ** 2).sum(axis=1)[:, None] * np.ones(4)

    found = tune_levels(start, cost, max_level=[50, 60])
    assert found.levels.tolist() == [0, 60]
    assert np.concatenate(seen).min() >= 0
    assert (np.concatenate(seen) <= [50, 60]).all()
    assert start.tolist() == [10, 10]


def test_many_groups_move_alone_and_in_pairs():
    target = np.arange(12) * 3
    found = tune_levels(
        np.full(12, 16), simulator(lambda c: ((c - target) ** 2).sum(1), 0.1), [[2 * g, 2 * g + 1] for g in range(6)]
    )
    assert found.levels.tolist() == target.tolist()


def test_the_number_of_rounds_is_limited():
    found = tune_levels([500, 500], simulator(lambda c: (c**2).sum(axis=1), 0.0), first_step=1, max_rounds=3)
    assert found.rounds <= 3


def test_the_same_search_gives_the_same_levels():
    runs = [tune_levels([40] * 9, simulator(valley, 1.0), [range(4), range(4, 9)]) for _ in range(2)]
    assert runs[0].levels.tolist() == runs[1].levels.tolist()
    assert runs[0].mean == runs[1].mean


def test_senseless_arguments_are_refused():
    def flat(candidates):
        return np.zeros((len(candidates), 3))

    with pytest.raises(ValueError, match="whole levels"):
        tune_levels([1.5], flat)
    with pytest.raises(ValueError, match="whole levels"):
        tune_levels([-1], flat)
    with pytest.raises(ValueError, match=r"indices 0\.\.0"):
        tune_levels([1], flat, [[3]])
    with pytest.raises(ValueError, match="exceed max_level"):
        tune_levels([9], flat, max_level=5)
    with pytest.raises(ValueError, match="first_step"):
        tune_levels([9], flat, first_step=0)
    with pytest.raises(ValueError, match="must return"):
        tune_levels([9], lambda c: np.zeros(len(c)))
    with pytest.raises(ValueError, match="finite"):
        tune_levels([9], lambda c: np.full((len(c), 2), np.nan))


def test_of_several_starts_the_one_that_ends_lowest_goes_on():
    def cost(levels):  # two valleys, 5 and 80, the second one lower
        return np.minimum((levels - 5.0) ** 2, (levels - 80.0) ** 2 - 9.0).sum(1)[:, None] * np.ones(4)

    assert tune_levels([8], cost, first_step=4).levels.tolist() == [5]
    assert tune_levels([[8], [70]], cost, first_step=4).levels.tolist() == [80]


def test_without_a_fine_part_groups_keep_their_differences():
    found = tune_levels([10, 14], simulator(lambda c: ((c - [30, 20]) ** 2).sum(1), 0.0), [[0, 1]], blocks=())
    assert found.levels[1] - found.levels[0] == 4
    assert found.levels.sum() == pytest.approx(50, abs=1)

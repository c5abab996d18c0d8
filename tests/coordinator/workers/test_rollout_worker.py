import os
from functools import partial

import numpy as np
import pytest
import torch

from coordinator.critic.critic import Critic
from coordinator.critic.value_function import CriticConfig, ValueFunction, values_of
from coordinator.workers.rollout_worker import RolloutWorker
from departments.learning.ppo import samples_first
from departments.numerics.native import why_not
from departments.play.payment import CostShares
from departments.play.rollout import rollout
from departments.policies.policy import PolicyConfig
from departments.rules.ordering import baseline_levels
from environment import compiled
from tests.small_firms import fresh, stirred, tree, world_of

WEIGHTS = np.array([[1, 1, 1], [0, 2, 0], [0.5, 0, 3]], dtype=np.float32)


def _function(observer, compiled=True):
    return ValueFunction(observer.size, 3, CriticConfig(hidden=(8,)), compiled=compiled)


def _values(observer):
    """Of a critic that has seen some rewards."""
    critic = Critic(partial(_function, observer), seed=1)
    return values_of(critic.calibrate([0, 1, 2], np.random.default_rng(0).standard_normal((5, 3, 4)).astype("f4")))


def _rolled(stage, learning):
    """A shard of four copies."""
    world, observer, _, collector = stage
    streams = [world.firm.names.index(name) for name in learning]
    return collector.rollout(learning, streams, _values(observer), 4, (3, 1))


def _stage(compiled=True, firm=None):
    firm = firm or tree()
    world, observer = world_of(firm)
    snapshots = [stirred(s, i) for i, s in enumerate(fresh(world, observer, PolicyConfig(hidden=(8,))))]
    levels = baseline_levels(firm)
    collector = RolloutWorker(
        firm, levels, levels, "benchmark", partial(CostShares, WEIGHTS), partial(_function, observer), compiled=compiled
    )
    collector.publish(*snapshots)
    return world, observer, snapshots, collector


def test_a_department_is_paid_the_negative_weighted_cost_of_the_stock_points_in_each_period():
    world, observer, snapshots, collector = _stage(compiled=False)
    reward = collector.rewards(["west", "depot"], 4, (3, 1))
    direct = rollout(world, observer, snapshots, ["west", "depot"], copies=4, seed=(3, 1))
    cost = direct.account.numpy()
    for place, row in enumerate([WEIGHTS[2], WEIGHTS[0]]):
        for t in range(len(cost)):
            expected = -sum(float(row[n]) * cost[t, n] for n in range(3))
            np.testing.assert_allclose(reward[t, place], expected, rtol=1e-5)


def test_a_slice_is_what_a_department_saw_and_did_and_what_that_was_worth_to_the_critic():
    stage = _stage(compiled=False)
    world, observer, snapshots, collector = stage
    learning = ["west", "depot"]
    *slices, lesson = _rolled(stage, learning)
    direct = rollout(world, observer, snapshots, learning, copies=4, seed=(3, 1))
    assert len(slices) == 2
    for (*seen, _), expected in zip(slices, direct.slices, strict=True):
        for field, value in zip(seen, expected, strict=True):
            np.testing.assert_array_equal(field, value)
    np.testing.assert_array_equal(lesson[0], samples_first(direct.features[:-1]))
    function = _function(observer)
    function.take(_values(observer))
    reward = torch.tensor(collector.rewards(learning, 4, (3, 1)))
    advantages, (_, target) = function.advantages([2, 0], direct.features, reward)
    for part, advantage in zip(slices, advantages, strict=True):
        np.testing.assert_array_equal(part[-1], advantage)
    np.testing.assert_array_equal(lesson[1], target)


def test_a_compiler_that_fails_leaves_rollouts_to_the_eager_world(tmp_path, monkeypatch):
    why_not()  # what the learners need is compiled before, by a compiler that works
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    expected = _rolled(_stage(compiled=False), ["west"])
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled.library.cache_clear()
    found = _rolled(_stage(), ["west"])
    for one, other in zip(found, expected, strict=True):
        for field, value in zip(one, other, strict=True):
            np.testing.assert_array_equal(field, value)


def test_what_travels_is_plain_contiguous_arrays():
    *slices, lesson = _rolled(_stage(), ["west"])
    for field in [*slices[0], *lesson]:
        assert type(field) is np.ndarray
        assert field.flags.c_contiguous
        assert field.dtype == np.float32


def test_a_newly_published_policy_replaces_its_departments_old_one_only():
    _, _, snapshots, collector = _stage()
    before = collector.costs([0], 16, 0, 2)
    newer = stirred(snapshots[1], 77)
    as_candidate = collector.costs([0], 16, 0, 2, newer)
    assert not np.array_equal(before, as_candidate)
    np.testing.assert_array_equal(collector.costs([0], 16, 0, 2), before)
    collector.publish(newer)
    np.testing.assert_array_equal(collector.costs([0], 16, 0, 2), as_candidate)
    collector.publish(snapshots[1])
    np.testing.assert_array_equal(collector.costs([0], 16, 0, 2), before)


@pytest.mark.parametrize("episodes", [5, 1024, 1500])
def test_the_last_shard_holds_the_rest_of_the_episodes(episodes):
    collector = _stage()[3]
    count = -(-episodes // 1024)
    whole = collector.costs(range(count), episodes, 0, 2)
    assert whole.shape == (episodes,)
    parts = [collector.costs([shard], episodes, 0, 2) for shard in range(count)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_department_learns_from_the_periods_in_which_its_orders_are_taken():
    whole = tree()
    points = whole.stock_points | {"east": whole.stock_points["east"].model_copy(update={"review_period": 3})}
    stage = _stage(firm=whole.model_copy(update={"stock_points": points}))
    (seen, *rest, _, advantage), west, _ = _rolled(stage, ["east", "west"])
    assert len(west[0]) == 12
    assert [len(part) for part in (seen, *rest, advantage)] == [4] * 4
    world, observer, snapshots, _ = stage
    direct = rollout(world, observer, snapshots, ["east", "west"], copies=4, seed=(3, 1))
    np.testing.assert_allclose(seen, direct.slices[0].observation[::3], rtol=1e-5, atol=1e-5)

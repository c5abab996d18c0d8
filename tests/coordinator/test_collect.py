import os

import numpy as np
import pytest

from coordinator.collect import Collector
from departments.native import why_not
from departments.policy import PolicyConfig
from departments.rollout import rollout
from departments.rules import benchmark_levels
from tests.small_firms import fresh, stirred, tree, world_of

WEIGHTS = np.array([[1, 1, 1], [0, 2, 0], [0.5, 0, 3]], dtype=np.float32)


def _stage(compiled=True):
    firm = tree()
    world, observer = world_of(firm)
    snapshots = [stirred(s, i) for i, s in enumerate(fresh(world, observer, PolicyConfig(hidden=(8,))))]
    levels = benchmark_levels(firm)
    collector = Collector(firm, levels, levels, WEIGHTS, "benchmark", compiled=compiled)
    collector.publish(*snapshots)
    return world, observer, snapshots, collector


def test_a_department_is_paid_the_negative_weighted_cost_of_the_stock_points_in_each_period():
    world, observer, snapshots, collector = _stage(compiled=False)
    *slices, (features, reward) = collector.rollout(["west", "depot"], 4, (3, 1))
    direct = rollout(world, observer, snapshots, ["west", "depot"], copies=4, seed=(3, 1))
    cost = direct.cost.numpy()
    for place, row in enumerate([WEIGHTS[2], WEIGHTS[0]]):
        for t in range(len(cost)):
            expected = -sum(float(row[n]) * cost[t, n] for n in range(3))
            np.testing.assert_allclose(reward[t, place], expected, rtol=1e-5)
    np.testing.assert_array_equal(features, direct.features)
    assert len(slices) == 2
    for got, expected in zip(slices, direct.slices, strict=True):
        for field, value in zip(got, expected, strict=True):
            np.testing.assert_array_equal(field, value)


def test_a_compiler_that_fails_leaves_rollouts_to_the_eager_world(tmp_path, monkeypatch):
    why_not()  # what the learners need is compiled before, by a compiler that works
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    expected = _stage(compiled=False)[3].rollout(["west"], 4, (3, 1))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = _stage()[3].rollout(["west"], 4, (3, 1))
    for one, other in zip(found, expected, strict=True):
        for field, value in zip(one, other, strict=True):
            np.testing.assert_array_equal(field, value)


def test_what_travels_is_plain_contiguous_arrays():
    *slices, tail = _stage()[3].rollout(["west"], 4, (3, 1))
    for field in [*slices[0], *tail]:
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

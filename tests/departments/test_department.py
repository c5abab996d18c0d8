import numpy as np
import pytest
import torch

from departments.department import Department
from departments.learning.ppo import PPOConfig
from departments.play.rollout import rollout
from departments.policies.policy import PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from tests.small_firms import fresh, stirred, tree, world_of


def _department(point=1, **ppo):
    world, observer = world_of(tree())
    config = PolicyConfig(hidden=(8,), observation="downstream")
    learning = {"ppo": PPOConfig(minibatch=16, **ppo), "seed": 5}
    return Department(DepartmentSpec.of(world, observer, world.firm.names[point], config, **learning))


def _parts(seed=0, copies=4, shards=2):
    """Slices with their advantages as environments send them: numpy, one per shard."""
    world, observer = world_of(tree())
    snapshots = fresh(world, observer, PolicyConfig(hidden=(8,), observation="downstream"))
    slices = [
        tuple(f.numpy() for f in rollout(world, observer, snapshots, ["east"], copies=copies, seed=(seed, s)).slices[0])
        for s in range(shards)
    ]
    rng = np.random.default_rng(seed)
    advantage = rng.standard_normal((shards, len(slices[0][2]), copies)).astype(np.float32)
    return [(*part, own) for part, own in zip(slices, advantage, strict=True)]


def test_learning_makes_a_new_version_and_leaves_old_snapshots_alone():
    department = _department()
    before = department.snapshot()
    kept = before.parameters.copy()
    slices = _parts()
    after, state, stats = department.learn((0,), *slices)
    assert (before.version, after.version) == (0, 1)
    np.testing.assert_array_equal(before.parameters, kept)
    assert not np.array_equal(after.parameters, kept)
    np.testing.assert_array_equal(state["parameters"], after.parameters)
    assert stats.grad_norm > 0


def test_shards_are_learned_from_as_if_they_were_one_rollout():
    slices = _parts()
    whole = tuple(np.concatenate(fields, -1) for fields in zip(*slices, strict=True))
    split, joined = _department(), _department()
    one = split.learn((3, 1), *slices)[0]
    other = joined.learn((3, 1), whole)[0]
    np.testing.assert_array_equal(one.parameters, other.parameters)


def test_a_department_restored_from_its_state_goes_on_bit_for_bit():
    undisturbed = _department()
    for seed in range(2):
        _, state, _ = undisturbed.learn((seed,), *_parts(seed))
    successor = _department()
    successor.restore({name: value.copy() for name, value in state.items()})
    slices = _parts(2)
    expected, _, _ = undisturbed.learn((2,), *slices)
    got, _, _ = successor.learn((2,), *slices)
    assert got.version == expected.version == 3
    np.testing.assert_array_equal(got.parameters, expected.parameters)


def test_a_state_that_was_handed_out_does_not_change_any_more():
    department = _department()
    slices = _parts()
    _, state, _ = department.learn((0,), *slices)
    kept = {name: value.copy() for name, value in state.items()}
    department.restore(state)
    department.learn((1,), *slices)
    for name, value in kept.items():
        np.testing.assert_array_equal(state[name], value)


def test_adopting_a_policy_starts_a_fresh_optimiser():
    department = _department()
    slices = _parts()
    department.learn((0,), *slices)
    start = _department().snapshot()
    department.adopt(start)
    state = department.state()
    assert state["steps"] == 0
    assert not state["first"].any()
    assert department.version == 0
    np.testing.assert_array_equal(state["parameters"], start.parameters)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda parameters: parameters[:-1], "east needs .* parameters, got"),
        (lambda parameters: np.where(np.arange(parameters.size) == 3, np.nan, parameters), "not finite"),
    ],
)
def test_a_policy_that_cannot_be_ours_is_refused_and_nothing_changes(damage, message):
    department = _department()
    before = department.snapshot()
    wrong = Snapshot("east", 7, before.config, damage(before.parameters).astype(np.float32))
    with pytest.raises(ValueError, match=message):
        department.adopt(wrong)
    assert department.version == 0
    np.testing.assert_array_equal(department.snapshot().parameters, before.parameters)


def test_a_department_must_be_told_to_begin_before_it_acts():
    department = _department()
    with pytest.raises(RuntimeError, match="east is asked to act before begin"):
        department.act(np.zeros((3, 2), dtype=np.float32))


def test_the_exploration_of_a_message_is_that_of_its_seed_period_by_period():
    department = _department()
    department.adopt(stirred(department.snapshot(), 1))
    seen = np.ones((3, 5), dtype=np.float32)
    department.begin((1, 2), 3, 5, explores=False)
    mean = department.act(seen)
    department.begin((1, 2), 3, 5, explores=True)
    first, second = department.act(seen), department.act(seen)
    department.begin((1, 2), 3, 5, explores=True)
    np.testing.assert_array_equal(department.act(seen), first)
    assert np.abs(first - second).min() > 0
    std = float(torch.tensor(department.snapshot().parameters[-1]).exp())
    assert 0.1 < np.abs(first - mean).mean() / std < 3

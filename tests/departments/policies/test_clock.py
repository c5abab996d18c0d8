"""The clock: departments that may see how many periods are left until the episode ends."""

import pytest
import torch

from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.rollout import rollout
from departments.policies.policy import RECOMMENDATION, PolicyConfig
from departments.policies.spec import DepartmentSpec
from departments.rules.ordering import baseline_levels
from environment import World, load_firm
from environment.observation import Observer

NAMES = ("shop", RECOMMENDATION)


def closing_loop():
    world = World(load_firm("closing-loop"), baseline_levels(load_firm("closing-loop")))
    return world, Observer(world, baseline_levels(world.firm))


def specs_of(world, observer, clock):
    config = PolicyConfig(clock=clock, hidden=(8,), form="plain")
    seen = dict(zip(NAMES, ("replenishment", "recommendation"), strict=True))
    return [
        DepartmentSpec.of(world, observer, name, config.model_copy(update={"observation": what}), seed=3)
        for name, what in seen.items()
    ]


def test_its_hands_stand_still_until_few_periods_are_left_and_for_ever_where_nothing_ends():
    _, observer = closing_loop()
    clock = [observer.labels()[row] for row in observer.clock_rows]
    assert clock == ["clock/5", "clock/20"]
    ends = observer.until(100)
    hands = [ends.phases(period)[-2:].tolist() for period in (0, 80, 90, 96, 100, 130)]
    assert hands == [
        [1.0, 1.0],
        [1.0, 1.0],
        [1.0, 0.5],
        pytest.approx([0.8, 0.2]),
        [0.0, 0.0],
        [0.0, 0.0],
    ]
    assert observer.phases(10_000)[-2:].tolist() == [1.0, 1.0]


def test_only_who_may_see_it_sees_it():
    world, observer = closing_loop()
    for with_clock, without in zip(specs_of(world, observer, True), specs_of(world, observer, False), strict=True):
        assert with_clock.rows == (*without.rows, *observer.clock_rows)
    labels = observer.labels()
    everything = DepartmentSpec.of(world, observer, "joint", PolicyConfig(observation="everything", memory="none"))
    assert not any(labels[row].startswith("clock") for row in everything.rows)
    assert not any(labels[row].startswith("clock") for row in observer.rows("pipeline", 0))


def test_in_rollouts_it_runs_to_the_end_of_the_episode_compiled_or_not():
    world, observer = closing_loop()
    policies = [spec.first_snapshot() for spec in specs_of(world, observer, True)]
    stage = world, observer, policies, list(NAMES)
    eager = rollout(*stage, copies=3, seed=(5,))
    native = rollout(*stage, copies=3, seed=(5,), compiled=CompiledRollouts(world, observer))
    periods = world.firm.periods.train
    left = torch.arange(periods, 0, -1.0)
    for played in (eager, native):
        for part in played.slices:
            assert torch.equal(part.observation[:, -1, 0], (left / 20.0).clamp(max=1.0))
            assert torch.equal(part.observation[:, -2, 2], (left / 5.0).clamp(max=1.0))
        assert played.features[-1, observer.clock_rows].abs().max() == 0.0

"""Slots that a recommending department divides among products."""

import numpy as np
import pytest
import torch

from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.rollout import rollout
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import RECOMMENDATION, PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.ordering import baseline_levels
from environment import World, load_firm
from environment.observation import Observer
from tests.known_optima import halves

SEES = {"shop": "replenishment", RECOMMENDATION: "recommendation"}


def stage(firm, parts, form="residual", stir=0.5):
    """A world, an observer, and departments whose networks say something."""
    world = World(firm, baseline_levels(firm))
    observer, rng = Observer(world, baseline_levels(firm)), np.random.default_rng(7)
    policies = []
    for name, what in SEES.items():
        config = PolicyConfig(observation=what, form=form, hidden=(8,), parts=parts)
        first = DepartmentSpec.of(world, observer, name, config, seed=1).first_snapshot()
        moved = first.parameters + stir * rng.standard_normal(first.parameters.shape).astype(np.float32)
        policies.append(Snapshot(name, 1, first.config, moved))
    return world, observer, policies


def test_it_chooses_among_all_ways_to_divide_the_slot_and_nothing_comes_last():
    world, observer, (_, recommends) = stage(halves(), 2)
    spec = DepartmentSpec.of(world, observer, RECOMMENDATION, recommends.config)
    assert sorted(spec.alternatives.tolist()) == [[0, 0], [0, 0.5], [0, 1], [0.5, 0], [0.5, 0.5], [1, 0]]
    assert spec.alternatives[-1].tolist() == [0, 0]
    assert (spec.head.orders, spec.head.outputs, spec.head.actions) == (0, 6, 1)
    place = spec.alternatives.tolist().index([0.5, 0.5])
    assert spec.shown(torch.tensor([[float(place), 5.0]])).tolist() == [[[0.5, 0.0], [0.5, 0.0]]]


@pytest.mark.parametrize("form", ["residual", "plain"])
@pytest.mark.parametrize("firm", [halves, lambda: load_firm("closing-loop")])
def test_in_the_core_it_shows_what_it_shows_period_by_period(firm, form):
    world, observer, policies = stage(firm(), 3, form)
    names = list(SEES)
    eager = rollout(world, observer, policies, names, copies=19, seed=(3,))
    native = rollout(world, observer, policies, names, copies=19, seed=(3,), compiled=CompiledRollouts(world, observer))
    assert torch.equal(eager.features, native.features)
    for one, other in zip(eager.slices, native.slices, strict=True):
        assert torch.equal(one.action, other.action)
        assert torch.equal(one.log_prob, other.log_prob)
    shown = native.features[1:, [i for i, label in enumerate(observer.labels()) if label.startswith("exposure")]]
    assert {round(float(value) * 3, 5) for value in shown.unique()} == {0.0, 1.0, 2.0, 3.0}


def test_what_may_not_be_sold_gets_no_part_and_expectations_add_up():
    world, observer, policies = stage(load_firm("closing-loop"), 2)
    spec = DepartmentSpec.of(world, observer, RECOMMENDATION, policies[1].config)
    chance = spec.chance(torch.zeros(spec.head.outputs, 4))
    even = spec.alternatives.mean(0)
    assert torch.allclose(chance, even.view(1, -1, 1).expand_as(chance))
    policy, state = FirmPolicy(world, observer, policies), world.reset(4)
    shown = policy.decide(world, state, world.no_feedback(4), 0, None).exposure
    assert shown.sum(1).max() <= 1.0
    assert set((shown * 2).unique().tolist()) <= {0.0, 1.0, 2.0}


def test_too_many_ways_are_refused():
    with pytest.raises(ValueError, match=r"policy.parts: slots in 20 parts make 1,771 offers, 500 at most"):
        stage(load_firm("closing-loop"), 20)

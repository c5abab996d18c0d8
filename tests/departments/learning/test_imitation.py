"""Plain departments that start at the rules."""

from functools import cache

import numpy as np
import pytest
import torch

from departments.department import Department
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.demonstration import demonstrations
from departments.play.episode import run_costs
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import RECOMMENDATION, PolicyConfig
from departments.policies.spec import DepartmentSpec
from departments.rules.ordering import baseline_levels
from environment import World, load_firm
from environment.observation import Observer

SEES = {"shop": "replenishment", RECOMMENDATION: "recommendation"}


@cache
def closing_loop():
    world = World(load_firm("closing-loop"), baseline_levels(load_firm("closing-loop")))
    return world, Observer(world, baseline_levels(world.firm))


def departments(form="plain", compiled=True, **config):
    world, observer = closing_loop()
    configs = {name: PolicyConfig(form=form, observation=what, hidden=(24,), **config) for name, what in SEES.items()}
    return [
        Department(DepartmentSpec.of(world, observer, name, own, seed=2, compiled=compiled))
        for name, own in configs.items()
    ]


def fitted(compiled=True, **config):
    world, observer = closing_loop()
    some = departments(compiled=compiled, **config)
    shown = demonstrations(world, observer, [one.snapshot() for one in some], list(SEES), copies=64, seed=(4,))
    lessons = [tuple(part.numpy() for part in lesson) for lesson in shown]
    return [one.imitate((4,), lesson)[0] for one, lesson in zip(some, lessons, strict=True)], lessons


def profit(snapshots):
    world, observer = closing_loop()
    chance = world.draw(100, 256, torch.Generator().manual_seed(1))
    cost = run_costs(world, FirmPolicy(world, observer.until(100), snapshots), chance)
    return -float(cost.sum(0).mean())


@pytest.mark.parametrize("memory", ["none", "gru", "stack"])
def test_it_earns_what_the_rules_earn_and_is_none_of_them(memory):
    start, _ = fitted(memory=memory, memory_size=3)
    rules = [one.snapshot() for one in departments("residual")]
    nothing = [one.snapshot() for one in departments(memory=memory, memory_size=3)]
    assert profit(start) == pytest.approx(profit(rules), rel=0.015)
    assert profit(nothing) < 0.0 < profit(rules)
    assert {(one.version, one.config.form, one.config.memory) for one in start} == {(0, "plain", memory)}


def test_what_is_shown_is_what_the_rule_orders_and_recommends():
    world, observer = closing_loop()
    _, ((seen, ordered), (_, offered)) = fitted()
    position, order = seen[:, 0].ravel(), ordered[:, 0].ravel()
    assert observer.labels()[departments()[0].spec.rows[0]].startswith("inventory_position/shop")
    low, high = np.quantile(position, [0.1, 0.9])
    assert order[position <= low].mean() > order[position >= high].mean() + 0.2, "less stock, larger orders"
    assert ordered.shape[1] == world.products
    assert (np.abs(ordered) <= 1.0).all()
    segments = offered.reshape(len(offered), -1, world.products + 1, offered.shape[-1])
    assert (segments[:, :, -1] == 0.0).all(), "nothing is what offers are compared with"
    assert np.abs(segments).max() <= 8.0


def test_a_machine_without_a_compiler_fits_the_same():
    native, lessons = fitted()
    by_hand, _ = fitted(compiled=False)
    for one, other, (seen, _) in zip(native, by_hand, lessons, strict=True):
        spec = departments()[list(SEES).index(one.department)].spec
        outputs = [
            spec.acting(torch.tensor(s.parameters))(torch.tensor(seen[50]), torch.zeros(0, 64))[0] for s in (one, other)
        ]
        assert float((outputs[0] - outputs[1]).abs().mean()) < 0.05


def test_in_the_core_the_same_is_shown():
    world, observer = closing_loop()
    snapshots = [one.snapshot() for one in departments()]
    stage = world, observer, snapshots, list(SEES)
    eager = demonstrations(*stage, copies=5, seed=(1,), eager=True)
    native = demonstrations(*stage, copies=5, seed=(1,), compiled=CompiledRollouts(world, observer))
    for one, other in zip(eager, native, strict=True):
        assert all(map(torch.equal, one, other))


def test_who_shares_a_network_over_products_is_shown_the_same_product_by_product():
    _, ((seen, ordered), offers) = fitted()
    (shop, _), ((columns, one), also) = fitted(over_products="shared")
    assert shop.config.over_products == "shared"
    np.testing.assert_allclose(one.reshape(ordered.shape), ordered, atol=1e-6)
    np.testing.assert_allclose(also[1], offers[1], atol=1e-6)
    assert (columns[:, 0].reshape(seen[:, :3].shape) == seen[:, : ordered.shape[1]]).all()
    spec = DepartmentSpec.of(*closing_loop(), "shop", shop.config)
    assert columns.shape[1:] == (spec.network.observed, ordered.shape[1] * 64)

from dataclasses import replace

import numpy as np
import pytest
import torch

from departments.department import Department
from departments.numerics.networks import forward
from departments.play.rollout import rollout
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig
from departments.policies.spec import DepartmentSpec
from departments.rules.ordering import BaseStock, baseline_levels
from environment import load_firm
from tests.small_firms import after_some_periods, fresh, network_of, stirred, tree, world_of

FIRMS = {
    "tree": tree,
    "two products": lambda: tree(products=("tea", "rice")),
    "b1": lambda: load_firm("b1"),
}


def orders(policy, world, state):
    return policy.decide(world, state, None, 0, None).order


def _mixed(world, observer):
    """Every department differs: form, observation set, sizes, activation; all of them stirred."""
    configs = [
        PolicyConfig(hidden=(8,), observation="downstream"),
        PolicyConfig(hidden=(8,), observation="pipeline"),
        PolicyConfig(hidden=(6, 4), observation="everything", form="plain", activation="tanh"),
    ]
    snapshots = []
    for point in range(world.points):
        snapshots.append(stirred(fresh(world, observer, configs[point % 3])[point], seed=point))
    return snapshots


def _alone(world, observer, state, snapshot):
    """The order [K, E] of one department, written out from its own rows."""
    point, config = world.firm.names.index(snapshot.department), snapshot.config
    seen = observer.all_features(state)[observer.rows(config.observation, point)]
    layers, _ = network_of(world, observer, snapshot).split(torch.from_numpy(snapshot.parameters))
    action = forward(layers, seen.T, config.activation).T
    if config.form == "plain":
        return (action + 1) / 2 * world.max_order[point]
    shape = (world.points, world.products, 1)
    level, spread = observer.level.view(shape)[point], observer.spread.view(shape)[point]
    return level - state.inventory_position[point] + spread * action


@pytest.mark.parametrize("firm", FIRMS.values(), ids=FIRMS)
@pytest.mark.parametrize("evaluated", [False, True])
def test_new_residual_departments_are_the_base_stock_rule_to_the_last_bit(firm, evaluated):
    world, observer = world_of(firm())
    state = after_some_periods(world)
    always = world.firm.names if evaluated else ()
    policy = FirmPolicy(world, observer, fresh(world, observer, PolicyConfig(hidden=(8,))), always=always)
    rule = BaseStock("rule", baseline_levels(world.firm))
    assert torch.equal(orders(policy, world, state), rule.order(world, state))


@pytest.mark.parametrize("firm", FIRMS.values(), ids=FIRMS)
def test_stacked_departments_order_what_each_would_order_alone(firm):
    world, observer = world_of(firm())
    state = after_some_periods(world)
    snapshots = _mixed(world, observer)
    order = orders(FirmPolicy(world, observer, snapshots), world, state)
    for snapshot in snapshots:
        alone = _alone(world, observer, state, snapshot)
        point = world.firm.names.index(snapshot.department)
        torch.testing.assert_close(order[point], alone, rtol=1e-5, atol=1e-3)
        assert not torch.equal(alone, (observer.level.view(order.shape[0], -1, 1) - state.inventory_position)[point])


def test_a_stock_point_without_a_department_follows_the_benchmark():
    world, observer = world_of(tree())
    state = after_some_periods(world)
    only = _mixed(world, observer)[1:2]
    order = orders(FirmPolicy(world, observer, only), world, state)
    rule = BaseStock("rule", baseline_levels(world.firm)).order(world, state)
    assert torch.equal(order[[0, 2]], rule[[0, 2]])
    assert not torch.equal(order[1], rule[1])


@pytest.mark.parametrize("observation", ["own", "downstream"])
def test_a_department_acts_on_nothing_that_it_does_not_observe(observation):
    """Everything that a department does not see is changed, point by point; its order must not change by a bit."""
    world, observer = world_of(load_firm("c1"))
    config = PolicyConfig(hidden=(8,), observation=observation)
    snapshots = [stirred(snapshot, i) for i, snapshot in enumerate(fresh(world, observer, config))]
    state = after_some_periods(world)
    policy = FirmPolicy(world, observer, snapshots)
    before = orders(policy, world, state)
    seen = {p: {p, *(world.network.descendants(p) if observation == "downstream" else ())} for p in range(world.points)}
    for changed in range(world.points):
        position = state.inventory_position.clone()
        position[changed] += 25
        after = orders(policy, world, state._replace(inventory_position=position))
        for point in range(world.points):
            assert torch.equal(after[point], before[point]) is (changed not in seen[point])


def test_exploration_is_added_to_the_action_and_the_action_is_handed_back():
    world, observer = world_of(tree())
    snapshots = [stirred(s, i) for i, s in enumerate(fresh(world, observer, PolicyConfig(hidden=(8,))))]
    state = after_some_periods(world)
    features = observer.all_features(state)
    policy = FirmPolicy(world, observer, snapshots)
    (quiet, *_), _ = policy.act(world, state, None, features, 0, None, {})
    noise = torch.full((1, state.on_hand.shape[-1]), 0.25)
    (loud, *_), acts = policy.act(world, state, None, features, 0, None, {world.firm.names[1]: noise.clone()})
    spread = observer.spread.view(-1, 1, 1)
    torch.testing.assert_close(loud[1] - quiet[1], spread[1] * noise, rtol=1e-4, atol=1e-4)
    assert torch.equal(loud[[0, 2]], quiet[[0, 2]])
    meant = (
        observer.level.view(-1, 1, 1)[1] - state.inventory_position[1] + spread[1] * acts[world.firm.names[1]].action
    )
    torch.testing.assert_close(loud[1], meant)


def _departments(world, observer, snapshots):
    departments = {}
    for snapshot in snapshots:
        spec = DepartmentSpec.of(world, observer, snapshot.department, snapshot.config)
        departments[snapshot.department] = Department(spec)
        departments[snapshot.department].adopt(snapshot)
    return departments


@pytest.mark.parametrize("firm", FIRMS.values(), ids=FIRMS)
@pytest.mark.parametrize("copies", [1, 7, 64])
def test_departments_that_act_by_message_do_bit_for_bit_what_their_snapshots_do(firm, copies):
    world, observer = world_of(firm())
    snapshots = _mixed(world, observer)
    learning = [world.firm.names[0], world.firm.names[2]]
    departments = _departments(world, observer, snapshots)
    for name, department in departments.items():
        department.begin((4, 2), world.firm.periods.train, copies, name in learning)

    def ask(seen):
        return {name: torch.tensor(departments[name].act(value.numpy())) for name, value in seen.items()}

    by_message = rollout(world, observer, snapshots, learning, copies=copies, seed=(4, 2), ask=ask)
    by_snapshot = rollout(world, observer, snapshots, learning, copies=copies, seed=(4, 2))
    assert torch.equal(by_message.account, by_snapshot.account)
    assert torch.equal(by_message.features, by_snapshot.features)
    for one, other in zip(by_message.slices, by_snapshot.slices, strict=True):
        for field_of_one, field_of_other in zip(one, other, strict=True):
            assert torch.equal(field_of_one, field_of_other)


@pytest.mark.parametrize("scale", [1.0, -1.0], ids=["some way", "the other way"])
def test_whoever_is_far_short_orders_unit_by_unit_whatever_the_network(scale):
    world, observer = world_of(tree(), "standard")
    steep = [
        replace(snapshot, parameters=stirred(snapshot, seed).parameters * np.float32(2.0 * scale))
        for seed, snapshot in enumerate(fresh(world, observer, PolicyConfig(hidden=(8,))))
    ]
    policy, reset = FirmPolicy(world, observer, steep), world.reset(2)
    for point in range(world.points):
        position = reset.inventory_position.clone()
        position[point] = torch.tensor([-60.0, -63.0])
        wish = orders(policy, world, reset._replace(inventory_position=position))[point, 0]
        assert (wish[1] - wish[0]).item() == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize("hidden", [(8,), ()], ids=["with hidden layers", "without"])
@pytest.mark.parametrize("graph", [None, {"layers": (4,)}], ids=["perceptron", "graph attention"])
def test_a_policy_is_the_rule_as_long_as_all_of_its_last_layer_is_zero(hidden, graph):
    world, observer = world_of(tree(), "standard")
    config = PolicyConfig(hidden=hidden, graph=graph, observation="everything")
    spec = DepartmentSpec.of(world, observer, "firm", config)
    first = spec.first_snapshot()
    for number in range(len(first.parameters)):
        parameters = first.parameters.copy()
        parameters[number] += 1.0
        layers, _ = spec.shapes.split(torch.from_numpy(parameters))
        alone = replace(first, parameters=parameters)
        assert spec.is_rule(alone) == (float(sum(part.abs().sum() for part in layers[-1])) == 0.0)
    assert spec.is_rule(first)

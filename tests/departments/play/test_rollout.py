import math

import pytest
import torch

from departments.numerics.networks import forward
from departments.play.rollout import rollout
from departments.policies.policy import PolicyConfig
from departments.policies.spec import DepartmentSpec
from environment.streams import Stream, torch_stream
from tests.small_firms import fresh, network_of, stirred, tree, world_of


def _stage(config=None, **firm):
    world, observer = world_of(tree(**firm))
    config = config or PolicyConfig(hidden=(8,), observation="downstream")
    snapshots = [stirred(snapshot, i, 0.1) for i, snapshot in enumerate(fresh(world, observer, config))]
    return world, observer, snapshots


def _layers(world, observer, snapshot):
    return network_of(world, observer, snapshot).split(torch.from_numpy(snapshot.parameters))


@pytest.mark.parametrize("products", [("unit",), ("tea", "rice")])
def test_recorded_log_probs_are_those_of_the_recorded_actions_under_the_recorded_policy(products):
    world, observer, snapshots = _stage(products=products)
    result = rollout(world, observer, snapshots, world.firm.names, copies=6, seed=(1,))
    for snapshot, part in zip(snapshots, result.slices, strict=True):
        layers, log_std = _layers(world, observer, snapshot)
        mean = forward(layers, part.observation.transpose(1, 2), "relu")
        again = torch.distributions.Normal(mean, log_std.exp()).log_prob(part.action.transpose(1, 2)).sum(-1)
        torch.testing.assert_close(part.log_prob, again, rtol=1e-4, atol=1e-4)


def test_a_department_is_given_its_own_rows_of_the_features_and_nothing_else():
    world, observer, snapshots = _stage()
    result = rollout(world, observer, snapshots, ["depot", "west"], copies=4, seed=(1,))
    depot, west = result.slices
    positions = result.features[:-1, :3]
    assert torch.equal(depot.observation, positions)
    assert torch.equal(west.observation, positions[:, 2:3])


def test_the_recorded_actions_replayed_in_the_world_give_the_recorded_costs():
    world, observer, snapshots = _stage(PolicyConfig(hidden=(8,), observation="own"))
    result = rollout(world, observer, snapshots, world.firm.names, copies=4, seed=(5, 1))
    chance = world.draw(world.firm.periods.train, 4, torch_stream("cpu", Stream.TRAINING, 5, 1))
    state = world.reset(4)
    level, spread = observer.level.view(-1, 1, 1), observer.spread.view(-1, 1, 1)
    for t in range(world.firm.periods.train):
        action = torch.stack([part.action[t] for part in result.slices])
        wished = level - state.inventory_position + spread * action
        order = torch.minimum(wished.clamp_min(0), world.max_order).round()
        state, outcome = world.step(state, order, chance.at(t))
        assert torch.equal(result.account[t], outcome.cost)
        assert torch.equal(result.features[t + 1], observer.all_features(state))


def test_a_rollout_depends_on_its_seed_and_on_nothing_else():
    world, observer, snapshots = _stage()
    one = rollout(world, observer, snapshots, ["east"], copies=4, seed=(1, 2))
    torch.manual_seed(99)
    rollout(world, observer, snapshots, ["west"], copies=3, seed=(8,))
    again = rollout(world, observer, list(reversed(snapshots)), ["east"], copies=4, seed=(1, 2))
    other = rollout(world, observer, snapshots, ["east"], copies=4, seed=(1, 3))
    for field, same in zip(one.slices[0], again.slices[0], strict=True):
        assert torch.equal(field, same)
    assert torch.equal(one.account, again.account)
    assert not torch.equal(one.account, other.account)


def test_a_department_explores_the_same_whoever_else_explores():
    world, observer, snapshots = _stage(PolicyConfig(hidden=(8,), observation="own"))
    alone = rollout(world, observer, snapshots, ["east"], copies=4, seed=(1,))
    together = rollout(world, observer, snapshots, ["depot", "east", "west"], copies=4, seed=(1,))
    for noise in (alone.slices[0].log_prob, together.slices[1].log_prob):
        assert torch.equal(noise, alone.slices[0].log_prob)
    assert torch.equal(alone.slices[0].action[0], together.slices[1].action[0])
    assert not torch.equal(together.slices[1].action[0], together.slices[2].action[0])


def test_departments_that_do_not_learn_act_on_their_mean():
    world, observer, snapshots = _stage()
    without_noise = [stirred(snapshot, 0, 0.0) for snapshot in snapshots]
    for snapshot in without_noise:
        snapshot.parameters[-1] = -40.0  # log standard deviation: as good as no exploration
    quiet = rollout(world, observer, without_noise, world.firm.names, copies=4, seed=(1,))
    frozen = rollout(world, observer, snapshots, [], copies=4, seed=(1,))
    assert torch.equal(quiet.account, frozen.account)
    assert frozen.slices == []


def test_exploration_has_the_standard_deviation_of_the_policy_and_the_density_of_a_gaussian():
    world, observer = world_of(tree(products=("tea", "rice")))
    spec = DepartmentSpec.of(world, observer, "east", PolicyConfig(hidden=()))
    log_std = torch.tensor([math.log(0.3), math.log(2.0)])
    noise, log_prob = spec.exploration(torch.cat((torch.zeros(spec.network.count - 2), log_std)), 200, 300, (3,))
    torch.testing.assert_close(noise.std((0, 2)), log_std.exp(), rtol=0.01, atol=0)
    reference = torch.distributions.Normal(torch.zeros(2, 1), log_std.exp()[:, None]).log_prob(noise).sum(1)
    torch.testing.assert_close(log_prob, reference, rtol=1e-4, atol=1e-4)

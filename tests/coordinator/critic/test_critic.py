from functools import partial

import numpy as np
import pytest
import torch

from coordinator.critic.critic import Critic, clipped_error
from coordinator.critic.value_function import CriticConfig, ValueFunction, horizon, values_of
from departments.learning.returns import generalised_advantage
from departments.numerics.networks import Shapes, forward


def _function(streams=3, **changes):
    small = {"hidden": (8,), "minibatch": 64, "gamma": 0.9, "gae_lambda": 0.8, "learning_rate": 0.01}
    return ValueFunction(2, streams, CriticConfig(**(small | changes)))


def _critic(streams=3, **changes):
    return Critic(partial(_function, streams, **changes), seed=1)


def _advised(critic, streams, *parts, **changes):
    """Advantages [T, E] by stream under the values that the critic hands out, shards side by side, and its lessons."""
    state = critic.calibrate(streams, *(reward for _, reward in parts))
    function = _function(len(state["mean"]), **changes)
    function.take(values_of(state))
    found = [function.advantages(streams, *map(torch.tensor, part)) for part in parts]
    advantages = [np.concatenate(shards, -1) for shards in zip(*(own for own, _ in found), strict=True)]
    return advantages, [tuple(part.numpy() for part in lesson) for _, lesson in found]


def _taught(critic, streams, *parts):
    return critic.learn(streams, *_advised(critic, streams, *parts)[1])


def _batch(streams=1, periods=6, copies=16, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((periods + 1, 2, copies)).astype(np.float32)
    return features, rng.standard_normal((periods, streams, copies)).astype(np.float32) - 3


def _values(critic, features, stream):
    """What the critic says of features [T, G, E], read from its state: [T, E]."""
    state = critic.state()
    layers, _ = Shapes(2, (8,), len(state["mean"])).split(torch.tensor(state["parameters"]))
    samples = torch.tensor(features).transpose(1, 2)
    return forward(layers, samples, "relu")[..., stream] * state["std"][stream] + state["mean"][stream]


def test_a_new_stream_takes_its_scale_from_its_first_batch():
    critic = _critic()
    reward = np.full((6, 1, 16), -3.0, dtype=np.float32)
    (advantage,), _ = _advised(critic, [1], (_batch()[0], reward))
    np.testing.assert_allclose(advantage, 0, atol=1e-4)  # a constant reward r is worth r / (1 - gamma) at once
    assert critic.state()["mean"].tolist() == pytest.approx([0, -30, 0])


def test_advantages_are_those_of_the_values_that_the_critic_states():
    critic = _critic()
    features, reward = _batch(streams=2)
    _taught(critic, [0, 2], (features, reward))
    found, _ = _advised(critic, [2, 0], (features, reward[:, ::-1].copy()))
    for place, stream in enumerate([2, 0]):
        value = _values(critic, features, stream)
        expected = generalised_advantage(torch.tensor(reward[:, 1 - place]), value, 0.9, 0.8)
        np.testing.assert_allclose(found[place], expected, rtol=1e-4, atol=1e-4)


def test_shards_are_valued_side_by_side():
    features, reward = _batch()
    (whole,), (lesson,) = _advised(_critic(), [0], (features, reward))
    halves = [(features[..., part], reward[..., part]) for part in (slice(8), slice(8, 16))]
    (parted,), lessons = _advised(_critic(), [0], *halves)
    np.testing.assert_array_equal(parted, whole)
    for one, other in zip(lesson, map(np.concatenate, zip(*lessons, strict=True)), strict=True):
        np.testing.assert_array_equal(np.unique(one, axis=0), np.unique(other, axis=0))


def test_a_new_scale_changes_no_value():
    """PopArt: fitted without a single step of learning, only mean and spread have moved."""
    critic = _critic(learning_rate=1e-30)
    features, reward = _batch(streams=3)
    _taught(critic, [0, 1, 2], (features, reward))
    scale = critic.state()["std"].copy()
    before = [_values(critic, features, stream) for stream in range(3)]
    _taught(critic, [0, 2], (features, 40 * reward[:, [0, 2]]))
    assert (critic.state()["std"][[0, 2]] > 2 * scale[[0, 2]]).all()
    for stream in range(3):
        torch.testing.assert_close(_values(critic, features, stream), before[stream], rtol=1e-4, atol=1e-3)


def test_a_new_scale_changes_no_value_of_a_critic_that_has_learned_something():
    critic = _critic()
    for seed in range(4):
        _taught(critic, [0, 1, 2], _batch(streams=3, seed=seed))
    restored = _critic(learning_rate=1e-30)
    restored.restore(critic.state())
    features, reward = _batch(streams=3, seed=9)
    before = [_values(critic, features, stream) for stream in range(3)]
    assert float(before[0].std()) > 0.01
    _taught(restored, [0, 1, 2], (features, 5 * reward))
    for stream in range(3):
        torch.testing.assert_close(_values(restored, features, stream), before[stream], rtol=1e-4, atol=1e-3)


def test_the_first_step_follows_the_gradient_of_the_squared_error():
    critic = _critic(streams=2, epochs=1, max_grad_norm=1e9, value_coef=0.7)
    features, reward = _batch(streams=2, periods=4)
    (advantage, other), lessons = _advised(critic, [1, 0], (features, reward))
    before = critic.state()
    target = np.stack([other, advantage]) + np.stack([_values(critic, features, s)[:-1] for s in (0, 1)])
    critic.learn([1, 0], *lessons)
    after = critic.state()
    scaled = torch.tensor((target - after["mean"][:, None, None]) / after["std"][:, None, None]).flatten(1).T
    old_std, ratio = before["std"], before["std"] / after["std"]
    shapes, leaf = Shapes(2, (8,), 2), torch.tensor(before["parameters"])
    weight, bias = shapes.split(leaf)[0][-1]
    weight *= torch.tensor(ratio)[:, None]
    bias.copy_(bias * torch.tensor(ratio) + torch.tensor((before["mean"] - after["mean"]) / after["std"]))
    leaf.requires_grad_()
    samples = torch.tensor(features).transpose(1, 2)[:-1].reshape(-1, 2)
    loss = 0.7 * (forward(shapes.split(leaf)[0], samples, "relu") - scaled).square().mean()
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert np.all(old_std > 0)
    np.testing.assert_allclose(after["first"] * 10, gradient.numpy(), rtol=1e-3, atol=1e-5)


def test_the_critic_learns_a_value_function_that_is_known():
    """The feature x decays by half every period and the reward is x: V(x) = x / (1 - gamma / 2)."""
    critic = _critic(streams=1, gae_lambda=0.95)
    rng = np.random.default_rng(3)
    for _ in range(120):
        start = rng.uniform(-1, 1, (1, 1, 64))
        path = start * 0.5 ** np.arange(9)[:, None, None]
        features = np.concatenate([path, rng.standard_normal(path.shape)], axis=1).astype(np.float32)
        stats, *_ = _taught(critic, [0], (features, features[:-1, :1]))
    x = np.linspace(-0.9, 0.9, 19, dtype=np.float32)
    probe = np.stack([x, np.zeros_like(x)])[None]
    np.testing.assert_allclose(_values(critic, probe, 0)[0], x / (1 - 0.9 / 2), atol=0.1)
    assert stats["explained_variance"] > 0.95


def test_streams_that_are_not_asked_for_are_left_alone():
    critic = _critic()
    _taught(critic, [0, 1, 2], _batch(streams=3))
    before = critic.state()
    _taught(critic, [1], _batch(seed=4))
    after = critic.state()
    for name in ("mean", "std"):
        assert before[name][[0, 2]].tolist() == after[name][[0, 2]].tolist()
        assert before[name][1] != after[name][1]


def test_a_critic_restored_from_its_state_goes_on_bit_for_bit():
    undisturbed = _critic()
    for seed in range(3):
        _, state, _ = _taught(undisturbed, [0, 2], _batch(streams=2, seed=seed))
    successor = _critic()
    successor.restore(state)
    expected, got = (_taught(critic, [0, 1], _batch(streams=2, seed=7)) for critic in (undisturbed, successor))
    assert expected[0] == got[0]
    for name, value in expected[1].items():
        np.testing.assert_array_equal(got[1][name], value)


@pytest.mark.parametrize(
    ("given", "time", "expected"),
    [
        ({}, 4, (0.95, 0.8)),
        ({}, 8, (0.975, 0.9)),
        ({"gamma": 0.5}, 8, (0.5, 0.9)),
        ({"gamma": 0.0, "gae_lambda": 0.0}, 8, (0.0, 0.0)),
        ({}, 0.5, (0.8, 0.2)),
    ],
)
def test_the_horizon_is_what_is_set_else_follows_the_way_through_the_firm(given, time, expected):
    assert horizon(CriticConfig(**given), time) == pytest.approx(expected)


def test_the_clipped_loss_is_that_of_ppo2_and_so_is_its_gradient():
    generator = torch.Generator().manual_seed(0)
    value, target, before = (torch.randn(400, 2, generator=generator) for _ in range(3))
    reach, leaf = torch.tensor([0.2, 0.5]), value.clone().requires_grad_()
    clipped = before + torch.minimum(torch.maximum(leaf - before, -reach), reach)
    loss = torch.maximum((leaf - target).square(), (clipped - target).square())
    loss.sum().backward()
    error, free = clipped_error(value, target, before, reach)
    torch.testing.assert_close(error.square(), loss.detach())
    torch.testing.assert_close(2 * error * free, leaf.grad)
    assert 0.1 < float(free.float().mean()) < 0.9


@pytest.mark.parametrize("compiled", [True, False])
def test_values_move_no_further_in_an_update_than_they_may(compiled):
    features, reward = _batch(streams=2)
    moved, states = {}, {}
    for clip in (None, 0.05):
        for by in (compiled, False):
            few = {"epochs": 30, "minibatch": 1_000, "learning_rate": 0.05, "value_clip": clip}
            build = partial(ValueFunction, 2, 2, CriticConfig(hidden=(8,), gamma=0.9, **few), compiled=by)
            critic = Critic(build, seed=6)
            lessons = _advised(critic, [1, 0], (features, reward))[1]
            before = np.stack([_values(critic, features, stream) for stream in range(2)])
            told, states[by], _ = critic.learn([1, 0], *lessons)
            moved[clip] = np.abs(np.stack([_values(critic, features, stream) for stream in range(2)]) - before).mean()
            states[by]["loss"] = np.array(told["value_loss"])
        for name, value in states[compiled].items():
            np.testing.assert_allclose(value, states[False][name], rtol=2e-3, atol=2e-4, err_msg=name)
    assert moved[0.05] < 0.1 < 0.3 < moved[None]

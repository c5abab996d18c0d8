import math

import numpy as np
import pytest
import torch

from departments.learning.ppo import (
    PPOConfig,
    Slice,
    gaussian_entropy,
    minibatches,
    samples_first,
    surrogate_weight,
    update,
)
from departments.numerics.adam import Adam
from departments.numerics.networks import Shapes, initial_parameters
from tests.small_firms import perceptron_learner

ONE_STEP = PPOConfig(epochs=1, minibatch=10_000, max_grad_norm=1e9, target_kl=1e9)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _normal(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape))


def _slice(observation, action, log_prob):
    return Slice(observation, action, log_prob, observation[:1, :0])


def _update(parameters, shapes, batch, advantage, config, activation="relu"):
    """One update; returns the statistics and Adam's state, whose first moment is a tenth of the first gradient."""
    optimiser = Adam.like(parameters)
    learner = perceptron_learner(shapes, activation, ppo=config)
    rates = {"learning_rate": config.learning_rate, "generator": _generator()}
    stats = update(parameters, optimiser, learner, batch, advantage, **rates)
    return stats, optimiser


def test_the_entropy_is_that_of_torch_distributions():
    log_std = _normal(3, seed=2)
    reference = torch.distributions.Independent(torch.distributions.Normal(_normal(3), log_std.exp()), 1)
    torch.testing.assert_close(gaussian_entropy(log_std), reference.entropy())


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope"),
    [
        (1.0, 2.0, 2.0),
        (1.3, 2.0, 0.0),  # beyond the edge nothing more is to be gained
        (0.5, 2.0, 2.0),  # a mistake is always corrected
        (0.7, -2.0, 0.0),
        (1.5, -2.0, -2.0),
    ],
)
def test_the_surrogate_is_clipped_where_the_paper_clips_it(ratio, advantage, slope):
    weight = surrogate_weight(torch.tensor([ratio]), torch.tensor([advantage]), 0.2)
    assert weight.item() == pytest.approx(slope * ratio)  # d r / d log pi = r


def test_the_weights_of_the_surrogate_are_its_gradient_by_the_log_probabilities():
    log_ratio, advantage = (0.3 * _normal(1000)).requires_grad_(), _normal(1000, seed=1)
    ratio = log_ratio.exp()
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
    (gradient,) = torch.autograd.grad(surrogate, log_ratio)
    torch.testing.assert_close(surrogate_weight(ratio.detach(), advantage, 0.2), gradient)


def test_samples_first_puts_copy_e_of_period_t_in_row_t_times_copies_plus_e():
    value = _normal(4, 3, 5)
    rows = samples_first(value)
    assert rows.shape == (20, 3)
    for t, copy in [(0, 0), (1, 4), (3, 2)]:
        assert torch.equal(rows[t * 5 + copy], value[t, :, copy])


@pytest.mark.parametrize(("count", "size"), [(100, 30), (64, 64), (10, 100), (1, 8)])
def test_minibatches_hold_every_sample_once_per_epoch(count, size):
    seen = torch.cat(list(minibatches(count, size, 3, _generator())))
    for epoch in seen.view(3, count):
        assert sorted(epoch.tolist()) == list(range(count))
    if count > 1:
        assert not torch.equal(seen[:count], seen[count : 2 * count]), "every epoch has its own order"
    sizes = [len(part) for part in minibatches(count, size, 1, _generator())]
    assert max(sizes) - min(sizes) <= 1


def test_the_gradient_of_a_linear_policy_is_the_policy_gradient_in_closed_form():
    shapes, log_std = Shapes(2, (), 1), math.log(0.5)
    parameters = torch.tensor([0.3, -0.2, 0.1, log_std], dtype=torch.float64)
    observation, noise = _normal(6, 2, 8), _normal(6, 1, 8, seed=1)
    mean = 0.3 * observation[:, :1] - 0.2 * observation[:, 1:] + 0.1
    action = mean + 0.5 * noise
    log_prob = torch.distributions.Normal(mean, 0.5).log_prob(action)[:, 0]
    advantage = _normal(6, 8, seed=2)
    scaled = ((advantage - advantage.mean()) / advantage.std()).reshape(-1)
    score = (noise / 0.5)[:, 0].reshape(-1)  # d log pi / d mean
    parts = [observation[:, 0].reshape(-1) * score, observation[:, 1].reshape(-1) * score, score]
    closed = torch.stack([(scaled * part).mean() for part in [*parts, noise.reshape(-1) ** 2 - 1]])
    _, optimiser = _update(parameters, shapes, _slice(observation, action, log_prob), advantage, ONE_STEP)
    torch.testing.assert_close(-optimiser.first * 10, closed, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_gradient_away_from_the_acting_policy_is_the_numerical_one(activation):
    """The clipped objective with its entropy bonus, written again sample by sample, by central differences."""
    shapes, config = Shapes(3, (4,), 2), ONE_STEP.model_copy(update={"entropy_coef": 0.05})
    rng = np.random.default_rng(5)
    start = rng.normal(0, 0.5, shapes.count)
    observation, action = rng.standard_normal((3, 3, 4)), rng.standard_normal((3, 2, 4))
    old = rng.normal(-3, 1, (3, 4))
    advantage = rng.standard_normal((3, 4))
    scaled = (advantage - advantage.mean()) / (advantage.std(ddof=1) + 1e-8)

    def objective(flat):
        w1, b1, w2, b2, log_std = np.split(flat, np.cumsum([12, 4, 8, 2]))
        total = 0.0
        for t in range(3):
            for e in range(4):
                hidden = w1.reshape(4, 3) @ observation[t, :, e] + b1
                hidden = np.maximum(hidden, 0) if activation == "relu" else np.tanh(hidden)
                mean = w2.reshape(2, 4) @ hidden + b2
                density = 0.0
                for k in range(2):
                    z = (action[t, k, e] - mean[k]) / np.exp(log_std[k])
                    density += -0.5 * z * z - log_std[k] - 0.5 * np.log(2 * np.pi)
                ratio = np.exp(density - old[t, e])
                total += min(ratio * scaled[t, e], np.clip(ratio, 0.8, 1.2) * scaled[t, e])
        entropy = sum(log_std) + 2 * 0.5 * np.log(2 * np.pi * np.e)
        return total / 12 + 0.05 * entropy

    numerical = np.array(
        [(objective(start + step) - objective(start - step)) / 2e-6 for step in np.eye(shapes.count) * 1e-6]
    )
    batch = _slice(*(torch.tensor(value) for value in (observation, action, old)))
    parameters = torch.tensor(start)
    _, optimiser = _update(parameters, shapes, batch, torch.tensor(advantage), config, activation)
    np.testing.assert_allclose(-optimiser.first.numpy() * 10, numerical, rtol=1e-5, atol=1e-7)
    assert np.abs(numerical).max() > 0.01


def _one_department(samples=64, seed=3):
    """A batch that a fresh policy acted out, with an advantage that rewards large actions."""
    shapes = Shapes(2, (8,), 1)
    parameters = torch.tensor(initial_parameters(shapes, math.log(0.3), 0))
    observation, noise = _normal(4, 2, samples // 4, seed=seed).float(), _normal(4, 1, samples // 4, seed=9).float()
    action = 0.3 * noise
    log_prob = torch.distributions.Normal(0.0, 0.3).log_prob(action)[:, 0]
    return parameters, shapes, _slice(observation, action, log_prob), action[:, 0]


def test_a_gradient_longer_than_the_limit_is_shortened_to_it():
    parameters, shapes, batch, advantage = _one_department()
    config = ONE_STEP.model_copy(update={"max_grad_norm": 0.01})
    stats, optimiser = _update(parameters, shapes, batch, advantage, config)
    assert stats.grad_norm > 0.01
    assert float(optimiser.first.norm()) * 10 == pytest.approx(0.01, rel=1e-3)


def test_an_update_stops_when_the_policy_has_moved_by_the_target_kl():
    config = PPOConfig(learning_rate=0.05, epochs=10, minibatch=16, target_kl=0.02, max_grad_norm=10)
    parameters, shapes, batch, advantage = _one_department()
    stats, optimiser = _update(parameters, shapes, batch, advantage, config)
    assert 0 < int(optimiser.steps) < 40
    assert stats.kl <= 0.02
    parameters, shapes, batch, advantage = _one_department()
    stats, optimiser = _update(parameters, shapes, batch, advantage, config.model_copy(update={"target_kl": 1e9}))
    assert int(optimiser.steps) == 40
    assert stats.kl > 0.02


def test_shift_and_scale_of_the_advantages_do_not_matter():
    results = []
    for scale, shift in [(1.0, 0.0), (1000.0, -70.0)]:
        parameters, shapes, batch, advantage = _one_department()
        _update(parameters, shapes, batch, scale * advantage + shift, PPOConfig(minibatch=16))
        results.append(parameters)
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-4)


def test_the_first_minibatch_is_on_policy():
    parameters, shapes, batch, advantage = _one_department()
    stats, _ = _update(parameters, shapes, batch, advantage, ONE_STEP)
    assert stats.kl == pytest.approx(0.0, abs=1e-6)
    assert stats.clip_fraction == 0.0


def test_ppo_finds_the_best_action_of_a_bandit_whose_optimum_is_known():
    """Reward -(a - x / 2 - 1)^2 in context x: the best policy is linear with slope 1/2 and intercept 1."""
    shapes, config = Shapes(1, (), 1), PPOConfig(learning_rate=0.02, minibatch=128, target_kl=0.1)
    parameters = torch.tensor(initial_parameters(shapes, math.log(0.3), 0))
    optimiser, generator = Adam.like(parameters), _generator(1)
    for _ in range(60):
        observation = torch.randn(4, 1, 128, generator=generator)
        slope, intercept, log_std = parameters.tolist()
        noise = torch.randn(4, 1, 128, generator=generator) * math.exp(log_std)
        action = slope * observation + intercept + noise
        log_prob = torch.distributions.Normal(0.0, math.exp(log_std)).log_prob(noise)[:, 0]
        advantage = -((action - 0.5 * observation - 1.0) ** 2)[:, 0]
        batch = _slice(observation, action, log_prob)
        rates = {"learning_rate": config.learning_rate, "generator": generator}
        update(parameters, optimiser, perceptron_learner(shapes, ppo=config), batch, advantage, **rates)
    assert parameters[0].item() == pytest.approx(0.5, abs=0.05)
    assert parameters[1].item() == pytest.approx(1.0, abs=0.05)
    assert parameters[2].item() < math.log(0.3), "certainty grows where one action is best"

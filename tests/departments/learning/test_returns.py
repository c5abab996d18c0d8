import numpy as np
import pytest
import torch

from departments.learning.returns import generalised_advantage


def _random(periods=9, streams=2, copies=3):
    rng = np.random.default_rng(1)
    reward = torch.tensor(rng.standard_normal((periods, streams, copies)))
    return reward, torch.tensor(rng.standard_normal((periods + 1, streams, copies)))


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(0.99, 0.95), (0.9, 0.0), (0.9, 1.0), (0.0, 0.5)])
def test_advantages_equal_a_slow_double_loop(gamma, gae_lambda):
    reward, value = _random()
    slow = torch.zeros_like(reward)
    for t in range(len(reward)):
        for later in range(t, len(reward)):
            delta = reward[later] + gamma * value[later + 1] - value[later]
            slow[t] += (gamma * gae_lambda) ** (later - t) * delta
    torch.testing.assert_close(generalised_advantage(reward, value, gamma, gae_lambda), slow)


def test_a_constant_reward_is_worth_one_over_one_minus_gamma():
    gamma = 0.97
    reward = torch.ones(20, 1, 4, dtype=torch.float64)
    value = torch.full((21, 1, 4), 1 / (1 - gamma), dtype=torch.float64)
    advantage = generalised_advantage(reward, value, gamma, 0.95)
    torch.testing.assert_close(advantage, torch.zeros_like(reward), rtol=0, atol=1e-12)


def test_with_lambda_one_the_target_is_the_discounted_return_with_the_last_value_behind_it():
    gamma, (reward, value) = 0.9, _random()
    target = generalised_advantage(reward, value, gamma, 1.0) + value[:-1]
    following = value[-1]  # the episode is cut off by time: its rest is worth the value of the last state
    for t in range(len(reward) - 1, -1, -1):
        following = reward[t] + gamma * following
        torch.testing.assert_close(target[t], following)


def test_one_copy_never_affects_another():
    reward, value = _random()
    changed = reward.clone()
    changed[:, :, 0] += 1
    before, after = (generalised_advantage(r, value, 0.99, 0.95) for r in (reward, changed))
    assert torch.equal(before[:, :, 1:], after[:, :, 1:])
    assert not torch.equal(before[:, :, 0], after[:, :, 0])

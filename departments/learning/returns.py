"""Generalised advantage estimation over episodes that are cut off by time, not ended."""

from __future__ import annotations

import torch
from torch import Tensor


def generalised_advantage(reward: Tensor, value: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """A_t = sum_l (gamma lambda)^l delta_{t+l}, delta_t = r_t + gamma V_{t+1} - V_t; bootstrapped at the end.

    Args:
        reward: [T, ...] of the periods.
        value: [T + 1, ...] of the states before and after each.
        gamma: discount, 0..1.
        gae_lambda: 0 (one-step) .. 1 (Monte Carlo).

    Returns:
        [T, ...] advantages.

    Source: Schulman et al. (2016), High-dimensional continuous control using generalized advantage estimation, eq. 16.
    """
    delta = reward + gamma * value[1:] - value[:-1]
    advantage = torch.empty_like(delta)
    following = torch.zeros_like(delta[0])
    for surprise, own in zip(reversed(delta.unbind()), reversed(advantage.unbind()), strict=True):
        following = torch.add(surprise, following, alpha=gamma * gae_lambda, out=own)
    return advantage

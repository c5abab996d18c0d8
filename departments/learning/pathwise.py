"""Learning by gradients through the simulator (`departments.play.gradients`): settings, and a department's step.

Source: Alvo, Russo & Kanoria (2023), Neural inventory control in networks via hindsight differentiable policy
optimization; for what has no gradient, Alvo, Russo & Kanoria (2026), Policy optimization in hybrid
discrete-continuous action spaces via mixed gradients (arXiv 2605.14297).
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from departments.learning.ppo import samples_first
from departments.numerics.adam import Adam
from departments.numerics.heads import LEAST_CHANCE, Head
from departments.numerics.memory import MemoryNetwork
from departments.numerics.networks import Shapes
from departments.numerics.passes import passes_of
from environment import Network
from environment.fields import Checked


class PathwiseConfig(Checked):
    """Settings of learning by gradients through the simulator."""

    learning_rate: float = Field(default=3e-3, gt=0)  # at the start; it falls to 0 by half a cosine
    updates: int = Field(default=20_000, ge=1)  # at most
    copies: int = Field(default=256, ge=1)  # of the firm, in all shards together
    window: int | None = Field(default=None, ge=1)  # periods that a gradient reaches back; None: see `window_of`
    max_grad_norm: float = Field(default=1.0, gt=0)  # of a department's gradient
    unit_bound: float = Field(default=2.0, gt=0)  # backorder costs that a unit ordered may be worth, see `descend`


def window_of(network: Network) -> int:
    """Periods over which an order shows its cost: four times the way through the firm, 16 to 64.

    Where edges may be shut, or regimes lengthen lead times, four times as long as that lasts on average longer.
    """
    return min(64, max(16, round(4.0 * network.time_through()))) + round(4.0 * _scarcity(network))


def counted_from(network: Network, window: int) -> int:
    """The first period of a stretch whose cost counts; see `departments.play.gradients.descend`."""
    return window // 2 if _scarcity(network) else 0


def _scarcity(network: Network) -> float:
    """Periods in which little comes, on average: the longest outage, or a regime and what it adds to lead times."""
    start, end = network.disruption.T
    lasts = (1.0 / end[start > 0.0]).max(initial=0.0)
    for longer, stays in [] if network.regimes is None else network.regimes.scarce:
        lasts = max(lasts, longer + stays)
    return float(lasts)


@torch.no_grad()
def score_gradient(
    flat: Tensor, network: MemoryNetwork, head: Head, observation: Tensor, action: Tensor, advantage: Tensor
) -> Tensor:
    """Gradient of the mean cost by whether orders are placed: -mean_t(A_t d log P(placed_t)), flat.

    What the quantities ordered before mean for what is placed now is left out: where placing is a best response to
    quantities it is nothing on average, and it is most of the variance (the source's section on the cross term). Beyond
    the logits that `LEAST_CHANCE` bounds nothing pulls outwards (ours).

    Args:
        flat: parameters.
        network: a perceptron without memory.
        head: a hybrid one.
        observation: [T, F, E].
        action: [T, actions, E] what was done.
        advantage: [T, E] money that the firm saves from then on.

    Source: Williams (1992), Simple statistical gradient-following algorithms for connectionist reinforcement learning.
    """
    shapes, where = Shapes(network.widths[0], network.hidden, network.outputs), network.perceptron
    passes = passes_of(shapes, torch.cat((flat[where], flat.new_zeros(network.outputs))), network.activation)
    logit = passes.forward(samples_first(observation))[:, head.placed]
    placed, bound = samples_first(action)[:, head.placed], -math.log(1.0 / LEAST_CHANCE - 1.0)
    by_logit = (torch.sigmoid(logit.clamp(bound, -bound)) - placed) * advantage.reshape(-1, 1) / advantage.numel()
    outwards = (logit.abs() > -bound) & (logit * by_logit < 0.0)
    pull = torch.zeros(len(logit), network.outputs, device=flat.device, dtype=flat.dtype)
    pull[:, head.placed] = by_logit.masked_fill(outwards, 0.0)
    gradient = torch.zeros_like(flat)
    gradient[where] = passes.backward(pull)[: -network.outputs]
    return gradient


@torch.no_grad()
def take_step(
    parameters: Tensor, optimiser: Adam, gradient: Tensor, config: PathwiseConfig, progress: float
) -> tuple[float, float]:
    """One step of Adam against the cost's gradient, which is consumed, on flat `parameters`, in place.

    The learning rate falls with `progress`, 0..1, how much of the budget is used up. Returns the norm of the gradient
    before clipping, and the learning rate of the step.
    """
    norm = float(gradient.norm())
    gradient *= min(1.0, config.max_grad_norm / (norm + 1e-9))
    rate = config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    optimiser.step(parameters, gradient, rate, eps=1e-8)
    return norm, rate

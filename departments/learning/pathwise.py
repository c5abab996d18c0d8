"""Gradients through the simulator: what a stretch of simulated periods would have cost with slightly other policies.

Source: Alvo, Russo & Kanoria (2023), Neural inventory control in networks via hindsight differentiable policy
optimization. The world is piecewise linear in orders, so costs are differentiated through it; rounding to whole units
passes the gradient straight through, and who is served first has the gradient of a ramp (`events.fulfil`; ours). This
is PyTorch's way through `World`; `rollout_compiled` goes the same way in C++, some six times as fast on a1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from departments.numerics.adam import Adam
from departments.policies.joint import JointPolicy
from departments.policies.policy import Snapshot
from environment import Exogenous, Network, State, World
from environment.fields import Checked
from environment.observation import Observer


class PathwiseConfig(Checked):
    """Settings of learning by gradients through the simulator."""

    learning_rate: float = Field(default=3e-3, gt=0)  # at the start; it falls to 0 by half a cosine
    updates: int = Field(default=20_000, ge=1)  # at most
    copies: int = Field(default=256, ge=1)  # of the firm, in all shards together
    window: int | None = Field(default=None, ge=1)  # periods that a gradient reaches back; None: see `window_of`
    max_grad_norm: float = Field(default=1.0, gt=0)  # of a department's gradient
    unit_bound: float = Field(default=2.0, gt=0)  # backorder costs that a unit ordered may be worth, see `descend`


class Descent(NamedTuple):
    """What a stretch of periods brought."""

    gradients: list[Tensor]  # per department, flat, of the mean cost a period and copy
    cost: float  # mean cost a period and copy, money
    end: State  # where the next stretch goes on


def window_of(network: Network) -> int:
    """Periods over which an order shows its cost: four times the way through the firm, 16 to 64."""
    return min(64, max(16, round(4.0 * network.time_through())))


class _Bounded(torch.autograd.Function):
    """The same number, with a bounded gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, bound: float) -> Tensor:  # noqa: ANN401
        ctx.bound = bound
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return gradient.clamp(-ctx.bound, ctx.bound), None


def worth_of_a_unit(world: World, unit_bound: float) -> float:
    """What a unit ordered may be worth, money: `unit_bound` times the largest cost of a unit short.

    That is the backorder cost or penalty, the price that is not earned, and the holding cost of who goes without.
    """
    firm = world.firm
    short = firm.amounts("backorder_cost") + firm.amounts("price") + firm.amounts("holding_cost")
    return unit_bound * float(short.max())


def descend(
    world: World,
    observer: Observer,
    snapshots: Sequence[Snapshot],
    start: State,
    chance: Exogenous,
    unit_bound: float = math.inf,
    others: Sequence[Snapshot] = (),
) -> Descent:
    """Simulate a stretch of periods and differentiate its cost with respect to every department's parameters.

    Policies that watch each other can amplify a unit from period to period, until a few copies drown all others. So
    what one unit more or less in an order is worth is bounded, at every stock point, period and copy (ours).

    Args:
        world: of the firm.
        observer: of that world.
        snapshots: of the departments that learn; they act on their mean.
        start: the state it begins in, which counts as given.
        chance: [T] periods of `World.draw`.
        unit_bound: largest worth of a unit, in multiples of the largest cost of a unit short.
        others: of departments that do not learn; whoever is in neither follows the benchmark.
    """
    parameters = {
        snapshot.department: torch.tensor(
            snapshot.parameters, device=world.device, dtype=world.dtype, requires_grad=True
        )
        for snapshot in snapshots
    }
    policy = JointPolicy(world, observer, [*snapshots, *others], parameters=parameters)
    state, cost = start, world.max_order.new_zeros(())
    periods, copies = chance.demand.shape[0], chance.demand.shape[-1]
    bound = worth_of_a_unit(world, unit_bound) / (periods * copies)
    for t in range(periods):
        order = _Bounded.apply(world.feasible(policy.order(world, state)), bound)  # type: ignore[no-untyped-call]
        state, outcome = world.step(state, order, chance.at(t))
        cost = cost + outcome.cost.sum()
    cost = cost / (periods * copies)
    gradients = torch.autograd.grad(cost, list(parameters.values()))
    return Descent(list(gradients), float(cost.detach()), State(*(part.detach() for part in state)))


@torch.no_grad()
def take_step(
    parameters: Tensor, optimiser: Adam, gradient: Tensor, config: PathwiseConfig, progress: float
) -> tuple[float, float]:
    """One step of Adam on flat `parameters`, in place; the gradient is consumed.

    Args:
        parameters: flat vector.
        optimiser: its Adam state, updated in place.
        gradient: of the cost.
        config: of the learner.
        progress: 0..1, how much of the budget is used up: the learning rate falls with it.

    Returns:
        The norm of the gradient before clipping, and the learning rate of the step.
    """
    norm = float(gradient.norm())
    gradient *= min(1.0, config.max_grad_norm / (norm + 1e-9))
    rate = config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
    optimiser.step(parameters, gradient, rate, eps=1e-8)
    return norm, rate

"""Gradients through the simulator: what a stretch of simulated periods would have cost with slightly other policies.

Source: Alvo, Russo & Kanoria (2023), Neural inventory control in networks via hindsight differentiable policy
optimization. The world is piecewise linear in orders, so costs are differentiated through it; rounding to whole units
passes the gradient straight through, and who is served first has the gradient of a ramp (`events.fulfil`; ours). This
is PyTorch's way through `World`; `CompiledRollouts.descend` goes the same way in C++, some six times as fast on a1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from departments.play.stepping import play
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import Snapshot
from environment import Exogenous, State, World
from environment.observation import Observer


class Descent(NamedTuple):
    """What a stretch of periods brought."""

    gradients: list[Tensor]  # per department, flat, of the mean cost a period and copy
    cost: float  # mean cost a period and copy, money
    end: State  # where the next stretch goes on


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
    *,
    first: int = 0,
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
        first: number of the period it begins in.
    """
    parameters = {
        snapshot.department: torch.tensor(
            snapshot.parameters, device=world.device, dtype=world.dtype, requires_grad=True
        )
        for snapshot in snapshots
    }
    policy = FirmPolicy(world, observer, [*snapshots, *others], parameters=parameters)
    cost = world.max_order.new_zeros(())
    periods, copies = chance.demand.shape[0], chance.demand.shape[-1]
    bound = worth_of_a_unit(world, unit_bound) / (periods * copies)
    for step in play(world, policy, chance, start, first=first):
        step.order.register_hook(lambda gradient: gradient.clamp(-bound, bound))  # type: ignore[no-untyped-call]
        cost = cost + step.outcome.cost.sum()
    cost = cost / (periods * copies)
    gradients = torch.autograd.grad(cost, list(parameters.values()))
    return Descent(list(gradients), float(cost.detach()), State(*(part.detach() for part in step.after)))

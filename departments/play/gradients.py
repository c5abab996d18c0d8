"""Gradients through the simulator: what a stretch of simulated periods would have cost with slightly other policies.

Source: Alvo, Russo & Kanoria (2023), Neural inventory control in networks via hindsight differentiable policy
optimization. The world is piecewise linear in orders, so costs are differentiated through it; rounding to whole units
passes the gradient straight through, and who is served first has the gradient of a ramp (`events.fulfil`; ours). This
is PyTorch's way through `World`; `CompiledRollouts.descend` goes the same way in C++, some six times as fast on a1.

Where customers choose (`descend_episode`; ours) the world stays exact: recommendations are drawn, and so is what each
customer buys. Backwards, what is asked for has the gradient of its mean, given who came and what was shown, and a
recommendation that of being swapped for another one, by what both would sell on average (`Head.leanings`): exact for
costs that are linear or quadratic in demand, biased where they are not. Taken as given: what the rule's scores of
offers make of other orders, and what a department sees of its own last recommendation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from departments.decisions import Decision, Memory, Policy
from departments.play.stepping import advance, feasible, play
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import Snapshot
from environment import Exogenous, Feedback, State, World
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
    short = world.backorder_cost[..., 0].cpu().numpy() + world.unearned
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
    noise: Mapping[str, Tensor] = MappingProxyType({}),
    first: int = 0,
    counted_from: int = 0,
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
        noise: [T, noise, E] of those with hybrid heads, by department: draws whether they order, which then counts as
            given; see `learning.pathwise.score_gradient` for what that is worth.
        first: number of the period it begins in.
        counted_from: the first of its periods whose cost counts: what stock costs shows at once, what it is good for
            when the next outage lasts, so that of a stretch counted from its start little stock looks best (ours).
    """
    parameters = _parameters(world, snapshots)
    everyone = FirmPolicy(world, observer, [*snapshots, *others], parameters=parameters, eager=True)
    policy: Policy = _Drawn(everyone, noise, first) if noise else everyone
    cost = world.max_order.new_zeros(())
    periods, copies = chance.demand.shape[0] - counted_from, chance.demand.shape[-1]
    bound = worth_of_a_unit(world, unit_bound) / (periods * copies)
    for step in play(world, policy, chance, start, first=first):
        step.order.register_hook(lambda gradient: gradient.clamp(-bound, bound))  # type: ignore[no-untyped-call]
        if step.period >= counted_from:
            cost = cost + step.outcome.cost.sum()
    cost = cost / (periods * copies)
    gradients = torch.autograd.grad(cost, list(parameters.values()))
    return Descent(list(gradients), float(cost.detach()), State(*(part.detach() for part in step.after)))


class _Drawn:
    """Departments that decide with what was drawn, [T, noise, E] of those that explore, from period `first` on."""

    def __init__(self, policy: FirmPolicy, noise: Mapping[str, Tensor], first: int) -> None:
        self._policy, self._noise, self._first = policy, noise, first

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Their decision of a period."""
        features = self._policy.observer.all_features(state, feedback, period)
        drawn = {name: own[period - self._first] for name, own in self._noise.items()}
        return self._policy.act(world, state, feedback, features, period, memory, drawn)[0]


def descend_episode(
    world: World,
    observer: Observer,
    snapshots: Sequence[Snapshot],
    chance: Exogenous,
    noise: Tensor | None,
    unit_bound: float = math.inf,
    others: Sequence[Snapshot] = (),
) -> Descent:
    """The same of a whole episode of a firm with customers: what is left in the end is worth its salvage value.

    Args:
        world: of the firm.
        observer: of that world, until the end of the episode.
        snapshots: of the departments that learn; orders are their means.
        chance: [T] periods of `World.draw`.
        noise: [T, noise, E] that draws recommendations, if that department is among those that learn; see `Head.noise`.
        unit_bound: as in `descend`.
        others: of departments that do not learn; whoever is in neither follows the forecast-driven rule.

    Returns:
        Its end is the start of another episode.
    """
    parameters, choice = _parameters(world, snapshots), world.chosen()
    policy = FirmPolicy(world, observer, [*snapshots, *others], parameters=parameters, eager=True)
    recommender = next((m for m in policy.members if m.recommends and m.name in parameters), None)
    periods, copies = chance.demand.shape[0], chance.demand.shape[-1]
    bound = worth_of_a_unit(world, unit_bound) / (periods * copies)
    begin = state = world.reset(copies)
    told, memory = world.no_feedback(copies), None
    cost = world.holding(state).sum()
    for t in range(periods):
        features = observer.all_features(state, told, t)
        drawn = {} if recommender is None or noise is None else {recommender.name: noise[t]}
        decision, acts = policy.act(world, state, _smooth(told), features, t, memory, drawn)
        order, exposure = feasible(world, decision, state, t)
        if order.requires_grad:
            order.register_hook(lambda gradient: gradient.clamp(-bound, bound))  # type: ignore[no-untyped-call]
        now = chance.at(t)
        if recommender is not None and now.traffic is not None and (act := acts[recommender.name]).output is not None:
            sway = now.traffic.unsqueeze(1) * recommender.sway(choice, act.output, act.action)
            now = now._replace(demand=now.demand + choice.at_points(sway - sway.detach()))
        state, outcome, heard = advance(world, state, order, exposure, now)
        told, memory = heard or told, decision.memory
        cost = cost + outcome.cost.sum()
    salvage = world.salvage(state)
    cost = (cost if salvage is None else cost - salvage.sum()) / (periods * copies)
    gradients = torch.autograd.grad(cost, list(parameters.values()))
    return Descent(list(gradients), float(cost.detach()), begin)


def _smooth(told: Feedback) -> Feedback:
    """What the rule hears; where nothing has been forecast, its safety stock is a root without a slope."""
    asked = told.asked + 0.0
    if asked.requires_grad:
        asked.register_hook(lambda gradient: gradient.nan_to_num(0.0, 0.0, 0.0))  # type: ignore[no-untyped-call]
    return told._replace(asked=asked)


def _parameters(world: World, snapshots: Sequence[Snapshot]) -> dict[str, Tensor]:
    """Those that gradients are by, by department."""
    return {
        snapshot.department: torch.tensor(
            snapshot.parameters, device=world.device, dtype=world.dtype, requires_grad=True
        )
        for snapshot in snapshots
    }

"""The one way in which policies play: decide, make it feasible, step, go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from departments.decisions import Decision, Memory, Policy
from environment import Exogenous, Feedback, Outcome, State, World


class Step(NamedTuple):
    """One period of E copies, from the state that was decided on to the next one."""

    period: int  # t
    before: State  # after event 2 of period t
    order: Tensor  # [O + A, K, E] feasible, see `World.feasible`
    exposure: Tensor | None  # [S, K, E] feasible
    memory: Memory  # for the next decision
    after: State
    outcome: Outcome  # of period t + 1
    feedback: Feedback | None  # of this step, for the next decision; None in a firm without customers


def play(
    world: World, policy: Policy, chance: Exogenous, start: State | None = None, *, first: int = 0
) -> Iterator[Step]:
    """Play a policy through all periods of some chance.

    Args:
        world: of the firm.
        policy: decides.
        chance: [T] periods of `World.draw`.
        start: the first state; by default that in which episodes begin.
        first: number of its period, which decides on which days orders are taken and what time tells.
    """
    state = world.reset(chance.demand.shape[-1]) if start is None else start
    feedback, memory = before_the_first(world, chance.demand.shape[-1]), None
    for t in range(len(chance.demand)):
        decision = policy.decide(world, state, feedback, first + t, memory)
        order, exposure = feasible(world, decision, state, first + t)
        after, outcome, feedback = advance(world, state, order, exposure, chance.at(t))
        memory = decision.memory
        yield Step(t, state, order, exposure, memory, after, outcome, feedback)
        state = after


def feasible(world: World, decision: Decision, state: State, period: int) -> tuple[Tensor, Tensor | None]:
    """Orders and exposures as the firm accepts them in a state and period."""
    shown, order = decision.exposure, world.feasible(decision.order, state.inventory_position, period)
    return order, None if shown is None else world.chosen().feasible(shown)


def advance(
    world: World, state: State, order: Tensor, exposure: Tensor | None, now: Exogenous
) -> tuple[State, Outcome, Feedback | None]:
    """`World.step`, and what departments are told of it in a firm with customers."""
    after, outcome = world.step(state, order, now, exposure)
    told = None if world.choice is None else world.feedback(state, order, now, exposure, after, outcome)
    return after, outcome, told


def before_the_first(world: World, copies: int) -> Feedback | None:
    """What departments are told before the first step: nothing."""
    return None if world.choice is None else world.no_feedback(copies)

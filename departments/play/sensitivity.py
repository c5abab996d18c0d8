"""How decisions of a firm with customers move when one thing that departments see is changed: states, changes, effects.

States come from a policy's own evaluation episodes, with the memory it had there. A change is made to the state and the
feedback as the world would hold them, so that everything seen of it moves together: a unit more on hand is a unit more
in the inventory position too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from departments.decisions import Memory, Policy
from departments.play.stepping import play
from environment import Feedback, State, World
from environment.streams import Stream, torch_stream


class Tendency(Policy, Protocol):
    """A policy that can say how probable each of its recommendations is."""

    def tendency(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Tensor]:
        """Wished orders [N, K, E] units and what is expected to be shown in the first slot, [S, K, E]."""


class Moment(NamedTuple):
    """What a policy decided on in one period of some episodes."""

    state: State
    feedback: Feedback
    period: int
    memory: Memory  # before the decision


Change = Callable[[Moment], Moment]


@torch.inference_mode()
def moments(world: World, policy: Tendency, *, states: int, seed: int, groups: int = 8) -> list[Moment]:
    """States of evaluation episodes under the policy, each of an episode of its own.

    Args:
        world: of the firm.
        policy: acts without exploration.
        states: how many in all, a multiple of `groups`.
        seed: of the episodes.
        groups: periods, spread evenly over the middle eight tenths of an episode.
    """
    if states % groups:
        raise ValueError(f"states must be a multiple of {groups}, got {states}")
    length = world.firm.periods.evaluate - 1
    found = []
    for group, period in enumerate(np.linspace(0.1 * length, 0.9 * length, groups).round().astype(int).clip(1)):
        chance = world.draw(int(period), states // groups, torch_stream(world.device, Stream.SENSITIVITY, seed, group))
        *_, last = play(world, policy, chance)
        if last.feedback is None:
            raise ValueError(f"{world.firm.name} has no customers, whose reports are part of what is looked at here")
        found.append(Moment(last.after, last.feedback, int(period), last.memory))
    return found


@torch.inference_mode()
def decisions(world: World, policy: Tendency, seen: list[Moment], change: Change) -> tuple[Tensor, Tensor]:
    """Orders within [0, max_order] [N, K, B], not rounded, and chances to be shown [S, K, B], of all changed states."""
    both = [policy.tendency(world, *change(moment)) for moment in seen]
    order = torch.cat([order for order, _ in both], -1)
    return torch.minimum(order.clamp_min(0.0), world.max_order), torch.cat([chance for _, chance in both], -1)


def unchanged(moment: Moment) -> Moment:
    """Nothing changes."""
    return moment


def more_stock(point: int, units: dict[int, float]) -> Change:
    """So many units more of each product on hand at a stock point."""

    def change(moment: Moment) -> Moment:
        extra = _at(moment.state.on_hand, point, units)
        return moment._replace(state=_with_stock(moment.state, extra))

    return change


def stock_of(point: int, units: dict[int, float]) -> Change:
    """Exactly so many units of each product on hand at a stock point."""

    def change(moment: Moment) -> Moment:
        on_hand = moment.state.on_hand
        named = _at(on_hand, point, dict.fromkeys(units, 1.0))
        return moment._replace(state=_with_stock(moment.state, _at(on_hand, point, units) - named * on_hand))

    return change


def more_incoming(world: World, point: int, units: dict[int, float]) -> Change:
    """So many units more of each product on their way to a stock point.

    They arrive before the demand of the next period but one, as the pipeline of the theory does: one period later than
    what can still meet this period's demand; or in the next period, where nothing is longer on its way.
    """
    edge = int(np.flatnonzero(world.network.edge_target == point)[0])
    longest = [len(world.network.lead_time(edge, k)) - 1 for k in range(world.products)]

    def change(moment: Moment) -> Moment:
        pipeline = moment.state.pipeline.clone()
        for product, amount in units.items():
            pipeline[max(min(1, longest[product] - 1), 0), edge, product] += amount
        position = moment.state.inventory_position + _at(moment.state.on_hand, point, units)
        return moment._replace(state=moment.state._replace(pipeline=pipeline, inventory_position=position))

    return change


def pushed(world: World, point: int, product: int, exposure: float) -> Change:
    """As if a point's customers had been shown this product, and nothing else, in the last period.

    What was asked of the point moves by what that would have changed on average, given who came; what was handed over
    follows as far as stock reached. The stock of now is left as it is: only what is heard of demand changes.
    """
    choice = world.chosen()
    here = torch.as_tensor(world.network.customer_facing, device=world.device)[choice.facing] == point

    def change(moment: Moment) -> Moment:
        feedback, on_hand = moment.feedback, moment.state.on_hand[point]
        shown = feedback.exposure.clone()
        shown[here] = 0.0
        shown[here, product] = exposure
        shown = choice.feasible(shown)
        share = choice.probability(shown) - choice.probability(feedback.exposure)
        moved = (share * feedback.traffic[:, None])[here].sum(0).to(feedback.asked.dtype)
        asked, handed = feedback.asked.clone(), feedback.handed.clone()
        asked[point] = (asked[point] + moved).clamp_min(0.0)
        handed[point] = torch.minimum(asked[point], handed[point] + on_hand)
        return moment._replace(feedback=feedback._replace(asked=asked, handed=handed, exposure=shown))

    return change


def _at(like: Tensor, point: int, units: dict[int, float]) -> Tensor:
    amounts = torch.zeros_like(like)
    for product, amount in units.items():
        amounts[point, product] = amount
    return amounts


def _with_stock(state: State, extra: Tensor) -> State:
    return state._replace(on_hand=state.on_hand + extra, inventory_position=state.inventory_position + extra)

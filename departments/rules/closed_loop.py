"""Deciding orders and recommendations together: what acts for a firm with customers, period by period.

Memory is handed in and out instead of being kept, so that a policy may play any number of episodes, side by side or one
after another, and a running firm can save it between two periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from environment import Feedback, State, World

Memory = Any  # whatever a policy wants to keep from one period to the next; None at the start of an episode


@runtime_checkable
class ClosedLoopPolicy(Protocol):
    """What decides all orders and exposures of a firm with customers."""

    def decide(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Tensor, Memory]:
        """Wished orders [N, K, E] units, exposure [S, K, E] and the memory to be handed back in the next period.

        Args:
            world: of the firm.
            state: after event 2 of period t.
            feedback: of the step that led there; zero before the first.
            period: t.
            memory: what the last call returned; None in period 0.
        """


class Recommender(Protocol):
    """A rule of the recommendation department."""

    def recommend(self, world: World, state: State, feedback: Feedback, period: int) -> Tensor:
        """Exposure [S, K, E] or broadcastable."""


class Replenisher(Protocol):
    """A rule of the replenishment departments."""

    def replenish(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Wished orders [N, K, E] units, and the memory for the next period."""


@dataclass(frozen=True)
class Pair:
    """A recommendation rule and a replenishment rule, neither of which knows what the other one decides."""

    name: str
    recommender: Recommender
    replenisher: Replenisher

    def decide(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Tensor, Memory]:
        """Both decisions; see `ClosedLoopPolicy`."""
        order, memory = self.replenisher.replenish(world, state, feedback, period, memory)
        return order, self.recommender.recommend(world, state, feedback, period), memory

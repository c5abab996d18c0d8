"""Rules of a firm with customers: a recommendation rule beside a replenishment rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from departments.decisions import Decision, Memory
from environment import Feedback, State, World


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

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Both decisions."""
        if feedback is None:
            raise RuntimeError(f"{self.name} needs a firm with customers who choose")
        order, memory = self.replenisher.replenish(world, state, feedback, period, memory)
        return Decision(order, self.recommender.recommend(world, state, feedback, period), memory)

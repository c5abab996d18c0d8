"""Rules of a firm with customers: a recommendation rule beside a replenishment rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from departments.decisions import Decision, Memory, Policy
from environment import Feedback, State, World


class Recommender(Protocol):
    """A rule of the recommendation department."""

    def recommend(self, world: World, state: State, feedback: Feedback, period: int) -> Tensor:
        """Exposure [S, K, E] or broadcastable."""

    def arrays(self, world: World) -> dict[str, Tensor]:
        """Of `heuristics.recommendation.Offers`, by which the department decides alone."""


@dataclass(frozen=True)
class Pair:
    """A recommendation rule and a replenishment rule, neither of which knows what the other one decides."""

    name: str
    recommender: Recommender
    replenisher: Policy  # whose orders count

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Both decisions."""
        if feedback is None:
            raise RuntimeError(f"{self.name} needs a firm with customers who choose")
        ordered = self.replenisher.decide(world, state, feedback, period, memory)
        return ordered._replace(exposure=self.recommender.recommend(world, state, feedback, period))

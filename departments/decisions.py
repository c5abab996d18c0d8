"""What a policy of a firm is: it decides all orders, and all recommendations where customers choose, period by period.

Memory is handed in and out instead of being kept, so that a policy may play any number of episodes, side by side or one
after another, and a running firm can save it between two periods.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from environment import Feedback, State, World

Memory = Any  # whatever a policy wants to keep from one period to the next; None at the start of an episode


class Decision(NamedTuple):
    """What is decided in one period."""

    order: Tensor  # [N, K, E] units, wished: the world clips and rounds them; or [O + A, K, E], see `World.feasible`
    exposure: Tensor | None = None  # [S, K, E] wished, or broadcastable; None: the firm file's
    memory: Memory = None  # to be handed back in the next period


class Policy(Protocol):
    """What decides for the whole firm."""

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """The decisions of period t.

        Args:
            world: of the firm.
            state: after event 2 of period t.
            feedback: of the step that led there, zero before the first; None in a firm without customers.
            period: t.
            memory: what the last decision said; None in period 0.
        """


class OrdersAlone(Protocol):
    """A policy that looks at the state and decides orders; a rule says how."""

    def order(self, world: World, state: State) -> Tensor:
        """Wished orders, [N, K, E] units."""

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """The orders; nothing is remembered, and nobody recommends."""
        return Decision(self.order(world, state))

"""Step laws: how a department's learning rate falls with the episodes it has learned from.

Two laws with sum a = sum b = infinity, sum a^2 + b^2 < infinity and b / a -> 0 let the fast learner treat the slow
one as standing still (Borkar 1997). PPO with Adam satisfies those conditions only in spirit: Adam rescales every
step.
"""

from __future__ import annotations

from pydantic import Field

from environment.fields import Checked


class StepLaw(Checked):
    """Learning rate lr_0 (k_0 / (k_0 + k))^c after k episodes.

    Source: ours, the numbers of `FAST` and `SLOW` too. Jiang et al., arXiv 2510.04272, have the idea that departments
    learn at rates of their own, and print no law.
    """

    initial: float = Field(gt=0, le=1)  # lr_0
    decay: float = Field(default=0.0, ge=0, le=1)  # c; above 1/2 the squares have a finite sum
    delay: float = Field(default=20_000.0, gt=0)  # k_0, episodes

    def at(self, episodes: float) -> float:
        """The learning rate after that many episodes."""
        return float(self.initial * (self.delay / (self.delay + episodes)) ** self.decay)


FAST = StepLaw(initial=2e-3, decay=0.7)
SLOW = StepLaw(initial=1e-3, decay=0.9)

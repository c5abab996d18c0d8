"""Learning by gradients through the simulator: trained together, decided alone; no critic and no exploration.

The environment workers differentiate the firm's cost over a stretch of periods, each department takes a step against
its own part of the gradient, and the next stretch goes on where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from coordinator.learning.iterations import Training
from coordinator.schemes.imarl import Progress
from coordinator.schemes.simultaneous import Simultaneous, passed
from departments.policies.policy import Snapshot

_EARLIEST = 16  # updates
_LOST = 0.05  # of the best cost: who is further above it than this goes back


@dataclass
class Pathwise(Simultaneous):
    """Everybody's best policies so far."""

    pace: float = 1.0  # times the learning rate of the settings

    def run(
        self,
        watch: Callable[[Progress], None],
        accepted: Callable[[Snapshot, float, float], None],
        keep: Callable[[], None],
    ) -> None:
        """See `Simultaneous.run`; the learning rate falls to 0 as the budget is used up.

        Policies that watch each other may lose their way for good, in b3 within ten updates. So they are also tried
        after 16, 32, 64, ... updates, and where they cost more than the best so far, all go back to those and to the
        start of an episode, and go on at half the rate (ours).
        """
        training = self.training
        updates = training.settings.pathwise.updates
        while (progress := max(self.iteration / updates, training.progress)) < 1.0:
            seed = training.settings.seed, 0, self.iteration
            result = training.descend(self.learning, seed, progress, self.pace)
            self.iteration += 1
            now = max(self.iteration / updates, training.progress)
            early = self.iteration >= _EARLIEST and self.iteration.bit_count() == 1
            cost = self._select() if early or passed(progress, now) else None
            if cost is not None and cost > self.best_cost + _LOST * abs(self.best_cost):
                self.pace /= 2.0
                training.begin_again(*self.best.values())
            watch(Progress("all", 0, self.iteration, cost, result))
            keep()
        self._accept(accepted)

    def record(self) -> tuple[dict[str, Any], dict[str, Snapshot]]:
        """What a checkpoint needs."""
        plain, snapshots = super().record()
        return plain | {"pace": self.pace}, snapshots

    @classmethod
    def resume(cls, training: Training, plain: Mapping[str, Any], snapshots: Mapping[str, Snapshot]) -> Self:
        """Go on from a record."""
        resumed = super().resume(training, plain, snapshots)
        resumed.pace = plain.get("pace", 1.0)
        return resumed

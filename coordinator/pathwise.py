"""Learning by gradients through the simulator: trained together, decided alone; no critic and no exploration.

The environment workers differentiate the firm's cost over a stretch of periods, each department takes a step against
its own part of the gradient, and the next stretch goes on where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable

from coordinator.imarl import Progress
from coordinator.together import Together, passed
from departments.policy import Snapshot

_EARLIEST = 16  # updates


class Pathwise(Together):
    """Everybody's best policies so far."""

    def run(
        self,
        watch: Callable[[Progress], None],
        accepted: Callable[[Snapshot, float, float], None],
        keep: Callable[[], None],
    ) -> None:
        """See `Together.run`; the learning rate falls to 0 as the budget is used up.

        Where customers compete for stock, policies are often best early: what a gradient that takes their order as
        given leads to in the end is worse. So they are also tried after 16, 32, 64, ... updates.
        """
        training = self.training
        updates = training.settings.pathwise.updates
        while (progress := max(self.iteration / updates, training.progress)) < 1.0:
            result = training.descend(self.learning, (training.settings.seed, 0, self.iteration), progress)
            self.iteration += 1
            now = max(self.iteration / updates, training.progress)
            early = self.iteration >= _EARLIEST and self.iteration.bit_count() == 1
            cost = self._select() if early or passed(progress, now) else None
            watch(Progress("all", 0, self.iteration, cost, result))
            keep()
        self._accept(accepted)

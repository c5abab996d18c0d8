"""Learning by gradients through the simulator: trained together, decided alone; no critic and no exploration.

The environment workers differentiate the firm's cost over a stretch of periods, each department takes a step against
its own part of the gradient, and the next stretch goes on where the last one ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from pydantic import model_validator

from coordinator.learning.iterations import Training
from coordinator.learning.settings import Settings, fewer, must_be_shared
from coordinator.schemes.base import Accepted, Keep, Progress, Roles, SchemeSpec, Watch
from coordinator.schemes.imarl import EARLIER, NO_CUSTOMERS
from coordinator.schemes.simultaneous import Simultaneous, passed
from departments.learning.pathwise import PathwiseConfig, window_of
from departments.policies.policy import Snapshot
from environment import Firm, Network

_EARLIEST = 16  # updates
_LOST = 0.05  # of the best cost: who is further above it than this goes back


class PathwiseRun(Settings):
    """Settings of a run of `pathwise`."""

    scheme: str = "pathwise"
    pathwise: PathwiseConfig = PathwiseConfig()

    @model_validator(mode="after")
    def _shards_are_equal(self) -> Self:
        must_be_shared(self.pathwise.copies, self.shards, "pathwise.copies")
        return self

    def for_firm(self, firm: Firm) -> Self:
        """See `Settings.for_firm`."""
        same = super().for_firm(firm)
        if same is self:
            return self
        copies = fewer(self.pathwise, {"copies": 16 * self.shards}, len(firm.products))
        teaching = self.pathwise.model_copy(update=copies)
        return same.model_copy(update={"pathwise": teaching})


@dataclass
class Pathwise(Simultaneous):
    """Everybody's best policies so far."""

    pace: float = 1.0  # times the learning rate of the settings

    def run(self, watch: Watch, accepted: Accepted, keep: Keep) -> None:
        """See `Simultaneous.run`; the learning rate falls to 0 as the budget is used up.

        Policies that watch each other may lose their way for good, in b3 within ten updates. So they are also tried
        after 16, 32, 64, ... updates, and where they cost more than the best so far, all go back to those and to the
        start of an episode, and go on at half the rate (ours).
        """
        training = self.training
        own = cast(PathwiseRun, training.settings).pathwise
        updates, window = own.updates, own.window or window_of(self.network)
        while (progress := max(self.iteration / updates, training.progress)) < 1.0:
            seed = training.settings.seed, 0, self.iteration
            teaching = own.model_copy(update={"learning_rate": own.learning_rate * self.pace})
            result = training.descend(self.learning, seed, window, teaching, progress)
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
    def resume(cls, network: Network, training: Training, plain: Mapping[str, Any], snapshots: Roles) -> Self:
        """Go on from a record."""
        resumed = super().resume(network, training, plain, snapshots)
        resumed.pace = plain.get("pace", 1.0)
        return resumed


PATHWISE_SCHEME = SchemeSpec(
    name="pathwise",
    summary="gradients through the simulator",
    runner=Pathwise,
    settings=PathwiseRun,
    unused=NO_CUSTOMERS
    | {
        "ppo": "no PPO; pathwise.learning_rate is where the rate starts",
        "critic": "there is none",
        "copies": "pathwise.copies",
        "iterations": "pathwise.updates",
        "episodes": "pathwise.updates",
        "select_every": "policies are tried twelve times in a budget",
        "acceptance_episodes": "no policy is tested before it is kept",
        "reward_unit": "gradients are of the cost itself",
        "train_periods": "pathwise.window",
    },
    earlier=EARLIER,
    options={"observation": "policy.observation"},
    by_message=False,
    law=lambda *_: None,
    iterations=lambda settings: settings.pathwise.updates,
)

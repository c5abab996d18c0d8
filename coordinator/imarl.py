"""IMARL: departments take turns in learning.

One learns by PPO while all others act on their saved policies; a policy that beats the saved one significantly is
saved, and the neighbours get another turn. When nobody is left on the list, no department can improve alone.

Source: Ziegner et al., arXiv 2503.18201, table 5. The paired test before acceptance, the greedy order and the least
gain that wakes neighbours are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.training import Iteration, Training
from departments.policy import Snapshot
from environment import Network


@dataclass(frozen=True)
class Progress:
    """One iteration, for whoever watches."""

    department: str
    job: int
    iteration: int  # within the job
    cost: float | None  # on selection episodes, where it was evaluated
    result: Iteration


@dataclass
class IMARL:
    """The job list and the job at hand; everything here goes into a checkpoint."""

    network: Network
    training: Training
    saved: dict[str, Snapshot]
    jobs: list[str] = field(default_factory=list)
    estimates: dict[str, float] = field(default_factory=dict)  # money a turn is expected to save, for the greedy order
    number: int = 0  # jobs begun
    current: str | None = None
    iteration: int = 0  # of the current job
    best: Snapshot | None = None
    best_cost: float = np.inf  # on selection episodes
    stale: int = 0  # selections since the best

    @classmethod
    def begin(cls, network: Network, training: Training) -> IMARL:
        """All departments on the list, in the order that the settings ask for."""
        order = training.settings.imarl.order
        echelons = network.echelons()
        sign = 1 if order == "downstream-first" else -1
        jobs = sorted(network.names, key=lambda name: sign * echelons[network.names.index(name)])
        estimates = {name: float("inf") for name in jobs}
        return cls(network, training, dict(training.published), jobs, estimates)

    def run(
        self,
        watch: Callable[[Progress], None],
        accepted: Callable[[Snapshot, float, float], None],
        keep: Callable[[], None],
    ) -> None:
        """Work off the list until it is empty or the budget is used up.

        Args:
            watch: sees every iteration.
            accepted: sees every policy that is saved, with its gain and the gain's standard error.
            keep: called when the state may be checkpointed, after every iteration.
        """
        while (self.current is not None or self.jobs) and not self.training.exhausted:
            if self.current is None:
                self._take_job()
            self._learn(watch, keep)
            self._decide(accepted)
            keep()
        if self.current is not None:
            self._decide(accepted)

    def _take_job(self) -> None:
        if self.training.settings.imarl.order == "greedy":
            self.jobs.sort(key=lambda name: -self.estimates[name])
        self.current = self.jobs.pop(0)
        self.number += 1
        self.iteration, self.stale = 0, 0
        self.best = self.saved[self.current]
        self.training.adopt(self.best)
        self.best_cost = float(self.training.selection_costs(self.best).mean())

    def _learn(self, watch: Callable[[Progress], None], keep: Callable[[], None]) -> None:
        """Train the current department alone; its best policy on the selection episodes stays in `best`."""
        training, settings = self.training, self.training.settings
        name = str(self.current)
        while self.iteration < settings.imarl.iterations and self.stale < settings.imarl.patience:
            if training.exhausted:
                return
            result = training.iterate([name], (settings.seed, self.number, self.iteration))
            self.iteration += 1
            cost = None
            if self.iteration % settings.select_every == 0:
                snapshot = result.snapshots[name]
                cost = float(training.selection_costs(snapshot).mean())
                self.stale += 1
                if cost < self.best_cost:
                    self.best, self.best_cost, self.stale = snapshot, cost, 0
            watch(Progress(name, self.number, self.iteration, cost, result))
            keep()

    def _decide(self, accepted: Callable[[Snapshot, float, float], None]) -> None:
        """Save the best policy of the job if it wins the paired test on fresh episodes; else everyone forgets it."""
        name, best, settings = str(self.current), self.best, self.training.settings.imarl
        saved = self.saved[name]
        if best is not None and best.version != saved.version:
            gain, error, cost = self.training.paired_gain(best, base=[saved])
            if gain > settings.significance * error:
                self.saved[name] = best
                accepted(best, gain, error)
                self.estimates[name] = 0.0
                if gain > settings.least_gain * abs(cost):
                    self._wake_neighbours(name, gain)
        self.training.adopt(self.saved[name])  # the department too: asked by message, it must act on what counts
        self.current, self.best = None, None

    def _wake_neighbours(self, name: str, gain: float) -> None:
        point = self.network.names.index(name)
        for other in [*self.network.predecessors(point), *self.network.successors(point)]:
            neighbour = self.network.names[other]
            self.estimates[neighbour] = max(self.estimates[neighbour], gain)
            if neighbour not in self.jobs:
                self.jobs.append(neighbour)

    def record(self) -> tuple[dict[str, Any], dict[str, Snapshot]]:
        """What a checkpoint needs: plain values, and snapshots by role."""
        plain = {
            "jobs": self.jobs,
            "estimates": {name: value if np.isfinite(value) else None for name, value in self.estimates.items()},
            "number": self.number,
            "current": self.current,
            "iteration": self.iteration,
            "best_cost": self.best_cost if np.isfinite(self.best_cost) else None,
            "stale": self.stale,
        }
        snapshots = {f"saved/{name}": snapshot for name, snapshot in self.saved.items()}
        return plain, snapshots | ({"best": self.best} if self.best is not None else {})

    @classmethod
    def resume(
        cls,
        network: Network,
        training: Training,
        plain: Mapping[str, Any],
        snapshots: Mapping[str, Snapshot],
    ) -> IMARL:
        """Go on from a record."""
        saved = {role.removeprefix("saved/"): s for role, s in snapshots.items() if role.startswith("saved/")}
        estimates = {name: float("inf") if value is None else value for name, value in plain["estimates"].items()}
        best = snapshots.get("best")
        best_cost = np.inf if plain["best_cost"] is None else plain["best_cost"]
        same = {key: plain[key] for key in ("number", "current", "iteration", "stale")}
        return cls(network, training, saved, list(plain["jobs"]), estimates, best=best, best_cost=best_cost, **same)


def reward_weights(network: Network, kind: str) -> NDArray[np.float32]:
    """How departments are paid, [N, N]: `own` cost, own and `downstream` cost ([I] for IMARL), or the `network`'s."""
    points = len(network.names)
    if kind == "network":
        return np.ones((points, points), dtype=np.float32)
    weights = np.eye(points, dtype=np.float32)
    if kind == "downstream":
        for point in range(points):
            weights[point, network.descendants(point)] = 1.0
    return weights

"""What a run writes down while a scheme teaches: metrics, events, checkpoints; and what it is asked meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.learning.iterations import Training
from coordinator.runs.engine import Engine
from coordinator.runs.folder import EVENTS, METRICS, SERVICE, RunFolder, pack, unpack
from coordinator.runs.hot_swap import HotSwap
from coordinator.runs.mailbox import Mailbox
from coordinator.runs.watcher import RunEvent, RunIteration, Watcher
from coordinator.schemes.base import Progress, Runner
from coordinator.schemes.registry import scheme_of
from departments.policies.policy import FIRM, Snapshot
from environment import Network

CHECKPOINT_SHARE = 0.05  # of the time, at most: short iterations are not each followed by a checkpoint

_KEPT = ("iteration", "benchmark", "cost", "events", "priced")  # of a diary in a checkpoint


class Diary:
    """Writes down what a scheme does, and shows it."""

    def __init__(
        self, run: RunFolder, training: Training, watcher: Watcher, replacements: HotSwap, engine: Engine
    ) -> None:
        self.run, self.training, self.watcher = run, training, watcher
        self.engine = engine
        self.replacements, self.mailbox = replacements, Mailbox(run.path)
        self.iteration, self.cost, self.benchmark, self.restarts = 0, float("nan"), float("nan"), 0
        self.events = 0
        self.due = 0.0  # when the next checkpoint is
        self.first, self.priced = dict(training.published), 0  # where training starts, and when `benchmark` was told

    def resume(self, network: Network, arrays: dict[str, NDArray[np.float32]], record: dict[str, Any]) -> Runner:
        """Go on from a checkpoint."""
        snapshots, states, critic = unpack(arrays, record["snapshots"])
        training, mine = self.training, record["diary"]
        training.spent, training.env_steps = mine["seconds"], mine["env_steps"]
        vars(self).update({key: mine.get(key, 0) for key in _KEPT})
        published = (s for role, s in snapshots.items() if role.startswith("published/"))
        training.published |= {snapshot.department: snapshot for snapshot in published}
        training.bring_back(states, critic)
        self.run.go_back_to(self.iteration, self.events)
        if "replacements" in record:
            self.replacements.resume(record["replacements"])
        self.watcher.note(f"resumed after iteration {self.iteration}")
        return scheme_of(training.settings.scheme).runner.resume(network, training, record["scheme"], snapshots)

    def follow(self, scheme: Runner) -> None:
        """Let a scheme teach until it is done, and write everything down."""
        if self.iteration == 0:
            started = self.training.published.values()
            self.benchmark = self.cost = float(self.training.selection_costs(*started).mean())
        scheme.run(self._watch, self._accepted, lambda: self._keep(scheme))
        self._keep(scheme, last=True)

    def _watch(self, progress: Progress) -> None:
        self.iteration += 1
        if progress.cost is not None:
            self.cost = progress.cost
            if self.priced != self.training.priced:  # a unit short is worth something else
                self.benchmark = float(self.training.selection_costs(*self.first.values()).mean())
                self.priced = self.training.priced
        result, moving = progress.result, self.training.multipliers
        measured = {
            name: {"version": result.snapshots[name].version} | update._asdict()
            for name, update in result.updates.items()
        } or {progress.department: {}}
        seen = RunIteration(
            iteration=self.iteration,
            seconds=self.training.seconds,
            env_steps=self.training.env_steps,
            who=progress.department,
            turn=progress.job,
            turn_iteration=progress.iteration,
            cost=self.cost,
            selected=progress.cost is not None,
            benchmark_cost=self.benchmark,
            departments=measured,
            critic=result.critic,
            service=[] if moving is None else moving.rows(),
        )
        for row in seen.service if moving is not None and moving.rounds % moving.config.every == 0 else ():
            self.run.append("service.csv", SERVICE, vars(seen) | dict(row))
        common = {**vars(seen), **result.critic, "job": progress.job, "cost": progress.cost}
        for name, own in measured.items():
            self.run.append("metrics.csv", METRICS, common | {"department": name} | own | self._of(name, seen.service))
        self.watcher.iteration(seen)

    def _of(self, department: str, service: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """What a department reaches of its targets, the one of a whole firm of all, and their multipliers: means."""
        own = [row for row in service if row["stock_point"] and department in (FIRM, row["stock_point"])]
        columns = {"service": "reached", "multiplier": "multiplier"} if own else {}
        return {name: float(np.mean([row[column] for row in own])) for name, column in columns.items()}

    def _accepted(self, snapshot: Snapshot, gain: float, error: float) -> None:
        settings = self.training.settings
        provenance = {"run": self.run.path.name, "scheme": settings.scheme, "seed": settings.seed}
        tested = {"gain": gain, "se": error} if gain == gain else {}
        self.run.save_snapshot(snapshot, provenance | tested)
        self._event("accepted", snapshot.department, snapshot.version, gain=gain, standard_error=error)
        if gain == gain:
            who = f"{snapshot.department} version {snapshot.version}"
            self.watcher.note(f"{who} accepted: saves {gain:.1f} ± {error:.1f} an episode")

    def _event(self, event: str, department: str = "", version: int | None = None, **more: Any) -> None:  # noqa: ANN401
        seen = RunEvent(event, self.iteration, self.training.seconds, department, version, **more)
        self.events += 1
        self.run.append("events.csv", EVENTS, {**vars(seen), **seen.about})
        self.watcher.event(seen)

    def _take_up(self, scheme: Runner, last: bool) -> None:
        """Carry out what was asked of the run; its effect and its answer stand in the next checkpoint."""
        for request in self.mailbox.pending():
            if request.id in self.replacements.answers:
                continue
            if last:
                self.replacements.too_late(request, self.iteration)
                continue
            answer, version, details = self.replacements.carry_out(request, scheme, self.iteration)
            event = {"swap": "swapped", "rollback": "rolled back"}[request.kind] if version is not None else "refused"
            asked = {"who": request.who, "why": request.why, "details": details}
            self._event(event, request.department, version, about=asked)
            self.watcher.note(answer["message"])

    def _keep(self, scheme: Runner, last: bool = False) -> None:
        """Write a checkpoint if one is due; whatever came after it is done again after a crash."""
        start, training = time.monotonic(), self.training
        if start < self.due and not last and not self.mailbox.pending():
            return
        self._take_up(scheme, last)
        while self.restarts < training.workers.restarts:
            self.restarts += 1
            self._event("restarted")
        plain, snapshots = scheme.record()
        published = {f"published/{name}": snapshot for name, snapshot in training.published.items()}
        arrays, about = pack(snapshots | published, *training.learner_states())
        diary = {key: getattr(self, key) for key in _KEPT}
        diary |= {"seconds": training.seconds, "env_steps": training.env_steps}
        swapped = self.replacements.record()
        record = {"scheme": plain, "snapshots": about, "diary": diary, "replacements": swapped, "engine": self.engine}
        self.run.keep(arrays, record)
        for request in self.mailbox.pending():
            if request.id in self.replacements.answers:
                self.mailbox.reply(self.replacements.answers[request.id])
        now = time.monotonic()
        self.due = now + (now - start) / CHECKPOINT_SHARE

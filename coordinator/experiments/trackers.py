"""Experiment trackers that follow a run: TensorBoard, Weights & Biases, MLflow. Each is imported when it is asked for.

All of them are told the same, over iterations: `cost` (or `profit`) and `benchmark_cost` when the policies were tried,
`env_steps`, `seconds`, `critic/NAME`, `department/NAME/kl` and the like, `department/NAME/accepted` with the version,
and at the end `result/POLICY`. What is no finite number is left out. Settings are the hyperparameters.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from coordinator.experiments.options import flat
from coordinator.runs.watcher import RunEvent, RunIteration, RunStart, Watcher
from coordinator.storage.files import write_atomically

Parameters = Mapping[str, bool | int | float | str]
_EVERY = 1.0  # seconds between two messages to an MLflow server


class Tracker(Watcher):
    """What a watcher hears as named numbers; how they are written is up to those that are made from it."""

    package = ""  # what is imported
    extra = ""  # of firmwide, that brings it

    def __init__(self) -> None:
        """Nothing is written yet.

        Raises:
            ValueError: its package is not installed.
        """
        try:
            self._api: Any = importlib.import_module(self.package)
        except ImportError as error:
            raise ValueError(f"--log {self.extra} needs `pip install 'firmwide[{self.extra}]'` ({error})") from None
        self._sign, self._word, self._last = 1.0, "cost", 0

    def begin(self, run: RunStart, parameters: Parameters) -> None:
        """Open what is written to, or open it again."""
        raise NotImplementedError

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write finite numbers of iteration `step`."""
        raise NotImplementedError

    def end(self, done: bool) -> None:
        """Write what is left; `done`: training was not broken off."""
        raise NotImplementedError

    def started(self, run: RunStart, settings: Mapping[str, Any]) -> None:
        """Settings become hyperparameters."""
        self._sign, self._word = (-1.0, "profit") if run.earns else (1.0, "cost")
        self._last = run.iterations
        known = {"firm": run.firm} | flat(settings)
        plain = {
            key: value if isinstance(value, bool | int | float | str) else str(value) for key, value in known.items()
        }
        self.begin(run, {key: value for key, value in plain.items() if known[key] is not None})

    def iteration(self, seen: RunIteration) -> None:
        """All that was measured."""
        self._last = seen.iteration
        found: dict[str, float] = {"seconds": seen.seconds, "env_steps": seen.env_steps}
        if seen.selected:
            found |= {self._word: self._sign * seen.cost, f"benchmark_{self._word}": self._sign * seen.benchmark_cost}
        found |= {f"critic/{name}": value for name, value in seen.critic.items()}
        self._log(found | flat({"department": seen.departments}, joint="/"))

    def event(self, event: RunEvent) -> None:
        """A new version, and what it gains."""
        if event.version is not None:
            self._log(
                flat({"department": {event.department: {event.event: event.version, "gain": event.gain}}}, joint="/")
            )

    def finished(self, result: Mapping[str, Any] | None) -> None:
        """The final comparison."""
        policies = (result or {}).get("policies", {})
        means = {f"result/{name}": of[self._word]["mean"] for name, of in policies.items() if self._word in of}
        means |= {f"result/{name}": of["result"] for name, of in policies.items() if "result" in of}  # of a trial
        self._log(means)
        self.end(result is not None)

    def _log(self, numbers: Mapping[str, float]) -> None:
        self.log(self._last, {name: float(value) for name, value in numbers.items() if math.isfinite(value)})


class TensorBoard(Tracker):
    """Event files in RUN/tensorboard."""

    package, extra = "tensorboardX", "tensorboard"

    def begin(self, run: RunStart, parameters: Parameters) -> None:
        """Steps that are done again after a crash take the place of the first ones."""
        again: dict[str, Any] = {"purge_step": run.iterations + 1} if run.iterations else {}
        again |= {"filename_suffix": f".{run.iterations}"}  # a run that goes on within a second has a file of its own
        self._writer = self._api.SummaryWriter(str(run.folder / "tensorboard"), flush_secs=10, **again)
        summary = importlib.import_module("tensorboardX.summary")
        for part in summary.hparams(dict(parameters), {self._word: 0.0})[:2]:
            self._writer.file_writer.add_summary(part)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """A scalar each."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def end(self, done: bool) -> None:
        """All is on disk."""
        self._writer.close()


class WeightsAndBiases(Tracker):
    """A run of the project `firmwide`; WANDB_MODE, WANDB_PROJECT and the like are heeded."""

    package, extra = "wandb", "wandb"

    def begin(self, run: RunStart, parameters: Parameters) -> None:
        """A run that goes on is the same one there."""
        identity = _identity(run, self.extra, lambda: uuid.uuid4().hex[:12])
        settings = {"name": run.folder.name, "group": run.firm, "config": dict(parameters), "id": identity}
        project = None if "WANDB_PROJECT" in os.environ else "firmwide"
        self._run = self._api.init(project=project, dir=str(run.folder), resume="allow", **settings)
        self._run.define_metric("*", step_metric="iteration")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """One row."""
        self._run.log({"iteration": step, **numbers})

    def end(self, done: bool) -> None:
        """Sent, or kept for `wandb sync`."""
        self._run.finish(exit_code=0 if done else 1)


class MLflow(Tracker):
    """A run of the experiment `firmwide`; MLFLOW_TRACKING_URI says where."""

    package, extra = "mlflow", "mlflow"

    def begin(self, run: RunStart, parameters: Parameters) -> None:
        """A run that goes on is the same one there, with the parameters that it had."""
        self._client, self._waiting, self._due = self._api.MlflowClient(), list[Any](), 0.0
        self._id = _identity(run, self.extra, lambda: self._created(run, parameters))
        self._client.update_run(self._id, status="RUNNING")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Together with what came in the last second."""
        now = int(time.time() * 1000)
        self._waiting += [self._api.entities.Metric(name, value, now, step) for name, value in numbers.items()]
        if time.monotonic() >= self._due:
            self._send()

    def end(self, done: bool) -> None:
        """All is sent."""
        self._send()
        self._client.set_terminated(self._id, "FINISHED" if done else "KILLED")

    def _created(self, run: RunStart, parameters: Parameters) -> str:
        found = self._client.get_experiment_by_name("firmwide")
        experiment = found.experiment_id if found else self._client.create_experiment("firmwide")
        identity = str(self._client.create_run(experiment, run_name=run.folder.name).info.run_id)
        values = [self._api.entities.Param(key, str(value)[:500]) for key, value in parameters.items()]
        for first in range(0, len(values), 100):  # as many as it takes at a time
            self._client.log_batch(identity, params=values[first : first + 100])
        return identity

    def _send(self) -> None:
        for first in range(0, len(self._waiting), 1000):
            self._client.log_batch(self._id, metrics=self._waiting[first : first + 1000])
        self._waiting, self._due = [], time.monotonic() + _EVERY


TRACKERS: dict[str, type[Tracker]] = {kind.extra: kind for kind in (TensorBoard, WeightsAndBiases, MLflow)}


def trackers(names: Iterable[str]) -> list[Watcher]:
    """The trackers that `--log` names.

    Raises:
        ValueError: there is none of that name, or its package is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"--log must be {', '.join(TRACKERS)}, got {name!r}")
    return [TRACKERS[name]() for name in dict.fromkeys(names)]


def _identity(run: RunStart, name: str, create: Callable[[], str]) -> str:
    """What a tracker elsewhere calls the run: created the first time, then kept in the run folder."""
    file = run.folder / "trackers.json"
    known: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    if name not in known:
        known[name] = create()
        write_atomically(file, json.dumps(known) + "\n")
    return known[name]

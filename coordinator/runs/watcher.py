"""Whoever follows a training run: the terminal, experiment trackers, a class of your own.

A watcher hears `started` first, also when a run goes on from its checkpoint; then `note`, `iteration` and `event` as
things happen; `finished` last. It is asked nothing and changes no result. Methods that it leaves out do nothing:

    class Costs(firmwide.Watcher):
        def iteration(self, seen: firmwide.RunIteration) -> None:
            print(seen.iteration, seen.cost)

After `--resume`, up to the last few iterations are told a second time, as they are done again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self


@dataclass(frozen=True)
class RunStart:
    """Which run begins, or goes on."""

    folder: Path
    firm: str
    scheme: str
    seed: int
    earns: bool  # results are profits, which are negative costs
    iterations: int = 0  # that were done before; 0: a new run


@dataclass(frozen=True)
class RunIteration:
    """One iteration of learning. Money is that of an episode; of a firm that earns, costs are negative profits."""

    iteration: int  # of the run, from 1
    seconds: float  # of wall time on the run
    env_steps: int
    who: str  # learns, for people
    turn: int  # of departments that take turns, from 1; 0 where all learn at once
    turn_iteration: int
    cost: float  # of the firm on selection episodes, the last that is known
    selected: bool  # `cost` is of this iteration
    benchmark_cost: float  # on the same episodes, of the policies that the run began with
    departments: Mapping[str, Mapping[str, float]]  # what was measured of each learner, as in metrics.csv; NaN: nothing
    critic: Mapping[str, float]
    service: Sequence[Mapping[str, Any]] = ()  # of each service target, as in service.csv, as it was last measured


@dataclass(frozen=True)
class RunEvent:
    """Something that stands in events.csv: `accepted`, `swapped`, `rolled back`, `refused` or `restarted`."""

    event: str
    iteration: int
    seconds: float
    department: str = ""
    version: int | None = None  # of its policy
    gain: float = float("nan")  # money an episode that an accepted policy saves, where it was tested
    standard_error: float = float("nan")
    about: Mapping[str, object] = field(default_factory=dict)  # of what somebody asked for: who, why, details


class Watcher(Protocol):
    """Follows a training run; a class that names it as its base needs only the methods that it cares for."""

    def started(self, run: RunStart, settings: Mapping[str, Any]) -> None:
        """A run begins or goes on, with its settings resolved, nested and as plain values."""
        return

    def note(self, line: str) -> None:
        """Something happened once, for people: an actor is ready, a policy was accepted."""
        return

    def iteration(self, seen: RunIteration) -> None:
        """An iteration is done."""
        return

    def event(self, event: RunEvent) -> None:
        """Something happened that decides what comes, for machines."""
        return

    def finished(self, result: Mapping[str, Any] | None) -> None:
        """All is done and `result` stands in result.json; None: training was broken off. Nothing follows."""
        return


class Watchers(Watcher):
    """Several watchers as one. Who raises is left out from then on, with one line; the run goes on.

    As a context it sees to it that everybody hears the end.
    """

    def __init__(self, watchers: Iterable[Watcher]) -> None:
        """Tell all these, in this order."""
        self._watchers = list(watchers)
        self._open = True

    def __enter__(self) -> Self:
        """Nothing happens yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Training was broken off, unless all is done."""
        if self._open:
            self.finished(None)

    def started(self, run: RunStart, settings: Mapping[str, Any]) -> None:
        """See `Watcher`."""
        self._tell(lambda watcher: watcher.started(run, settings))

    def note(self, line: str) -> None:
        """See `Watcher`."""
        self._tell(lambda watcher: watcher.note(line))

    def iteration(self, seen: RunIteration) -> None:
        """See `Watcher`."""
        self._tell(lambda watcher: watcher.iteration(seen))

    def event(self, event: RunEvent) -> None:
        """See `Watcher`."""
        self._tell(lambda watcher: watcher.event(event))

    def finished(self, result: Mapping[str, Any] | None) -> None:
        """See `Watcher`."""
        self._open = False
        self._tell(lambda watcher: watcher.finished(result))

    def _tell(self, what: Callable[[Watcher], None]) -> None:
        for watcher in list(self._watchers):
            try:
                what(watcher)
            except Exception as error:
                self._watchers.remove(watcher)
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                line = "%s failed and watches no longer; training goes on (%s)"
                logging.getLogger("firmwide").warning(line, type(watcher).__name__, reason)

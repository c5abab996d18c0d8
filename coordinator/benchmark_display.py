"""How a benchmark shows itself: what is done, what runs, and an honest guess at the time left. On stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coordinator.trial import Finished, Trial, share_done

_EVERY = 30.0  # seconds between plain lines about the time left
_LEAST_SHARE = 0.02  # of a trial: before that nobody can tell how long it takes


class Forecast:
    """The time left, from trials that are finished and from how far the running ones are."""

    def __init__(self, trials: Sequence[Trial], finished: Collection[Path]) -> None:
        """All trials of a benchmark, and the folders of those that are finished already."""
        self.open = {trial.folder: trial for trial in trials if trial.folder not in finished}
        self._seconds: dict[tuple[str, str], list[float]] = {}

    def learn(self, trial: Trial, result: Finished | None) -> None:
        """A trial is finished, or has failed (None)."""
        self.open.pop(trial.folder, None)
        if result is not None:
            took = result.about["seconds"] + result.about["evaluation_seconds"]
            self._seconds.setdefault((trial.firm.name, trial.scheme), []).append(took)

    def left(self, slots: int) -> float | None:
        """Seconds until all is done with `slots` trials at a time; None while there is nothing to go by."""
        begun: dict[Path, tuple[float, float]] = {}
        for trial in self.open.values():
            if (so_far := share_done(trial)) is not None:
                begun[trial.folder] = so_far
        known = {kind: sum(took) / len(took) for kind, took in self._seconds.items() if kind[1] != "rules"}
        for folder, (share, seconds) in begun.items():
            trial = self.open[folder]
            if share >= _LEAST_SHARE:
                known.setdefault((trial.firm.name, trial.scheme), seconds / share)
        if not known:
            return None
        average = sum(known.values()) / len(known)
        left = []
        for folder, trial in self.open.items():
            alike = [took for (firm, _), took in known.items() if firm == trial.firm.name] or [average]
            whole = known.get((trial.firm.name, trial.scheme), sum(alike) / len(alike))
            done = begun.get(folder, (0.0, 0.0))
            left.append(max(whole - done[1], 0.0) if done[0] < 1.0 else 0.0)
        return max(sum(left) / max(slots, 1), max(left, default=0.0))


class BenchmarkDisplay:
    """A live panel on a terminal, plain lines when piped."""

    def __init__(self, trials: Sequence[Trial], finished: Collection[Path], quiet: bool = False) -> None:
        """Show a benchmark of which some trials are finished already."""
        self._all, self._kept, self._quiet = len(trials), len(finished), quiet
        self._forecast = Forecast(trials, finished)
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=2) if sys.stderr.isatty() and not quiet else None
        self._notes: deque[str] = deque(maxlen=8)
        self._started, self._last_line, self._failed, self._slots = time.monotonic(), time.monotonic(), 0, 1

    def __enter__(self) -> Self:
        """Take the terminal."""
        if self._live:
            self._live.start()
        if self._kept:
            self.note(f"{self._kept} of {self._all} trials are finished already")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        if self._live:
            self._live.stop()

    def note(self, line: str) -> None:
        """Something happened once."""
        stamped = f"{time.monotonic() - self._started:7.1f}s  {line}"
        self._notes.append(stamped)
        if self._live:
            self._live.update(self._panel())
        elif not self._quiet:
            self._console.print(stamped, markup=False, soft_wrap=True)

    def done(self, trial: Trial, result: Finished) -> None:
        """A trial is finished."""
        self._forecast.learn(trial, result)
        for policy, measures in result.about["policies"].items():
            name = f"{trial.firm.name}, {policy}" if trial.settings is None else trial.name
            took = "" if trial.settings is None else f" in {result.about['seconds']:.0f}s"
            self.note(f"{name}: {result.about['unit']} {measures['result']:,.1f} ± {measures['se']:.1f}{took}")

    def failed(self, trial: Trial, reason: str) -> None:
        """A trial failed; the others go on."""
        self._forecast.learn(trial, None)
        self._failed += 1
        self.note(f"{trial.name} failed: {reason}")

    def tick(self, slots: int) -> None:
        """Called about once a second, with the number of trials that can run at a time."""
        self._slots = slots
        if self._live:
            self._live.update(self._panel())
        elif not self._quiet and time.monotonic() - self._last_line > _EVERY:
            self._last_line = time.monotonic()
            self.note(f"{self._counts()}, {self._time_left()}")

    def _counts(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._all - len(self._forecast.open) - self._failed} of {self._all} trials finished{failed}"

    def _time_left(self) -> str:
        if not self._forecast.open:
            return "nothing left"
        left = self._forecast.left(self._slots)
        if left is None:
            return "time left not known before a trial has got somewhere"
        hours, minutes = divmod(round(left / 60), 60)
        shown = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min" if minutes else "less than a minute"
        return f"about {shown} left" if minutes or hours else f"{shown} left"

    def _panel(self) -> Group:
        table = Table(title="benchmark", show_header=False, title_justify="left", box=None, padding=(0, 2, 0, 0))
        table.add_row(Text("trials", style="dim"), self._counts())
        table.add_row(Text("time", style="dim"), f"{time.monotonic() - self._started:.0f}s, {self._time_left()}")
        for trial in list(self._forecast.open.values())[: self._slots]:
            so_far = share_done(trial)
            shown = "" if so_far is None else f"{so_far[0]:4.0%}  {so_far[1]:.0f}s"
            table.add_row(Text(trial.name, style="dim"), shown)
        return Group(table, *(Text(note, style="dim") for note in self._notes))

"""How a benchmark shows itself: what is done, what runs, and an honest guess at the time left. On stderr."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from coordinator.experiments.display import Panel
from coordinator.experiments.trial import Finished, Trial, share_done

_EVERY = 30.0  # seconds between plain lines about the time left
_LEAST_SHARE = 0.02  # of a trial: before that nobody can tell how long it takes
_TICK = 0.01  # seconds: the shortest trial that is told apart
_TURNS = 8  # of the fit of firms and schemes
Kind = tuple[str, str]  # firm, scheme


class Forecast:
    """The time left, from trials that are finished and from how far the running ones are.

    How long a trial takes is taken to be (something of the firm) x (something of the scheme), so that a few finished
    trials tell about all; times how much longer recent and running trials take than that, as machines change their
    pace. Trials are then laid on the free places in the order of the plan.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        finished: Mapping[Path, Finished],
        so_far: Callable[[Trial], tuple[float, float] | None] = share_done,
    ) -> None:
        """All trials of a benchmark, those that are finished already by folder, and what tells how far one is."""
        self.open = {trial.folder: trial for trial in trials}
        self._so_far = so_far
        self._took: list[tuple[Trial, float]] = []
        self._end: dict[Kind, list[float]] = {}  # shares of the budget at which schemes have ended
        for trial in trials:
            if trial.folder in finished:
                self.learn(trial, finished[trial.folder])

    def learn(self, trial: Trial, result: Finished | None) -> None:
        """A trial is finished, or has failed (None)."""
        self.open.pop(trial.folder, None)
        if result is not None:
            self._took.append((trial, result.about["seconds"] + result.about["evaluation_seconds"]))
            share, _ = self._so_far(trial) or (1.0, 0.0)
            self._end.setdefault(_kind(trial), []).append(share)

    def left(self, slots: int) -> float | None:
        """Seconds until all is done with `slots` trials at a time; None while there is nothing to go by."""
        running = {}
        for folder, trial in self.open.items():
            share, seconds = self._so_far(trial) or (0.0, 0.0)
            if share >= _LEAST_SHARE:
                ends = self._end.get(_kind(trial), [1.0])
                running[folder] = (seconds, seconds * max(sum(ends) / len(ends), share) / share)
        samples = [(trial, took) for trial, took in self._took if trial.settings is not None]
        samples += [(self.open[folder], whole) for folder, (_, whole) in running.items()]
        if not samples and any(trial.settings and _wall_time(trial) is None for trial in self.open.values()):
            return None
        usual = _usual(self._took + samples[-len(running) :] if running else self._took)
        latest = samples[-len(running) - 2 * max(slots, 1) :]
        pace = math.exp(_mean(math.log(max(took, _TICK) / usual(trial)) for trial, took in latest))
        rest = [whole - seconds for seconds, whole in running.values()]
        rest += [usual(trial) * pace for folder, trial in self.open.items() if folder not in running]
        places = [0.0] * max(slots, 1)
        for seconds in rest:
            heapq.heapreplace(places, places[0] + seconds)
        return max(places)


def _kind(trial: Trial) -> Kind:
    return trial.firm.name, trial.scheme


def _usual(samples: Sequence[tuple[Trial, float]]) -> Callable[[Trial], float]:
    """Seconds of any trial, from log seconds = firm + scheme, fitted in turns.

    An unknown firm takes as long as the known ones for each stock point; an unknown scheme as long as the known ones.
    Where wall time is the budget, all trials take as long.
    """
    timed = [took for trial, took in samples if _wall_time(trial) is not None]
    logs = [(trial, math.log(max(took, _TICK))) for trial, took in samples]
    firms = {trial.firm.name: 0.0 for trial, _ in logs}
    schemes = {trial.scheme: 0.0 for trial, _ in logs}
    for _ in range(_TURNS):
        for name in firms:
            firms[name] = _mean(log - schemes[trial.scheme] for trial, log in logs if trial.firm.name == name)
        for name in schemes:
            schemes[name] = _mean(log - firms[trial.firm.name] for trial, log in logs if trial.scheme == name)
    size = {trial.firm.name: _size(trial) for trial, _ in logs}
    per_size = _mean(value - size[name] for name, value in firms.items())
    scheme = _mean(schemes[trial.scheme] for trial, _ in logs if trial.settings is not None)

    def usual(trial: Trial) -> float:
        if (wall_time := _wall_time(trial)) is not None:
            return _mean(timed) or wall_time
        firm = firms.get(trial.firm.name, per_size + _size(trial))
        return math.exp(firm + schemes.get(trial.scheme, scheme))

    return usual


def _wall_time(trial: Trial) -> float | None:
    return trial.settings.seconds if trial.settings else None


def _size(trial: Trial) -> float:
    return math.log(len(trial.firm.names))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


class BenchmarkDisplay:
    """A live panel on a terminal, plain lines when piped."""

    def __init__(self, trials: Sequence[Trial], finished: Mapping[Path, Finished], quiet: bool = False) -> None:
        """Show a benchmark of which some trials are finished already."""
        self._all, self._forecast = len(trials), Forecast(trials, finished)
        self._panel = Panel(quiet, notes=8)
        self._last_line, self._failed, self._slots = time.monotonic(), 0, 1
        self.note, self.close = self._panel.note, self._panel.close
        if finished:
            self.note(f"{len(finished)} of {self._all} trials are finished already")

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
        passed = time.monotonic() - self._panel.started
        rows = [("trials", self._counts()), ("time", f"{passed:.0f}s, {self._time_left()}")]
        for trial in list(self._forecast.open.values())[:slots]:
            so_far = share_done(trial)
            rows.append((trial.name, "" if so_far is None else f"{so_far[0]:4.0%}  {so_far[1]:.0f}s"))
        if not self._panel.show("benchmark", rows) and time.monotonic() - self._last_line > _EVERY:
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

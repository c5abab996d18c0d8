"""How a run shows itself: a live panel on a terminal, plain lines when piped. Everything goes to stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coordinator.learning.iterations import Training
from coordinator.schemes.imarl import Progress

_BARS = "▁▂▃▄▅▆▇█"
_EVERY = 10.0  # seconds between plain lines


class Display:
    """A watcher of a run, for people."""

    def __init__(self, title: str, quiet: bool = False, earns: bool = False) -> None:
        """Show the run called `title`; `earns`: its results are profits, which are negative costs."""
        self._sign, self._word = (-1.0, "profit") if earns else (1.0, "cost")
        self._title, self._quiet, self._started = title, quiet, time.monotonic()
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=4) if sys.stderr.isatty() and not quiet else None
        self._notes: deque[str] = deque(maxlen=6)
        self._costs: deque[float] = deque(maxlen=48)
        self._last_line, self._first_step = 0.0, (0.0, 0)
        self._rows: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        """Take the terminal."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back, the last state left on it."""
        if self._live:
            self._live.stop()

    def note(self, line: str) -> None:
        """Something happened once."""
        stamped = f"{time.monotonic() - self._started:6.1f}s  {line}"
        self._notes.append(stamped)
        if self._live:
            self._live.update(self._panel())
        elif not self._quiet:
            self._console.print(stamped, markup=False)

    def iteration(self, progress: Progress, training: Training, cost: float, benchmark: float) -> None:
        """An iteration is done."""
        if self._first_step[1] == 0:
            self._first_step = (training.seconds, training.env_steps)
        if progress.cost is not None:
            self._costs.append(self._sign * progress.cost)
        saving = 100.0 * (benchmark - cost) / abs(benchmark) if benchmark else 0.0
        money, start = self._sign * cost, self._sign * benchmark
        elapsed = training.seconds - self._first_step[0]
        rate = (training.env_steps - self._first_step[1]) / elapsed if elapsed > 0 else 0.0
        update = next(iter(progress.result.updates.values()))
        budget = training.settings.seconds
        self._rows = [
            ("department", f"{progress.department}   turn {progress.job}, iteration {progress.iteration}"),
            (self._word, f"{money:,.1f}   benchmark {start:,.1f}   better by {saving:+.2f}%"),
            ("learning", f"kl {update.kl:.4f}   clipped {update.clip_fraction:.0%}   entropy {update.entropy:.2f}"),
            ("throughput", f"{rate:,.0f} environment steps a second, {training.env_steps:,} in all"),
            ("time", f"{training.seconds:.0f}s" + (f" of {budget:.0f}s" if budget else "")),
        ]
        if self._live:
            self._live.update(self._panel())
        elif not self._quiet and training.seconds - self._last_line >= _EVERY:
            self._last_line = training.seconds
            result = f"{self._word} {money:,.1f} ({saving:+.2f}%)"
            line = f"{progress.department} {progress.iteration}  {result}  {rate:,.0f} steps/s"
            self._console.print(f"{time.monotonic() - self._started:6.1f}s  {line}", markup=False)

    def _panel(self) -> Group:
        table = Table(title=self._title, show_header=False, title_justify="left", box=None, padding=(0, 2, 0, 0))
        for name, value in self._rows:
            table.add_row(Text(name, style="dim"), value)
        if len(self._costs) > 1:
            low, high = min(self._costs), max(self._costs)
            scale = (len(_BARS) - 1) / max(high - low, 1e-9)
            bars = "".join(_BARS[int((value - low) * scale)] for value in self._costs)
            table.add_row(Text(f"{self._word} so far", style="dim"), f"{bars}  {low:,.0f} to {high:,.0f}")
        return Group(table, *(Text(note, style="dim") for note in self._notes))

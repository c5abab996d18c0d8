"""How a run shows itself: a live panel on a terminal, plain lines when piped. Everything goes to stderr."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coordinator.runs.watcher import RunIteration, RunStart, Watcher

_BARS = "▁▂▃▄▅▆▇█"
_TARGETS = 3  # of service that are shown
_EVERY = 10.0  # seconds between plain lines
_LEARNING = {  # what is shown of a learner where it was measured
    "kl": "kl {:.4f}",
    "clip_fraction": "clipped {:.0%}",
    "entropy": "entropy {:.2f}",
    "grad_norm": "gradient {:.3g}",
    "learning_rate": "rate {:.2g}",
}


class Panel:
    """A table under a title with the last notes below it, in place on a terminal; elsewhere notes are plain lines."""

    def __init__(self, quiet: bool = False, notes: int = 6) -> None:
        """Nothing is shown yet; `quiet`: nothing ever will be."""
        self.quiet, self.started = quiet, time.monotonic()
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=4) if sys.stderr.isatty() and not quiet else None
        self._notes: deque[str] = deque(maxlen=notes)
        self._title, self._rows = "", list[tuple[str, str]]()

    def show(self, title: str, rows: list[tuple[str, str]]) -> bool:
        """Show these rows, names beside values; whether there is a terminal for it."""
        self._title, self._rows = title, rows
        if self._live:
            self._live.start()
            self._live.update(self._drawn())
        return self._live is not None

    def note(self, line: str) -> None:
        """Show a line with the time that has passed."""
        stamped = f"{time.monotonic() - self.started:6.1f}s  {line}"
        self._notes.append(stamped)
        if not self.show(self._title, self._rows) and not self.quiet:
            self._console.print(stamped, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Give the terminal back, the last state left on it."""
        if self._live:
            self._live.stop()

    def _drawn(self) -> Group:
        table = Table(title=self._title, show_header=False, title_justify="left", box=None, padding=(0, 2, 0, 0))
        for name, value in self._rows:
            table.add_row(Text(name, style="dim"), value)
        return Group(table, *(Text(note, style="dim") for note in self._notes))


def _service(rows: Sequence[Mapping[str, Any]]) -> str:
    """A cap on emissions, and service targets, the one missed by most first: what is reached, and the multiplier."""
    served = sorted((row for row in rows if row["stock_point"]), key=lambda row: row["reached"] - row["target"])
    texts = ["{measure} {reached:,.1f} of {target:,g}".format(**row) for row in rows if not row["stock_point"]]
    texts += ["{stock_point} {product} {reached:.4f} of {target:g}".format(**row) for row in served]
    worth = [row["multiplier"] for row in rows if not row["stock_point"]] + [row["multiplier"] for row in served]
    text = "   ".join(f"{told} at {each:.3g}" for told, each in list(zip(texts, worth, strict=True))[:_TARGETS])
    return f"{text}   and {len(rows) - _TARGETS} more" if len(rows) > _TARGETS else text


class Display(Watcher):
    """A watcher of a run, for people."""

    def __init__(self, quiet: bool = False) -> None:
        """Show one run."""
        self._panel, self._title, self._budget = Panel(quiet), "", None
        self._sign, self._word = 1.0, "cost"
        self._costs: deque[float] = deque(maxlen=48)
        self._last_line, self._first_step = 0.0, (0.0, 0)

    def started(self, run: RunStart, settings: Mapping[str, Any]) -> None:
        """Take the terminal."""
        self._title, self._budget = f"{run.firm}, {run.scheme} into {run.folder}", settings["seconds"]
        self._sign, self._word = (-1.0, "profit") if run.earns else (1.0, "cost")
        self._panel.show(self._title, [])

    def note(self, line: str) -> None:
        """A line with the time that has passed."""
        self._panel.note(line)

    def iteration(self, seen: RunIteration) -> None:
        """Everything anew on a terminal, a line now and then elsewhere."""
        if self._first_step[1] == 0:
            self._first_step = (seen.seconds, seen.env_steps)
        if seen.selected:
            self._costs.append(self._sign * seen.cost)
        benchmark = seen.benchmark_cost
        saving = 100.0 * (benchmark - seen.cost) / abs(benchmark) if benchmark else 0.0
        money, start = self._sign * seen.cost, self._sign * benchmark
        elapsed = seen.seconds - self._first_step[0]
        rate = (seen.env_steps - self._first_step[1]) / elapsed if elapsed > 0 else 0.0
        learner = next(iter(seen.departments.values()))
        known = {key: learner[key] for key in _LEARNING if math.isfinite(learner.get(key, math.nan))}
        learning = [_LEARNING[key].format(value) for key, value in known.items()]
        rows = [
            ("department", f"{seen.who}   turn {seen.turn}, iteration {seen.turn_iteration}"),
            (self._word, f"{money:,.1f}   benchmark {start:,.1f}   better by {saving:+.2f}%"),
            ("learning", "   ".join(learning)),
            ("throughput", f"{rate:,.0f} environment steps a second, {seen.env_steps:,} in all"),
            ("time", f"{seen.seconds:.0f}s" + (f" of {self._budget:.0f}s" if self._budget else "")),
        ]
        if seen.service and math.isfinite(seen.service[0]["reached"]):
            rows.insert(2, ("service", _service(seen.service)))
        if len(self._costs) > 1:
            low, high = min(self._costs), max(self._costs)
            scale = (len(_BARS) - 1) / max(high - low, 1e-9)
            bars = "".join(_BARS[int((value - low) * scale)] for value in self._costs)
            rows.append((f"{self._word} so far", f"{bars}  {low:,.0f} to {high:,.0f}"))
        if not self._panel.show(self._title, rows) and seen.seconds - self._last_line >= _EVERY:
            self._last_line = seen.seconds
            result = f"{self._word} {money:,.1f} ({saving:+.2f}%)"
            self.note(f"{seen.who} {seen.turn_iteration}  {result}  {rate:,.0f} steps/s")

    def finished(self, result: Mapping[str, Any] | None) -> None:
        """Give the terminal back."""
        self._panel.close()

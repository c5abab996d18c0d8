"""A training run for Prometheus: what its folder says, read on from where the last scrape ended."""

from __future__ import annotations

import csv
import io
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client.core import Metric

from coordinator.monitoring.registry import Families, Told
from coordinator.runs.folder import RunFolder
from coordinator.schemes.registry import scheme_of

Row = Mapping[str, str]
_LEARNER = {
    "learning_rate": "firmwide_learner_learning_rate",
    "kl": "firmwide_learner_kl_nats",
    "entropy": "firmwide_learner_entropy_nats",
    "clip_fraction": "firmwide_learner_clip_ratio",
    "grad_norm": "firmwide_learner_gradient_norm",
}
_CRITIC = {
    "value_loss": "firmwide_run_value_loss",
    "explained_variance": "firmwide_run_explained_variance_ratio",
}


class Tail:
    """New rows of a csv file that grows, or that is replaced when the run is resumed."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Read nothing yet; the file must have these columns."""
        self._path, self._columns = path, set(columns)
        self.start_over()

    def start_over(self) -> None:
        """Read everything again next time."""
        self._at, self._file, self._header = 0, -1, list[str]()

    def read(self) -> tuple[bool, list[Row]]:
        """Whether the file is another one, so that all rows come again, and the rows that are new.

        Raises:
            ValueError: one line; the file is missing or damaged.
        """
        try:
            with self._path.open("rb") as file:
                about = self._path.stat()
                anew = about.st_ino != self._file or about.st_size < self._at
                if anew:
                    self.start_over()
                    self._file = about.st_ino
                file.seek(self._at)
                whole, _, _ = file.read().rpartition(b"\n")  # a line that is being written waits
            lines = list(csv.reader(io.StringIO(whole.decode(), newline="")))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self._path} cannot be read: {error}") from None
        self._at += len(whole) + 1 if whole else 0
        if lines and not self._header:
            self._header, lines = lines[0], lines[1:]
            if missing := sorted(self._columns - set(self._header)):
                raise ValueError(f"{self._path} is damaged: its header lacks {', '.join(missing)}")
        if any(len(line) != len(self._header) for line in lines):
            raise ValueError(f"{self._path} is damaged: a row has not as many columns as the header")
        return anew, [dict(zip(self._header, line, strict=True)) for line in lines]


class RunCollector(Told):
    """A training run: its folder is read at every scrape."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        """Open a run.

        Raises:
            ValueError: one line; this is no run folder.
        """
        run = RunFolder(path)
        super().__init__("run", path.resolve().name, "can be read again", report)
        self._path = path
        self._firm, self._settings = run.firm(), run.settings()
        self._metrics = Tail(path / "metrics.csv", ("iteration", "seconds", "env_steps", "department"))
        self._events = Tail(path / "events.csv", ("event", "department", "gain"))
        self._turn = threading.Lock()  # several may scrape at once
        self._last: Row = {}
        self._of: dict[str, Row] = {}
        self._known: dict[str, float] = {}
        self._updates, self._accepted, self._restarts = Counter[str](), Counter[str](), 0
        self._gains: dict[str, float] = {}
        self._highest: dict[tuple[str, ...], float] = {}

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        with self._turn:
            return super().collect()

    def tell(self, found: Families) -> None:
        """All metrics of a run."""
        try:
            self._read()
            self._tell(found)
        except ValueError:
            self._metrics.start_over()
            self._events.start_over()
            raise

    def _read(self) -> None:
        anew, rows = self._metrics.read()
        if anew:
            self._last, self._of, self._known = {}, {}, {}
            self._updates.clear()
        for row in rows:
            self._last, self._of[row["department"]] = row, row
            self._updates[row["department"]] += 1
            self._known |= {key: float(row[key]) for key in ("cost", "benchmark_cost") if row.get(key)}
        anew, events = self._events.read()
        if anew:
            self._accepted.clear()
            self._gains, self._restarts = {}, 0
        for row in events:
            if row["event"] == "accepted":
                self._accepted[row["department"]] += 1
                self._gains[row["department"]] = float(row["gain"] or "nan")
            elif row["event"] == "restarted":
                self._restarts += 1

    def _grown(self, found: Families, name: str, value: float, *labels: str) -> None:
        """A counter. After a resumption at most one iteration is done again; until then it stands still."""
        key = (name, *labels)
        self._highest[key] = max(value, self._highest.get(key, 0.0))
        found.set(name, self._highest[key], *labels)

    def _tell(self, found: Families) -> None:
        run, settings = self.name, self._settings
        about = {"firm": self._firm.name, "scheme": settings.scheme, "seed": str(settings.seed)}
        found.tell("firmwide_run", about, run)
        found.set("firmwide_run_finished", (self._path / "result.json").is_file(), run)
        try:
            written = (self._path / "metrics.csv").stat().st_mtime
        except OSError as error:
            raise ValueError(f"{self._path} cannot be read: {error}") from None
        found.set("firmwide_run_written_timestamp_seconds", written, run)
        self._grown(found, "firmwide_run_iterations", _number(self._last, "iteration") or 0.0, run)
        self._grown(found, "firmwide_run_env_steps", _number(self._last, "env_steps") or 0.0, run)
        self._grown(found, "firmwide_run_worker_restarts", self._restarts, run)
        found.set("firmwide_run_duration_seconds", _number(self._last, "seconds"), run)
        for key, value in self._known.items():
            found.set(f"firmwide_run_{key}", value, run)
        for key, name in _CRITIC.items():
            found.set(name, _number(self._last, key), run)
        for department, row in self._of.items():
            if law := scheme_of(settings.scheme).law(settings, department):
                shown = {name: f"{value:g}" for name, value in law if law.decay or name != "delay"}
                found.tell("firmwide_learner_step_law", shown, run, department)
            for key, name in _LEARNER.items():
                found.set(name, _number(row, key), run, department)
            self._grown(found, "firmwide_learner_updates", self._updates[department], run, department)
            self._grown(found, "firmwide_learner_accepted", self._accepted[department], run, department)
        for department, gain in self._gains.items():
            found.set("firmwide_learner_last_gain", None if math.isnan(gain) else gain, run, department)


def _number(row: Row, key: str) -> float | None:
    """A column's value; None where there is none: it is empty, not a number, or the run's columns lack it."""
    value = float(row.get(key) or "nan")
    return None if math.isnan(value) else value

"""A benchmark folder as it is found: what is finished, what is missing and why. Nothing in it is changed.

Firms and schemes are what the folder holds; `asked.json` adds what was asked for and is not there yet. Folders of
versions that wrote no `asked.json` or no samples are read too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.experiments.tables import SAVING, Row, mean_and_half, rows_of
from coordinator.experiments.trial import RULES, Finished, finished, samples_of
from coordinator.runs.folder import RunFolder
from coordinator.schemes.registry import names
from environment.grid import GRID

REPORT = "report.html"
_NEEDED = ("firm", "scheme", "seed", "unit", "episodes", "policies", "seconds")  # of every result.json
ASKED = "asked.json"


@dataclass(frozen=True)
class Missing:
    """A trial that was asked for, or begun, and is not finished."""

    firm: str
    scheme: str
    seed: str  # empty for the rules
    why: str

    def __str__(self) -> str:
        """For people."""
        seed = f" seed {self.seed}" if self.seed else ""
        return f"{self.firm} {self.scheme}{seed}: {self.why}"


@dataclass(frozen=True)
class Saving:
    """What a scheme saves over a rule, in %, over its trials."""

    trials: int
    best: float
    best_se: float  # over episodes
    best_seed: int
    mean: float
    half: float  # of the 95% interval over trials, NaN for one


@dataclass(frozen=True)
class BenchmarkFolder:
    """What a report is made from."""

    path: Path
    marks: Mapping[str, Any]  # benchmark.json
    asked: Sequence[Mapping[str, Any]]  # the commands, in their order
    trials: Mapping[str, Sequence[Finished]]  # by firm
    schemes: Mapping[str, Sequence[str]]  # of the finished trials, by firm
    rows: Mapping[str, Sequence[Row]]  # of results.csv, by firm
    missing: Sequence[Missing]

    @property
    def all_schemes(self) -> list[str]:
        """Of any firm."""
        return in_order({scheme for some in self.schemes.values() for scheme in some})

    def rules(self, firm: str) -> list[str]:
        """The rules that were played, in the order of the table."""
        return [row["policy"] for row in self.rows[firm] if row["scheme"] == RULES]

    def of(self, firm: str, scheme: str) -> list[Row]:
        """The trials of a scheme."""
        return [row for row in self.rows[firm] if row["scheme"] == scheme]

    def saving(self, firm: str, scheme: str, rule: str) -> Saving | None:
        """What a scheme saves over a rule; None where nothing can be said."""
        rows = [row for row in self.of(firm, scheme) if math.isfinite(row.get(SAVING + rule, math.nan))]
        if not rows:
            return None
        best = max(rows, key=lambda row: float(row[SAVING + rule]))
        mean, half = mean_and_half([row[SAVING + rule] for row in rows])
        return Saving(len(rows), best[SAVING + rule], best[f"{SAVING}{rule} se"], best["seed"], mean, half)

    def savings(self, firm: str, rule: str) -> dict[str, Saving]:
        """What each scheme saves over a rule, where something can be said."""
        return {scheme: found for scheme in self.schemes[firm] if (found := self.saving(firm, scheme, rule))}

    def best(self, firm: str, rules: bool = False) -> Row | None:
        """The trial, or the rule, with the best result on the report's episodes."""
        rows = [row for row in self.rows[firm] if (row["scheme"] == RULES) == rules]
        sign = 1.0 if rows and rows[0]["unit"] == "profit" else -1.0
        return max(rows, key=lambda row: sign * float(row["result"]), default=None)

    def best_of(self, firm: str, scheme: str) -> Row:
        """The trial of a scheme with the best result on the report's episodes."""
        rows = self.of(firm, scheme)
        sign = 1.0 if rows[0]["unit"] == "profit" else -1.0
        return max(rows, key=lambda row: sign * float(row["result"]))

    def run(self, row: Row) -> Path:
        """The run folder of a trial."""
        return self.path / "runs" / str(row["firm"]) / str(row["scheme"]) / str(row["seed"])


def in_order(schemes: Iterable[str]) -> list[str]:
    """Schemes as the registry lists them; those that a scheme's name begins with stand after it."""
    known = names()

    def rank(name: str) -> tuple[int, str]:
        base = max((k for k in known if name == k or name.startswith(f"{k}-")), key=len, default=None)
        return (len(known) if base is None else known.index(base), name)

    return sorted(schemes, key=rank)


def read_benchmark(path: Path) -> BenchmarkFolder:
    """What a benchmark has left in its folder.

    Raises:
        ValueError: one line; this is no benchmark, or a file of it is damaged.
    """
    marks = read_json(path / "benchmark.json")
    asked = read_json(path / ASKED) if (path / ASKED).is_file() else []
    if not isinstance(marks, dict) or not isinstance(marks.get("settings"), dict) or not isinstance(asked, list):
        raise ValueError(f"{path / 'benchmark.json'} or {ASKED} beside it is not what a benchmark writes")
    wanted = _wanted(asked, path)
    found = {(folder.parent.parent.name, folder.parent.name, folder.name) for folder in path.glob("runs/*/*/*/")}
    found = {key for key in found if key[1] != RULES and key[2].isdigit()}
    found |= {(folder.parent.name, RULES, "") for folder in path.glob(f"runs/*/{RULES}/")}
    trials: dict[str, list[Finished]] = {}
    missing = []
    grid = list(GRID)
    for firm, scheme, seed in sorted(
        found | wanted, key=lambda key: (grid.index(key[0]) if key[0] in grid else len(grid), *key)
    ):
        folder = path / "runs" / firm / scheme / seed
        if (trial := _trial(folder)) is not None:
            trials.setdefault(firm, []).append(trial)
        else:
            missing.append(Missing(firm, scheme, seed, _why(folder)))
    schemes, rows = {}, {}
    for firm, done in trials.items():
        schemes[firm] = in_order({trial.about["scheme"] for trial in done} - {RULES})
        rows[firm] = rows_of(done, schemes[firm][0] if schemes[firm] else RULES)
    return BenchmarkFolder(path, marks, asked, trials, schemes, rows, missing)


def _wanted(asked: Sequence[Any], path: Path) -> set[tuple[str, str, str]]:
    try:
        return {
            (firm, scheme, str(seed))
            for command in asked
            for firm, schemes in command["firms"].items()
            for scheme in schemes
            for seed in range(command["seed"], command["seed"] + command["trials"])
        } | {(firm, RULES, "") for command in asked for firm in command["firms"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path / ASKED} is not what a benchmark writes: {error!r}") from None


def _trial(folder: Path) -> Finished | None:
    trial = finished(folder)
    if trial is None:
        return None
    about = trial.about
    lacking = [key for key in _NEEDED if not isinstance(about, dict) or key not in about]
    if lacking or set(about["policies"]) - set(trial.episodes):
        raise ValueError(
            f"{folder} holds a damaged result ({lacking[0] if lacking else 'episodes'} is missing): "
            "remove the folder to repeat the trial"
        )
    if about["scheme"] != RULES and "samples" not in about and (folder / "metrics.csv").is_file():
        about["samples"] = samples_of(RunFolder(folder).rows("metrics.csv"))
    return trial


def _why(folder: Path) -> str:
    if (folder / "error.txt").is_file():
        lines = (folder / "error.txt").read_text().strip().splitlines()
        return f"failed: {lines[-1] if lines else 'no reason was written'}"
    return "begun, not finished" if (folder / "settings.json").is_file() else "not begun"


def read_json(file: Path) -> Any:  # noqa: ANN401
    """A json file.

    Raises:
        ValueError: it is missing or damaged.
    """
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None

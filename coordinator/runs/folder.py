"""A run folder: what was asked for, the policies by version, metrics as csv, a checkpoint to resume from, the results.

firm.yaml  settings.json      the resolved firm and settings: the run stands by itself
policies/NAME/VERSION.*       where each department started (0), every accepted policy; safetensors beside json
base.json                     base-stock levels that the policies start from, if not the benchmark's
current.json                  the version that counts for each department
metrics.csv  events.csv       one row an iteration; acceptances, restarts, swaps
service.csv                   of firms with service targets: what is reached of each, and its multiplier
checkpoint.safetensors        where `--resume` goes on
requests/                     what was asked of the run while it was trained, and the answers
learning-curve.png  result.json
tensorboard/  trackers.json   what `--log` wrote, and what trackers elsewhere call the run
explain.png  regions.png      drawn by `firmwide explain`
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coordinator.learning.settings import Settings
from coordinator.schemes.given_settings import kept_settings, to_json
from coordinator.storage.policies import (
    load_checkpoint,
    load_policy,
    read_sealed,
    save_checkpoint,
    save_policy,
    write_atomically,
)
from departments import extensions
from departments.department import Arrays
from departments.policies.policy import PolicyConfig, Snapshot
from departments.rules.ordering import baseline_levels
from environment import Firm, load_firm

if TYPE_CHECKING:
    import pandas as pd

METRICS = (
    *("iteration", "seconds", "env_steps", "job", "department", "version", "cost", "benchmark_cost"),
    *("value_loss", "explained_variance", "kl", "clip_fraction", "entropy", "grad_norm", "learning_rate"),
    *("service", "multiplier"),  # of the department's own targets, on average
)
SERVICE = (
    *("iteration", "seconds", "env_steps", "stock_point", "product", "measure", "target", "reached", "multiplier"),
)
EVENTS = (
    *("iteration", "seconds", "event", "department", "version", "gain", "standard_error"),
    *("who", "why", "details"),
)
Checkpoint = tuple[dict[str, NDArray[Any]], dict[str, Any]]  # arrays, and a record of plain values
_ORIGIN = "from"  # in the provenance of a policy that another run ended with: that run
_COLUMNS = {"metrics.csv": METRICS, "events.csv": EVENTS, "service.csv": SERVICE}


class RunFolder:
    """Reads and writes one run."""

    def __init__(self, path: Path) -> None:
        """The run at `path`; nothing is written before `create`."""
        self.path = path

    @property
    def checkpoint_file(self) -> Path:
        """Where the last committed iteration stands."""
        return self.path / "checkpoint.safetensors"

    def create(self, firm: Firm, settings: Settings, start: Sequence[Snapshot] = (), origin: str = "") -> None:
        """Start a new run; `start` are policies that it starts from, if another run, its `origin`, ended with them.

        Raises:
            ValueError: the folder holds a run already, or is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"--run must be a folder, got the file {str(self.path)!r}")
        if (self.path / "settings.json").exists():
            raise ValueError(f"--run {str(self.path)!r} holds a run already: add --resume, or name another folder")
        write_atomically(self.path / "firm.yaml", firm.to_yaml())
        for name, columns in _COLUMNS.items():
            if name == "service.csv" and not firm.constrained:
                continue
            write_atomically(self.path / name, ",".join(columns) + "\n")
        for snapshot in start:
            self.save_snapshot(snapshot, {"why": "where training starts", _ORIGIN: origin})
        marked = json.dumps(to_json(settings), indent=1) + "\n"
        write_atomically(self.path / "settings.json", marked)  # last: it marks a run

    def taken_over(self) -> dict[str, Snapshot]:
        """The policies that another run ended with and this one starts from, if it does, by department.

        Raises:
            ValueError: one line; a policy that the run starts from is damaged.
        """
        taken = {}
        for file in self.path.glob("policies/*/0.json"):
            try:
                about = read_sealed(file)
            except (OSError, ValueError, RecursionError) as error:
                raise ValueError(f"{file} cannot be read as a policy: {error}") from None
            if _ORIGIN in about["provenance"]:
                name = str(about["department"])
                taken[name] = load_policy(self.path / "policies", name, 0)
        return taken

    def firm(self) -> Firm:
        """The firm of the run.

        Raises:
            ValueError: this is no run folder.
        """
        if not (self.path / "firm.yaml").is_file():
            raise ValueError(f"{str(self.path)!r} is not a run folder: it holds no firm.yaml")
        return load_firm(self.path / "firm.yaml")

    def settings(self) -> Settings:
        """The settings of the run, once the modules that they need are imported.

        Raises:
            ValueError: they are missing or damaged, or such a module cannot be imported.
        """
        try:
            written = dict(json.loads((self.path / "settings.json").read_text()))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise self._no_run(error) from None
        named = written.get("extensions")
        extensions.load(map(str, named if isinstance(named, list) else []))
        try:
            return kept_settings(written)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise self._no_run(error) from None

    def _no_run(self, error: Exception) -> ValueError:
        return ValueError(f"{str(self.path)!r} is not a run folder: {str(error).splitlines()[0]}")

    def save_tuned_levels(self, levels: NDArray[np.float64]) -> None:
        """Keep the tuned base-stock levels, [N, K] units, that the run's policies start from."""
        write_levels(self.path / "base.json", self.firm(), levels)

    def tuned_levels(self) -> NDArray[np.float64] | None:
        """What `save_tuned_levels` kept; None: the policies start from the benchmark's levels."""
        return read_levels(self.path / "base.json", self.firm())

    def base_levels(self) -> NDArray[np.float64]:
        """Base-stock levels that the run's policies start from, [N, K] units: tuned ones, or the benchmark's.

        Raises:
            ValueError: the file is damaged.
        """
        tuned = self.tuned_levels()
        return baseline_levels(self.firm()) if tuned is None else tuned

    def save_snapshot(self, snapshot: Snapshot, provenance: Mapping[str, Any]) -> None:
        """Keep a policy and let it count for its department."""
        save_policy(self.path / "policies", snapshot, provenance)
        current = self.current_versions() | {snapshot.department: snapshot.version}
        write_atomically(self.path / "current.json", json.dumps(current, indent=1) + "\n")

    def current_versions(self) -> dict[str, int]:
        """Version of the policy that counts, by department; runs of older versions name only what was accepted.

        Raises:
            ValueError: the file is damaged.
        """
        file = self.path / "current.json"
        try:
            kept = json.loads(file.read_bytes()) if file.is_file() else {}
            if not isinstance(kept, dict) or not all(type(version) is int for version in kept.values()):
                raise ValueError("it is something else")
        except (ValueError, RecursionError) as error:
            what = 'it must give the version that counts for each department, as {"shop": 3}'
            raise ValueError(f"{file} is damaged: {what} ({error}); the versions are in policies/") from None
        return kept

    @property
    def begun(self) -> bool:
        """Whether departments have a policy: not before training has started."""
        return self.checkpoint_file.is_file() or (self.path / "current.json").is_file()

    def append(self, name: str, columns: tuple[str, ...], row: Mapping[str, Any]) -> None:
        """Add a row to metrics.csv or events.csv."""
        line = io.StringIO()
        short = {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()}
        csv.DictWriter(line, columns, extrasaction="ignore", lineterminator="\n").writerow(short)
        with (self.path / name).open("a") as file:
            file.write(line.getvalue())

    def rows(self, name: str) -> list[dict[str, str]]:
        """All rows of metrics.csv or events.csv."""
        with (self.path / name).open() as file:
            return list(csv.DictReader(file))

    def table(self, name: str) -> pd.DataFrame:
        """The same with numbers as numbers, NaN where there is none; a line that is being written is left out.

        Raises:
            ValueError: one line; the file is damaged.
        """
        import pandas as pd

        try:
            whole, _, _ = (self.path / name).read_text().rpartition("\n")
            found = pd.read_csv(io.StringIO(whole), keep_default_na=False, na_values=["", "nan"])
            if found[["iteration", "seconds"]].astype(float).isna().any(axis=None):
                raise ValueError("a row lacks its iteration or seconds")
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{self.path / name} is damaged ({error!r}): resume the run, or take a copy") from None
        return found.reindex(columns=list(dict.fromkeys([*found, *_COLUMNS[name]])))  # older runs have fewer

    def keep(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        """Write the checkpoint."""
        save_checkpoint(self.checkpoint_file, arrays, record)

    def go_back_to(self, iteration: int, events: int) -> None:
        """Forget what was written after the checkpoint's iteration and its number of events: it will be done again."""
        kept_of = {"events.csv": self.rows("events.csv")[:events]}
        for name in ("metrics.csv", "service.csv"):
            if (self.path / name).exists():
                kept_of[name] = [row for row in self.rows(name) if int(row["iteration"] or 0) <= iteration]
        for name, kept in kept_of.items():
            text = io.StringIO()
            writer = csv.DictWriter(text, _COLUMNS[name], lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)
            write_atomically(self.path / name, text.getvalue())

    def begin_again(self) -> None:
        """Forget what was written before the first checkpoint, which follows the first iteration.

        Raises:
            ValueError: there was a checkpoint: metrics tell of more iterations.
        """
        done = max((int(row["iteration"] or 0) for row in self.rows("metrics.csv")), default=0)
        if done > 1:
            cure = "restore it, or begin a new run in another folder"
            raise ValueError(f"{self.checkpoint_file} is missing, and metrics.csv tells of {done} iterations: {cure}")
        self.go_back_to(0, 0)

    def checkpoint(self) -> Checkpoint:
        """The last committed iteration.

        Raises:
            ValueError: there is none.
        """
        return load_checkpoint(self.checkpoint_file)


def write_levels(file: Path, firm: Firm, levels: NDArray[np.float64]) -> None:
    """Write base-stock levels, [N, K] units, by stock point."""
    write_atomically(file, json.dumps(dict(zip(firm.names, levels.tolist(), strict=True)), indent=1) + "\n")


def read_levels(file: Path, firm: Firm) -> NDArray[np.float64] | None:
    """What `write_levels` wrote, [N, K] units; None if there is no such file.

    Raises:
        ValueError: the file is damaged.
    """
    if not file.is_file():
        return None
    try:
        kept = json.loads(file.read_text())
        levels = np.array([kept[name] for name in firm.names], dtype=float)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged: restore it, or train again ({error!r})") from None
    if levels.shape != (len(firm.names), len(firm.products)) or not np.isfinite(levels).all():
        raise ValueError(f"{file} is damaged: it must hold a level per stock point and product")
    return levels


def pack(
    snapshots: Mapping[str, Snapshot], states: Mapping[str, Arrays], critic: Arrays | None
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Snapshots by role and learners' states as arrays with flat names, and the plain values that belong to them."""
    arrays = {f"snapshot/{role}": snapshot.parameters for role, snapshot in snapshots.items()}
    for name, state in states.items():
        arrays |= {f"department/{name}/{key}": value for key, value in state.items()}
    arrays |= {f"critic/{key}": value for key, value in (critic or {}).items()}
    about = {
        role: [snapshot.department, snapshot.version, snapshot.config.model_dump(mode="json")]
        for role, snapshot in snapshots.items()
    }
    return {key: np.ascontiguousarray(value) for key, value in arrays.items()}, about


def unpack(
    arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]
) -> tuple[dict[str, Snapshot], dict[str, Arrays], Arrays | None]:
    """The inverse of `pack`."""
    snapshots = {
        role: Snapshot(department, version, PolicyConfig.model_validate(config), arrays[f"snapshot/{role}"])
        for role, (department, version, config) in about.items()
    }
    states: dict[str, Arrays] = {}
    critic: Arrays = {}
    for key, value in arrays.items():
        kind, _, rest = key.partition("/")
        if kind == "critic":
            critic[rest] = value
        elif kind == "department":
            name, _, part = rest.rpartition("/")
            states.setdefault(name, {})[part] = value
    return snapshots, states, critic or None

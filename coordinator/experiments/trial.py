"""One trial of a benchmark, everything in one process: train a scheme from a seed, then play the report's episodes.

The folder of a trial is a run folder; `result.json` marks it as finished, with the costs of all episodes beside it in
`episodes.safetensors`. The rules of a firm are a trial without training.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.evaluation.evaluate import baseline_policies, evaluate, trained_policy
from coordinator.evaluation.table import Evaluation
from coordinator.experiments.trackers import trackers
from coordinator.learning.settings import Settings, Wiring
from coordinator.runs.engine import engine_in
from coordinator.runs.folder import RunFolder, read_levels, write_levels
from coordinator.runs.train import train
from coordinator.runs.watcher import Watcher, Watchers
from coordinator.schemes.registry import scheme_of
from coordinator.storage.policies import load_checkpoint, save_checkpoint, write_atomically
from coordinator.workers.process import settle
from departments.decisions import Policy
from departments.named_policies import parse_policy
from departments.play.tuning import quiet
from departments.rules.ordering import BaseStock, baseline_levels, echelon_weights
from environment import Firm, World

_TUNED = "base.json"  # of the rules: tuned base-stock levels, which trained policies start from
_ECHELON = "echelon.json"  # likewise tuned echelon levels
RULES = "rules"  # the trial that plays a firm's rules
_LEFT_WHERE_IT_IS = {"checkpoint.safetensors"}  # of a finished trial nobody needs it elsewhere


@dataclass(frozen=True)
class Trial:
    """What is to be done, and where it is kept."""

    firm: Firm
    settings: Settings | None  # None: the firm's rules
    folder: Path
    episodes: int  # of the report
    chance: int  # seed of the report's episodes, the same for all trials of a benchmark
    observation: str = ""  # set for this trial, instead of what the settings of all say; part of the scheme's name
    log: tuple[str, ...] = ()  # trackers that follow it, by name

    @property
    def scheme(self) -> str:
        """The scheme, with `-own` if that is what was set for this trial, or `rules`."""
        name = self.settings.scheme if self.settings else RULES
        return f"{name}-{self.observation}" if self.observation else name

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.firm.name} {self.scheme}" + (f" seed {self.settings.seed}" if self.settings else "")


@dataclass(frozen=True)
class Finished:
    """A finished trial: its result as plain values, one result an episode and policy, and the files of its folder."""

    about: dict[str, Any]
    episodes: dict[str, NDArray[np.float64]]  # policy -> [E] cost or profit, money
    files: dict[str, bytes]  # by path within the folder; empty when it was read from there


def finished(folder: Path) -> Finished | None:
    """What a trial left in its folder, if it was finished.

    Raises:
        ValueError: the result is there but damaged.
    """
    if not (folder / "result.json").is_file():
        return None
    try:
        about = json.loads((folder / "result.json").read_text())
        episodes, _ = load_checkpoint(folder / "episodes.safetensors")
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} holds a damaged result: remove the folder to repeat the trial ({error})") from None
    return Finished(about, episodes, {})


def play(trial: Trial) -> Finished:
    """Do a trial, or what is left of it."""
    settle()
    begun = time.monotonic()
    if (kept := finished(trial.folder)) is not None:  # its process died after the last file was written
        return Finished(kept.about, kept.episodes, _files(trial.folder))
    with Watchers(trackers(trial.log) if trial.settings else ()) as watcher:
        about, episodes = _played(trial, begun, watcher)
        watcher.finished(about)
    return Finished(about, episodes, _files(trial.folder))


def _played(trial: Trial, begun: float, watcher: Watcher) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """What `Finished` holds of it; everything is on disk."""
    firm, settings = trial.firm, trial.settings
    learned = _learn(firm, settings, trial.folder, watcher) if settings else {}
    trained = time.monotonic()
    device = settings.device if settings else "cpu"
    if settings:
        world = World(firm, baseline_levels(firm), device=device)
        policies = {trial.scheme: trained_policy(RunFolder(trial.folder), world)}
    else:
        policies = baseline_policies(firm, device)
        if isinstance(tuned := policies.get("tuned base-stock"), BaseStock):
            write_levels(trial.folder / _TUNED, firm, tuned.levels)
        if isinstance(echelon := policies.get("echelon base-stock"), BaseStock):
            write_levels(trial.folder / _ECHELON, firm, echelon.levels)
        trained = time.monotonic()
    compiled = None if settings and not settings.compiled else quiet
    played = evaluate(firm, policies, episodes=trial.episodes, seed=trial.chance, device=device, compiled=compiled)
    sign = -1.0 if firm.earns else 1.0
    episodes = {name: sign * result.cost.astype(np.float64) for name, result in played.results.items()}
    about = {
        "firm": firm.name,
        "scheme": trial.scheme,
        "seed": settings.seed if settings else None,
        "unit": "profit" if firm.earns else "cost",
        "episodes": trial.episodes,
        "policies": _measures(played),
        "seconds": trained - begun,
        **learned,
        "evaluation_seconds": time.monotonic() - trained,
    }
    save_checkpoint(trial.folder / "episodes.safetensors", episodes, {"unit": about["unit"]})
    write_atomically(
        trial.folder / "result.json", json.dumps(about, indent=1) + "\n"
    )  # last: it marks a finished trial
    return about, episodes


def kept_rules(folder: Path, firm: Firm) -> dict[str, Policy]:
    """The rules that were played in a trial's folder, by name; those whose levels are not kept there are left out.

    Raises:
        ValueError: levels are damaged.
    """
    if firm.customers:
        return baseline_policies(firm)
    rules = {"decomposition-aggregation": parse_policy("decomposition-aggregation", firm)}
    if (tuned := read_levels(folder / _TUNED, firm)) is not None:
        rules["tuned base-stock"] = BaseStock("tuned-base-stock", tuned)
    if (echelon := read_levels(folder / _ECHELON, firm)) is not None:
        rules["echelon base-stock"] = BaseStock("echelon-base-stock", echelon, echelon_weights(firm))
    return rules


def keep(folder: Path, result: Finished) -> None:
    """Write what a worker on a machine with storage of its own has sent, unless it is here."""
    if (folder / "result.json").is_file():
        return
    for name in sorted(result.files, key="result.json".__eq__):  # the mark comes last
        write_atomically(folder / name, result.files[name])


def share_done(trial: Trial) -> tuple[float, float] | None:
    """How much of a begun trial's training is done (0 to 1), and the seconds that took; None where nobody can tell."""
    file = trial.folder / "metrics.csv"
    settings = trial.settings
    if settings is None or not file.is_file():
        return None
    with file.open("rb") as metrics:
        size = metrics.seek(0, 2)
        metrics.seek(0)
        columns = metrics.readline().decode().strip().split(",")
        metrics.seek(max(size - 4096, 0))
        last = metrics.read().decode().rstrip().rpartition("\n")[2].split(",")
    row = dict(zip(columns, last, strict=False))
    try:
        seconds, steps, iteration = (float(row[key]) for key in ("seconds", "env_steps", "iteration"))
    except (KeyError, ValueError):  # no row yet, or half a row
        return None
    share = scheme_of(settings.scheme).share_done(settings, iteration, seconds, steps)
    return None if share is None else (share, seconds)


def _learn(firm: Firm, settings: Settings, folder: Path, watcher: Watcher) -> dict[str, Any]:
    """Train from the start or from the checkpoint; time, steps and the learning curve of the whole training."""
    run = RunFolder(folder)
    begun = (folder / "settings.json").is_file()
    wiring = Wiring(backend="local", environments=1, threads=1)
    tuned = read_levels(folder.parents[1] / RULES / _TUNED, firm)  # none: on another machine, or not finished yet
    train(firm, settings, wiring, folder, watcher, resume=begun, base=tuned)
    rows, sign = run.rows("metrics.csv"), -1.0 if firm.earns else 1.0
    curve = {0.0: sign * float(rows[0]["benchmark_cost"])} if rows else {}
    curve |= {float(row["env_steps"]): sign * float(row["cost"]) for row in rows if row["cost"]}
    return {
        "seconds": float(rows[-1]["seconds"]) if rows else 0.0,
        "env_steps": float(rows[-1]["env_steps"]) if rows else 0.0,
        "samples": samples_of(rows),
        "engine": engine_in(run),
        "curve": [list(point) for point in curve.items()],
    }


def samples_of(rows: Iterable[Mapping[Any, Any]]) -> float:
    """Decisions that departments learned from: environment steps, once for every department that learned in them.

    Args:
        rows: of metrics.csv.
    """
    samples = before = 0.0
    for _, learned in itertools.groupby(rows, key=lambda row: row["iteration"]):
        steps = [float(row["env_steps"]) for row in learned]
        samples, before = samples + (steps[-1] - before) * len(steps), steps[-1]
    return samples


def _measures(played: Evaluation) -> dict[str, Any]:
    """Per policy: result with standard error, service, order variability, and the same per stock point."""
    measures = {}
    unit = "profit" if played.firm.earns else "cost"
    sign = -1.0 if played.firm.earns else 1.0
    for name, plain in played.to_json()["policies"].items():
        points = plain["stock_points"]
        measures[name] = {
            "result": plain[unit]["mean"],
            "se": plain[unit]["se"],
            "worst": plain["worst_5_percent"],
            "worst_se": plain["worst_5_percent_se"],
            "recovery_time": plain.get("recovery_time"),
            "fill_rate": plain["fill_rate"],
            "order_variability": float(np.mean([point["bullwhip_ratio"] or 0.0 for point in points.values()])),
            "stock_points": {point: measure | {"result": sign * measure["cost"]} for point, measure in points.items()},
        }
    return measures


def _files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.name not in _LEFT_WHERE_IT_IS]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if not path.name.startswith(".")}

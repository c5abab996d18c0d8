"""What `firmwide train` does: settings from options and file, the run, the comparison with benchmarks, the picture."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.evaluation.evaluate import baseline_policies, evaluate, load_policy_or_rule, trained_policy
from coordinator.evaluation.table import Evaluation
from coordinator.experiments.display import Display
from coordinator.experiments.learning_curve import learning_curve
from coordinator.experiments.options import budget, built_in, checked, config_file, with_values
from coordinator.experiments.run import Run
from coordinator.experiments.trackers import trackers
from coordinator.learning.settings import Settings, Wiring
from coordinator.runs.engine import engine_in
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.watcher import Watcher, Watchers
from coordinator.schemes.given_settings import part_used, settings_of, to_json
from coordinator.schemes.registry import default_scheme, described, names, scheme_of
from coordinator.schemes.setup import TrainingSetup, setup_of, starting_levels
from coordinator.storage.policies import write_atomically
from departments.extensions import names_for_others
from departments.play.tuning import quiet
from departments.rules.ordering import baseline_levels
from environment import Firm, World, load_firm


@dataclass(frozen=True)
class TrainRequest:
    """The arguments of `coordinator.api.train` as they came."""

    firm: Firm | str | Path | None
    settings: Mapping[str, Any]
    config: Path | Mapping[str, Any] | None
    order: str | None
    observation: str | None
    budget: str | None
    wiring: Mapping[str, Any]
    run: Path | None
    resume: bool
    episodes: int
    quiet: bool = False
    beside: tuple[Path, ...] = ()  # further runs in the final comparison
    compiled: bool = False  # say what compiling took
    watchers: Sequence[Watcher] = ()  # beside the terminal
    values: Sequence[str] = ()  # KEY=VALUE
    log: Sequence[str] = ()  # trackers by name


def run_training(request: TrainRequest) -> Run:
    """Train, compare, and leave everything in the run folder.

    Raises:
        ValueError: one line, whatever is wrong with the request; nothing has been written then.
    """
    started = time.monotonic()
    wiring, logs = checked(Wiring, dict(request.wiring), "--"), trackers(request.log)
    if wiring.backend == "ray":
        names_for_others()  # refuses what actors could not import
    if request.resume:
        if request.run is None or request.firm is not None:
            raise ValueError("--resume needs --run DIR and no FIRM: the run folder knows its firm")
        given: dict[str, object] = {
            "--config": request.config,
            "--order": request.order,
            "--observation": request.observation,
        }
        given |= {"--set": request.values, "--scheme": request.settings.get("scheme")}
        if said := [option for option, value in given.items() if value]:
            raise ValueError(f"{said[0]} cannot change a run that goes on: leave it out, or begin a new run")
        run = RunFolder(request.run)
        firm, settings = run.firm(), run.settings()
        settings = settings_of(to_json(settings) | budget(request.budget, settings.scheme, firm))
    else:
        if request.firm is None:
            raise ValueError("FIRM is missing: name a built-in firm (see `firmwide scenarios`) or a firm file")
        firm = load_firm(request.firm)
        settings = _settings(request, firm)
        _check_runs(firm, request.beside)
        _check_observation(request, setup_of(firm, settings))  # what does not fit is refused before anything is written
        run = RunFolder(request.run or _free_folder(firm.name))
    with Watchers([Display(request.quiet), *logs, *request.watchers]) as watcher:
        note = watcher.note if request.compiled else quiet
        base = starting_levels(firm, settings, note=note) if request.compiled and not request.resume else None
        train(firm, settings, wiring, run.path, watcher, resume=request.resume, base=base)
        watcher.note(
            f"done in {time.monotonic() - started:.1f}s in all; comparing on {request.episodes:,} fresh episodes"
        )
        done = compare_with_baselines(firm, run, settings, request.episodes, request.beside, note)
        result = done.to_json() | {"engine": engine_in(run)}
        write_atomically(run.path / "result.json", json.dumps(result, indent=1) + "\n")
        watcher.note(f"learning curve in {learning_curve(run)}")
        watcher.finished(result)
    return Run(run.path, done)


def compare_with_baselines(
    firm: Firm,
    run: RunFolder,
    settings: Settings,
    episodes: int,
    beside: Sequence[Path] = (),
    note: Callable[[str], None] = quiet,
) -> Evaluation:
    """The benchmarks, other runs and what was trained, on the same episodes; `note` as in `baseline_policies`."""
    world = World(firm, baseline_levels(firm), device=settings.device)
    policies = baseline_policies(firm, settings.device, note, run.base_levels())
    policies |= {other.name: load_policy_or_rule(str(other), world) for other in beside}
    policies[settings.scheme] = trained_policy(run, world)
    seed = settings.seed
    return evaluate(firm, policies, episodes=episodes, seed=seed, device=settings.device)


def _check_runs(firm: Firm, runs: Sequence[Path]) -> None:
    """Refuse runs that could not stand beside a run of this firm."""
    for path in runs:
        if not path.is_dir():
            raise ValueError(f"--beside must be a run folder, got {str(path)!r}")
        load_policy_or_rule(str(path), World(firm, baseline_levels(firm)))


def _settings(request: TrainRequest, firm: Firm) -> Settings:
    """Settings from the file, with what the command line says on top."""
    given = {"scheme": default_scheme(firm)} | config_file(request.config)
    given |= {key: value for key, value in request.settings.items() if key == "scheme"}
    given["scheme"] = with_values(given, request.values)["scheme"]
    given = part_used(given, "--config: ", tuple(names()) if built_in(request.config) else ())
    given |= dict(request.settings) | budget(request.budget, given["scheme"], firm)
    for option, value in (("order", request.order), ("observation", request.observation)):
        if value is not None:
            place = scheme_of(given["scheme"]).options.get(option)
            if place is None:
                raise ValueError(f"--{option} is for {described(option)}; {given['scheme']} has no such setting")
            section, _, key = place.partition(".")
            given[section] = dict(given.get(section) or {}) | {key: value}
    return settings_of(with_values(given, request.values))


def _check_observation(request: TrainRequest, plan: TrainingSetup) -> None:
    """Refuse an observation set that no department would have."""
    seen = {spec.policy.observation for spec in plan.specs.values()}
    if request.observation is not None and request.observation not in seen:
        raise ValueError(
            f"--observation: departments would observe {', '.join(sorted(seen))} all the same; leave it out"
        )


def _free_folder(name: str) -> Path:
    """runs/NAME, or the first runs/NAME-2, -3, ... that is not there yet."""
    number, folder = 1, Path("runs") / name
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder

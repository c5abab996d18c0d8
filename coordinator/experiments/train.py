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
from coordinator.experiments.curves import learning_curve
from coordinator.experiments.display import Display
from coordinator.experiments.options import budget, built_in, config_file, with_values
from coordinator.experiments.run import Run
from coordinator.experiments.trackers import trackers
from coordinator.learning.settings import Settings, Wiring
from coordinator.runs.engine import engine_in
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.watcher import Watcher, Watchers
from coordinator.schemes.given_settings import checked, part_used, settings_of, to_json
from coordinator.schemes.registry import default_scheme, described, names, scheme_of
from coordinator.schemes.setup import setup_of, starting_levels
from coordinator.storage.policies import write_atomically
from departments.extensions import names_for_others
from departments.play.tuning import quiet, tuned_base_stock
from departments.rules.ordering import baseline_levels
from environment import Firm, World, load_firm
from environment.cores import at_most


@dataclass(frozen=True)
class TrainRequest:
    """The arguments of `coordinator.api.train` as they came."""

    firm: Firm | str | Path | None
    scheme: str | None
    run: str | Path | None
    seed: int
    budget: str | None
    config: str | Path | Mapping[str, Any] | None
    order: str | None
    observation: str | None
    episodes: int
    beside: Sequence[str | Path]
    device: str
    compiled: bool
    resume: bool
    start_from: str | Path | None
    progress: bool
    values: Sequence[str]
    log: Sequence[str]
    watchers: Sequence[Watcher]
    wiring: Mapping[str, Any]


def run_training(request: TrainRequest) -> Run:
    """Train, compare, and leave everything in the run folder.

    Raises:
        ValueError: one line, whatever is wrong with the request; nothing has been written then.
    """
    started = time.monotonic()
    wiring = checked(Wiring, {name: value for name, value in request.wiring.items() if value is not None}, "--")
    logs = trackers(request.log)
    if wiring.backend == "ray":
        names_for_others()  # refuses what actors could not import
    run, firm, settings = _resumed(request) if request.resume else _begun(request)
    with at_most(wiring.threads), Watchers([Display(not request.progress), *logs, *request.watchers]) as watcher:
        compiling, base = watcher.note if request.compiled else quiet, None
        if request.compiled and not request.resume:
            base = starting_levels(firm, settings, note=watcher.note, compiling=compiling)
        start = request.start_from
        train(firm, settings, wiring, run.path, watcher, resume=request.resume, base=base, start_from=start)
        watcher.note(
            f"done in {time.monotonic() - started:.1f}s in all; comparing on {request.episodes:,} fresh episodes"
        )
        done = compare_with_baselines(firm, run, settings, request.episodes, request.beside, watcher.note, compiling)
        result = done.to_json() | {"engine": engine_in(run)}
        write_atomically(run.path / "result.json", json.dumps(result, indent=1) + "\n")
        watcher.note(f"learning curve in {learning_curve(run)}")
        watcher.finished(result)
    return Run(run.path, done)


def _resumed(request: TrainRequest) -> tuple[RunFolder, Firm, Settings]:
    """A run that is there; all that may change is its budget."""
    if request.run is None or request.firm is not None:
        raise ValueError("--resume needs --run DIR and no FIRM: the run folder knows its firm")
    for option in ("config", "order", "observation", "values", "scheme", "start_from"):
        if getattr(request, option):
            said = {"values": "set", "start_from": "from"}.get(option, option)
            raise ValueError(f"--{said} cannot change a run that goes on: leave it out, or begin a new run")
    run = RunFolder(Path(request.run))
    firm, settings = run.firm(), run.settings()
    kept, given = to_json(settings), budget(request.budget, settings.scheme, firm)
    if given:  # it takes the place of any other kind
        kept |= {kind: None for kind in ("seconds", "steps", "episodes") if kept.get(kind) is not None}
    return run, firm, settings_of(kept | given)


def _begun(request: TrainRequest) -> tuple[RunFolder, Firm, Settings]:
    """A new run; what does not fit is refused before anything is written."""
    if request.firm is None:
        raise ValueError("FIRM is missing: name a built-in firm (see `firmwide scenarios`) or a firm file")
    firm = load_firm(request.firm)
    settings = _settings(request, firm)
    for path in map(Path, request.beside):
        if not path.is_dir():
            raise ValueError(f"--beside must be a run folder, got {str(path)!r}")
        load_policy_or_rule(str(path), World(firm, baseline_levels(firm)))
    seen = {spec.policy.observation for spec in setup_of(firm, settings).specs.values()}
    if request.observation is not None and request.observation not in seen:
        raise ValueError(
            f"--observation: departments would observe {', '.join(sorted(seen))} all the same; leave it out"
        )
    return RunFolder(_free_folder(firm.name) if request.run is None else Path(request.run)), firm, settings


def compare_with_baselines(
    firm: Firm,
    run: RunFolder,
    settings: Settings,
    episodes: int,
    beside: Sequence[str | Path] = (),
    note: Callable[[str], None] = quiet,
    compiling: Callable[[str], None] = quiet,
) -> Evaluation:
    """The benchmarks, other runs and what was trained, on the same episodes; told as by `baseline_policies`."""
    world = World(firm, baseline_levels(firm), device=settings.device)
    tuned = run.tuned_levels()
    if tuned is not None and settings.tuning_seconds is not None:  # the benchmark is not cut short
        tuned = tuned_base_stock(firm, start=tuned, device=settings.device, note=note).levels
    policies = baseline_policies(firm, settings.device, note, tuned, compiling)
    policies |= {Path(other).name: load_policy_or_rule(str(other), world) for other in beside}
    policies[settings.scheme] = trained_policy(run, world)
    seed, played = settings.seed, quiet if settings.compiled else None
    return evaluate(firm, policies, episodes=episodes, seed=seed, device=settings.device, compiled=played)


def _settings(request: TrainRequest, firm: Firm) -> Settings:
    """Settings from the file, with what the command line says on top."""
    said = {} if request.scheme is None else {"scheme": request.scheme}
    given = {"scheme": default_scheme(firm)} | config_file(request.config) | said
    given["scheme"] = scheme = with_values(given, request.values)["scheme"]
    given = part_used(given, "--config: ", tuple(names()) if built_in(request.config) else ())
    given |= {"seed": request.seed, "device": request.device} | said | budget(request.budget, scheme, firm)
    for option, value in (("order", request.order), ("observation", request.observation)):
        if value is not None:
            place = scheme_of(scheme).options.get(option)
            if place is None:
                raise ValueError(f"--{option} is for {described(option)}; {scheme} has no such setting")
            section, _, key = place.partition(".")
            given[section] = dict(given.get(section) or {}) | {key: value}
    return settings_of(with_values(given, request.values))


def _free_folder(name: str) -> Path:
    """runs/NAME, or the first runs/NAME-2, -3, ... that is not there yet."""
    number, folder = 1, Path("runs") / name
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder

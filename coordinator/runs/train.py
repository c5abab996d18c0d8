"""A training run from start to end: build the workers, let the scheme teach, keep everything."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.learning.iterations import Training
from coordinator.learning.multipliers import Multipliers
from coordinator.learning.settings import Settings, Wiring
from coordinator.runs.diary import Diary
from coordinator.runs.engine import engine_of, went_on
from coordinator.runs.folder import Checkpoint, RunFolder
from coordinator.runs.hot_swap import HotSwap
from coordinator.runs.mailbox import being_trained
from coordinator.runs.transfer import policies_from
from coordinator.runs.watcher import RunStart, Watcher
from coordinator.schemes.given_settings import to_json
from coordinator.schemes.registry import scheme_of
from coordinator.schemes.setup import TrainingSetup, setup_of, starting_levels
from coordinator.workers.group import LocalGroup, WorkerGroup
from coordinator.workers.ray_group import RayGroup
from coordinator.workers.ray_session import must_have_gpus
from departments.numerics.native import why_not
from departments.play.service import implied_costs
from departments.policies.policy import Snapshot
from environment import Firm


def build_workers(plan: TrainingSetup, wiring: Wiring, name: str, report: Callable[[str], None]) -> WorkerGroup:
    """The workers of a run, in this process or as Ray actors."""
    reason = why_not() if plan.compiles else None
    if reason is not None:
        report(f"not compiled, so at less than half the speed: {reason}")
    if wiring.backend == "local":
        threads = wiring.threads if plan.compiles and reason is None else 1  # Python itself runs on one at a time
        return LocalGroup(plan.factories, wiring.environments, threads)
    return RayGroup(
        plan.factories,
        namespace=f"firmwide-{name}-{os.getpid()}",
        address=wiring.address,
        environments=wiring.environments,
        departments_per_process=wiring.departments_per_process,
        department_gpus=wiring.department_gpus,
        critic_gpus=wiring.critic_gpus,
        report=report,
    )


def train(
    firm: Firm,
    settings: Settings,
    wiring: Wiring,
    folder: Path,
    watcher: Watcher,
    *,
    resume: bool = False,
    base: NDArray[np.float64] | None = None,
    start_from: str | Path | None = None,
) -> list[Snapshot]:
    """Train a firm's departments; everything that happens stands in the run folder.

    Args:
        firm: a checked firm.
        settings: what decides the result.
        wiring: where the actors run.
        folder: the run folder; must be new, or hold the run that is resumed.
        watcher: is told how it goes, but for `finished`; `Watchers` for several.
        resume: go on from the checkpoint.
        base: [N, K] tuned base-stock levels, if they are known already.
        start_from: a run whose policies these departments start from; see `policies_from`.

    Returns:
        The policies that count at the end.

    Raises:
        ValueError: the folder does not fit, departments cannot act as asked, or resources that are asked for are not
            there; nothing has been written then.
        RuntimeError: not one iteration fitted into the budget.
    """
    run, settings = RunFolder(folder), settings.for_firm(firm)
    _must_be_possible(firm, settings, wiring)
    if resume:
        run.settings()  # refuses what is no run
    else:
        taken = [] if start_from is None else policies_from(start_from, firm, settings)
        run.create(firm, settings, taken, str(start_from))
    with being_trained(folder):
        kept = run.checkpoint() if resume and run.checkpoint_file.exists() else None
        if resume and kept is None:
            run.begin_again()
        if kept is None:
            _keep_levels(run, firm, settings, base, watcher)
        taken_over = run.taken_over() if kept is None else {}  # afterwards the checkpoint has them
        plan = setup_of(firm, settings, run.base_levels())
        before = kept[1]["diary"]["iteration"] if kept else 0
        start = RunStart(run.path, firm.name, settings.scheme, settings.seed, firm.earns, before)
        watcher.started(start, to_json(settings))
        begun = time.monotonic()
        with closing(build_workers(plan, wiring, firm.name, watcher.note)) as workers:
            watcher.note(f"workers ready in {time.monotonic() - begun:.1f}s; the budget counts from now on")
            training = Training(
                workers,
                settings,
                published=plan.base(settings) | taken_over,
                streams=plan.streams,
                train_periods=plan.firm.periods.train,
                by_message=wiring.execution == "message",
                owner=plan.owner,
                report=watcher.note,
                multipliers=_multipliers(firm, settings, run, watcher),
            )
            return _taught(run, plan, training, watcher, kept, taken_over)


def _keep_levels(
    run: RunFolder, firm: Firm, settings: Settings, base: NDArray[np.float64] | None, watcher: Watcher
) -> None:
    """Those that policies start from, if they start from any; tuned here where they are not known already."""
    begun = time.monotonic()
    if (levels := starting_levels(firm, settings, base, watcher.note)) is not None:
        if base is None:
            watcher.note(f"base-stock levels tuned in {time.monotonic() - begun:.1f}s")
        run.save_tuned_levels(levels)


def _multipliers(firm: Firm, settings: Settings, run: RunFolder, watcher: Watcher) -> Multipliers | None:
    """Those of service targets, from what the levels that policies start from imply, and that of a cap on emissions."""
    if not firm.constrained:
        return None
    levels, price = run.tuned_levels(), np.full((len(firm.customer_facing), len(firm.products)), np.nan)
    if levels is not None and firm.has_targets:
        price = implied_costs(firm, levels, device=settings.device)
    found = Multipliers.of(firm, settings.service, price)
    if found is not None and found.short is not None:
        told = ", ".join(f"{row['stock_point']} {row['product']} {row['multiplier']:.3g}" for row in found.rows()[:8])
        watcher.note(f"a unit short is worth, to begin with: {told}{' ...' if len(found.places) > 8 else ''}")
    if found is not None and found.emission is not None:
        watcher.note(f"a unit of emission is worth, to begin with: {found.emission:.3g}")
    return found


def _must_be_possible(firm: Firm, settings: Settings, wiring: Wiring) -> None:
    """Refuse messages to who hears none, and GPUs that are not there; a cluster may grow, so there Ray is asked."""
    if wiring.execution == "message" and not scheme_of(settings.scheme).by_message:
        raise ValueError(
            f"--execution message is not for {settings.scheme}, whose departments are not asked one by one in "
            "rollouts; use snapshot"
        )
    if not wiring.department_gpus and not wiring.critic_gpus:
        return
    if wiring.backend == "local":
        raise ValueError("--department-gpus and --critic-gpus are shares that Ray gives out: leave out --backend local")
    if wiring.address is None:
        processes = -(-len(setup_of(firm, settings).specs) // wiring.departments_per_process)
        wanted = wiring.department_gpus * processes + wiring.critic_gpus
        must_have_gpus(wanted, "--department-gpus, --critic-gpus")


def _taught(
    run: RunFolder,
    plan: TrainingSetup,
    training: Training,
    watcher: Watcher,
    kept: Checkpoint | None,
    written: Container[str],
) -> list[Snapshot]:
    """Let the scheme teach from the start, or from a checkpoint; `written`: whose version 0 stands in the folder."""
    record: Mapping[str, Any] = kept[1] if kept else {"diary": {"iteration": 0}}
    engine, other = went_on(record.get("engine", {}), record["diary"]["iteration"], engine_of(plan, training))
    if other:
        watcher.note(other)
    diary = Diary(run, training, watcher, HotSwap(run, plan, training), engine)
    runner = scheme_of(training.settings.scheme).runner
    scheme = runner.begin(plan.network, training) if kept is None else diary.resume(plan.network, *kept)
    if kept is None:
        for snapshot in (first for name, first in training.published.items() if name not in written):
            run.save_snapshot(snapshot, {"why": "where training starts"})
    diary.follow(scheme)
    if not diary.iteration:
        seconds = training.settings.seconds
        raise RuntimeError(f"no iteration fitted into a budget of {seconds:g}s: give a larger --budget")
    return scheme.policies

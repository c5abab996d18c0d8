"""`firmwide train`, `benchmark`, `report` and `explain`: departments that learn, and what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator import api
from coordinator.cli.options import (
    Address,
    AsJson,
    Config,
    Device,
    Home,
    Log,
    Seed,
    Values,
    argument,
    option,
    said,
)
from coordinator.cli.show import complain, show, show_json
from coordinator.live.home import HOME


def train(
    firm: Annotated[str | None, argument("FIRM", "A built-in firm or a firm file (not with --resume).")] = None,
    scheme: Annotated[str | None, option("SCHEME", "{schemes}")] = None,
    run: Annotated[Path | None, option("DIR", "The run folder (default: a new one in runs/).")] = None,
    seed: Seed = 0,
    budget: Annotated[
        str | None, option("120s|1e7", "Learning time, environment steps, quick or paper; default: until done.")
    ] = None,
    config: Config = None,
    values: Values = None,
    log: Log = None,
    order: Annotated[
        str | None, option("ORDER", "Who learns first, under {order}: downstream-first, upstream-first or greedy.")
    ] = None,
    observation: Annotated[
        str | None,
        option("SET", "What departments see, under {observation}: own, downstream (default), everything, pipeline."),
    ] = None,
    address: Address = None,
    backend: Annotated[str, option("ray|local", "Actors, or everything in this process.")] = "ray",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, help="With --backend local, where departments learn in C++; default: one per core."
        ),
    ] = None,
    environments: Annotated[int, typer.Option(min=1, max=10_000, help="Environment actors.")] = 2,
    departments_per_process: Annotated[
        int, typer.Option(min=1, max=10_000, help="Departments that share a process.")
    ] = 1,
    department_gpus: Annotated[
        float,
        typer.Option(min=0, help="Share of a GPU that each department process asks Ray for (with --device cuda)."),
    ] = 0.0,
    critic_gpus: Annotated[float, typer.Option(min=0, help="Share of a GPU that the critic asks Ray for.")] = 0.0,
    execution: Annotated[
        str, option("snapshot|message", "How departments act in rollouts; the result is the same.")
    ] = "snapshot",
    episodes: Annotated[
        int, typer.Option(min=2, max=10_000_000, help="Fresh episodes of the final comparison.")
    ] = 4096,
    beside: Annotated[list[Path] | None, option("RUN", "Another run in the final comparison; repeatable.")] = None,
    device: Device = "cpu",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Say so if the search of base-stock levels cannot be compiled.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --run.")] = False,
    start_from: Annotated[
        Path | None, option("RUN", "Start from the policies of this run, maybe of another firm.", "--from")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a firm's departments, then compare them with the benchmarks on fresh episodes."""
    given = said(locals())
    done = api.train(progress=not given.pop("as_json"), **given)
    return show_json(done.result) if as_json else show(done)


def benchmark(
    firms: Annotated[
        list[str] | None, argument("FIRMS...", "Built-in firms, firm files, or all: the 30 of the grid.")
    ] = None,
    schemes: Annotated[
        str,
        option(
            "NAME,...",
            "Schemes to compare; NAME-own: where all see their own position only; all: what fits. {schemes}",
        ),
    ] = "all",
    trials: Annotated[int, typer.Option(help="Seeds per firm and scheme.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The first of the seeds.")] = 0,
    budget: Annotated[
        str | None, option("60s|1e6", "Of a trial: wall time, environment steps, quick or paper.")
    ] = None,
    out: Annotated[Path, option("DIR", "Where everything goes; what is finished there is not repeated.")] = Path(
        "runs/benchmark"
    ),
    config: Config = None,
    values: Values = None,
    log: Log = None,
    episodes: Annotated[
        int, typer.Option(min=2, max=10_000_000, help="Fresh episodes of the report, the same for all of a firm.")
    ] = 4096,
    address: Address = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; default: as many as there are cores.")
    ] = None,
    backend: Annotated[str, option("ray|local", "Side by side, or one by one here.")] = "ray",
    as_json: AsJson = False,
) -> int:
    """Scheme against scheme over many seeds: tables with 95% intervals, learning curves, every trial's results."""
    given = {"firms": ()} | said(locals())
    done = api.benchmark(progress=not given.pop("as_json"), **given)
    show_json(done.to_json()) if as_json else show(done)
    for trial, reason in done.failed.items():
        complain(f"{trial} failed: {reason}; the same command tries it again")
    return 1 if done.failed else 0


def report(
    folder: Annotated[Path, argument("RUN|BENCHMARK", "A run folder or a benchmark folder.")],
    out: Annotated[Path | None, option("HTML", "Where it goes; default: into the folder.")] = None,
) -> None:
    """One html file with pictures and tables of a run or a benchmark, finished or not; it opens from disk."""
    print(api.report(folder, out))


def explain(
    run: Annotated[str, argument("RUN|NAME", "A run of a firm with customers; with --order any run or running firm.")],
    order: Annotated[
        str | None, option("POINT[/PRODUCT]", "Instead: where the network's order of one line comes from.")
    ] = None,
    period: Annotated[int, typer.Option(min=0, help="With --order: the period of a run's episode.")] = 30,
    html: Annotated[Path | None, option("FILE", "With --order: a page of it.")] = None,
    home: Home = HOME,
    states: Annotated[
        int, typer.Option(min=16, max=100_000, help="States of evaluation episodes, a multiple of 8.")
    ] = 512,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Does the agent behave as theory says? Sweeps each decision; leaves explain.png and regions.png in the run.

    With --order: what of one order comes from which observation, in a run's episode or of a running firm's next order.
    """
    from coordinator.explain.show import explain_run, findings_table
    from coordinator.workers.process import settle

    settle()
    if order is not None:
        told = api.explain_order(run, order, period=period, seed=seed, html=html, home=home)
        return show_json(told.to_json()) if as_json else show(told)
    if html is not None:
        raise ValueError("--html is of one order: name it by --order POINT, or leave --html out")
    found = explain_run(Path(run), states=states, seed=seed)
    return show_json(found.to_json()) if as_json else show(findings_table(found))


def theory(
    out: Annotated[Path, option("DIR", "Where the pictures go.")] = Path("runs/theory"),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What the paper proves, on instances with known answers: two timescales and one, and who sees what. Pictures."""
    from coordinator.explain.theory import run_theory
    from coordinator.workers.process import settle

    settle()
    found = run_theory(out, seed)
    return show_json(found.to_json()) if as_json else show(found)

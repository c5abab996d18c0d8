"""`firmwide train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator import api
from coordinator.cli.options import DeviceOption, JsonOption, LogOption, SeedOption, SetOption
from coordinator.cli.show import show, show_json


def train(
    firm: Annotated[
        str | None,
        typer.Argument(metavar="FIRM", show_default=False, help="A built-in firm or a firm file (not with --resume)."),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            show_default=False,
            help="{schemes}",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", show_default=False, help="The run folder (default: a new one in runs/)."),
    ] = None,
    seed: SeedOption = 0,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="120s|1e7",
            show_default=False,
            help="Learning time, environment steps, quick or paper; default: until done.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="YAML", show_default=False, help="Settings that differ from the defaults.")
    ] = None,
    values: SetOption = None,
    log: LogOption = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER",
            show_default=False,
            help="Who learns first, under {order}: downstream-first, upstream-first or greedy.",
        ),
    ] = None,
    observation: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            show_default=False,
            help="What departments see, under {observation}: own, downstream (default), everything, pipeline.",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="auto|HOST", show_default=False, help="A running Ray cluster; default: start one here."),
    ] = None,
    backend: Annotated[str, typer.Option(metavar="ray|local", help="Actors, or everything in this process.")] = "ray",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            show_default=False,
            help="With --backend local, where departments learn in C++; default: one per core.",
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
        str, typer.Option(metavar="snapshot|message", help="How departments act in rollouts; the result is the same.")
    ] = "snapshot",
    episodes: Annotated[
        int, typer.Option(min=2, max=10_000_000, help="Fresh episodes of the final comparison.")
    ] = 4096,
    beside: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", show_default=False, help="Another run in the final comparison; repeatable."),
    ] = None,
    device: DeviceOption = "cpu",
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Say what compiling the world for the tuning of base-stock levels took."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --run.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a firm's departments, then compare them with the benchmarks on fresh episodes."""
    done = api.train(
        firm,
        scheme=scheme,
        run=run,
        seed=seed,
        budget=budget,
        config=config,
        order=order,
        observation=observation,
        episodes=episodes,
        beside=beside or (),
        device=device,
        compiled=compiled,
        resume=resume,
        progress=not as_json,
        backend=backend,
        threads=threads,
        address=address,
        environments=environments,
        departments_per_process=departments_per_process,
        department_gpus=department_gpus,
        critic_gpus=critic_gpus,
        execution=execution,
        values=values or (),
        log=log or (),
    )
    return show_json(done.result) if as_json else show(done)

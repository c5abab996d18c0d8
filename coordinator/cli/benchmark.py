"""`firmwide benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator import api
from coordinator.cli.options import JsonOption, LogOption, SetOption
from coordinator.cli.show import complain, show, show_json


def benchmark(
    firms: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIRMS...", show_default=False, help="Built-in firms, firm files, or all: the 30 of the grid."
        ),
    ] = None,
    schemes: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Schemes to compare; NAME-own: where all see their own position only; all: what fits. {schemes}",
        ),
    ] = "all",
    trials: Annotated[int, typer.Option(help="Seeds per firm and scheme.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The first of the seeds.")] = 0,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="60s|1e6", show_default=False, help="Of a trial: wall time, environment steps, quick or paper."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where everything goes; what is finished there is not repeated.")
    ] = Path("runs/benchmark"),
    config: Annotated[
        Path | None, typer.Option(metavar="YAML", show_default=False, help="Settings that differ from the defaults.")
    ] = None,
    values: SetOption = None,
    log: LogOption = None,
    episodes: Annotated[
        int, typer.Option(min=2, max=10_000_000, help="Fresh episodes of the report, the same for all of a firm.")
    ] = 4096,
    address: Annotated[
        str | None,
        typer.Option(metavar="auto|HOST", show_default=False, help="A running Ray cluster; default: start one here."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, show_default=False, help="Trials at a time; default: as many as there are cores."),
    ] = None,
    backend: Annotated[str, typer.Option(metavar="ray|local", help="Side by side, or one by one here.")] = "ray",
    as_json: JsonOption = False,
) -> int:
    """Scheme against scheme over many seeds: tables with 95% intervals, learning curves, every trial's results."""
    done = api.benchmark(
        firms or (),
        schemes=schemes,
        trials=trials,
        seed=seed,
        budget=budget,
        out=out,
        config=config,
        episodes=episodes,
        address=address,
        workers=workers,
        backend=backend,
        progress=not as_json,
        values=values or (),
        log=log or (),
    )
    if as_json:
        show_json(done.to_json())
    else:
        show(done)
    for trial, reason in done.failed.items():
        complain(f"{trial} failed: {reason}; the same command tries it again")
    return 1 if done.failed else 0

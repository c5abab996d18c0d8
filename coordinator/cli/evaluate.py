"""`firmwide evaluate`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from coordinator import api
from coordinator.cli.options import DeviceOption, FirmArgument, JsonOption, SeedOption
from coordinator.cli.show import show, show_json


def evaluate(
    firm: FirmArgument,
    policy: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]RULE|RUN|CSV",
            help="A rule, such as base-stock:NAME=LEVEL,...; a run; base-stock levels (stock_point,level); repeatable.",
        ),
    ],
    episodes: Annotated[int, typer.Option(min=2, max=10_000_000, help="Fresh episodes, the same for all.")] = 4096,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Rules act in a world compiled by the machine's C++ compiler: for many episodes."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare policies on common random numbers: mean ± standard error, paired differences, service and stock."""
    note = partial(print, file=sys.stderr) if compiled else None
    done = api.evaluate(firm, policy, episodes=episodes, seed=seed, device=device, compiled=note)
    return show_json(done.to_json()) if as_json else show(done)

"""`firmwide evaluate`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from coordinator.cli.options import DeviceOption, FirmArgument, JsonOption, SeedOption
from coordinator.cli.show import settle_on, show, show_json


def evaluate(
    firm: FirmArgument,
    policy: Annotated[
        list[str],
        typer.Option(
            metavar="RULE|RUN", help="A rule, such as base-stock:NAME=LEVEL,..., or a run folder; repeatable."
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
    from coordinator.evaluation.evaluate import evaluate as compare
    from environment import load_firm

    loaded = load_firm(firm)
    settle_on(device)
    twice = sorted({name for name in policy if policy.count(name) > 1})
    if twice:
        raise ValueError(f"--policy {twice[0]!r} is given twice; give each policy once")
    note = partial(print, file=sys.stderr) if compiled else None
    done = compare(loaded, policy, episodes=episodes, seed=seed, device=device, compiled=note)
    if as_json:
        return show_json(done.to_json())
    from coordinator.evaluation.table import comparison

    return show(comparison(done, policy[0]))

"""`firmwide explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.options import JsonOption, SeedOption
from coordinator.cli.show import show, show_json


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="A run of a firm with customers.")],
    states: Annotated[
        int, typer.Option(min=16, max=100_000, help="States of evaluation episodes, a multiple of 8.")
    ] = 512,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Does the agent behave as theory says? Sweeps each decision; leaves explain.png and regions.png in the run."""
    from coordinator.explain.show import explain_run, findings_table
    from coordinator.workers.process import settle

    settle()
    found = explain_run(run, states=states, seed=seed)
    if as_json:
        return show_json(found.to_json())
    return show(findings_table(found))

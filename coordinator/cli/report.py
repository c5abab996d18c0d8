"""`firmwide report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator import api


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN|BENCHMARK", show_default=False, help="A run folder or a benchmark folder.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="HTML", show_default=False, help="Where it goes; default: into the folder.")
    ] = None,
) -> None:
    """One html file with pictures and tables of a run or a benchmark, finished or not; it opens from disk."""
    print(api.report(folder, out))

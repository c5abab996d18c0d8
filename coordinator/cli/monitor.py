"""`firmwide monitor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.live.home import HOME


def monitor(
    source: Annotated[
        str | None,
        typer.Argument(metavar="NAME|RUN", show_default=False, help="A running firm, or the folder of a training run."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0: a free port.")] = 9464,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; nobody is asked who they are.")] = (
        "127.0.0.1"
    ),
    targets: Annotated[Path, typer.Option(metavar="DIR", help="Where exporters that run leave a file each.")] = Path(
        "runs/monitors"
    ),
    files: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", show_default=False, help="Write Prometheus' and Grafana's files there, and nothing else."
        ),
    ] = None,
    home: Annotated[Path, typer.Option("--home", metavar="DIR", help="Where running firms have their folders.")] = HOME,
) -> None:
    """Export figures for Prometheus at /metrics until interrupted; who else does so at /sd."""
    if (source is None) == (files is None):
        raise ValueError("give either NAME|RUN, a running firm or a run folder, or --files DIR")
    if files is not None:
        from coordinator.monitoring.files import write_files

        return write_files(files, targets)
    from coordinator.monitoring.server import monitor as serve

    assert source is not None
    return serve(source, host=host, port=port, home=home, targets=targets)

"""`firmwide office` and `monitor`: a running firm as a web page, and what it and training runs tell Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.options import Home, Name, argument, option
from coordinator.cli.show import say
from coordinator.live.home import HOME


def office(
    name: Name,
    host: Annotated[str, typer.Option(help="Address to listen at; the default is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    home: Home = HOME,
) -> None:
    """Open a running firm's office: a web page and an HTTP interface, until the firm stops or this command is ended."""
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ValueError(f"the office needs {error.name}: pip install 'firmwide[office]'") from None
    from coordinator.live.running_firm import RunningFirm
    from coordinator.office.serve import listening_at, serve

    with RunningFirm.connect(name, home) as firm:
        serve(firm, listening_at(host, port), host, say)


def monitor(
    source: Annotated[str | None, argument("NAME|RUN", "A running firm, or the folder of a training run.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0: a free port.")] = 9464,
    host: Annotated[str, option("ADDRESS", "Where to listen; nobody is asked who they are.")] = "127.0.0.1",
    targets: Annotated[Path, option("DIR", "Where exporters that run leave a file each.")] = Path("runs/monitors"),
    files: Annotated[
        Path | None, option("DIR", "Write Prometheus' and Grafana's files there, and nothing else.")
    ] = None,
    home: Home = HOME,
) -> None:
    """Export figures for Prometheus at /metrics until interrupted; who else does so at /sd."""
    if files is not None and source is None:
        from coordinator.monitoring.files import write_files

        return write_files(files, targets)
    if source is None or files is not None:
        raise ValueError("give either NAME|RUN, a running firm or a run folder, or --files DIR")
    from coordinator.monitoring.server import monitor as serve

    return serve(source, host=host, port=port, home=home, targets=targets)

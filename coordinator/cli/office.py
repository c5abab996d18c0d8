"""`firmwide office`: open a running firm's office."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from coordinator.cli.options import HomeOption, NameArgument
from coordinator.live.home import HOME


def office(
    name: NameArgument,
    host: Annotated[str, typer.Option(help="Address to listen at; the default is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    home: HomeOption = HOME,
) -> None:
    """Open a running firm's office: a web page and an HTTP interface, until the firm stops or this command is ended."""
    _must_be_installed()
    from coordinator.live.running_firm import RunningFirm
    from coordinator.office.serve import listening_at, serve

    with RunningFirm.connect(name, home) as firm:
        serve(firm, listening_at(host, port), host, lambda line: sys.stderr.write(f"{line}\n"))


def _must_be_installed() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ValueError(f"the office needs {error.name}: pip install 'firmwide[office]'") from None

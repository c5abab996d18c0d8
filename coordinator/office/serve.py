"""The office served: until the firm stops or the command is ended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from coordinator.live.home import running_at
from coordinator.monitoring.hosts import hosts_of

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from coordinator.live.running_firm import RunningFirm

_LOOK = 1.0  # s between two looks whether the firm still runs


def listening_at(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ValueError: one line; it cannot be listened at.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"--host {host} --port {port} cannot be listened at: {reason}") from None


def served(application: ASGIApp) -> uvicorn.Config:
    """How an application is served: to so many at a time, and to nobody who keeps others waiting."""
    import uvicorn

    from coordinator.office.connections import Connection

    return uvicorn.Config(
        application,
        http=Connection,
        log_level="error",  # not a line for every request that is none
        access_log=False,
        server_header=False,
        limit_concurrency=128,
        timeout_graceful_shutdown=3,
    )


def serve(firm: RunningFirm, listening: socket.socket, host: str, say: Callable[[str], object]) -> None:
    """Serve until interrupted, or until the firm has stopped.

    Args:
        firm: the running firm.
        listening: a socket; any port.
        host: what it was bound to.
        say: takes lines for whoever started this; the token is among them once.
    """
    import uvicorn

    from coordinator.office.api import office as application
    from coordinator.office.guard import token_of

    token, new = token_of(firm.folder)
    hosts = hosts_of(host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"
    if hosts is None:
        say(f"anyone who reaches {host} can look at the firm, and the token travels in clear text")
    say(f"the office of {firm.name} is open at {url}")
    if new:
        kept = firm.folder / "office.token"
        say(f"for commands, shown this once and kept in {kept}: {url}#token={token}")
    server, over = uvicorn.Server(served(application(firm, token, hosts))), threading.Event()

    def close_with_the_firm() -> None:
        while not over.wait(_LOOK):
            if running_at(firm.folder) is None:
                say(f"{firm.name} has stopped; its office closes")
                server.should_exit = True
                return

    watching = threading.Thread(target=close_with_the_firm, daemon=True)
    watching.start()
    try:
        server.run([listening])
    finally:
        over.set()
        watching.join()
        listening.close()

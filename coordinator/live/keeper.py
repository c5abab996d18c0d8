"""The keeper of a firm with a Ray of its own: it starts that Ray and stays, so that the firm outlives its starter."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from coordinator.storage.files import write_atomically

_START = 120.0  # s that a Ray may take to start


def start_keeper(folder: Path) -> tuple[str, int]:
    """Start a Ray that stays, and return its address and its keeper's process id.

    Raises:
        RuntimeError: it does not come up.
    """
    folder = folder.resolve()
    answer = folder / "keeper.json"
    answer.unlink(missing_ok=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    log = str(folder / "keeper.log")
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    keeper = os.posix_spawn(  # not subprocess: nobody waits for it
        sys.executable,
        [sys.executable, "-W", "ignore", "-m", "coordinator.live.keeper", str(folder)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, written, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    until = time.monotonic() + _START
    waiting = threading.Event()
    while time.monotonic() < until and os.waitpid(keeper, os.WNOHANG) == (0, 0):
        if answer.is_file():
            return str(json.loads(answer.read_text())["address"]), keeper
        waiting.wait(0.05)
    raise RuntimeError(f"Ray did not start; see {folder / 'keeper.log'}")


def keep(folder: Path) -> None:
    """Start Ray and stay until told to end."""
    from coordinator.workers.ray_session import connect

    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    scratch = tempfile.mkdtemp(prefix="firmwide-", dir="/tmp")  # sockets need a short path
    ray, _ = connect("firmwide-keeper", None, scratch=scratch)
    address = ray.get_runtime_context().gcs_address
    write_atomically(folder / "keeper.json", json.dumps({"address": address, "pid": os.getpid()}) + "\n")
    told.wait()
    ray.shutdown()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))

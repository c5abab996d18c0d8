"""Where running firms are: HOME/NAME, and in its live.json the Ray cluster that runs it.

A firm without an address of its own gets a Ray of its own: a keeper process that starts it and stays, so that the firm
outlives whoever started it, and stopping the keeper stops exactly that Ray.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from coordinator.storage.files import write_atomically

HOME = Path("runs/live")
_START = 120.0  # s that a Ray may take to start


def folder_of(name: str, home: Path) -> Path:
    """The folder of a firm that was founded.

    Raises:
        ValueError: there is none.
    """
    folder = home / name
    if not (folder / "book.sqlite").is_file():
        there = sorted(path.parent.name for path in home.glob("*/book.sqlite"))
        known = f"there are {', '.join(there)}" if there else "there is none yet; start one with firmwide live"
        raise ValueError(f"NAME must be a firm in {home}, got {name!r}: {known}")
    return folder


def absolute(policy: str) -> str:
    """RUN, RUN@VERSION or a policy file by its absolute path, for whoever works in another folder; a rule as it is."""
    path, at, version = policy.partition("@")
    return str(Path(path).resolve()) + at + version if Path(path).exists() else policy


def place_of(folder: Path) -> dict[str, Any] | None:
    """What live.json says; None if the firm does not run."""
    try:
        found: dict[str, Any] = json.loads((folder / "live.json").read_text())
    except FileNotFoundError:
        return None
    keeper = found.get("keeper")
    return found if keeper is None or _keeps(keeper, folder) else None


def settle_at(folder: Path, address: str, keeper: int | None) -> None:
    """Write live.json."""
    write_atomically(folder / "live.json", json.dumps({"address": address, "keeper": keeper}) + "\n")


def leave(folder: Path) -> None:
    """The firm does not run any more: end its keeper, if it has one, and with it its Ray."""
    found = place_of(folder)
    (folder / "live.json").unlink(missing_ok=True)
    if found and found["keeper"] is not None:
        os.kill(found["keeper"], signal.SIGTERM)


def _keeps(pid: int, folder: Path) -> bool:
    """Whether a process is the keeper of a folder, and not another one that got its number."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(folder.resolve()).encode() in words


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
        [sys.executable, "-W", "ignore", "-m", "coordinator.live.place", str(folder)],
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

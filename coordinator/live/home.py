"""Where running firms are: HOME/NAME, and in its live.json the Ray cluster that runs it.

A firm without an address of its own gets a Ray of its own: a keeper process that starts it and stays, so that the firm
outlives whoever started it, and stopping the keeper stops exactly that Ray.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from coordinator.storage.files import write_atomically

HOME = Path("runs/live")


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
    return str(Path(path).resolve()) + at + version if os.path.exists(path) else policy


def running_at(folder: Path) -> dict[str, Any] | None:
    """What live.json says; None if the firm does not run."""
    try:
        found: dict[str, Any] = json.loads((folder / "live.json").read_text())
    except FileNotFoundError:
        return None
    keeper = found.get("keeper")
    return found if keeper is None or _keeps(keeper, folder) else None


def write_home(folder: Path, address: str, keeper: int | None) -> None:
    """Write live.json."""
    write_atomically(folder / "live.json", json.dumps({"address": address, "keeper": keeper}) + "\n")


def leave(folder: Path) -> None:
    """The firm does not run any more: end its keeper, if it has one, and with it its Ray."""
    found = running_at(folder)
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

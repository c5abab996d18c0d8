"""Where running firms are: HOME/NAME, and in its live.json the Ray cluster that runs it.

A firm without an address of its own gets a Ray of its own: a keeper process that starts it and stays, so that the firm
outlives whoever started it. Everything that the keeper starts bears the firm's mark and ends with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coordinator.storage.files import PRIVATE, write_atomically

HOME = Path("runs/live")
MARK = "FIRMWIDE_FIRM"  # in the environment of the keeper's processes: the firm's folder
_END = 10.0  # s that killed processes may take to be gone


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


@contextlib.contextmanager
def starting(folder: Path) -> Iterator[Path]:
    """Be the only one who starts the firm of a folder; whoever dies meanwhile lets go of it.

    Raises:
        ValueError: somebody else starts it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    lock = folder / "live.lock"
    file = os.open(lock, os.O_WRONLY | os.O_CREAT, PRIVATE)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.stat().st_ino != os.fstat(file).st_ino:
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            raise ValueError(f"firm {folder.name!r} is being started by another `firmwide live`; wait for it") from None
        try:
            yield folder
        finally:
            if not (folder / "book.sqlite").exists():  # nothing was founded
                shutil.rmtree(folder)
                with contextlib.suppress(OSError):
                    folder.parent.rmdir()
    finally:
        os.close(file)


def running_at(folder: Path) -> dict[str, Any] | None:
    """What live.json says; None if the firm does not run.

    Raises:
        ValueError: one line; the file is damaged.
    """
    place = folder / "live.json"
    try:
        found = json.loads(place.read_bytes())
        keeper, _ = found["keeper"], found["address"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{place} is damaged: end what runs with `firmwide stop {folder.name} --now`, then start it again"
        ) from None
    return dict(found) if keeper is None or _bears(Path(f"/proc/{keeper}/environ"), folder) else None


def write_home(folder: Path, address: str, keeper: int | None, options: dict[str, Any]) -> None:
    """Write live.json; `options` are those that the firm is run by."""
    content = {"address": address, "keeper": keeper, "options": options}
    write_atomically(folder / "live.json", json.dumps(content) + "\n", PRIVATE)


def leave(folder: Path) -> None:
    """The firm does not run any more: end its keeper, if it has one, and all of its Ray; nothing of it stays."""
    (folder / "live.json").unlink(missing_ok=True)
    until = time.monotonic() + _END
    while (left := processes_of(folder)) and time.monotonic() < until:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)
    forget_scratch(folder)


def forget_scratch(folder: Path) -> None:
    """Remove the folder that a keeper made for its Ray."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        scratch = Path(json.loads((folder / "keeper.json").read_bytes())["scratch"])
        if scratch.name.startswith("firmwide-"):
            shutil.rmtree(scratch, ignore_errors=True)
        (folder / "keeper.json").unlink()


def processes_of(folder: Path) -> set[int]:
    """All processes that bear a firm's mark: its keeper, and what that started."""
    found = {int(about.parent.name) for about in Path("/proc").glob("[0-9]*/environ") if _bears(about, folder)}
    return found - {os.getpid()}


def _bears(about: Path, folder: Path) -> bool:
    try:
        return f"{MARK}={folder.resolve()}".encode() in about.read_bytes().split(b"\0")
    except OSError:
        return False  # it has ended, or is somebody else's

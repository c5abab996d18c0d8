"""The keeper of a firm with a Ray of its own: it starts that Ray and stays, so that the firm outlives its starter.

Until it is told that the firm runs, it ends when its starter does. A Ray that loses one of its own processes is ended,
and the firm is started again from its book.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from coordinator.live.home import MARK, leave, running_at
from coordinator.storage.files import write_atomically
from coordinator.workers.process import interruptible

_START = 120.0  # s that a Ray may take to start
_LOOK = 0.5  # s between two looks whether Ray lives


class SlowError(RuntimeError):
    """Ray did not come up in the time that it gives itself, as on a machine that is busy; it may the next time."""


@contextlib.contextmanager
def started_keeper(folder: Path) -> Iterator[tuple[str, int]]:
    """Start a Ray that stays if the block ends well; its address and its keeper's process id.

    Raises:
        SlowError: it does not come up.
        RuntimeError: it was ended meanwhile.
    """
    folder = folder.resolve()
    (folder / "keeper.json").unlink(missing_ok=True)
    ours, told = os.pipe()  # closed by our death too
    try:
        with interruptible():
            keeper = _spawn("coordinator.live.keeper", folder, ours)
            yield _address(folder, keeper), keeper
        os.write(told, b"stay")
    except BaseException:
        leave(folder)  # at once; the keeper would end by itself, too
        raise
    finally:
        os.close(ours)
        os.close(told)


def _spawn(module: str, folder: Path, starter: int, *more: str) -> int:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), MARK: str(folder)}
    environment["SPT_NOENV"] = "1"  # else Ray's workers and agents write their titles over it, and so over the mark
    if more:
        del environment[MARK]  # a starter is no part of what it starts
    written = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(  # not subprocess: nobody waits for it
        sys.executable,
        [sys.executable, "-W", "ignore", "-m", module, str(folder), *more],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, starter, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(folder / "keeper.log"), written, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _address(folder: Path, keeper: int) -> str:
    until, waiting, ended = time.monotonic() + _START, threading.Event(), (0, 0)
    while time.monotonic() < until and (ended := os.waitpid(keeper, os.WNOHANG)) == (0, 0):
        with contextlib.suppress(FileNotFoundError, KeyError):
            return str(json.loads((folder / "keeper.json").read_text())["address"])
        waiting.wait(0.05)
    if os.WIFSIGNALED(ended[1]):
        raise RuntimeError(f"firm {folder.name!r} was stopped while its Ray started")
    raise SlowError(f"Ray did not start; see {folder / 'keeper.log'}")


def keep(folder: Path) -> None:
    """Start Ray and stay until told to end, until starter or folder are gone, or until Ray is broken."""
    from coordinator.workers.ray_session import broken, connect

    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    scratch = tempfile.mkdtemp(prefix="firmwide-", dir="/tmp")  # sockets need a short path; Ray opens its own to all
    about = {"scratch": scratch, "pid": os.getpid()}
    write_atomically(folder / "keeper.json", json.dumps(about) + "\n")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 puts a firm behind whatever else the machine does
    threading.Thread(target=_with_its_starter, args=(over,), daemon=True).start()
    options = None
    try:
        ray, _ = connect("firmwide-keeper", None, scratch=f"{scratch}/r", own=True)
        about["address"] = ray.get_runtime_context().gcs_address
        write_atomically(folder / "keeper.json", json.dumps(about) + "\n")
        while not over.wait(_LOOK) and folder.is_dir():
            if broken():
                place = running_at(folder)  # None: it is being stopped, or does not run yet
                options = (place or {}).get("options")
                break
    finally:
        leave(folder)
        shutil.rmtree(scratch, ignore_errors=True)  # also where nothing in the folder tells of it any more
    if options is not None:
        _spawn("coordinator.live.start", folder, os.open(os.devnull, os.O_RDONLY), json.dumps(options))


def _with_its_starter(over: threading.Event) -> None:
    """End when the starter is gone before the firm runs."""
    if os.read(0, 4) != b"stay":
        over.set()


if __name__ == "__main__":
    status = 1
    try:
        keep(Path(sys.argv[1]))
        status = 0
    except Exception:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(status)  # as it leaves by the door, Ray makes the folder of its session anew

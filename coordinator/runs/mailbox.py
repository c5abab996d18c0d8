"""Requests to a run that is being trained: files in its folder, taken up between two iterations.

RUN/requests/ID.json           who asks for what, written by `firmwide swap` and `firmwide rollback`
RUN/requests/ID.answer.json    what became of it, written when the checkpoint that holds its effect is
RUN/.training                  locked by whoever trains the run

A request is carried out once: its answer stands in the checkpoint together with its effect. Everything is plain json,
on whatever storage the run folder is, whether departments are Ray actors or not.
"""

from __future__ import annotations

import fcntl
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from coordinator.storage.files import write_atomically

Answer = dict[str, Any]
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_LOOK = 0.1  # s between two looks for an answer


@dataclass(frozen=True)
class Request:
    """What somebody asks of a run."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # when it is read
    id: str
    kind: str  # swap, rollback
    department: str
    who: str
    why: str
    policy: str = ""  # of a swap
    hold: bool = False  # it shall not learn
    tolerance: float = 0.2  # share of the stand-in's cost by which the firm may do worse
    time: float = 0.0  # unix seconds
    extensions: Sequence[str] = ()  # modules of the user's own, that the policy may need


class Mailbox:
    """The requests of one run."""

    def __init__(self, run: Path) -> None:
        """Of the run folder `run`; nothing is written yet."""
        self._folder = run / "requests"

    def post(self, request: Request) -> None:
        """Leave a request; one whose id was used before stays as it is.

        Raises:
            ValueError: the id is none.
        """
        if not _ID.fullmatch(request.id):
            raise ValueError(f"--command must be an id of 1 to 64 letters, digits and '-', got {request.id!r}")
        place = self._folder / f"{request.id}.json"
        if not place.exists():
            write_atomically(place, json.dumps(asdict(request), indent=1) + "\n")

    def pending(self) -> list[Request]:
        """Requests without an answer, oldest first; a file that is no request is left alone."""
        places = [place for place in self._folder.glob("*.json") if _ID.fullmatch(place.stem)]
        found = [_read(place) for place in places if not self._answer(place.stem).exists()]
        return sorted(filter(None, found), key=lambda request: (request.time, request.id))

    def reply(self, answer: Answer) -> None:
        """Answer a request."""
        write_atomically(self._answer(answer["command"]), json.dumps(answer, indent=1) + "\n")

    def answer(self, request: str) -> Answer | None:
        """The answer to a request; None before there is one."""
        try:
            return dict(json.loads(self._answer(request).read_text()))
        except FileNotFoundError:
            return None

    def _answer(self, request: str) -> Path:
        return self._folder / f"{request}.answer.json"


def _read(place: Path) -> Request | None:
    try:
        request = TypeAdapter(Request).validate_json(place.read_bytes())
    except (OSError, ValidationError):
        return None
    return request if request.id == place.stem else None


@contextmanager
def being_trained(run: Path) -> Iterator[None]:
    """Hold a run while it is trained.

    Raises:
        ValueError: another process trains it.
    """
    with (run / ".training").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"--run {str(run)!r} is being trained by another process") from None
        yield


def is_being_trained(run: Path) -> bool:
    """Whether some process trains a run."""
    place = run / ".training"
    if not place.is_file():
        return False
    with place.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def ask(run: Path, request: Request, wait: float = 60.0) -> Answer:
    """Leave a request with a run that is being trained, and wait for what becomes of it.

    Args:
        run: its folder.
        request: what is asked.
        wait: seconds; after them the state of the answer is `pending`.

    Returns:
        `command`, `state` (done, refused or pending), `iteration` from which on it is in effect, and `message`.

    Raises:
        ValueError: one line; the run is not being trained.
    """
    mailbox = Mailbox(run)
    if mailbox.answer(request.id) is None and not is_being_trained(run):
        raise ValueError(
            f"run {str(run)!r} is not being trained; go on with `firmwide train --resume --run {run}` and ask again"
        )
    mailbox.post(request)
    until, waiting = time.monotonic() + wait, threading.Event()
    while (answer := mailbox.answer(request.id)) is None and time.monotonic() < until:
        waiting.wait(_LOOK)
    return answer or {"command": request.id, "state": "pending", "iteration": None, "message": ""}

"""The process that runs a firm's ticks, and goes on whatever happens to the book: it waits, says so, and begins again.

It can be killed at any moment: its successor opens the book and goes on with the tick that was not committed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from coordinator.live.actor_clients import tell
from coordinator.live.book import AgainError, Book, Command, Event, LostError, OvertakenError
from coordinator.live.book_file import BookDamagedError, BookError
from coordinator.live.feed_files import write_decisions
from coordinator.live.life import Life
from coordinator.live.rolling import roll
from departments.serving.numpy_policy import PolicyBundle

_FEED_EVERY = 0.1  # s between two looks for observations
_RETRY = 0.5  # s between two tries to write to a book that cannot be written
_BEGINNING = 30.0  # s that whoever asks waits while a life begins
_FAILURES = 5  # at the same tick, after which the loop stays where it is
OVER = ("stopped", "failed")  # states in which no tick follows

Record = dict[str, Any]


class TickProcess:
    """Runs one firm. Commands come in on other threads and are carried out between two ticks."""

    def __init__(self, folder: str, namespace: str, options: Record) -> None:
        """Begin to take the firm's book over; nothing here can fail, as an actor whose beginning fails is not replaced.

        Args:
            folder: of the firm.
            namespace: where its actors are.
            options: `tick` seconds from one to the next, 0: as fast as possible; `ticks` in all, or None; `deadline`
                seconds for an answer; `keep`: periods that the book keeps, or None.
        """
        self._options, self._folder, self._namespace = options, Path(folder), namespace
        self._state, self._reason, self._trouble = "waiting", "it begins", 0.0
        self._turn = threading.Condition()
        self._life: Life | None = None
        threading.Thread(target=self._guarded, daemon=True, name="ticks").start()

    def ready(self) -> tuple[int, int]:
        """Process id and the next tick, once the ticks run.

        Raises:
            RuntimeError: they will not; one line says why.
        """
        with self._turn:
            self._turn.wait_for(lambda: self._life is not None or self._state in OVER)
        return os.getpid(), self._running().operation.now.tick

    def state(self) -> tuple[str, str]:
        """The firm's state and its reason."""
        return self._state, self._reason

    def _begun(self) -> None:
        """Wait while a life begins, as after a death, unless something is in its way."""
        with self._turn:
            self._turn.wait_for(lambda: self._life or self._trouble or self._state in OVER, _BEGINNING)

    def _running(self) -> Life:
        if self._life is None:
            raise RuntimeError(f"{self._state}: {self._reason}")
        return self._life

    def command(self, number: str, who: str, kind: str, department: str, arguments: Record, why: str) -> Record:
        """Take a command, which is carried out once, between two ticks; see `RunningFirm`.

        Args:
            number: its id; of one that came before, what it came to.
            who: asks.
            kind: of `Operation`'s.
            department: that it is for.
            arguments: of its kind.
            why: in the asker's words.

        Returns:
            Its answer, `pending` where the book will have it later.
        """
        command = Command(number, who, kind, department, arguments, why)
        self._begun()
        try:
            if self._state in OVER:
                return self._late(command)
            life = self._running()
            kept = life.book.receive(command)
            if kept.state == "pending":
                life.inbox.prepare(kept)
            return kept.answer()
        except (ValueError, TypeError, RuntimeError, sqlite3.Error) as error:
            return command._replace(state="refused", message=" ".join(str(error).split())).answer()

    def _late(self, command: Command) -> Record:
        """The answer of a firm whose ticks have ended."""
        was = f"{self._state} ({self._reason})"
        if command.kind != "stop":
            raise ValueError(f"the firm has {was}; go on with `firmwide live --name {self._folder.name}`")
        with contextlib.suppress(Exception):  # it is stopped, whatever the book says to it
            life = self._running()
            life.operation.carry_out(life.book.receive(command))
        self._say("stopped", f"it had {was}" if self._state == "failed" else self._reason)
        return command._replace(state="done", message=f"stopped; it had {was}").answer()

    def _guarded(self) -> None:
        """Life after life: one ends where its book cannot be written or a command fails; the next opens the book."""
        while self._state not in OVER:
            try:
                if self._life is None:
                    self._begin()
                self._loop()
            except AgainError:
                self._end()
            except (OvertakenError, BookDamagedError, LostError) as error:
                self._say("failed", str(error))
            except (BookError, OSError) as trouble:
                self._wait_out(trouble)
            except BaseException as error:
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """A mistake of ours is written down and the process ends, so that a successor begins from the book."""
        reason, life = " ".join(f"{type(error).__name__}: {error}".split()), self._life
        if life is None:
            self._say("failed", reason)
            return
        tick = life.operation.now.tick
        try:
            failures = life.book.fail(tick, reason, traceback.format_exc())
        except BookError as trouble:
            self._wait_out(trouble)
            return
        if failures < _FAILURES:
            os._exit(1)
        self._say("failed", f"tick {tick} failed {failures} times: {reason}")

    def _wait_out(self, trouble: Exception) -> None:
        """Say what is in the way, wait a little, and begin again from the book."""
        self._trouble = self._trouble or time.monotonic()
        self._end()
        self._say("waiting", " ".join(str(trouble).split()))
        with self._turn:
            self._turn.wait(_RETRY)

    def _end(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            life.inbox.close()
            life.book.close()

    def _begin(self) -> None:
        """Take the book over, and meet the departments."""
        durable = bool(self._options.get("feed"))
        book = Book(self._folder / "book.sqlite", durable=durable)
        try:
            life = Life(self._folder, self._namespace, self._options, book, self._turn)
        except BaseException:
            book.close()
            raise
        if self._trouble:
            waited = time.monotonic() - self._trouble
            life.operation.note(Event("wait", why=self._reason, details={"seconds": round(waited, 1)}))
            life.operation.flush()
        self._trouble, self._life, self._state, self._reason = 0.0, life, "running", ""
        self._emit()
        with self._turn:
            self._turn.notify_all()

    def _say(self, state: str, reason: str) -> None:
        """Change the state, and tell the monitor that no figures follow for now."""
        with self._turn:
            self._state, self._reason = state, reason
            self._turn.notify_all()
        if self._life is not None and state in OVER:
            with contextlib.suppress(BookError):
                self._report(True)
                return
        tell(self._namespace, state, reason)

    def _loop(self) -> None:
        life, limit = self._running(), self._options.get("ticks")
        operation = life.operation
        while self._state != "stopped":
            self._carry_out()
            life.follow()
            self._report()
            if self._state == "stopped":
                break
            if limit is not None and operation.now.tick >= limit:
                self._state, self._reason = "done", f"all {limit} ticks are done"
                self._idle(0.1)
            elif (operation.awaits and not self._arrived()) or not self._approved():
                self._idle(_FEED_EVERY)
            elif life.due(self._idle):
                life.tick()
                self._emit()
                roll(operation, self._options.get("keep"), life.needed())
        self._report(True)

    def _arrived(self) -> bool:
        """Look for the awaited observations of a fed firm; what cannot be read is written down once."""
        life = self._running()
        operation = life.operation
        found = life.clients.observe(operation.now.tick, operation.now.moment.arrays)
        if isinstance(found, tuple):
            operation.arrive(*found)
            self._state, self._reason = "running", ""
            return True
        reason = found or f"the observations of period {operation.now.tick}"
        if found is not None and reason != self._reason:
            operation.note(Event("feed", why=reason))
            operation.flush()
        self._state, self._reason = "waiting", reason
        return False

    def _approved(self) -> bool:
        """Whether the tick may happen: where orders wait for approval, they are proposed first."""
        operation = self._running().operation
        if not self._options.get("approve"):
            return True
        if (operation.proposal or operation.propose())["approved"]:
            self._state, self._reason = "running", ""
            return True
        self._state, self._reason = "waiting", f"approval of the orders of period {operation.now.tick}"
        return False

    def _emit(self) -> None:
        """A fed firm's decisions leave when they are committed; after a death, once more."""
        life, feed = self._running(), self._options.get("feed")
        last, operation = life.operation.now.tick - 1, life.operation
        if feed is not None and last >= 0:
            rows = life.book.decisions(None, last, len(operation.posts))
            told = life.book.ticks(last, 1)[0]["departments"]
            precedence = {name: told[name]["precedence"] for name in operation.layout.allocates}
            decisions = {row["department"]: row["decision"] for row in rows}
            write_decisions(Path(feed), last, operation.layout, decisions, precedence)

    def _idle(self, seconds: float) -> None:
        with self._turn:
            if self._life is None or not self._life.inbox.waiting:
                self._turn.wait(seconds)

    def _carry_out(self) -> None:
        life = self._running()
        while (found := life.inbox.take()) is not None:
            command, offered, refusal = found
            periods = command.arguments.get("canary", 0)
            if life.book.command(command.id).state != "pending":
                continue  # withdrawn meanwhile
            proven = not periods or "verdict" in command.arguments
            if isinstance(offered, PolicyBundle) and refusal is None and not proven:
                refusal = life.canaries.begin(command, offered, periods)
                if refusal is None:
                    continue
            answered = life.operation.carry_out(command, offered, refusal)
            life.canaries.drop(command.id)
            if answered.kind == "change" and answered.state == "done":
                for number in list(life.canaries.under_way):
                    life.canaries.drop(number)
            if answered.kind == "cancel" and answered.state == "done":
                life.canaries.drop(command.arguments["command"])
            if answered.kind == "stop" and answered.state == "done":
                life.set_aside("the firm was stopped before this was carried out; ask again when it runs")
                self._state, self._reason = "stopped", answered.message

    def _report(self, now: bool = False) -> None:
        """Tell the monitor, now and then."""
        self._running().report(self._state, self._reason, now)

    def metrics(self) -> Record:
        """The figures of now; the monitor has them for everyone else."""
        self._begun()
        return self._running().metrics(self._state, self._reason)

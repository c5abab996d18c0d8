"""The book of a running firm: one SQLite file, the single source of truth. A tick has happened when it stands here.

The next tick, the state of the world, every department's memory and what it follows, and all totals are one row that
each commit replaces together with the tick's own rows: all of it or nothing. Whoever writes holds the book's epoch; a
writer that was replaced cannot commit any more.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from coordinator.live.period_start import Arrays

_TABLES = """
create table if not exists firm (key text primary key, value text not null);
create table if not exists now (
    one integer primary key check (one = 1), epoch integer not null, tick integer not null,
    arrays blob not null, record text not null);
create table if not exists ticks (tick integer primary key, time real not null, record text not null);
create table if not exists decisions (
    tick integer not null, department text not null, version integer not null, mode text not null,
    decision text not null, wished text not null, saw text not null, seconds real,
    primary key (department, tick)) without rowid;
create table if not exists events (
    number integer primary key autoincrement, tick integer not null, time real not null, kind text not null,
    department text, who text, why text, command text, details text not null);
create table if not exists commands (
    id text primary key, time real not null, who text not null, kind text not null, department text not null,
    arguments text not null, why text not null, state text not null, tick integer, message text not null);
"""


class Event(NamedTuple):
    """Something that is not a decision: who did what, when and why."""

    kind: str  # start, stop, swap, rollback, override, pause, resume, canary, refusal, fallback, restart, feed, failure
    department: str | None = None
    who: str = "firmwide"
    why: str = ""
    command: str | None = None
    details: Mapping[str, Any] = {}


class Command(NamedTuple):
    """What somebody asked for."""

    id: str
    who: str
    kind: str  # swap, rollback, override, pause, resume, stop
    department: str
    arguments: dict[str, Any]
    why: str
    state: str = "pending"  # pending, done, refused
    tick: int | None = None
    message: str = ""

    def answer(self) -> dict[str, Any]:
        """What the one who asked is told."""
        return {"command": self.id, "state": self.state, "tick": self.tick, "message": self.message}


class OvertakenError(RuntimeError):
    """Another coordinator has taken the book over."""


class Book:
    """Reads and writes one firm's book."""

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        """Open or create the book at `path`; `durable`: commits survive a power cut too, as a real firm needs."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()  # one connection, several threads
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._file.execute("pragma journal_mode = wal")
        self._file.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
        self._file.executescript(_TABLES)
        self._epoch = -1

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def found(self, facts: Mapping[str, Any], arrays: Arrays, record: Mapping[str, Any]) -> None:
        """Begin the book: what never changes, and the state before tick 0."""
        with self._lock, self._transaction():
            rows = [(key, json.dumps(value)) for key, value in facts.items()]
            self._file.executemany("insert into firm values (?, ?)", rows)
            self._file.execute("insert into now values (1, 0, 0, ?, ?)", (save_tensors(arrays), json.dumps(record)))

    def facts(self) -> dict[str, Any]:
        """What never changes."""
        return {key: json.loads(value) for key, value in self._read("select key, value from firm")}

    def take_over(self) -> tuple[int, Arrays, dict[str, Any]]:
        """Become the one who writes.

        Returns:
            The next tick, the arrays and the record of the last commit.
        """
        with self._lock, self._transaction():
            self._file.execute("update now set epoch = epoch + 1")
            self._epoch = self._read("select epoch from now")[0][0]
        return self.now()

    def now(self) -> tuple[int, Arrays, dict[str, Any]]:
        """The next tick, the arrays and the record of the last commit."""
        tick, arrays, record = self._read("select tick, arrays, record from now")[0]
        return tick, load_tensors(arrays), json.loads(record)

    def commit(
        self,
        tick: int,
        arrays: Arrays,
        record: Mapping[str, Any],
        *,
        account: Mapping[str, Any],
        decisions: Iterable[Sequence[Any]] = (),
        events: Iterable[Event] = (),
        commands: Iterable[Command] = (),
    ) -> None:
        """Let tick `tick` have happened: everything in one transaction.

        Args:
            tick: the one that was decided; it must be the next one.
            arrays: state and memories before tick + 1.
            record: what departments follow from then on, and totals.
            account: of the tick, for its own row.
            decisions: (department, version, mode, decision, wished, saw, seconds) of each department.
            events: what happened since the last commit.
            commands: those that were carried out or refused.

        Raises:
            OvertakenError: somebody else writes this book now.
        """
        written = (tick + 1, save_tensors(arrays), json.dumps(record), self._epoch, tick)
        rows = [(tick, *row) for row in decisions]
        with self._lock, self._transaction():
            self._claim("update now set tick = ?, arrays = ?, record = ? where epoch = ? and tick = ?", written)
            self._file.execute("insert into ticks values (?, ?, ?)", (tick, time.time(), json.dumps(account)))
            self._file.executemany("insert into decisions values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._note(tick, events, commands)

    def amend(
        self,
        tick: int,
        arrays: Arrays,
        record: Mapping[str, Any],
        events: Iterable[Event] = (),
        commands: Iterable[Command] = (),
    ) -> None:
        """Change what holds before the next tick, `tick`, without a tick: commands between two ticks.

        Raises:
            OvertakenError: somebody else writes this book now.
        """
        written = (save_tensors(arrays), json.dumps(record), self._epoch, tick)
        with self._lock, self._transaction():
            self._claim("update now set arrays = ?, record = ? where epoch = ? and tick = ?", written)
            self._note(tick, events, commands)

    def _claim(self, statement: str, values: Sequence[Any]) -> None:
        if self._file.execute(statement, values).rowcount != 1:
            raise OvertakenError(f"{self.path} is written by another coordinator; this one stops")

    def _note(self, tick: int, events: Iterable[Event], commands: Iterable[Command]) -> None:
        at = time.time()
        self._file.executemany(
            "insert into events (tick, time, kind, department, who, why, command, details) values (?,?,?,?,?,?,?,?)",
            [(tick, at, e.kind, e.department, e.who, e.why, e.command, json.dumps(e.details)) for e in events],
        )
        self._file.executemany(
            "update commands set state = ?, tick = ?, message = ?, arguments = ? where id = ?",
            [(c.state, c.tick, c.message, json.dumps(c.arguments), c.id) for c in commands],
        )

    def fail(self, tick: int, reason: str, trace: str) -> int:
        """Write down that a tick failed; how often it has."""
        with self._lock, self._transaction():
            self._note(tick, [Event("failure", why=reason, details={"trace": trace})], [])
        found: int = self._read("select count(*) from events where kind = 'failure' and tick = ?", (tick,))[0][0]
        return found

    def receive(self, command: Command) -> Command:
        """Keep a command until it is carried out; of one that came before, what stands."""
        with self._lock, self._transaction():
            self._file.execute(
                "insert or ignore into commands values (?, ?, ?, ?, ?, ?, ?, 'pending', null, '')",
                (
                    command.id,
                    time.time(),
                    command.who,
                    command.kind,
                    command.department,
                    json.dumps(command.arguments),
                    command.why,
                ),
            )
        return self.command(command.id)

    def command(self, number: str) -> Command:
        """A command by its id."""
        return self._commands("where id = ?", (number,))[0]

    def pending(self) -> list[Command]:
        """Commands that are still to be carried out, oldest first."""
        return self._commands("where state = 'pending' order by time, id")

    def _commands(self, where: str, values: Sequence[Any] = ()) -> list[Command]:
        columns = "id, who, kind, department, arguments, why, state, tick, message"
        rows = self._read(f"select {columns} from commands {where}", values)
        names = columns.split(", ")
        plain = [dict(zip(names, row, strict=True)) for row in rows]
        return [Command(**{**row, "arguments": json.loads(row["arguments"])}) for row in plain]

    def decisions(self, department: str | None = None, since: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Decisions from tick `since` on, oldest first."""
        columns = ("tick", "department", "version", "mode", "decision", "wished", "saw", "seconds")
        where, values = ("and department = ?", [department]) if department else ("", [])
        rows = self._read(
            f"select {', '.join(columns)} from decisions where tick >= ? {where} order by tick, department limit ?",
            (since, *values, limit),
        )
        plain = [dict(zip(columns, row, strict=True)) for row in rows]
        return [row | {key: json.loads(row[key]) for key in ("decision", "wished", "saw")} for row in plain]

    def events(self, since: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Events from number `since` on, oldest first."""
        columns = ("number", "tick", "time", "kind", "department", "who", "why", "command", "details")
        rows = self._read(
            f"select {', '.join(columns)} from events where number >= ? order by number limit ?", (since, limit)
        )
        return [dict(zip(columns, row, strict=True)) | {"details": json.loads(row[-1])} for row in rows]

    def ticks(self, since: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Accounts of ticks from `since` on, oldest first."""
        rows = self._read("select tick, time, record from ticks where tick >= ? order by tick limit ?", (since, limit))
        return [{"tick": tick, "time": at} | json.loads(record) for tick, at, record in rows]

    def _read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._file.execute(statement, values).fetchall()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._file)


class _Transaction:
    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def __enter__(self) -> None:
        self._file.execute("begin immediate")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.execute("commit" if kind is None else "rollback")

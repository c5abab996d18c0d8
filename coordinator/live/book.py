"""The book of a running firm: one SQLite file, the single source of truth. A tick has happened when it stands here.

The next tick, the state of the world, every department's memory and what it follows, and all totals are one row that
each commit replaces together with the tick's own rows: all of it or nothing. Whoever writes holds the book's epoch; a
writer that was replaced cannot commit any more.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from coordinator.live.book_file import damaged, named, open_file
from coordinator.live.messages import read, written
from coordinator.live.period_start import Arrays
from coordinator.live.structures import Structure

Record = dict[str, Any]


class Event(NamedTuple):
    """Something that is not a decision: who did what, when and why."""

    kind: str  # of the command that was carried out, or start, canary, refusal, fallback, clipped, restart, feed, ...
    department: str | None = None
    who: str = "firmwide"
    why: str = ""
    command: str | None = None
    details: Mapping[str, Any] = {}


class Command(NamedTuple):
    """What somebody asked for."""

    id: str
    who: str
    kind: str  # swap, rollback, override, pause, resume, change, cancel, approve, stop
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


class LostError(RuntimeError):
    """The firm cannot go on without what is lost; one line says what, and the way out."""


class AgainError(RuntimeError):
    """A command failed halfway: what is in memory counts no more, and the book is opened again."""


class Book:
    """Reads and writes one firm's book."""

    def __init__(self, path: Path, *, durable: bool = False, reads: bool = False) -> None:
        """Open or create the book at `path`.

        Args:
            path: of the file.
            durable: commits survive a power cut too, as a real firm needs.
            reads: nothing is written, and an older book is left as it is.

        Raises:
            BookError: it cannot be; one line says why. All other methods may too.
        """
        self.path = path
        self._lock = threading.RLock()  # one connection, several threads
        with named(path):
            self._file = open_file(path, durable=durable, reads=reads)
        self._epoch = -1

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def stand_still(self) -> None:
        """Read as of now from here on, whatever is written meanwhile; for books that are only read."""
        with named(self.path):
            self._file.execute("begin")

    def found(self, facts: Mapping[str, Any], arrays: Arrays, record: Mapping[str, Any]) -> None:
        """Begin the book: what never changes, and the state before tick 0."""
        with self._transaction():
            rows = [(key, json.dumps(value)) for key, value in facts.items()]
            self._file.executemany("insert into firm values (?, ?)", rows)
            self._file.execute("insert into now values (1, 0, 0, ?, ?)", (save_tensors(arrays), json.dumps(record)))

    def facts(self) -> dict[str, Any]:
        """What never changes, and of the structure that holds now `frame` and `structure`, its number."""
        with self._sound():
            found = {key: json.loads(value) for key, value in self._read("select key, value from firm")}
            if "frame" not in found:
                raise ValueError("it names no firm")
            changes = self._changes("where tick is not null")
            return found | (
                {"frame": changes[-1].frame, "structure": changes[-1].number} if changes else {"structure": 0}
            )

    def structures(self) -> list[Structure]:
        """How the firm is built, as it was founded and then change by change."""
        with self._sound():
            frame = json.loads(self._read("select value from firm where key = 'frame'")[0][0])
            founded = Structure(0, 0, (self.path.parent / "firm.yaml").read_text(), frame)
            return [founded, *self._changes("where tick is not null")]

    def latest(self) -> int:
        """The number of the structure that holds."""
        if not self._keeps_changes():
            return 0
        return int(self._read("select coalesce(max(number), 0) from structures where tick is not null")[0][0])

    def _keeps_changes(self) -> bool:
        """Not a book of an earlier version, that is only read."""
        return bool(self._read("select 1 from sqlite_master where name = 'structures'"))

    def structure(self, number: int) -> Structure:
        """One of them; also the one that is prepared."""
        return self._changes("where number = ?", (number,))[0] if number else self.structures()[0]

    def _changes(self, where: str, values: Sequence[Any] = ()) -> list[Structure]:
        if not self._keeps_changes():
            return []
        rows = self._read(f"select number, tick, firm, frame, details from structures {where} order by number", values)
        return [Structure(n, tick, firm, json.loads(f), json.loads(d)) for n, tick, firm, f, d in rows]

    def prepare(self, structure: Structure) -> None:
        """Keep a structure that may hold from some tick on (`amend`) in the place of one that never did."""
        with self._transaction():
            self._write(structure)

    def _write(self, structure: Structure) -> None:
        row = (*structure[:3], json.dumps(structure.frame), json.dumps(structure.details))
        self._file.execute("insert or replace into structures values (?, ?, ?, ?, ?)", row)

    def take_over(self) -> tuple[int, Arrays, dict[str, Any]]:
        """Become the one who writes.

        Returns:
            The next tick, the arrays and the record of the last commit.
        """
        with self._transaction():
            self._file.execute("update now set epoch = epoch + 1")
            found = self._read("select epoch from now")
        self._epoch = found[0][0] if found else -1
        return self.now()

    def tick(self) -> int:
        """The next tick."""
        with self._sound():
            return int(self._read("select tick from now")[0][0])

    def now(self) -> tuple[int, Arrays, dict[str, Any]]:
        """The next tick, the arrays and the record of the last commit."""
        with self._sound():
            tick, arrays, record = self._read("select tick, arrays, record from now")[0]
            return tick, load_tensors(arrays), json.loads(record)

    @contextlib.contextmanager
    def _sound(self) -> Iterator[None]:
        """What is read must be what was written."""
        try:
            yield
        except (ValueError, IndexError, SafetensorError) as error:
            raise damaged(self.path, str(error)) from error

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
        with self._transaction():
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
        observed: Mapping[str, Any] | None = None,
        structure: Structure | None = None,
    ) -> None:
        """Change what holds before the next tick, `tick`, without a tick: commands between two ticks.

        Args:
            tick: the next one.
            arrays: as `commit`.
            record: as `commit`.
            events: as `commit`.
            commands: as `commit`.
            observed: what a fed firm was told of the period, by column; from here on the book has it.
            structure: that holds from the next tick on; None: as before.

        Raises:
            OvertakenError: somebody else writes this book now.
        """
        written = (save_tensors(arrays), json.dumps(record), self._epoch, tick)
        with self._transaction():
            self._claim("update now set arrays = ?, record = ? where epoch = ? and tick = ?", written)
            if observed is not None:
                self._file.execute("insert or replace into observations values (?, ?)", (tick, json.dumps(observed)))
            if structure is not None:
                self._write(structure)
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
        with self._transaction():
            self._note(tick, [Event("failure", why=reason, details={"trace": trace})], [])
        found: int = self._read("select count(*) from events where kind = 'failure' and tick = ?", (tick,))[0][0]
        return found

    def observed(self, tick: int) -> dict[str, Any] | None:
        """What a fed firm was told of a period, by column; None where the book does not have it."""
        found = self._read("select seen from observations where tick = ?", (tick,))
        return json.loads(found[0][0]) if found else None

    def receive(self, command: Command) -> Command:
        """Keep a command until it is carried out; of one that came before, what stands.

        Raises:
            ValueError: its id was another command's.
        """
        plain = (command.who, command.kind, command.department, json.dumps(command.arguments), command.why)
        with self._transaction():
            self._file.execute(
                "insert or ignore into commands (id, time, who, kind, department, arguments, why, state, message)"
                " values (?, ?, ?, ?, ?, ?, ?, 'pending', '')",
                (command.id, time.time(), *plain),
            )
        kept = self.command(command.id)
        same = all(kept.arguments.get(key) == value for key, value in json.loads(plain[3]).items())
        if not same or (kept.kind, kept.department) != (command.kind, command.department):
            was = f"{kept.kind} {kept.department}".strip()
            raise ValueError(f"--command {command.id!r} was the id of another command, {was}: take one of your own")
        return kept

    def begin(self, number: str) -> int:
        """Write down that a command is begun; how often it was before. Who dies over it does not forget that."""
        with self._transaction():
            self._file.execute("update commands set tries = tries + 1 where id = ?", (number,))
        return int(self._read("select tries from commands where id = ?", (number,))[0][0]) - 1

    def complain(self, number: str, why: str) -> None:
        """Write down why a command failed; it is still pending."""
        with self._transaction():
            self._file.execute("update commands set message = ? where id = ?", (why[:500], number))

    def command(self, number: str) -> Command:
        """A command by its id."""
        return self._commands("where id = ?", (number,))[0]

    def pending(self) -> list[Command]:
        """Commands that are still to be carried out, oldest first."""
        return self._commands("where state = 'pending' order by time, id")

    def _commands(self, where: str, values: Sequence[Any] = ()) -> list[Command]:
        columns = "id, who, kind, department, arguments, why, state, tick, message"
        rows = self._read(f"select {columns} from commands {where}", values)
        return [Command(*row)._replace(arguments=_arguments(row[4])) for row in rows]

    def keep(self, kind: str, name: str, value: Any) -> None:  # noqa: ANN401
        """Keep how far something is (`coordinator.live.messages`): a canary by its command, the state before a tick."""
        with self._transaction():
            self._file.execute("insert or replace into kept values (?, ?, ?)", (kind, name, written(value)))

    def drop(self, kind: str, name: str) -> None:
        """What was kept is over."""
        with self._transaction():
            self._file.execute("delete from kept where kind = ? and name = ?", (kind, name))

    def names(self, kind: str) -> list[str]:
        """Of what is kept of a kind."""
        return [name for (name,) in self._read("select name from kept where kind = ?", (kind,))]

    def kept(self, kind: str, name: str) -> Any:  # noqa: ANN401
        """What was kept."""
        return read(self._read("select value from kept where kind = ? and name = ?", (kind, name))[0][0])

    def roll(self, before: int) -> None:
        """Roll all ticks before one into sums by day (UTC), and drop what the book has of each of them."""
        with self._transaction():
            days: dict[str, Record] = {}
            for day, first, last, record in self._read("select day, first, last, record from days"):
                days[day] = {"first": first, "last": last} | json.loads(record)
            for tick, at, record in self._read("select tick, time, record from ticks where tick < ?", (before,)):
                day = time.strftime("%Y-%m-%d", time.gmtime(at))
                add_to_day(days.setdefault(day, {"first": tick}), tick, json.loads(record))
            rows = [(day, sums.pop("first"), sums.pop("last"), json.dumps(sums)) for day, sums in days.items()]
            self._file.executemany("insert or replace into days values (?, ?, ?, ?)", rows)
            for table in ("ticks", "decisions", "observations"):
                self._file.execute(f"delete from {table} where tick < ?", (before,))
            self._file.execute("delete from kept where kind = 'state' and cast(name as integer) < ?", (before,))
            self._file.execute("delete from events where tick < ? and kind = 'fallback'", (before,))

    def days(self) -> list[Record]:
        """Sums of the ticks that were rolled up, by day."""
        rows = self._read("select day, first, last, record from days order by day")
        return [{"day": day, "first": first, "last": last} | json.loads(record) for day, first, last, record in rows]

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

    def series(self, point: str, product: str | None, number: int | None, most: int) -> dict[str, Any]:
        """A stock point's history as means over equally many ticks, of which at most three are looked at.

        Args:
            point: its name.
            product: of this one; None: the sum of all.
            number: of the product.
            most: means.

        Returns:
            `step` (ticks of a mean), and by mean `tick` (its last one), the firm's `money`, and the point's `order`,
            `on_hand`, `position` and `target`.
        """
        (first, last) = self._read("select min(tick), max(tick) from ticks")[0]
        step = 1 if first is None else -(-(last - first + 1) // most)
        narrow = ":{0} is null or key = :{0}"
        field = f"(select sum(value) from json_each(told, '$.{{}}') where {narrow.format('product')})"
        fields = ", ".join(f"avg({field.format(name)})" for name in ("order", "on_hand", "inventory_position"))
        wish = f"avg((select sum(max(value, 0)) from json_each(wished) where {narrow.format('number')}))"
        rows = self._read(
            "with seen as materialized (select t.tick, json_extract(t.record, '$.money') as money, d.value as told,"
            " w.wished from ticks t, json_each(t.record, '$.departments') d"
            " join decisions w on w.tick = t.tick and w.department = d.key"
            " where d.key = :point and t.tick % :stride = 0)"
            f" select max(tick), avg(money), {fields}, {wish} from seen group by (tick - :first) / :step order by tick",
            {"point": point, "product": product, "number": number, "first": first, "step": step}
            | {"stride": max(step // 2, 1)},
        )
        tick, money, order, on_hand, position, wished = zip(*rows, strict=True) if rows else ((),) * 6
        target = [at + wish for at, wish in zip(position, wished, strict=True)]
        means = {"tick": tick, "money": money, "order": order, "on_hand": on_hand, "position": position}
        return {"step": step} | means | {"target": target}

    def _read(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        with self._lock, named(self.path):
            return self._file.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, also where the disk is full at the end."""
        with self._lock, named(self.path):
            self._file.execute("begin immediate")
            try:
                yield
                self._file.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._file.execute("rollback")
                raise


def _arguments(text: str) -> dict[str, Any]:
    """Of a command; what cannot be read names none, and is refused for that."""
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return {}


def add_to_day(sums: Record, tick: int, account: Record) -> None:
    """Add a tick's account to its day: money, and of each department cost, units ordered and ticks by mode."""
    sums["last"], sums["ticks"] = tick, sums.get("ticks", 0) + 1
    sums["money"] = sums.get("money", 0.0) + account["money"]
    for name, row in account["departments"].items():
        mine = sums.setdefault("departments", {}).setdefault(name, {"cost": 0.0, "ordered": {}, "modes": {}})
        mine["cost"] += row["cost"]
        mine["modes"][row["mode"]] = mine["modes"].get(row["mode"], 0) + 1
        for product, units in row["order"].items():
            mine["ordered"][product] = mine["ordered"].get(product, 0.0) + units

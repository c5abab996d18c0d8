"""The file of a book: its tables by version, what its errors mean, and a copy of it while it is written."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

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
# What made a book of each version, from the one before; a new one goes all the way.
_STEPS = (
    (
        "create index decisions_by_tick on decisions (tick)",
        "alter table commands add column tries integer not null default 0",
        "create table observations (tick integer primary key, seen text not null)",
        "create table kept (kind text not null, name text not null, value blob not null, primary key (kind, name))",
        "create table days (day text primary key, first integer not null, last integer not null, record text not null)",
    ),
    (
        "create table structures (number integer primary key, tick integer, firm text not null, frame text not null,"
        " details text not null)",
    ),
)
_PATIENCE = 2.0  # s that a writer waits for another one, before it says so and tries again
_NO_ROOM = 2**20  # bytes


class BookError(RuntimeError):
    """The book cannot be read or written; what is asked may be tried again, unless it is damaged."""


class BookDamagedError(BookError):
    """The file is no book, or not whole."""


def meaning(path: Path, error: Exception) -> BookError:
    """What an error of SQLite means, in one sentence with the way out."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_INTERNAL) & 0xFF
    full = code == sqlite3.SQLITE_FULL
    with contextlib.suppress(OSError):  # a write that failed for want of room is not always named so
        full = full or (code == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < _NO_ROOM)
    if full:
        return BookError(f"the disk of {path} is full: make room there, and it goes on")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BookError(f"{path} is busy: another program holds it; it goes on when that lets go")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return BookError(f"{path} cannot be written: make it and its folder writable, and it goes on")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return damaged(path, str(error))
    return BookError(f"{path} cannot be used: {error}")


def damaged(path: Path, why: str) -> BookDamagedError:
    """What is said of a damaged book."""
    return BookDamagedError(f"{path} is damaged ({why}): put a copy in its place that `firmwide backup` made")


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Raise errors of SQLite as what they mean."""
    try:
        yield
    except sqlite3.Error as error:
        raise meaning(path, error) from error


def open_file(path: Path, *, durable: bool, reads: bool) -> sqlite3.Connection:
    """Open a book, or make one; an older one is brought to this version by whoever writes."""
    if not reads:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        with contextlib.suppress(OSError):  # SQLite says better what is wrong with the place
            if not path.exists():  # closing a file that SQLite has open in this process would let its locks go
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o640))
            path.chmod(path.stat().st_mode & 0o640)  # of the files beside it too: they follow it
    file = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=_PATIENCE)
    if reads:
        file.execute("pragma query_only = on")
        return file
    file.execute("pragma journal_mode = wal")
    file.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
    if _version(file) != len(_STEPS):
        _migrate(path, file)
    return file


def _version(file: sqlite3.Connection) -> int:
    return int(file.execute("pragma user_version").fetchone()[0])


def _migrate(path: Path, file: sqlite3.Connection) -> None:
    file.execute("begin immediate")
    found = _version(file)
    if found > len(_STEPS):
        raise ValueError(f"{path} was written by a newer firmwide (version {found}): use that one")
    for statement in _TABLES.split(";") if not found else ():
        file.execute(statement)
    for step in _STEPS[found:]:
        for statement in step:
            file.execute(statement)
    file.execute(f"pragma user_version = {len(_STEPS)}")
    file.execute("commit")


def copy(path: Path, to: Path) -> None:
    """Copy a book while it is written: SQLite's own way, whole as of one moment, complete or not there at all."""
    beside = to.with_name(f".{to.name}.new")
    with named(path), contextlib.closing(open_file(path, durable=False, reads=True)) as source:
        beside.unlink(missing_ok=True)
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL, 0o640))
        with contextlib.closing(sqlite3.connect(beside)) as copied:
            source.backup(copied)
            copied.execute("pragma journal_mode = delete")  # nothing beside it
    beside.replace(to)

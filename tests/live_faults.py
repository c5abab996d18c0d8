"""A running firm while faults are thrown at it. What is thrown is real: signals, a file system without room, locks,
files that are gone, starts and stops at any moment, the death of Ray itself.

Afterwards the book is played again from the first state: no tick lost or doubled, stock conserved to the unit, every
swap wholly in effect or refused. And nothing is left: no process, no folder but the firm's.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import yaml

from coordinator.live import RunningFirm, running_firm
from coordinator.live.book import Book
from coordinator.live.fed import Fed
from coordinator.live.feed_files import observation_columns
from coordinator.live.home import MARK, processes_of, running_at
from coordinator.live.layout import FirmLayout
from coordinator.live.replay import replay
from coordinator.live.start import Opening, open_firm
from coordinator.runs.firm_policies import policy_of
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import setup_of
from departments.policies.policy import Snapshot
from environment import load_firm
from tests.live_firms import until, zeros

COMMAND = [sys.executable, "-W", "ignore", "-c", "from coordinator.cli import main; main()"]
LONG = 300.0  # s that anything may take on a machine that is busy
ROOM = 512  # MiB of a file system that is filled
PATIENCE = 5.0  # s with a process that is alive and silent, where processes are stopped
LEAST_ORDER = 3  # units of an override
OF_RAY = ("kill raylet", "kill gcs")
STAYS = {"benchmark", "book.sqlite", "firm.yaml", "keeper.log", "live.lock", "policies"}  # of a firm that was stopped


def a_run(folder: Path, firm: str) -> RunFolder:
    """A run with a policy for each department that is close to where it starts: fit to be swapped in."""
    loaded = load_firm(firm)
    settings = settings_of(scheme="mtma" if loaded.customers else "imarl")
    run = RunFolder(folder)
    run.create(loaded, settings)
    rng = np.random.default_rng(0)
    for snapshot in setup_of(loaded, settings).base(settings).values():
        noise = 0.005 * rng.standard_normal(snapshot.parameters.shape).astype(np.float32)
        run.save_snapshot(replace(snapshot, parameters=snapshot.parameters + noise, version=1), {})
    return run


def malformed(run: RunFolder, department: str, kind: str) -> str:
    """A policy that must be refused."""
    place = run.path / "policies" / department
    good = (place / "1.safetensors").read_bytes()
    number = {"nan": 21, "shape": 22, "truncated": 23, "pickle": 24}[kind]
    base = policy_of(run, department)
    wrong = {"nan": base.parameters * np.float32(np.nan), "shape": base.parameters[:-1]}.get(kind, base.parameters)
    run.save_snapshot(Snapshot(department, number, base.config, wrong), {})
    run.save_snapshot(base, {})
    file = place / f"{number}.safetensors"
    if kind == "truncated":
        file.write_bytes(good[: len(good) // 2])
    elif kind == "pickle":
        file.write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/firmwide-was-unpickled'\ntR.")
    return f"{run.path}@{number}"


def scratch_of(folder: Path) -> Path:
    """Where the Ray of a firm has its sockets and logs."""
    return Path(json.loads((folder / "keeper.json").read_text())["scratch"])


def of_many_products(products: int = 20, shops: int = 3) -> str:
    """A warehouse and its shops, each of many products."""
    shop = {"holding_cost": 2, "backorder_cost": 19, "max_order": 50, "demand": {"law": "poisson", "mean": 3}}
    points = {"warehouse": {"holding_cost": 1, "max_order": 200}} | {f"shop-{n}": shop for n in range(shops)}
    supply = [{"from": "warehouse", "to": name, "lead_time": 1} for name in points if name != "warehouse"]
    supply = [{"from": "outside", "to": "warehouse", "lead_time": 2}, *supply]
    names = [f"p{number}" for number in range(products)]
    return yaml.safe_dump({"name": "many", "products": names, "stock_points": points, "supply": supply})


class Trial:
    """One firm, and what is thrown at it; nothing here holds on to its Ray."""

    def __init__(self, source: str, seed: int, home: Path, options: dict[str, object]) -> None:
        self.rng, self.home, self.folder, self.number = random.Random(seed), home, home / "faults", 0
        self.run, self.options, self.scratches = a_run(home / "run", source), options, set[Path]()
        open_firm(Opening(source, "faults", home, tick=0.0, seed=seed, **options)).close()  # type: ignore[arg-type]
        self.book = Book(self.folder / "book.sqlite", reads=True)
        self.layout = FirmLayout.of(self.book.facts()["frame"])

    def again(self, **more: object) -> None:
        """Put the firm into operation again."""
        open_firm(Opening(None, "faults", self.home, tick=0.0, **(self.options | more))).close()  # type: ignore[arg-type]

    def firm(self) -> RunningFirm:
        """A connection; the caller closes it."""
        self.scratches.add(scratch_of(self.folder))
        return RunningFirm.connect("faults", self.home)

    def ticks(self) -> int:
        """How many are committed."""
        return self.book.tick()

    def goes_on(self) -> None:
        """Wait until ticks follow."""
        at = self.ticks()
        until(lambda: self.ticks() > at + 1, LONG)

    def says(self, state: str, word: str = "") -> None:
        """Wait until `status` says so."""
        with self.firm() as firm:
            until(lambda: (f := firm.metrics())["state"] == state and word in f["reason"], LONG, 0.1)

    def live(self) -> subprocess.Popen[bytes]:
        """`firmwide live` once more."""
        asked = [*COMMAND, "live", "--name", "faults", "--home", str(self.home), "--tick", "max"]
        return subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the book, as another program may."""
        with contextlib.closing(sqlite3.connect(self.folder / "book.sqlite", isolation_level=None, timeout=60)) as file:
            file.execute("begin immediate")
            yield
            file.execute("rollback")

    def called(self, word: bytes) -> list[int]:
        """Processes of the firm by what they were called with."""
        found = []
        for process in processes_of(self.folder):
            with contextlib.suppress(OSError):
                found += [process] if word in Path(f"/proc/{process}/cmdline").read_bytes() else []
        return found

    def nothing_runs(self) -> None:
        """Wait until no process is left."""
        until(lambda: not processes_of(self.folder), LONG)


def _kill(trial: Trial) -> str:
    with trial.firm() as firm:
        processes = firm.processes()
        victim = trial.rng.choice([*processes, "coordinator", "environment"])
        os.kill(processes[victim], signal.SIGKILL)
    return f"kill {victim.removeprefix('department-')}"


def _stuck(trial: Trial) -> str:
    """Alive, and it does nothing any more."""
    with trial.firm() as firm:
        processes = firm.processes()
        victim = trial.rng.choice([*processes, "coordinator", "environment", "critic", "monitor"])
        os.kill(processes[victim], signal.SIGSTOP)
        until(lambda: not Path(f"/proc/{processes[victim]}/fd/0").exists(), LONG)
    trial.goes_on()
    return f"stuck {victim.removeprefix('department-')}"


def _swap(trial: Trial) -> str:
    with trial.firm() as firm:
        answer = firm.swap(_one(trial), str(trial.run.path) + "@1", tolerance=1.0, **_asked(trial, "swap"))
    return f"swap {answer['state']}"


def _malformed(trial: Trial) -> str:
    department = _one(trial)
    policy = malformed(trial.run, department, trial.rng.choice(["nan", "shape", "truncated", "pickle"]))
    with trial.firm() as firm:
        return f"malformed {firm.swap(department, policy, **_asked(trial, 'malformed'))['state']}"


def _override(trial: Trial) -> str:
    department, layout = _one(trial), trial.layout
    given = dict.fromkeys(layout.products, float(LEAST_ORDER))
    if department == layout.recommends:
        given = {f"{segment}/{layout.products[0]}": 0.5 for segment in layout.segments}
    with trial.firm() as firm:
        answer = firm.override(department, given, trial.rng.randint(1, 5), **_asked(trial, "override"))
    return f"override {answer['state']}"


def _rollback(trial: Trial) -> str:
    with trial.firm() as firm:
        return f"rollback {firm.rollback(_one(trial), **_asked(trial, 'rollback'))['state']}"


def _pause(trial: Trial) -> str:
    department, asked = _one(trial), _asked(trial, "pause")
    with trial.firm() as firm:
        firm.pause(department, **asked)
        firm.resume(department, **(asked | {"command": f"{asked['command']}-resume"}))
    return "pause and resume"


def _one(trial: Trial) -> str:
    return trial.rng.choice(trial.layout.departments)


def _asked(trial: Trial, kind: str) -> dict[str, str]:
    return {"who": "faults", "command": f"fault-{trial.number}", "why": kind}


def _disk(trial: Trial) -> str:
    """No room; then some again."""
    filler = trial.home / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**20))
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64))
    trial.says("waiting", "is full")
    filler.unlink()
    trial.goes_on()
    return "disk full"


def _lock(trial: Trial) -> str:
    with trial.locked():
        trial.says("waiting", "is busy")
    trial.goes_on()
    return "book locked"


def _ray(trial: Trial) -> str:
    """Ray itself dies; the firm begins again by itself."""
    word, before = trial.rng.choice([b"raylet/raylet", b"gcs/gcs_server"]), running_at(trial.folder)
    (victim,) = trial.called(word)
    os.kill(victim, signal.SIGKILL)
    until(lambda: (place := running_at(trial.folder)) is not None and place != before, LONG)
    trial.goes_on()
    until(lambda: not trial.called(b"coordinator.live.start"), LONG)
    until(lambda: _told_to_stay(trial), LONG)
    return f"kill {word.decode().partition('/')[0]}"


def _told_to_stay(trial: Trial) -> bool:
    """Nobody starts the firm any more: its lock is free."""
    import fcntl

    with (trial.folder / "live.lock").open("wb") as file, contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _starts(trial: Trial) -> str:
    """Two at once on a firm that is stopped: one wins."""
    with trial.firm() as firm:
        assert firm.stop()["state"] == "done"
    trial.nothing_runs()
    both = [trial.live(), trial.live()]
    said = [process.communicate(timeout=LONG)[1].decode() for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    (loser,) = (text for process, text in zip(both, said, strict=True) if process.returncode)
    assert loser.count("\n") == 1, loser
    assert len(trial.called(b"gcs/gcs_server")) == 1
    trial.goes_on()
    return "two starts"


def _stop(trial: Trial) -> str:
    """Stopped in whatever state it is, it is stopped, and goes on when it is told to."""
    state = trial.rng.choice(["running", "waiting", "done", "failed", "starting"])
    if state == "running":
        _stopped(trial)
    elif state == "waiting":
        with trial.locked():
            trial.says("waiting", "is busy")
            _now(trial)
    elif state == "done":
        _stopped(trial)
        trial.again(ticks=trial.ticks() + 5)
        trial.says("done")
        _stopped(trial)
    elif state == "failed":
        with contextlib.closing(Book(trial.folder / "book.sqlite")) as other:
            until(lambda: _took_over(other))  # as by another coordinator
        trial.says("failed", "another coordinator")
        _stopped(trial)
    else:
        _stopped(trial)
        starter, moment = trial.live(), trial.rng.uniform(0.5, 8.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            starter.wait(moment)
        with contextlib.suppress(ProcessLookupError):
            starter.send_signal(trial.rng.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        starter.communicate(timeout=LONG)
        if starter.returncode == 0:
            _now(trial)
    trial.nothing_runs()
    assert running_at(trial.folder) is None
    trial.again()
    trial.goes_on()
    return f"stop {state}"


def _took_over(book: Book) -> bool:
    with contextlib.suppress(RuntimeError):
        book.take_over()
        return True
    return False


def _stopped(trial: Trial) -> None:
    with trial.firm() as firm:
        assert firm.stop()["state"] == "done"
    trial.nothing_runs()


def _now(trial: Trial) -> None:
    asked = [*COMMAND, "stop", "faults", "--now", "--home", str(trial.home)]
    subprocess.run(asked, check=True, timeout=LONG, stderr=subprocess.DEVNULL)
    trial.nothing_runs()


FAULTS: dict[str, Callable[[Trial], str]] = {
    "kill": _kill,
    "swap": _swap,
    "malformed": _malformed,
    "override": _override,
    "rollback": _rollback,
    "pause": _pause,
    "stuck": _stuck,
    "disk": _disk,
    "lock": _lock,
    "ray": _ray,
    "starts": _starts,
    "stop": _stop,
}
_COMMANDS = ("swap", "swap", "override", "malformed", "malformed", "rollback", "pause")
MODES = {
    "kill": ("kill",) * 5 + _COMMANDS,
    "stuck": ("stuck",),
    "disk": ("disk",),
    "lock": ("lock",),
    "ray": ("ray",),
    "starts": ("starts",),
    "stop": ("stop",),
    "all": ("kill",) * 8 + _COMMANDS + ("stuck", "disk", "disk", "lock", "lock", "ray", "starts", "stop", "stop"),
}


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of its own with little room; needs root."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}m", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _ours(home: Path) -> set[int]:
    """Processes that bear the mark of a firm in a folder."""
    found, mark = set(), f"{MARK}={home.resolve()}".encode()
    for about in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found |= {int(about.parent.name)} if mark in about.read_bytes() else set()
    return found


def run_faults(
    source: str,
    ticks: int,
    faults: int,
    seed: int,
    home: Path,
    mode: str = "kill",
    say: Callable[[str], object] = lambda _: None,
) -> dict[str, object]:
    """Let a firm run for so many ticks under faults, and look at its book afterwards."""
    disk = small_disk(home / "disk") if mode in ("disk", "all") else contextlib.nullcontext(home)
    with mock.patch.object(running_firm, "_WAIT", LONG), disk as place:
        found = _faults(source, ticks, faults, seed, place, mode, say)
        found["left_running"] = len(_ours(place))
        found["left_in_the_folder"] = sorted(path.name for path in (place / "faults").iterdir())
    return found


def _faults(
    source: str, ticks: int, faults: int, seed: int, home: Path, mode: str, say: Callable[[str], object]
) -> dict[str, object]:
    thrown: Counter[str] = Counter()
    trial = Trial(source, seed, home, {"patience": PATIENCE} if mode in ("stuck", "all") else {})
    longest, began = 0.0, time.monotonic()
    try:
        for number in range(faults):
            until(lambda number=number: trial.ticks() >= ticks * number // faults, LONG)  # type: ignore[misc]
            trial.number, started = number, time.monotonic()
            what = FAULTS[trial.rng.choice(MODES[mode])](trial)
            thrown[what] += 1
            longest = max(longest, took := time.monotonic() - started)
            say(f"{time.monotonic() - began:7.1f} s  tick {trial.ticks()}  {number + 1}. {what}: {took:.1f} s")
        until(lambda: trial.ticks() >= ticks, LONG)
        with trial.firm() as firm:
            dead = sum(n for what, n in thrown.items() if what.startswith("kill ") and what not in OF_RAY)
            with contextlib.suppress(AssertionError):  # the figures tell, if not
                until(lambda: firm.metrics()["restarts"] >= dead, LONG, 0.1)
            firm.halt(who="faults")  # it hears from everybody once more
            figures, events = firm.metrics(), firm.events(0, 1_000_000)
            firm.stop()
    except BaseException:
        say((trial.folder / "keeper.log").read_text()[-4000:])
        raise
    finally:
        trial.book.close()
        if processes_of(trial.folder):
            _now(trial)
    found = replay(trial.folder)
    kills = Counter({what.removeprefix("kill "): n for what, n in thrown.items() if what.startswith("kill ")})
    restarts = Counter(event["department"] for event in events if event["kind"] == "restart")
    done = Counter(f"{event['kind']}" for event in events if event["who"] == "faults")
    return {
        "firm": source,
        "mode": mode,
        "ticks": found["ticks"],
        "decisions": found["decisions"],
        "wrong": found["faults"],
        "thrown": dict(thrown),
        "longest_fault_s": round(longest, 1),
        "wall_s": round(time.monotonic() - began, 1),
        "audited": dict(done),
        "kills": kills.total(),
        "kills_not_in_the_book": dict(kills - restarts),
        "restarts_of_nobody_killed": dict(restarts - kills),
        "restarts": figures["restarts"],
        "fallbacks": figures["fallbacks"],
        "waits": sum(event["kind"] == "wait" for event in events),
        "restarts_audited": restarts.total(),
        "fallbacks_audited": sum(event["kind"] == "fallback" for event in events),
        "unpickled": Path("/tmp/firmwide-was-unpickled").exists(),
        "left_in_tmp": [str(scratch) for scratch in trial.scratches if scratch.exists()],
    }


def run_fed(source: str, ticks: int, seed: int, home: Path) -> dict[str, object]:
    """A fed firm whose files are removed, emptied or moved as soon as its orders are written."""
    rng, feed, thrown = random.Random(seed), home / "feed", Counter[str]()
    (feed / "in").mkdir(parents=True)
    opening = Opening(source, "faults", home, tick=0.0, seed=seed, feed=feed)
    open_firm(opening).close()
    book = Book(home / "faults" / "book.sqlite", reads=True)
    layout = FirmLayout.of(book.facts()["frame"])
    fed = Fed((home / "faults" / "firm.yaml").read_text(), seed, layout, str(feed))
    text = zeros(layout, observation_columns(fed.arrivals))
    try:
        for period in range(ticks):
            (feed / "in").mkdir(exist_ok=True)
            (feed / "in" / f"period-{period}.csv").write_text(text)
            until(lambda period=period: book.tick() > period, LONG)  # type: ignore[misc]
            kind = rng.choice(["removed", "emptied", "moved", "firm stopped"] if period % 20 == 19 else ["removed"])
            thrown[kind] += 1
            if kind == "moved":
                (feed / "in").rename(feed / f"gone-{period}")
            elif kind == "emptied":
                (feed / "in" / f"period-{period}.csv").write_text("")
            else:
                (feed / "in" / f"period-{period}.csv").unlink()
            if kind == "firm stopped":
                with RunningFirm.connect("faults", home) as firm:
                    firm.stop()
                open_firm(replace(opening, source=None, feed=None)).close()
        with RunningFirm.connect("faults", home) as firm:
            firm.stop()
    finally:
        book.close()
    found = replay(home / "faults")
    left = len(_ours(home))
    return {"firm": source, "mode": "feed", "ticks": found["ticks"], "wrong": found["faults"]} | {
        "thrown": dict(thrown),
        "left_running": left,
    }

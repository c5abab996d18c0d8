"""Nothing stops a running firm but `stop`: books that cannot be written, commands that fail, starts after a stop."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from coordinator.live import book_file, operation
from coordinator.live.book import AgainError, Book, Command
from coordinator.live.feed_files import observation_columns
from coordinator.live.monitor import Monitor
from coordinator.live.replay import replay
from tests.live_firms import Workers, running, until, zeros


@pytest.fixture
def impatient(monkeypatch):
    """Writers wait a moment for each other."""
    monkeypatch.setattr(book_file, "_PATIENCE", 0.1)


def test_a_firm_waits_for_a_book_that_another_program_holds_says_so_and_goes_on(tmp_path, monkeypatch, impatient):
    with running(tmp_path / "f", monkeypatch) as firm:
        firm.goes_on()
        holding = sqlite3.connect(tmp_path / "f" / "book.sqlite", isolation_level=None)
        holding.execute("begin immediate")
        until(lambda: firm.shown()[0] == "waiting")
        assert "book.sqlite is busy: another program holds it" in firm.shown()[1]
        assert firm.process.state()[0] == "waiting"
        holding.execute("rollback")
        firm.goes_on()
        until(lambda: firm.shown() == ("running", ""))
        (waited,) = [event for event in firm.book.events() if event["kind"] == "wait"]
        assert "is busy" in waited["why"]
        assert waited["details"]["seconds"] > 0
        assert firm.deaths == []
    assert replay(tmp_path / "f")["faults"] == []


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="a small file system needs root")
def test_a_firm_waits_for_room_on_a_full_disk_says_so_and_goes_on(tmp_path, monkeypatch, impatient):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with running(small / "f", monkeypatch) as firm:
            firm.goes_on()
            with (small / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(65536))
            until(lambda: firm.shown()[0] == "waiting")
            until(lambda: "is full: make room there" in firm.shown()[1])
            (small / "filler").unlink()
            firm.goes_on()
            assert firm.deaths == []
            firm.book.close()
        assert replay(small / "f")["faults"] == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_busy_full_read_only_and_damaged_books_are_told_apart_in_one_sentence_each(tmp_path):
    path = tmp_path / "book.sqlite"
    told = set()
    for code, said in {
        sqlite3.SQLITE_BUSY: "busy",
        sqlite3.SQLITE_FULL: "full",
        sqlite3.SQLITE_READONLY: "cannot be written",
        sqlite3.SQLITE_CANTOPEN: "cannot be written",
        sqlite3.SQLITE_CORRUPT: "damaged",
        sqlite3.SQLITE_NOTADB: "damaged",
    }.items():
        error = sqlite3.OperationalError("x")
        error.sqlite_errorcode = code
        meant = book_file.meaning(path, error)
        assert said in str(meant)
        assert str(path) in str(meant)
        assert isinstance(meant, book_file.BookDamagedError) == (said == "damaged")
        told.add(str(meant).replace(" (x)", ""))
    assert len(told) == 4


def test_a_firm_whose_book_is_damaged_while_it_runs_has_failed_and_says_which_file(tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch) as firm:
        firm.goes_on()

        def torn(*_args, **_more):
            raise book_file.damaged(tmp_path / "f" / "book.sqlite", "malformed")

        monkeypatch.setattr(Book, "commit", torn)
        until(lambda: firm.process.state()[0] == "failed")
        assert "book.sqlite is damaged (malformed): put a copy in its place" in firm.shown()[1]


def test_ticks_that_are_alive_and_stand_still_are_ended_with_their_process(tmp_path):
    monitor = Monitor()
    stuck = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "TickProcess"])
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        for process, ends in ((other, False), (stuck, True)):
            monitor.report({"state": "running"}, [], process.pid, 0.1)
            if ends:
                until(lambda: stuck.poll() is not None, 10)
            time.sleep(0.5)
        assert other.poll() is None, "another process that got its number is left alone"
    finally:
        stuck.kill(), other.kill()
        stuck.wait(), other.wait()


def test_an_order_of_four_hundred_digits_is_refused_in_one_short_line(tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch) as firm:
        for number, units in enumerate([10**400, float("nan"), "12", None, [1], {}]):
            answer = firm.ask(f"c{number}", "override", "retailer-1", order={"unit": units}, periods=1)
            assert answer["state"] == "refused"
            assert "must be a whole number from 0 to 50" in answer["message"]
            assert len(answer["message"]) < 250
        for number, periods in enumerate([10**400, 0, True, "2"]):
            answer = firm.ask(f"p{number}", "override", "retailer-1", order={"unit": 1}, periods=periods)
            assert (answer["state"], "--periods must be" in answer["message"]) == ("refused", True)
        firm.goes_on()
        assert firm.deaths == []


@pytest.mark.parametrize("kind", ["note", "_swap", "tick", "", "x" * 5000])
def test_an_unknown_kind_of_command_is_refused_and_kills_nobody(kind, tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch) as firm:
        answer = firm.ask("c", kind, "retailer-1")
        assert answer["state"] == "refused"
        assert "a command must be one of swap, rollback, override, pause, resume, stop, cancel" in answer["message"]
        assert len(answer["message"]) < 250
        firm.goes_on()
        assert firm.deaths == []


def test_a_command_that_fails_twice_is_set_aside_told_in_the_events_and_stops_nothing(tmp_path, monkeypatch):
    tried = []

    def poisonous(self, command, bundle):
        self.posts["retailer-1"]["paused"] = True  # half done
        tried.append(command.id)
        raise TypeError("a mistake of ours")

    monkeypatch.setattr(operation.Operation, "_resume", poisonous)
    with running(tmp_path / "f", monkeypatch) as firm:
        for number in range(7):  # more than a tick may fail
            answer = firm.ask(f"poison-{number}", "resume", "retailer-1")
            assert answer["state"] == "refused"
            assert answer["message"] == "set aside, as it failed 2 times: TypeError: a mistake of ours"
        assert len(tried) == 14
        event = firm.book.events()[-1]
        assert (event["kind"], event["command"], event["details"]["asked"]) == ("refusal", "poison-6", "resume")
        assert firm.ask("good", "pause", "retailer-2")["state"] == "done"
        firm.goes_on()
        assert not firm.book.now()[2]["posts"]["retailer-1"]["paused"], "what was half done is undone"
        assert firm.deaths == []


def test_a_command_that_killed_its_process_twice_is_not_tried_again(tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch):
        pass
    book = Book(tmp_path / "f" / "book.sqlite")
    book.receive(Command("deadly", "me", "pause", "retailer-1", {}, ""))
    assert [book.begin("deadly"), book.begin("deadly")] == [0, 1]
    book.close()
    with running(tmp_path / "f", monkeypatch) as firm:  # the same life: Ray started the process again
        until(lambda: firm.book.command("deadly").state == "refused")
        assert "set aside, as it failed 2 times" in firm.book.command("deadly").message


def test_an_id_that_was_another_commands_is_refused_and_does_nothing(tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch) as firm:
        assert firm.ask("x", "pause", "retailer-1")["state"] == "done"
        assert firm.ask("x", "pause", "retailer-1")["state"] == "done", "the same again is the same"
        for kind, department, arguments in [
            ("resume", "retailer-1", {}),
            ("pause", "retailer-2", {}),
            ("pause", "retailer-1", {"periods": 1}),
        ]:
            answer = firm.ask("x", kind, department, **arguments)
            assert answer["state"] == "refused"
            assert "--command 'x' was the id of another command, pause retailer-1" in answer["message"]
        posts = firm.book.now()[2]["posts"]
        assert (posts["retailer-1"]["paused"], posts["retailer-2"]["paused"]) == (True, False)


def test_a_firm_whose_loop_has_ended_is_stopped_at_once_and_its_next_life_goes_on(tmp_path, monkeypatch):
    def broken(self):
        raise ZeroDivisionError("a mistake of ours")

    with monkeypatch.context() as patch, running(tmp_path / "f", monkeypatch) as firm:
        patch.setattr(operation.Operation, "tick", broken)
        patch.setattr("coordinator.live.tick_process._FAILURES", 1)
        until(lambda: firm.process.state()[0] == "failed")
        late = firm.ask("late", "pause", "retailer-1")
        assert late["state"] == "refused"
        assert "go on with `firmwide live --name f`" in late["message"]
        answer = firm.ask("stop", "stop")
        assert answer["state"] == "done"
        assert answer["message"].startswith("stopped; it had failed")
        assert firm.shown()[0] == "stopped"
    with running(tmp_path / "f", monkeypatch, session="second") as firm:
        firm.goes_on()
        assert firm.process.state() == ("running", "")


def test_a_command_that_comes_while_ticks_begin_again_waits_for_them(tmp_path, monkeypatch):
    tick, begins = operation.Operation.tick, threading.Event()

    def fails_once(self):
        monkeypatch.setattr(operation.Operation, "tick", tick)
        raise AgainError("as after a death")

    with running(tmp_path / "f", monkeypatch) as firm:
        firm.goes_on()
        monkeypatch.setattr(Workers, "meet", lambda *_: begins.wait(30))
        monkeypatch.setattr(operation.Operation, "tick", fails_once)
        until(lambda: firm.process._life is None)
        threading.Timer(0.3, begins.set).start()
        assert firm.ask("c", "pause", "retailer-1")["state"] == "done"
        firm.goes_on()


def test_commands_belong_to_a_life_and_are_refused_by_the_next(tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch):
        pass
    book = Book(tmp_path / "f" / "book.sqlite")
    for kind in ("stop", "pause"):
        book.receive(Command(f"old-{kind}", "me", kind, "retailer-1" if kind == "pause" else "", {}, ""))
    book.close()
    with running(tmp_path / "f", monkeypatch, session="second") as firm:
        firm.goes_on()
        for kind in ("stop", "pause"):
            left = firm.book.command(f"old-{kind}")
            assert (left.state, left.message) == ("refused", "the firm ended before this was carried out; ask again")
        assert firm.process.state()[0] == "running"
        assert not firm.book.now()[2]["posts"]["retailer-1"]["paused"]


@pytest.mark.parametrize("change", ["remove", "empty", "move all"])
def test_a_fed_firm_outlives_the_files_that_it_has_read(change, tmp_path, monkeypatch):
    feed = tmp_path / "feed"
    (feed / "in").mkdir(parents=True)
    with running(tmp_path / "f", monkeypatch, feed=str(feed)) as firm:
        layout = firm.workers.world.layout
        text = zeros(layout, observation_columns(firm.workers.world.arrivals))
        for period in range(4):
            (feed / "in" / f"period-{period}.csv").write_text(text)
            until(lambda: firm.ticks() > period)  # noqa: B023
            for path in [] if change == "move all" else (feed / "in").iterdir():
                path.unlink() if change == "remove" else path.write_text("")
            if change == "move all":
                (feed / "in").rename(feed / f"gone-{period}")
                (feed / "in").mkdir()
        until(lambda: firm.workers.monitor.metrics()["benchmark"]["tick"] >= 2)
        assert firm.shown()[0] == "waiting"
        assert "period 4" in firm.shown()[1] or change == "empty"
        assert firm.deaths == []
    shutil.rmtree(feed)
    with running(tmp_path / "f", monkeypatch, session="second") as firm:
        until(lambda: firm.shown()[0] == "waiting")
        (feed / "in").mkdir(parents=True, exist_ok=True)
        (feed / "in" / "period-4.csv").write_text(text)
        until(lambda: firm.ticks() > 4)
    found = replay(tmp_path / "f")
    assert (found["ticks"], found["faults"]) == (5, [])

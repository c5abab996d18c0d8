"""The book: older ones, long ones, copies of it, and damaged files of a firm."""

import json
import sqlite3
import subprocess
import sys
import time

import pytest

from coordinator.cli import run
from coordinator.live.book import Book
from coordinator.live.replay import replay
from coordinator.live.rolling import roll
from coordinator.live.start import Opening, open_firm
from tests.coordinator.live.test_operation import asked, begun, resumed
from tests.live_firms import running


def as_an_earlier_version_left_it(path):
    """The file of version 1 of the tables, which had no number."""
    with sqlite3.connect(path) as file:
        for statement in (
            "drop index decisions_by_tick",
            "alter table commands drop column tries",
            *(f"drop table {name}" for name in ("observations", "kept", "days", "structures")),
            "pragma user_version = 0",
        ):
            file.execute(statement)


def test_a_book_of_an_earlier_version_goes_on_and_a_newer_one_is_refused(tmp_path):
    operation = begun(tmp_path / "f", "a1")
    operation.tick()
    operation.book.close()
    place = tmp_path / "f" / "book.sqlite"
    as_an_earlier_version_left_it(place)
    assert replay(tmp_path / "f")["faults"] == [], "who only reads leaves it as it is"
    operation = resumed(tmp_path / "f")
    assert operation.tick()["tick"] == 1
    assert asked(operation, "pause", "retailer-1").state == "done"
    assert replay(tmp_path / "f")["ticks"] == 2
    operation.book.close()
    with sqlite3.connect(place) as file:
        file.execute("pragma user_version = 99")
    with pytest.raises(ValueError, match=r"book.sqlite was written by a newer firmwide \(version 99\)"):
        Book(place)


def test_what_was_decided_in_one_tick_is_found_as_fast_in_a_long_book(tmp_path):
    book = Book(tmp_path / "book.sqlite")
    rows = ((tick, f"d{n:02}", 1, "policy", "{}", "[]", "[]", 0.1) for tick in range(5000) for n in range(19))
    with book._transaction():
        book._file.executemany("insert into decisions values (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def seconds(since):
        started = time.perf_counter()
        for _ in range(20):
            assert len(book.decisions(None, since, 19)) == 19
        return time.perf_counter() - started

    seconds(10)
    assert min(seconds(4999) for _ in range(3)) < 4 * min(seconds(10) for _ in range(3))
    plan = book._read("explain query plan select * from decisions where tick >= 5 order by tick, department limit 19")
    assert any("decisions_by_tick" in row[-1] for row in plan), plan


def test_a_book_that_keeps_so_many_periods_has_sums_by_day_of_the_others_and_is_still_true(tmp_path):
    operation, whole = begun(tmp_path / "f", "a1"), begun(tmp_path / "whole", "a1")
    for tick in range(240):
        operation.tick(), whole.tick()
        if tick == 30:
            asked(operation, "override", "retailer-1", order={"unit": 7}, periods=2)
            asked(whole, "override", "retailer-1", order={"unit": 7}, periods=2)
        roll(operation, 100, operation.now.tick)
    kept = operation.book.ticks(0, 1000)
    assert 100 <= len(kept) <= 111
    first = kept[0]["tick"]
    assert {row["tick"] for row in operation.book.decisions(None, 0, 10_000)} == {row["tick"] for row in kept}
    days = operation.book.days()
    assert (days[0]["first"], days[-1]["last"], sum(day["ticks"] for day in days)) == (0, first - 1, first)
    gone = whole.book.ticks(0, first)
    assert sum(day["money"] for day in days) == pytest.approx(sum(tick["money"] for tick in gone))
    for name in operation.layout.points:
        mine = [tick["departments"][name] for tick in gone]
        sums = [day["departments"][name] for day in days]
        assert sum(day["cost"] for day in sums) == pytest.approx(sum(row["cost"] for row in mine))
        assert sum(day["ordered"]["unit"] for day in sums) == sum(row["order"]["unit"] for row in mine)
    modes = sum(day["departments"]["retailer-1"]["modes"].get("override", 0) for day in days)
    assert modes == 2
    found = replay(tmp_path / "f")
    assert (found["since"], found["ticks"], found["faults"]) == (first, 240, [])
    operation.book._file.execute(
        'update ticks set record = replace(record, \'"on_hand": {"unit": \', \'"on_hand": {"unit": 1\')'
    )
    assert replay(tmp_path / "f")["faults"]
    roll(operation, 100, 0)
    assert len(operation.book.ticks(0, 1000)) == len(kept), "nothing goes that a shadow has not played"


def test_a_copy_that_is_made_while_the_firm_runs_is_a_whole_book(tmp_path, monkeypatch, capsys):
    with running(tmp_path / "f", monkeypatch) as firm:
        firm.goes_on()
        assert run(["backup", "f", str(tmp_path / "copy"), "--home", str(tmp_path)]) == 0
        at = firm.ticks()
        firm.goes_on()
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o640
    copied = Book(tmp_path / "copy", reads=True)
    assert 0 < copied.now()[0] <= at
    copied.close()
    assert run(["backup", "f", str(tmp_path / "copy"), "--home", str(tmp_path)]) == 2
    assert "must not be there yet" in capsys.readouterr().err
    (tmp_path / "copy").rename(tmp_path / "f" / "book.sqlite")
    for name in ("book.sqlite-wal", "book.sqlite-shm"):
        (tmp_path / "f" / name).unlink(missing_ok=True)
    with running(tmp_path / "f", monkeypatch, session="second") as firm:
        firm.goes_on()
    assert run(["audit", "f", "--home", str(tmp_path)]) == 0
    assert "no faults" in capsys.readouterr().err


def test_who_reads_a_book_goes_on_when_its_process_opens_it_once_more(tmp_path):
    """Closing any descriptor of a file lets go of all locks that a process has on it."""
    path = tmp_path / "book.sqlite"
    Book(path).close()
    program = (
        "import sys, pathlib; from coordinator.live.book import Book; book = Book(pathlib.Path(sys.argv[1]));"
        "[book.keep('x', f'{sys.argv[2]}{n}', b'y' * 4000) for n in range(300)]; book.close()"
    )

    def others(name):
        subprocess.run([sys.executable, "-c", program, str(path), name], check=True)

    others("a")
    reader = Book(path, reads=True)
    assert len(reader.names("x")) == 300
    writer = Book(path)
    for number, name in enumerate("bc", 2):
        others(name)
        assert len(reader.names("x")) == 300 * number
    reader.close(), writer.close()


def test_an_audit_says_what_is_wrong_and_ends_with_1(tmp_path, capsys):
    operation = begun(tmp_path / "f", "a1")
    operation.tick()
    operation.book._file.execute("update decisions set mode = 'override' where department = 'warehouse'")
    assert run(["audit", "f", "--home", str(tmp_path), "--json"]) == 1
    assert "warehouse decides by override" in json.loads(capsys.readouterr().out)["faults"][0]


@pytest.mark.parametrize("content", [b"", b"not a book" * 500, None])
@pytest.mark.parametrize("command", [("history", "f"), ("audit", "f"), ("live", "--name", "f"), ("status", "f")])
def test_a_damaged_book_is_told_in_one_line_with_its_file_and_the_way_out(content, command, tmp_path, capsys):
    operation = begun(tmp_path / "f", "a1")
    for _ in range(40):
        operation.tick()
    operation.book.close()
    place = tmp_path / "f" / "book.sqlite"
    whole = place.read_bytes()
    place.write_bytes(whole[:8192] + bytes(len(whole) - 8192) if content is None else content)
    if command[0] == "status":
        (tmp_path / "f" / "live.json").write_text("{}")
    status = run([*command, "--home", str(tmp_path)])
    said = capsys.readouterr().err
    assert (status, said.count("\n")) == (2 if command[0] == "status" else 1, 1)
    assert ("live.json is damaged: end what runs with `firmwide stop f --now`" in said) == (command[0] == "status")
    assert command[0] == "status" or f"{place} is damaged" in said
    assert command[0] == "status" or "put a copy in its place that `firmwide backup` made" in said


def test_a_damaged_policy_is_told_before_anything_starts_and_its_department_can_begin_on_its_benchmark(tmp_path):
    operation = begun(tmp_path / "f", "a1", "base-stock:warehouse=60,retailer-1=10,retailer-2=10,retailer-3=10")
    operation.tick()
    operation.book.close()
    (tmp_path / "f" / "policies" / "retailer-2" / "1.safetensors").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"1.safetensors cannot be followed") as told:
        open_firm(Opening(None, "f", tmp_path))
    assert "begin with `firmwide live --name f --benchmark retailer-2`" in str(told.value)
    assert "\n" not in str(told.value)
    from coordinator.live.start import _must_be_sound

    with pytest.raises(ValueError, match="--benchmark must be one of warehouse"):
        _must_be_sound(tmp_path / "f", ("retailer-9",))
    _must_be_sound(tmp_path / "f", ("retailer-2",))
    operation = resumed(tmp_path / "f")
    row = operation.tick()["departments"]["retailer-2"]
    assert row["version"] == 2
    assert operation.now.bundles["retailer-2"].label == operation._benchmarks["retailer-2"].bundle.label
    assert replay(tmp_path / "f")["faults"] == [], "the events say so"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"keeper": 1}', "\x00"])
def test_a_damaged_live_json_is_told_in_one_line_and_stop_now_clears_it(content, tmp_path, capsys):
    begun(tmp_path / "f", "a1").book.close()
    (tmp_path / "f" / "live.json").write_text(content)
    assert run(["status", "f", "--home", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["stop", "f", "--now", "--home", str(tmp_path)]) == 0
    assert not (tmp_path / "f" / "live.json").exists()


def test_a_damaged_firm_file_of_a_firm_is_told_before_anything_starts(tmp_path):
    begun(tmp_path / "f", "a1").book.close()
    (tmp_path / "f" / "firm.yaml").write_text("")
    with pytest.raises(ValueError, match=r"f/firm.yaml: a firm file must be a mapping"):
        open_firm(Opening(None, "f", tmp_path))


def test_who_dies_while_a_firm_is_founded_has_founded_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(Book, "found", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        begun(tmp_path / "f", "a1")
    assert not (tmp_path / "f" / "book.sqlite").exists()
    monkeypatch.undo()
    assert begun(tmp_path / "f", "a1").tick()["tick"] == 0

"""A firm with a Ray of its own, and what is thrown at its processes: one for all of it, as a start takes seconds."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from coordinator.live import RunningFirm, start
from coordinator.live.home import leave, processes_of, running_at, write_home
from coordinator.live.keeper import SlowError
from coordinator.live.replay import replay
from coordinator.live.start import Opening, open_firm
from tests.live_faults import scratch_of
from tests.live_firms import until

COMMAND = [sys.executable, "-c", "from coordinator.cli import main; main()"]
LONG = 300.0  # s that a start may take on a machine that is busy


def hundred_products():
    """A firm whose actors need more than Ray carries in a call."""
    shop = {"holding_cost": 2, "backorder_cost": 19, "max_order": 50, "demand": {"law": "poisson", "mean": 3}}
    products, supply = [f"p{number}" for number in range(100)], [{"from": "outside", "to": "shop", "lead_time": 2}]
    return yaml.safe_dump({"name": "shop", "products": products, "stock_points": {"shop": shop}, "supply": supply})


def firmwide(*arguments, **more):
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def ended(process, within=LONG):
    said, complained = process.communicate(timeout=within)
    return process.returncode, said, complained.decode(errors="replace")


def listening(pids):
    """Addresses, in hexadecimal, at which processes listen."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(os.readlink(link))
            except OSError:
                continue
    rows = [row.split() for kind in ("tcp", "tcp6") for row in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
    return {row[1].rpartition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


@pytest.fixture
def folder(tmp_path):
    """Of a firm, of which nothing is left running."""
    yield tmp_path / "home" / "shop"
    leave(tmp_path / "home" / "shop")


def named(folder, word):
    """Processes of a firm by what they were called with."""
    return [p for p in processes_of(folder) if word in Path(f"/proc/{p}/cmdline").read_bytes()]


@pytest.mark.thorough
@pytest.mark.ray
@pytest.mark.slow
def test_a_firm_of_a_hundred_products_outlives_its_environment_and_its_ray_and_a_killed_start_leaves_nothing(
    folder, tmp_path
):
    file, there = tmp_path / "shop.yaml", ("--name", "shop", "--home", str(folder.parent))
    file.write_text(hundred_products())
    starter = firmwide("live", str(file), *there, "--tick", "50ms", "--deadline", "5s")
    until(lambda: (folder / "keeper.json").exists(), LONG)
    status, _, complained = ended(firmwide("live", str(file), *there))
    assert (status, complained.count("\n")) == (2, 1), complained
    assert "is being started by another `firmwide live`" in complained
    assert ended(starter)[0] == 0
    with RunningFirm.connect("shop", folder.parent) as firm:
        _listens_to_this_machine_alone(folder)
        processes = firm.processes()
        assert set(processes.values()) <= processes_of(folder), "all bear its mark"
        os.kill(processes["environment"], signal.SIGKILL)
        asked = firmwide("pause", "shop", "shop", *there[2:], "--why", b"\xff\xfe"), firmwide("live", *there)
        for process, said in zip(asked, ("must be text in UTF-8", "runs already"), strict=True):
            status, _, complained = ended(process)
            assert (status, said in complained) == (2, True), complained
        at = firm.committed()
        until(lambda: firm.committed() > at + 3, LONG)
    before, scratch = processes_of(folder), scratch_of(folder)
    os.kill(*named(folder, b"raylet/raylet"), signal.SIGKILL)
    until(lambda: (place := running_at(folder)) is not None and place["keeper"] not in before, LONG)
    assert not before & processes_of(folder), "nothing is left of the first Ray"
    assert not scratch.exists()
    (starter,) = (p for p in Path("/proc").glob("[0-9]*") if _starts_again(p, folder))
    os.kill(int(starter.name), signal.SIGKILL)
    _nothing_is_left(folder)
    starter = firmwide("live", *there)
    until(lambda: (folder / "keeper.json").exists(), LONG)
    starter.send_signal(signal.SIGINT)
    status, _, complained = ended(starter)
    assert (status, "Traceback" in complained) == (130, False), complained
    _nothing_is_left(folder)
    assert not scratch.exists(), "nor made anew by the keeper as it left"
    assert ended(firmwide("live", *there))[0] == 0
    scratch, moved = scratch_of(folder), tmp_path / "moved"
    folder.rename(moved)
    until(lambda: not processes_of(folder) and not scratch.exists(), LONG)  # a firm ends with its folder
    assert replay(moved)["faults"] == []


def _starts_again(process, folder):
    try:
        called = (process / "cmdline").read_bytes()
    except OSError:
        return False
    return b"coordinator.live.start" in called and str(folder).encode() in called


def _nothing_is_left(folder):
    until(lambda: not processes_of(folder), LONG)
    assert running_at(folder) is None
    assert not (folder / "live.json").exists()
    assert not (folder / "keeper.json").exists(), "with the folder that Ray had"


def _listens_to_this_machine_alone(folder):
    """And its sockets, files and policies are not for everybody."""
    addresses = listening(processes_of(folder))
    assert addresses
    assert all(address.endswith("0100007F") for address in addresses), addresses
    scratch = scratch_of(folder)
    assert scratch.stat().st_mode & 0o777 == 0o700
    assert list((scratch / "r").glob("session_*/sockets/*"))
    for path in [folder / "book.sqlite", folder / "firm.yaml", *(folder / "policies").rglob("*.safetensors")]:
        assert path.stat().st_mode & 0o777 == 0o640, path


@pytest.mark.parametrize("state", ["running", "waiting", "done", "stopped", "failed"])
def test_a_firm_that_has_stopped_or_failed_gives_way_to_a_start_and_no_other(state, folder, monkeypatch):
    """`status: stopped` and `live: runs already` are never said of the same firm."""
    folder.mkdir(parents=True)
    write_home(folder, "127.0.0.1:1", None, {})
    done = []
    there = SimpleNamespace(runs=lambda: RunningFirm.runs(there), dismiss=lambda: done.append("dismissed"))
    there._ask = lambda *_: (state, "why")
    monkeypatch.setattr(RunningFirm, "connect", lambda *_: nullcontext(there))
    if state in ("stopped", "failed"):
        start._must_not_run(folder)
        assert done == ["dismissed"]
    else:
        with pytest.raises(ValueError, match="firm 'shop' runs already"):
            start._must_not_run(folder)
        assert done == []


@pytest.mark.parametrize(("failures", "well"), [(4, True), (5, False)])
def test_a_start_that_nobody_waits_for_is_tried_again_where_ray_is_slow(failures, well, folder, monkeypatch):
    """Ray gives itself half a minute, which is nothing to wait for here."""
    tried = []

    def opened(asked, _):
        tried.append(asked.name)
        if len(tried) <= failures:
            raise SlowError("Ray did not start")
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(start, "open_firm", opened)
    with nullcontext() if well else pytest.raises(SlowError):
        start.begin_again(folder, {})
    assert tried == ["shop"] * 5


@pytest.mark.parametrize("name", ["", "../x", "x" * 42, "Ä"])
def test_a_name_that_is_none_is_refused_and_nothing_is_written(name, tmp_path):
    with pytest.raises(ValueError, match="--name must be lower-case letters"):
        open_firm(Opening("a1", name, tmp_path / "home"))
    assert not (tmp_path / "home").exists()


def test_threads_do_not_start_a_firm_twice(tmp_path):
    from coordinator.live.home import starting

    won, refused, there = [], [], threading.Barrier(8)

    def start():
        there.wait()
        try:
            with starting(tmp_path / "f") as folder:
                (folder / "book.sqlite").touch()
                won.append(1)
                until(lambda: len(refused) == 7, LONG)  # all others come while it holds the folder
        except ValueError as error:
            refused.append(str(error))

    starts = [threading.Thread(target=start) for _ in range(8)]
    [each.start() for each in starts]
    [each.join() for each in starts]
    assert (len(won), len(refused)) == (1, 7)

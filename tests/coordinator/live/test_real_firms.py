"""Firms with a Ray of their own, and what is thrown at its processes. Two firms are started, for all tests here."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from coordinator.live import RunningFirm, start
from coordinator.live.home import leave, processes_of, running_at, write_home
from coordinator.live.replay import replay
from coordinator.live.start import Opening, open_firm
from tests.live_firms import until

COMMAND = [sys.executable, "-c", "from coordinator.cli import main; main()"]
PRODUCTS = [f"p{number}" for number in range(20)]


def twenty_products():
    """Four points of twenty products: what its actors need is more than Ray carries in a call."""
    shop = {"holding_cost": 2, "backorder_cost": 19, "max_order": 50, "demand": {"law": "poisson", "mean": 3}}
    points = {"warehouse": {"holding_cost": 1, "max_order": 200}} | {f"shop-{n}": shop for n in (1, 2, 3)}
    supply = [{"from": "warehouse", "to": name, "lead_time": 1} for name in points if name != "warehouse"]
    supply = [{"from": "outside", "to": "warehouse", "lead_time": 2}, *supply]
    return yaml.safe_dump({"name": "twenty", "products": PRODUCTS, "stock_points": points, "supply": supply})


def firmwide(*arguments, **more):
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def ended(process, within=120):
    said, complained = process.communicate(timeout=within)
    return process.returncode, said, complained.decode(errors="replace")


def scratch_of(folder):
    found = re.search(r'"scratch": "([^"]+)"', (folder / "keeper.json").read_text())
    return Path(found[1])


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
    yield tmp_path / "home" / "twenty"
    leave(tmp_path / "home" / "twenty")


@pytest.mark.ray
@pytest.mark.slow
def test_a_firm_of_twenty_products_outlives_its_environment_its_stop_and_its_ray(folder, tmp_path):
    home, file = folder.parent, tmp_path / "twenty.yaml"
    file.write_text(twenty_products())
    with open_firm(Opening(str(file), "twenty", home, tick=0.05, deadline=5.0)) as firm:
        _listens_to_this_machine_alone(folder)
        until(lambda: firm.committed() > 2, 60)
        for _ in range(2):
            victim = firm.processes()["environment"]
            os.kill(victim, signal.SIGKILL)
            at = firm.committed()
            until(lambda at=at: firm.committed() > at + 3, 90)
        status, _, complained = ended(firmwide("pause", "twenty", "shop-1", "--home", str(home), "--why", b"\xff\xfe"))
        assert (status, "must be text in UTF-8" in complained) == (2, True), complained
        status, _, complained = ended(firmwide("live", "--name", "twenty", "--home", str(home)))
        assert (status, "runs already" in complained) == (2, True), complained
        first = running_at(folder)["keeper"]
        raylet = next(p for p in processes_of(folder) if b"raylet/raylet" in Path(f"/proc/{p}/cmdline").read_bytes())
        os.kill(raylet, signal.SIGKILL)
    until(lambda: (place := running_at(folder)) is not None and place["keeper"] != first, 120)
    with RunningFirm.connect("twenty", home) as firm:
        at = firm.committed()
        until(lambda: firm.committed() > at + 3, 90)
        scratch = scratch_of(folder)
        assert firm.stop()["state"] == "done"
    assert processes_of(folder) == set()
    assert not scratch.exists()
    assert running_at(folder) is None
    assert replay(folder)["faults"] == []


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


@pytest.mark.ray
@pytest.mark.slow
def test_of_two_starts_one_wins_and_a_start_that_is_killed_leaves_nothing(folder):
    asked = ("live", "a1", "--name", "twenty", "--home", str(folder.parent), "--tick", "100ms")
    killed = firmwide(*asked)
    until(lambda: (folder / "keeper.json").exists(), 120)
    loser = firmwide(*asked)
    status, _, complained = ended(loser)
    assert (status, complained.count("\n")) == (2, 1)
    assert "is being started by another `firmwide live`" in complained
    assert processes_of(folder)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    until(lambda: not processes_of(folder), 60)
    assert not (folder / "live.json").exists()
    assert not list(folder.glob("keeper.json")), "with the folder that Ray had"
    starter = firmwide("live", "--name", "twenty", "--home", str(folder.parent), "--tick", "100ms")
    until(lambda: (folder / "live.json").exists(), 120)
    starter.send_signal(signal.SIGINT)
    status, _, complained = ended(starter)
    assert (status, "Traceback" in complained) == (130, False), complained
    assert processes_of(folder) == set()
    assert not (folder / "live.json").exists()


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
        with pytest.raises(ValueError, match="firm 'twenty' runs already"):
            start._must_not_run(folder)
        assert done == []


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
                time.sleep(0.5)
        except ValueError as error:
            refused.append(str(error))

    starts = [threading.Thread(target=start) for _ in range(8)]
    [each.start() for each in starts]
    [each.join() for each in starts]
    assert (len(won), len(refused)) == (1, 7)

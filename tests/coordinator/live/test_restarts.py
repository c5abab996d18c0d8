import os
import signal
import threading
from pathlib import Path

import pytest

from coordinator.cli import run
from coordinator.live.home import processes_of
from coordinator.live.replay import replay
from coordinator.live.restarts import Restarts
from coordinator.live.start import Opening, open_firm
from tests.coordinator.live.test_change import changed
from tests.coordinator.live.test_nodes import until


def test_every_restart_is_told_once_however_late_it_is_heard_of():
    restarts_seen = Restarts()
    restarts_seen.heard("warehouse", 0)
    assert restarts_seen.noticed() == ([], {"warehouse": 0})
    restarts_seen.heard("warehouse", 2, {"node": "n"})
    restarts_seen.heard("warehouse", 1)  # an answer from before that was still under way
    events, restarts = restarts_seen.noticed()
    assert [(event.kind, event.department, event.details) for event in events] == [
        ("restart", "warehouse", {"restarts": 1}),
        ("restart", "warehouse", {"restarts": 2, "node": "n"}),
    ]
    assert restarts == {"warehouse": 2}
    successor = Restarts()
    successor.recall(restarts)
    successor.heard("warehouse", 2)
    successor.heard("critic", 1)  # it was never heard of before it died
    assert [event.department for event in successor.noticed()[0]] == ["critic"]


@pytest.mark.thorough
@pytest.mark.ray
@pytest.mark.slow
def test_departments_come_and_go_and_whoever_dies_over_it_twice_or_unnoticed_stands_in_the_book(tmp_path, capsys):
    new, there = tmp_path / "new.yaml", ("--home", str(tmp_path), "--stock", "retailer-2=retailer-3")
    new.write_text(changed("a1", close=["retailer-2"], opened={"retailer-9": "retailer-3"}))
    staff = {f"department-{name}" for name in ("warehouse", "retailer-1", "retailer-3", "retailer-9")}
    with open_firm(Opening("a1", "deaths", tmp_path, tick=0.0)) as firm:
        try:
            until(lambda: firm.committed() > 3)
            first = firm.processes()
            assert "must name one of warehouse, retailer-1" in firm.change(new, {"retailer-2": "north"})["message"]
            until(lambda: employed(firm) == {name for name in first if "department" in name})  # who was hired is let go
            dies = threading.Timer(0.5, os.kill, (first["coordinator"], signal.SIGKILL))
            dies.start()
            assert run(["change", "deaths", "--firm", str(new), *there, "--like", "retailer-9=retailer-1"]) == 0
            assert "opened retailer-9; closed retailer-2" in capsys.readouterr().err
            dies.join()
            until(lambda: employed(firm) == staff)
            processes, at = firm.processes(), firm.committed()
            assert processes["department-retailer-1"] == first["department-retailer-1"], "who stays does not begin anew"
            until(lambda: firm.committed() > at + 3)
            assert restarts_of(firm) == ["coordinator"], "a change restarts nobody"
            twice = ("department-retailer-9", "critic", "environment", "monitor")
            _die_twice_unnoticed(firm, processes["coordinator"], twice)
            os.kill(int(firm._ask("department-warehouse", "ready")[0]), signal.SIGKILL)
            assert firm.halt()["state"] == "done"
            dead = [name.removeprefix("department-") for name in twice] * 2
            assert sorted(restarts_of(firm)) == sorted([*dead, "coordinator", "coordinator", "warehouse"])
            kinds = [event["kind"] for event in firm.events()]
            assert (kinds.count("start"), kinds.count("change")) == (1, 1)
        finally:
            firm.dismiss()
    assert replay(tmp_path / "deaths")["faults"] == []


def _die_twice_unnoticed(firm, coordinator, names):
    """Kill each of them two times, and then the coordinator, which was stopped meanwhile."""
    os.kill(coordinator, signal.SIGSTOP)  # it notices nothing from here on
    for _ in range(2):
        there = {name: int(firm._ask(name, "ready")[0]) for name in names}
        for pid in there.values():
            os.kill(pid, signal.SIGKILL)
        for name, pid in there.items():
            until(lambda name=name, pid=pid: int(firm._ask(name, "ready")[0]) != pid)
    os.kill(coordinator, signal.SIGKILL)
    firm.processes()  # all are back


def restarts_of(firm):
    return [event["department"] for event in firm.events() if event["kind"] == "restart"]


def employed(firm):
    named = {actor["name"] for actor in firm._ray.util.list_named_actors(all_namespaces=True)}
    return {name for name in named if name.startswith("department-")}


def called(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.thorough
@pytest.mark.ray
@pytest.mark.slow
def test_ticks_that_wait_for_the_environment_say_so_and_have_failed_where_it_cannot_be_had(tmp_path):
    with open_firm(Opening("toy", "patient", tmp_path, tick=0.0, patience=1.0)) as firm:
        before = firm.processes()
        (raylet,) = (p for p in processes_of(firm.folder) if b"raylet/raylet" in called(p))
        os.kill(raylet, signal.SIGSTOP)  # it starts nobody
        try:
            os.kill(before["environment"], signal.SIGKILL)
            until(lambda: firm.metrics()["reason"] == "the environment does not answer yet")
            threading.Event().wait(5)  # longer than ticks may stand still in silence
            os.kill(raylet, signal.SIGCONT)
            at = firm.committed()
            until(lambda: firm.committed() > at + 3)
            assert firm.processes()["coordinator"] == before["coordinator"]
            assert firm.metrics()["state"] == "running"
            firm._ray.kill(firm._ray.get_actor("environment", firm._namespace), no_restart=True)  # gone for good
            until(lambda: firm.metrics()["state"] == "failed")
            assert "the environment cannot be had: " in firm.metrics()["reason"]
            assert firm.stop()["message"].startswith("stopped; it had failed (the environment cannot be had")
            with pytest.raises(RuntimeError, match="firm 'patient' is gone"):
                firm.metrics()
            assert not firm._ray.is_initialized(), "nothing that is asked starts another Ray"
        finally:
            os.kill(raylet, signal.SIGCONT)
            firm.dismiss()

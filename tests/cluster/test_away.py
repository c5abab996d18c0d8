"""Machines that stay away: their link is down, and nothing was killed."""

import json
import threading
import time

import pytest

from coordinator.live.replay import replay
from tests.cluster.cluster import FIRMWIDE, until
from tests.cluster.test_cluster import policies

pytestmark = [pytest.mark.cluster, pytest.mark.ray, pytest.mark.slow]
TRAINING = "train a1 --budget 100000 --episodes 64"


def test_a_run_waits_for_a_machine_that_comes_back_and_not_for_one_that_does_not(cluster):
    here = cluster.begin("firmwide", *TRAINING.split(), "--backend", "local", "--run", "undisturbed")
    job = cluster.job("disturbed", f"{FIRMWIDE} {TRAINING} --address auto --environments 3 --run ~/runs/disturbed")
    rows = cluster.machines[cluster.head].home / "runs/disturbed/metrics.csv"

    def learned():
        return len(rows.read_text().splitlines()) if rows.is_file() else 0

    until(lambda: learned() > 3)
    first, second = cluster.workers
    cluster.site.link(first, "down")
    threading.Event().wait(5)  # it is the time that is tested
    cluster.site.link(first, "up")
    before = learned()
    until(lambda: learned() > before)
    assert "a worker died" not in job.log.read_text()
    cluster.site.link(second, "down")
    until(lambda: f"{second} cannot be reached" in job.log.read_text())
    until(lambda: "a worker died" in job.log.read_text())
    cluster.ended(job)
    cluster.say("a run went on without a machine that stayed away")
    cluster.site.link(second, "up")
    until(lambda: set(cluster.nodes().values()) == set(cluster.machines))
    cluster.say("it is back")
    cluster.ended(here)
    cluster.run("ray", "rsync-down", "cluster.yaml", "~/runs/", "runs")
    learned_here = policies(cluster.desk.home / "undisturbed")
    assert policies(cluster.desk.home / "runs" / "disturbed") == learned_here != {}


def test_a_firm_goes_on_without_a_machine_that_stays_away(cluster, shop):
    places = shop.places()
    lost = cluster.workers[1]
    away = {name for name, place in places.items() if place == lost}
    assert set(places.values()) == set(cluster.machines)
    cluster.site.link(lost, "down")
    began = time.monotonic()
    until(lambda: all(shop.told("department_restarts_total")[name] for name in away))
    until(lambda: all(shop.told("department_up").values()))
    cluster.say(f"departments of a machine that stayed away decide elsewhere after {time.monotonic() - began:.0f} s")
    assert lost not in shop.places().values()
    cluster.site.link(lost, "up")
    until(lambda: set(cluster.nodes().values()) == set(cluster.machines))
    cluster.say("it is back")


def test_a_firm_whose_own_machine_stays_away_says_so_and_goes_on_where_it_is_called_again(cluster):
    lost, home = cluster.workers[0], ("--home", str(cluster.site.shared / "live"))
    firm = ("firmwide", "live", "toy", "--name", "depot", *home, "--address", f"{cluster.head}:6379")
    cluster.on(lost, *firm, "--tick", "200ms")
    status = ("firmwide", "status", "depot", *home)
    at = json.loads(cluster.on(cluster.head, *status, "--json"))["tick"]
    cluster.site.link(lost, "down")
    told = until(lambda: cluster.refused(cluster.head, *status))
    cluster.say(f"a firm whose machine stays away: {told.strip()}")
    assert "go on with `firmwide live --name depot`" in told
    cluster.on(cluster.head, *firm[:2], *firm[3:], "--tick", "200ms")
    until(lambda: json.loads(cluster.on(cluster.head, *status, "--json"))["tick"] > at + 5)
    cluster.site.link(lost, "up")
    until(lambda: set(cluster.nodes().values()) == set(cluster.machines))
    cluster.say("it goes on elsewhere; the machine is back")
    cluster.on(cluster.head, "firmwide", "stop", "depot", *home)
    assert replay(cluster.site.shared / "live" / "depot")["faults"] == []

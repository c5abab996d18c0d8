"""What departments do on three machines while some of these stay away: their link is down, and nothing was killed."""

import hashlib
import threading
import time

import pytest

from coordinator.live.book import Book
from coordinator.live.replay import replay
from tests.cluster.cluster import FIRMWIDE, until

pytestmark = [pytest.mark.cluster, pytest.mark.ray, pytest.mark.slow]
TRAINING = "train a1 --budget 100000 --episodes 64"


def policies(run):
    """Digests of all that a run has learned."""
    files = (run / "policies").rglob("*.safetensors")
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_run_waits_for_a_machine_that_comes_back_and_not_for_one_that_does_not_and_ends_as_on_one_to_the_bit(cluster):
    here = cluster.begin("firmwide", *TRAINING.split(), "--backend", "local", "--run", "here")
    job = cluster.job("a1-seed-0", f"{FIRMWIDE} {TRAINING} --address auto --environments 3 --run ~/runs/a1")
    rows = cluster.machines[cluster.head].home / "runs/a1/metrics.csv"

    def learned():
        return len(rows.read_text().splitlines()) if rows.is_file() else 0

    until(lambda: learned() > 3)
    nodes = cluster.nodes()
    places = {a["name"]: nodes[a["node_id"]] for a in cluster.listed("actors") if a["class_name"] == "_Host"}
    assert len(places) == 8
    for kind in ("department", "environment"):
        assert {place for name, place in places.items() if name.startswith(kind)} == set(cluster.machines)
    cluster.say("a run learns, a department and an environment on each machine")
    first, second = cluster.workers
    cluster.site.link(first, "down")
    threading.Event().wait(5)  # it is the time that is tested
    cluster.site.link(first, "up")
    before = learned()
    until(lambda: learned() > before)
    assert "a worker died" not in job.log.read_text()
    cluster.say("it waited for a machine that was out of reach for 5 s")
    cluster.site.link(second, "down")
    until(lambda: f"{second} cannot be reached" in job.log.read_text())
    until(lambda: "a worker died" in job.log.read_text())
    cluster.ended(job)
    cluster.site.link(second, "up")
    cluster.ended(here)
    cluster.run("ray", "rsync-down", "cluster.yaml", "~/runs/", "runs")
    assert policies(cluster.desk.home / "runs" / "a1") == policies(cluster.desk.home / "here") != {}
    cluster.say("it went on without a machine that stayed away, and ended to the bit as on one machine")
    again = cluster.ended(cluster.job("a1-seed-0", "false"), well=False)
    assert "a1-seed-0" in again
    until(lambda: set(cluster.nodes().values()) == set(cluster.machines))
    cluster.say("that machine is back")


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
    book = Book(cluster.site.shared / "live" / "depot" / "book.sqlite", reads=True)
    cluster.site.link(lost, "down")
    told = until(lambda: cluster.refused(cluster.head, "firmwide", "status", "depot", *home))
    cluster.say(f"a firm whose machine stays away: {told.strip()}")
    assert "go on with `firmwide live --name depot`" in told
    at = book.tick()
    cluster.on(cluster.head, *firm[:2], *firm[3:], "--tick", "200ms")
    until(lambda: book.tick() > at + 5)
    book.close()
    cluster.site.link(lost, "up")
    until(lambda: set(cluster.nodes().values()) == set(cluster.machines))
    cluster.say("it goes on elsewhere; the machine is back")
    cluster.on(cluster.head, "firmwide", "stop", "depot", *home)
    assert replay(cluster.site.shared / "live" / "depot")["faults"] == []

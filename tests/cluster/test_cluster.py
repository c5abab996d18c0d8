"""A cluster for real: what docs/cluster.md says, on three machines that are namespaces."""

import json
import shutil
import time

import pytest

from coordinator.live.replay import replay
from tests.cluster.cluster import FIRMWIDE, HOME, until
from tests.coordinator.monitoring.tools import needs_prometheus

pytestmark = [pytest.mark.cluster, pytest.mark.ray, pytest.mark.slow]


def test_a_policy_is_swapped_while_the_firm_runs_and_a_canary_is_judged(cluster, shop):
    done = cluster.execute(f"{FIRMWIDE} swap shop warehouse --policy ~/runs/a1 --why learned")
    assert "warehouse follows version 2" in done
    good = f"{FIRMWIDE} swap shop retailer-1 --policy decomposition-aggregation --canary 10 --undecided accept"
    worse = f"{FIRMWIDE} swap shop retailer-2 --policy base-stock:retailer-2=0 --canary 10 --tolerance 99"
    good, worse = (cluster.begin("ray", "exec", "cluster.yaml", command) for command in (good, worse))
    assert "retailer-1 follows version 2" in cluster.ended(good)
    assert "the canary" in cluster.ended(worse, well=False)
    assert shop.told("department_swaps_total") == {"warehouse": 1, "retailer-1": 1, "retailer-2": 0, "retailer-3": 0}
    cluster.say("one policy was swapped, one canary let in, one refused")


@needs_prometheus
def test_prometheus_finds_the_exporter_and_ray_by_service_discovery(cluster, shop):
    cluster.run("firmwide", "monitor", "--files", "monitoring")
    settings = cluster.desk.home / "monitoring" / "prometheus.yml"
    written = settings.read_text()
    for before, after in (
        ("  # - job", "  - job"),
        ("  #   ", "    "),
        ("HOST:9464", f"{cluster.head}:9464"),
        ("10s", "1s"),
    ):
        assert before in written
        written = written.replace(before, after)
    settings.write_text(written)
    cluster.begin("prometheus", "--config.file=prometheus.yml", folder="/home/operator/monitoring")

    def found():
        told = cluster.fetch("http://127.0.0.1:9090/api/v1/targets?state=active")
        active = json.loads(told)["data"]["activeTargets"] if told.startswith("{") else []
        return {
            (target["labels"]["job"], target["labels"]["instance"]) for target in active if target["health"] == "up"
        }

    until(lambda: ("firmwide-elsewhere", f"{cluster.head}:9464") in found())
    until(lambda: {place.partition(":")[0] for job, place in found() if job == "ray"} == set(cluster.machines))
    query = "http://127.0.0.1:9090/api/v1/query?query=firmwide_firm_ticks_total"
    assert float(json.loads(cluster.fetch(query))["data"]["result"][0]["value"][1]) > 0
    cluster.say("Prometheus has found the exporter, and Ray on all nodes")


def test_a_machine_that_is_out_of_reach_for_five_seconds_costs_decisions_and_nothing_else(cluster, shop):
    places = shop.places()
    lost, restarts = cluster.workers[0], shop.told("department_restarts_total")
    away = {name for name, place in places.items() if place == lost}
    cluster.site.link(lost, "down")
    until(lambda: {name for name, up in shop.told("department_up").items() if not up} == away)
    at = shop.told("firm_ticks_total")
    time.sleep(5)  # it is the time that is tested
    assert shop.told("firm_ticks_total") > at, "the firm goes on"
    cluster.site.link(lost, "up")
    until(lambda: all(shop.told("department_up").values()))
    fallbacks = shop.told("department_fallbacks_total")
    assert all(fallbacks[name] for name in away)
    assert shop.told("department_restarts_total") == restarts
    cluster.say(f"a machine was out of reach for 5 s: {fallbacks} decisions by the benchmark's rule")


def test_what_is_ended_is_the_cluster_and_nothing_else_of_its_machines(cluster, shop, tmp_path):
    assert "stopped after" in cluster.execute(f"{FIRMWIDE} stop shop")
    kept = shutil.copytree(cluster.machines[cluster.head].home / "runs/live/shop", tmp_path / "shop")
    assert replay(kept)["faults"] == []
    cluster.on(cluster.head, "firmwide", "live", "toy", "--name", "own", "--tick", "200ms")
    cluster.say("the firm has stopped, and one with a Ray of its own runs on the head")
    cluster.desk.end(cluster.dashboard)
    ssh = ("ssh", "-o", "StrictHostKeyChecking=no")
    for ending in [cluster.begin(*ssh, f"{HOME.name}@{at}", "firmwide/cluster-stop.sh") for at in cluster.machines]:
        cluster.ended(ending)
    cluster.run("ray", "down", "-y", "cluster.yaml")
    cluster.say("the cluster has ended")
    assert json.loads(cluster.on(cluster.head, "firmwide", "status", "own", "--json"))["state"] == "running"
    cluster.on(cluster.head, "firmwide", "stop", "own")
    until(lambda: not any(machine.processes() for machine in cluster.machines.values()))
    cluster.say("nothing is left")

import threading
import time

import pytest

from coordinator.live import RunningFirm
from coordinator.live.replay import replay
from coordinator.live.start import Opening, open_firm

QUICK = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 2,
}  # otherwise a dead node is noticed after 12 s


@pytest.fixture
def cluster():
    """Three nodes; the first one has the folder."""
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "_system_config": QUICK})
    others = [started.add_node(num_cpus=2) for _ in range(2)]
    yield started, others
    import ray

    ray.shutdown()
    started.shutdown()


def until(what, seconds=60):
    """Wait for something; it must come."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not what():
        assert time.monotonic() < end, "it did not come"
        pause.wait(0.1)


@pytest.mark.ray
@pytest.mark.slow
def test_a_firm_goes_on_when_a_node_dies_and_says_so(cluster, tmp_path):
    nodes, others = cluster
    home = tmp_path / "live"
    with open_firm(Opening("a1", "spread", home, tick=0.05, address=nodes.address)) as firm:
        until(lambda: firm.metrics()["tick"] > 5)
        places = {name: row["node"] for name, row in firm.metrics()["departments"].items()}
        assert len(set(places.values())) == 3, "departments take the nodes in turn"
        asked = {"canary": 10, "undecided": "accept", "command": "canary-1"}
        same = firm.swap("retailer-2", "decomposition-aggregation", **asked, why="as good")
        assert same["state"] == "done", "it costs the same, and that is enough here"
        worse = firm.swap("retailer-2", "base-stock:retailer-2=0", canary=20, tolerance=99.0)
        assert worse["state"] == "refused"
        assert "the canary is worse than the policy in office" in worse["message"]
        victim = next(node for node in others if node.node_id in places.values())
        lost = {name for name, place in places.items() if place == victim.node_id}
        nodes.remove_node(victim, allow_graceful=False)

        def back():
            rows = firm.metrics()["departments"]
            return all(rows[name]["up"] and rows[name]["node"] != victim.node_id for name in lost)

        until(back)
        settled = firm.metrics()["tick"]
        until(lambda: firm.metrics()["tick"] > settled + 5)
        figures, events = firm.metrics(), firm.events()
        for name in places:
            row = figures["departments"][name]
            assert row["mode"] == "policy"
            assert (row["restarts"] > 0) == (name in lost)
            assert (row["fallbacks"] > 0) == (name in lost)
        assert firm.swap("retailer-2", "decomposition-aggregation", **asked) == same, "carried out once"
        other = firm.swap("retailer-2", "reorder", command="canary-1")
        assert (other["state"], "was the id of another command" in other["message"]) == ("refused", True)
        assert figures["departments"]["retailer-2"]["swaps"] == 1
        told = {event["department"] for event in events if event["kind"] == "restart" and event["details"].get("moved")}
        assert told == lost
        assert firm.stop()["state"] == "done"
    found = replay(home / "spread")
    assert found["faults"] == []
    with pytest.raises(ValueError, match="does not run"):
        RunningFirm.connect("spread", home)

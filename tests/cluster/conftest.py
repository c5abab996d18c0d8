import json
from pathlib import Path

import pytest

from tests.cluster.cluster import FIRMWIDE, Cluster, Shop, until
from tests.cluster.machines import missing


def _links():
    return sorted(link.name for link in Path("/sys/class/net").iterdir())


@pytest.fixture(scope="session")
def cluster():
    """A cluster that runs; it is shared, as launching it takes half of the time."""
    if reason := missing():
        pytest.skip(reason)
    links, there = _links(), Cluster()
    try:
        there.up()
        yield there
    finally:
        inside = there.close()
    assert inside == [], "nobody is left in the namespaces of the machines"
    assert _links() == links


@pytest.fixture(scope="session")
def shop(cluster):
    """A firm that runs there, and its exporter."""
    cluster.execute(f"{FIRMWIDE} live a1 --name shop --address auto --tick 200ms")
    place = json.loads((cluster.machines[cluster.head].home / "runs/live/shop/live.json").read_text())
    assert place["address"] == f"{cluster.head}:6379"
    cluster.job("monitor-shop", f"{FIRMWIDE} monitor shop --host {cluster.head}")
    firm = Shop(cluster)
    until(lambda: firm.told("firm_ticks_total"))
    cluster.say("a firm runs")
    return firm

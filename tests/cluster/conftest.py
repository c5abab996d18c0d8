from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
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

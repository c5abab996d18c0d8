import os
import re
import signal
from functools import cache
from pathlib import Path

import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

from coordinator.workers.ray_session import connect

torch.set_num_threads(1)  # the tensors are small; on shared cores several threads were 15 times slower
os.environ |= {"RAY_worker_niceness": "0"}  # Ray's 15 lets its workers starve beside the tests of other processes
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a script's background; what tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


class OneRayAtATime(LoadScopeScheduling):
    """A file's tests stay in one process; files that start a Ray or a browser all stay in the same one, in turn."""

    def _split_scope(self, nodeid):
        file = nodeid.split("::", 1)[0]
        return "ray" if _starts_ray(self.config.rootpath / file) else file


@cache
def _starts_ray(file: Path):
    return re.search(r"pytest\.mark\.(ray|browser)", file.read_text()) is not None


def pytest_xdist_make_scheduler(config, log):
    return OneRayAtATime(config, log)


@pytest.fixture(scope="session")
def ray():
    """One local Ray in the process of the tests; those that use it come last, as firms have a Ray of their own each."""
    module, _ = connect("tests", None)
    yield module
    module.shutdown()


def pytest_collection_modifyitems(items):
    last = {item.path for item in items if "ray" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path in last)

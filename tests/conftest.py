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
    """A file's tests stay in one process; files that start a Ray all stay in the same one, in turn."""

    def _split_scope(self, nodeid):
        file = nodeid.split("::", 1)[0]
        return "ray" if _marked("ray", self.config.rootpath / file) else file


@cache
def _marked(mark: str, file: Path):
    """Whether any test of a file is, fixtures and imports of others left out."""
    return re.search(rf"pytest\.mark\.{mark}\b", file.read_text()) is not None


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False  # else those with most tests come first, however little they take
    return OneRayAtATime(config, log)


@pytest.fixture(scope="session")
def ray():
    """One local Ray in the process of the tests; those that use it come last, as firms have a Ray of their own each."""
    module, _ = connect("tests", None)
    yield module
    module.shutdown()


def pytest_collection_modifyitems(items):
    """What takes long comes first: files with a Ray, of which those come last that share one; then `slow` ones."""
    shared = {item.path for item in items if "ray" in getattr(item, "fixturenames", ())}

    def place(item):
        return not _marked("ray", item.path), item.path in shared, not _marked("slow", item.path)

    items.sort(key=place)

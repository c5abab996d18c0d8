import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from coordinator.workers.ray_session import _NO_NEWS, must_have_gpus
from coordinator.workers.ray_tasks import run_tasks

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("WARNING: 16 PYTHON worker processes have been started on node: abc with address: 10.0.0.1.", False),
        ("A worker died or was killed while executing a task by an unexpected system error.", False),
        (
            "1 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers crashed due to other reasons",
            True,
        ),
        ("/tmp/ray is over 95% full, available space: 1 GB; object creation will fail if spilling", True),
    ],
)
def test_of_what_ray_says_only_what_matters_is_shown(line, shown):
    """Ray leaves out the lines in which it finds the pattern."""
    assert (re.search(_NO_NEWS, line) is None) == shown


def test_gpus_that_are_not_there_are_refused():
    must_have_gpus(0.0, "--device cuda")
    with pytest.raises(ValueError, match=r"--device cuda: 1000 GPUs are asked for, and this machine has \d"):
        run_tasks(abs, [1], name="tests", gpus=1000)


_CONNECT = """
from coordinator.workers.ray_session import connect
ray, started = connect("tests", None)
print(started, ray.cluster_resources()["CPU"] >= 1)
ray.shutdown()
"""


@pytest.fixture
def folder():
    """One with a short name: sockets are made below it."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.ray
def test_a_ray_of_one_s_own_is_started_whatever_an_address_file_says(folder):
    """The address of a Ray that has ended, as `ray start` leaves it, in the file and in the environment."""
    (folder / "ray").mkdir()
    (folder / "ray" / "ray_current_cluster").write_text("127.0.0.1:6399")
    surroundings = os.environ | {
        "PYTHONPATH": str(ROOT),
        "RAY_TMPDIR": str(folder),
        "RAY_ADDRESS": "127.0.0.1:6399",
    }
    done = subprocess.run(
        [sys.executable, "-c", _CONNECT], capture_output=True, text=True, env=surroundings, timeout=120, check=False
    )
    assert done.stdout == "True True\n", done.stderr[-2000:]

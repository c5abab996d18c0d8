import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.workers.process import interruptible

_CODE = """
import sys
import torch
from coordinator.workers.process import settle

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 // 2**20

if sys.argv[1] == "settled":
    settle()
tensor = torch.ones(25_000_000)
full = resident()
del tensor
print(full - resident(), torch.get_num_threads())
"""


def _handed_back_and_threads(how):
    """Megabytes that go back to the system with a tensor of 95, and torch's threads."""
    command = [sys.executable, "-c", _CODE, how]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


def test_a_settled_process_computes_on_one_thread_and_keeps_the_memory_that_it_touched():
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another allocator than glibc's")
    handed_back, threads = _handed_back_and_threads("settled")
    assert threads == 1
    assert handed_back < 5
    assert _handed_back_and_threads("plain")[0] > 80, "what this guards against"


class _Dropped:
    """Interrupts this process where Python drops what is raised."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_is_dropped_on_the_way_counts():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _Dropped()  # and nothing is raised here
        with pytest.raises(KeyboardInterrupt), interruptible(), interruptible():
            _Dropped()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)

"""How a process is set up: a thread for small tensors, memory that is kept once it was touched, interrupts that end."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # of glibc's mallopt


def settle() -> None:
    """Prepare this process for the world and the learners; call it once, at the start."""
    import torch

    torch.set_num_threads(1)  # splitting one small network over threads costs more than it brings
    keep_memory()


def keep_memory() -> None:
    """Let the allocator reuse freed memory instead of handing it back, where it is glibc's.

    On virtual machines a freshly touched page takes 1-17 microseconds, so tensors that are made and dropped every step
    spend most of their time there.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)  # those of single threads are handed back whatever the threshold
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 2**20)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """End with the interrupt that came meanwhile, also where whoever was at work dropped it.

    What is raised in a callback or while an object is cleared away goes nowhere, and libraries in C have many of them.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # somebody else has taken it upon themselves
        return
    came = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        came.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came.is_set():
        raise KeyboardInterrupt

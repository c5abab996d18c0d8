"""How a process that computes on small tensors is set up: one thread, and memory that is kept once it was touched."""

from __future__ import annotations

import ctypes
import sys

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

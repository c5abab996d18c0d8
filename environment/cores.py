"""How many of the processor's cores compiled code may use at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Made = TypeVar("Made")

_most: int | None = None


def cores() -> int:
    """Threads for one call: OMP_NUM_THREADS where it is set, which Ray does in its workers, else one per core.

    In other threads than the main one it is 1: whoever made these has shared out the cores.
    """
    if threading.current_thread() is not threading.main_thread():
        return 1
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if not told.isdecimal() or int(told) < 1:
        told = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return min(int(told), _most or int(told))


@contextmanager
def at_most(threads: int) -> Iterator[None]:
    """Use so many threads meanwhile, if there are."""
    global _most
    before, _most = _most, threads
    try:
        yield
    finally:
        _most = before


def one_ahead(makers: Iterable[Callable[[], Made]]) -> Iterator[Made]:
    """What is made, the next one on another core, if there is one, while the last is used."""
    if cores() < 2:
        yield from (make() for make in makers)
        return
    with ThreadPoolExecutor(1) as other:
        coming = None
        for make in makers:
            ready, coming = coming, other.submit(make)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()

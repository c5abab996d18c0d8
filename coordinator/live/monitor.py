"""The monitor of a running firm: the latest figures and the last ticks, for everyone who asks.

It also watches: ticks that are alive and stand still are ended with their process, and a successor goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

_KEPT = 2000  # ticks
_OVER = ("stopped", "failed")
_TIMES = 3  # that the patience with single processes is had with the ticks, which wait for those

Record = dict[str, Any]


class Monitor:
    """Answers without disturbing whoever runs the ticks."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._metrics: Record | None = None
        self._ticks: deque[Record] = deque(maxlen=_KEPT)
        self._state, self._heard, self._process, self._patience = "", 0.0, 0, 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def report(self, metrics: Record, ticks: list[Record], process: int, patience: float) -> None:
        """Take what the coordinator tells: figures, ticks since, its process id, seconds that it may be silent."""
        self._metrics = metrics
        last = self._ticks[-1]["tick"] if self._ticks else -1
        self._ticks.extend(tick for tick in ticks if tick["tick"] > last)
        self._process, self._patience = process, patience
        self._hear(metrics["state"])

    def say(self, state: str, reason: str) -> None:
        """Take a state without figures: those of before stay."""
        if self._metrics is not None:
            self._metrics = self._metrics | {"state": state, "reason": reason, "told": time.time()}
        self._hear(state)

    def _hear(self, state: str) -> None:
        self._state, self._heard = state, time.monotonic()

    def metrics(self) -> Record | None:
        """The latest figures; None before any."""
        return self._metrics

    def ticks(self, since: int = 0, limit: int = 1000) -> list[Record]:
        """The last ticks from `since` on, oldest first."""
        return [tick for tick in self._ticks if tick["tick"] >= since][:limit]

    def _watch(self) -> None:
        waiting = threading.Event()
        while not waiting.wait(min(max(self._patience / 10, 0.1), 1.0)):
            silent = time.monotonic() - self._heard
            if self._process and self._state not in _OVER and silent > _TIMES * self._patience:
                self._heard = time.monotonic()
                with contextlib.suppress(OSError):
                    if b"TickProcess" in Path(f"/proc/{self._process}/cmdline").read_bytes():
                        os.kill(self._process, signal.SIGKILL)  # Ray starts it again

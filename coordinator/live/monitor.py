"""The monitor of a running firm: the latest figures and the last ticks, for everyone who asks."""

from __future__ import annotations

from collections import deque
from typing import Any

_KEPT = 2000  # ticks

Record = dict[str, Any]


class Monitor:
    """Answers without disturbing whoever runs the ticks."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._metrics: Record | None = None
        self._ticks: deque[Record] = deque(maxlen=_KEPT)

    def report(self, metrics: Record, ticks: list[Record]) -> None:
        """Take what the coordinator tells."""
        self._metrics = metrics
        last = self._ticks[-1]["tick"] if self._ticks else -1
        self._ticks.extend(tick for tick in ticks if tick["tick"] > last)

    def metrics(self) -> Record | None:
        """The latest figures; None before any."""
        return self._metrics

    def ticks(self, since: int = 0, limit: int = 1000) -> list[Record]:
        """The last ticks from `since` on, oldest first."""
        return [tick for tick in self._ticks if tick["tick"] >= since][:limit]

"""Who of a firm's processes has died: compared is how often Ray has started each again with what the book has of it.

The numbers stand in the book with the events that they led to, in the same commit. So a death is written down once,
however often a process dies before anybody hears from it, and whoever else dies meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Any

from coordinator.live.book import Event


class Restarts:
    """Restarts by process, and those that nobody has been told of yet; several threads may use it."""

    def __init__(self) -> None:
        """Everyone is there for the first time."""
        self._lock, self._restarts, self._events = threading.Lock(), dict[str, int](), list[Event]()

    def recall(self, restarts: Mapping[str, int]) -> None:
        """Go on from what stands in the book."""
        with self._lock:
            self._restarts = dict(restarts)

    def heard(self, name: str, restarts: int, details: Mapping[str, Any] | None = None) -> None:
        """Somebody was heard who says how often it was started again; `details` of the last time, for the event."""
        with self._lock:
            for number in range(self._restarts.get(name, 0) + 1, restarts + 1):
                more = {"restarts": number} | dict((number == restarts and details) or {})
                self._events.append(Event("restart", name, why="its process died", details=more))
            self._restarts[name] = max(restarts, self._restarts.get(name, 0))

    def forget(self, names: Collection[str]) -> None:
        """They are there no more; whoever is called so later is somebody else."""
        with self._lock:
            self._restarts = {name: number for name, number in self._restarts.items() if name not in names}

    def noticed(self) -> tuple[list[Event], dict[str, int]]:
        """Restarts since the last call, and the numbers that include them: both belong in the same commit."""
        with self._lock:
            events, self._events = self._events, []
            return events, dict(self._restarts)

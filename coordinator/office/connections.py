"""Connections that wait for nobody: whoever asks nothing, half or too slowly makes room for others."""

from __future__ import annotations

import asyncio
from collections import Counter

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 96  # connections; below the number at which uvicorn answers 503
ASKING = 10.0  # s that the head of a request may take, from the connection's or the last answer's beginning
ANSWERING = 120.0  # s that a request may take in all, its body and the reading of its answer included


class Connection(H11Protocol):
    """A connection with an end, whatever its client does."""

    _until: asyncio.TimerHandle | None = None
    _busy = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it; the oldest idle one of whoever has most makes room if there are too many."""
        super().connection_made(transport)
        self._begun = self.loop.time()
        self._watch()
        open_ones = [other for other in self.connections if isinstance(other, Connection)]
        if len(open_ones) > MOST:
            mine = Counter(other._client for other in open_ones)
            idle = [other for other in open_ones if not other._busy and other is not self]
            if idle:
                oldest = min(idle, key=lambda other: (-mine[other._client], other._begun))
                self.connections.discard(oldest)  # it is lost only when the loop comes to it
                oldest.transport.abort()

    @property
    def _client(self) -> str:
        return self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        super().connection_lost(exc)
        if self._until is not None:
            self._until.cancel()

    def data_received(self, data: bytes) -> None:
        """A part of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """An answer has gone out."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Let the clock of what is under way run; a part of a head does not set it back."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if self._until is not None:
            if busy == self._busy:
                return
            self._until.cancel()
        self._busy = busy
        self._until = self.loop.call_later(ANSWERING if busy else ASKING, self.transport.abort)

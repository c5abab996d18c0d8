"""What many clients ask at about the same time is looked up once: the ticks are not to feel how many look."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FRESH = 0.25  # s that an answer may be old; a page looks once a second


class Recent:
    """ASGI between the guard and the office: answers to GET below /api are shared, until something changes."""

    def __init__(self, app: ASGIApp) -> None:
        """Nothing has been asked yet."""
        self._app = app
        self._kept: dict[tuple[str, bytes], tuple[float, asyncio.Task[list[Message]]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, lambda message: self._changed(message, send))
            return
        now, asked = time.monotonic(), (scope["path"], scope["query_string"])
        self._kept = {key: kept for key, kept in self._kept.items() if now - kept[0] < _FRESH}
        if asked not in self._kept:
            self._kept[asked] = now, asyncio.create_task(self._looked_up(scope, receive))
        for message in await asyncio.shield(self._kept[asked][1]):  # whoever asked first may have left
            await send(message)

    async def _changed(self, message: Message, send: Send) -> None:
        self._kept.clear()  # who hears that something was done sees it from now on
        await send(message)

    async def _looked_up(self, scope: Scope, receive: Receive) -> list[Message]:
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, keep)
        return answer

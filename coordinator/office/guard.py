"""Who may do what: the token, sizes of requests, hosts, and the headers of every answer."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.monitoring.hosts import answers_to

MOST_BYTES = 4 * 2**20  # of a request's body
MOST_UPLOAD = 16 * 2**20  # of an uploaded policy
UPLOAD = "/api/policies"
_MOST_HEARD = 64 * 2**20  # bytes of a body that is too large, before the line is cut
_ARRIVAL = 30.0  # s that a request's body may take
_LOOKING = ("GET", "HEAD")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class RefusedError(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, reason: str) -> None:
        """`reason`: one line."""
        super().__init__(reason)
        self.status = status


def token_of(folder: Path) -> tuple[str, bool]:
    """The office's token, kept in `folder/office.token` for its owner alone.

    Returns:
        The token, and whether it was made just now.

    Raises:
        ValueError: others can read it, or it is none.
    """
    place = folder / "office.token"
    try:
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if place.stat().st_mode & 0o077:
            raise ValueError(f"{place} can be read by others: chmod 600 it, or remove it to get a new one") from None
        token = place.read_bytes().decode("ascii", "replace").strip()
        if len(token) < 32 or not token.isascii():
            raise ValueError(f"{place} holds no token: remove it to get a new one") from None
        return token, False
    with os.fdopen(file, "w") as out:
        token = secrets.token_urlsafe(32)
        out.write(token + "\n")
    return token, True


def is_token(given: str, token: str) -> bool:
    """Whether an Authorization header carries the token; takes as long for a near miss as for a far one."""
    kind, _, value = given.partition(" ")
    return hmac.compare_digest(value.strip().encode(), token.encode()) and kind.lower() == "bearer"


class _Answer:
    """Sends an answer with our headers; to HEAD what GET would say, without its body."""

    def __init__(self, send: Send, headless: bool) -> None:
        self._send, self.headless, self.begun = send, headless, False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        if message["type"] == "http.response.start":
            ours = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *ours]}
        elif self.headless:
            message = {**message, "body": b""}
        await self._send(message)


class Guard:
    """ASGI around the office, before anything of a request is understood.

    Refuses foreign hosts, whoever wants to change something without the token, and large bodies; sets security headers
    on every answer.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str] | None) -> None:
        """Take the token, and the names that this office answers to.

        Args:
            app: the office.
            token: that every request but GET must show.
            hosts: so that no other site's name can be pointed at this machine; None: any name, for an office that
                was bound to other than loopback on purpose.
        """
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        answer = _Answer(send, scope["method"] == "HEAD")
        if answer.headless:
            scope = {**scope, "method": "GET"}
        most = MOST_UPLOAD if scope["path"] == UPLOAD else MOST_BYTES
        try:
            refused = self._refusal(scope)
            body = await _body(receive, most, keep=refused is None)
        except RefusedError as error:
            refused = error
        if refused is not None:
            await _refuse(scope, receive, answer, refused)
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        try:
            await self._app(scope, replay, answer)
        except Exception as error:  # whatever it was, its answer has our headers and its reason
            if not answer.begun:
                failed = RefusedError(500, f"the office has failed: {' '.join(repr(error).split())}")
                await _refuse(scope, receive, answer, failed)

    def _refusal(self, scope: Scope) -> RefusedError | None:
        given = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if (foreign := answers_to(self._hosts, given.get(b"host", ""))) is not None:
            return RefusedError(421, foreign)
        if scope["method"] not in _LOOKING and not is_token(given.get(b"authorization", ""), self._token):
            return RefusedError(401, "show the office's token: Authorization: Bearer TOKEN")
        return None


async def _body(receive: Receive, most: int, *, keep: bool) -> bytes:
    """A request's body; of one that is refused anyway it is read, so that its sender hears why, and let go."""
    body, length = bytearray(), 0
    try:
        async with asyncio.timeout(_ARRIVAL):
            while True:
                message = await receive()
                part = message.get("body", b"")
                length += len(part)
                if keep and length <= most:
                    body += part
                if not message.get("more_body") or length > _MOST_HEARD:
                    break
    except TimeoutError:
        raise RefusedError(408, f"a request must arrive within {_ARRIVAL:g} s") from None
    if length > most:
        raise RefusedError(413, f"a request of this kind may hold at most {most} bytes")
    return bytes(body)


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: RefusedError) -> None:
    headers = {"connection": "close"} | ({"www-authenticate": "Bearer"} if refused.status == 401 else {})
    await JSONResponse({"error": str(refused)}, refused.status, headers)(scope, receive, send)

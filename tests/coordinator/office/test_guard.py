"""The office's doors with a small application behind them: who gets in, and who is not kept waiting by others."""

import contextlib
import json
import socket
import threading
import time

import httpx
import pytest
import uvicorn

from coordinator.office import connections
from coordinator.office.guard import Guard, token_of
from coordinator.office.serve import listening_at, served


async def _application(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/fails":
        raise OSError(36, "File name too long")
    body = json.dumps({"method": scope["method"]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def door():
    """A guarded application that is served; its port."""
    listening = listening_at("127.0.0.1", 0)
    server = uvicorn.Server(served(Guard(_application, "t" * 40, None)))
    serving = threading.Thread(target=server.run, args=([listening],))
    serving.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        serving.join(30)


def ask(port, method="GET", path="/", **options):
    return httpx.request(method, f"http://127.0.0.1:{port}{path}", timeout=20, trust_env=False, **options)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: "], ids=["idle", "half a head"])
def test_connections_that_ask_nothing_keep_nobody_out(sent, door):
    with contextlib.ExitStack() as held:
        for _ in range(200):
            waiting = held.enter_context(socket.create_connection(("127.0.0.1", door)))
            with contextlib.suppress(OSError):
                waiting.sendall(sent)
        answers = [ask(door) for _ in range(20)]
    assert [answer.status_code for answer in answers] == [200] * 20


def test_a_head_that_arrives_too_slowly_is_not_waited_for(door, monkeypatch):
    monkeypatch.setattr(connections, "ASKING", 0.5)
    with socket.create_connection(("127.0.0.1", door)) as slow:
        slow.settimeout(0.1)
        begun, closed = time.monotonic(), False
        while not closed and time.monotonic() - begun < 5:
            try:
                slow.sendall(b"G")  # sets no clock back
                closed = not slow.recv(1)
            except TimeoutError:
                continue
            except OSError:
                closed = True
    assert closed


def test_a_connection_may_be_used_again_and_again(door):
    with httpx.Client(base_url=f"http://127.0.0.1:{door}", trust_env=False) as client:
        assert [client.get("/").json() for _ in range(5)] == [{"method": "GET"}] * 5


def test_head_says_what_get_says_without_its_body(door):
    got, head = ask(door), ask(door, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert head.headers["x-frame-options"] == "DENY"


def test_a_failure_inside_is_told_in_one_line_with_our_headers(door):
    answer = ask(door, path="/fails")
    assert answer.status_code == 500
    assert "File name too long" in answer.json()["error"]
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("t" * 40, 0o640, "can be read by others: chmod 600 it, or remove it"),
        ("t" * 31, 0o600, "holds no token: remove it"),
        ("ä" * 40, 0o600, "holds no token: remove it"),
    ],
)
def test_a_token_that_others_can_read_or_that_is_none_is_refused(content, mode, reason, tmp_path):
    token, new = token_of(tmp_path)
    assert (token_of(tmp_path), new) == ((token, False), True)
    place = tmp_path / "office.token"
    place.write_text(content)
    place.chmod(mode)
    with pytest.raises(ValueError, match=reason):
        token_of(tmp_path)

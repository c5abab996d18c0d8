"""The exporter's doors."""

import contextlib
import json
import socket

import httpx
import pytest

from coordinator.monitoring import server


class _Nothing:
    def collect(self):
        return ()


@pytest.fixture
def exporter(tmp_path):
    serving = server.Exporter(_Nothing(), "127.0.0.1", 0, tmp_path)
    yield serving
    serving.close()


def ask(exporter, method="GET", path="/metrics", **options):
    return httpx.request(method, f"http://{exporter.address}{path}", timeout=20, trust_env=False, **options)


def test_other_names_for_this_machine_are_not_answered(exporter):
    assert ask(exporter, headers={"host": "rebound.example:80"}).status_code == 421
    for name in ("localhost", "127.0.0.1:9464", "[::1]:9464"):
        assert ask(exporter, headers={"host": name}).status_code == 200


def test_head_is_answered_where_get_is_and_nothing_else(exporter):
    for path in ("/metrics", "/sd"):
        head = ask(exporter, "HEAD", path)
        assert (head.status_code, head.content) == (200, b"")
        assert ask(exporter, "POST", path).status_code == 405
    assert json.loads(ask(exporter, path="/sd").content)[0]["targets"] == [exporter.address]


def test_connections_that_ask_nothing_keep_nobody_out_and_hold_few_threads(exporter):
    host, _, port = exporter.address.rpartition(":")
    with contextlib.ExitStack() as held:
        for _ in range(200):
            waiting = held.enter_context(socket.create_connection((host, int(port))))
            with contextlib.suppress(OSError):
                waiting.sendall(b"GET /met")
        assert [ask(exporter).status_code for _ in range(5)] == [200] * 5
        assert len(exporter._server._open) <= server._MOST + 1

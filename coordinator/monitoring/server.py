"""The exporter: /metrics for Prometheus, /sd with the exporters that Prometheus shall scrape.

Every exporter leaves a file in the folder of targets while it runs, in the form of Prometheus' file_sd; /sd of any of
them gives them all, in the form of http_sd.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

from coordinator.live.home import folder_of, running_at
from coordinator.live.running_firm import RunningFirm
from coordinator.monitoring.firm import Figures, FirmCollector
from coordinator.monitoring.hosts import answers_to, hosts_of
from coordinator.monitoring.run import RunCollector
from coordinator.storage.files import write_atomically

PORT = 9464
TARGETS = Path("runs/monitors")
_RAYS_PORTS = range(10002, 20000)  # Ray gives them to its workers
_LOOK_EVERY = 1.0  # s between two looks whether the firm still runs
_REACH = 3.0  # s that a cluster may take to accept a connection
_MOST = 32  # connections at a time
_LONGEST = 60.0  # s that one may last while others come
_PATIENCE = 8.0  # s for whoever asked before; Prometheus gives up after ten


class FirmSource:
    """A running firm's figures; joins its Ray again when the firm was stopped and goes on."""

    def __init__(self, name: str, home: Path) -> None:
        """Join nothing yet.

        Raises:
            ValueError: there is no such firm.
        """
        self.name, self._home, self._folder = name, home, folder_of(name, home)
        self._firm: RunningFirm | None = None
        self._info: dict[str, Any] | None = None
        self._turn = threading.Lock()

    def figures(self) -> Figures:
        """`RunningFirm.metrics()`.

        Raises:
            ValueError: it does not run.
            RuntimeError: it does not answer.
        """
        if not self._turn.acquire(timeout=_PATIENCE):
            raise RuntimeError(f"firm {self.name!r} does not answer: it has been asked and says nothing")
        try:
            place = running_at(self._folder)
            if place != self._info:
                self._leave()
            try:
                if place is not None and not _reached(place["address"]):
                    raise ConnectionError(f"its Ray at {place['address']} cannot be reached")
                if self._firm is None:
                    self._firm, self._info = RunningFirm.connect(self.name, self._home), place
                return self._firm.metrics()
            except ValueError:
                raise
            except Exception as error:  # whatever Ray says: it is asked anew at the next scrape
                self._leave()
                raise RuntimeError(f"firm {self.name!r} does not answer: {str(error).strip() or error!r}") from error
        finally:
            self._turn.release()

    def look(self) -> None:
        """Leave a Ray that has ended, before Ray ends this process for it."""
        if not self._turn.acquire(blocking=False):
            return  # it is being asked just now
        try:
            place = running_at(self._folder)
            if self._firm is not None and (place != self._info or place is None or not _reached(place["address"])):
                self._leave()
        finally:
            self._turn.release()

    def close(self) -> None:
        """Leave Ray."""
        free = self._turn.acquire(timeout=1.0)  # a firm that says nothing does not keep this process
        try:
            self._leave()
        finally:
            if free:
                self._turn.release()

    def _leave(self) -> None:
        firm, self._firm, self._info = self._firm, None, None
        if firm is not None:
            firm.close()


def _reached(address: str) -> bool:
    """Whether somebody listens at HOST:PORT; Ray ends a process whose cluster is gone for a minute."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return True  # another form of address, which Ray itself looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH).close()
    except (OSError, OverflowError):
        return False
    return True


class _Handler(WSGIRequestHandler):
    timeout = 10.0  # s without a byte

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: ANN401
        """Scrapes are no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads, block_on_close, request_queue_size = True, False, 128

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401
        """Hold no connection yet."""
        self._open: dict[socket.socket, float] = {}  # since when
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Let the oldest connections go where there are too many, or they take too long."""
        now = time.monotonic()
        for number, (other, since) in enumerate(reversed(list(self._open.items())), 2):
            if number > _MOST or now - since > _LONGEST:
                with contextlib.suppress(OSError):
                    other.shutdown(socket.SHUT_RDWR)
        self._open[request] = now
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """It is answered, or gone."""
        self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Whoever goes away in the middle is no news."""

    def server_bind(self) -> None:
        """Without a look-up of the host's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class Exporter:
    """Serves one collector until it is closed."""

    def __init__(self, collector: Collector, host: str, port: int, targets: Path) -> None:
        """Serve from now on.

        Args:
            collector: what is exported.
            host: address to listen at.
            port: 0: a free one.
            targets: folder with a file for every exporter that runs.

        Raises:
            ValueError: one line; nobody can listen there.
        """
        if port in _RAYS_PORTS:
            raise ValueError(f"--port must lie outside 10002-19999, which Ray gives to its workers, got {port}")
        registry = CollectorRegistry()
        registry.register(collector)
        self._metrics, self._targets = make_wsgi_app(registry), targets
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = type("_Bound", (_Server,), {"address_family": family})
        try:
            self._server = kind((host, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"--host {host} --port {port}: {reason}; give another --port or --host") from None
        self._server.set_app(self._answer)
        self._hosts = hosts_of(host)
        reached = socket.gethostname() if host in ("", "0.0.0.0", "::") else host
        self.address = f"{f'[{reached}]' if ':' in reached else reached}:{self._server.server_port}"
        self._file = targets / f"{self.address.replace(':', '-').strip('[]')}.json"
        write_atomically(self._file, json.dumps([{"targets": [self.address], "labels": {}}]) + "\n")
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="exporter")
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._file.unlink(missing_ok=True)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path, method = environ.get("PATH_INFO"), environ["REQUEST_METHOD"]
        status, kind, text = "404 Not Found", "text/plain", "there are /metrics and /sd\n"
        if (foreign := answers_to(self._hosts, environ.get("HTTP_HOST", ""))) is not None:
            status, text = "421 Misdirected Request", f"{foreign}\n"
        elif method not in ("GET", "HEAD"):
            status, text = "405 Method Not Allowed", "there are GET and HEAD\n"
        elif path == "/metrics":
            found: Iterable[bytes] = self._metrics(environ | {"REQUEST_METHOD": "GET"}, start)
            return found if method == "GET" else [b""]
        elif path == "/sd":
            try:
                status, kind, text = "200 OK", "application/json", json.dumps(known_targets(self._targets))
            except ValueError as error:
                status, text = "500 Internal Server Error", f"{error}\n"
        start(status, [("Content-Type", f"{kind}; charset=utf-8")])
        return [b"" if method == "HEAD" else text.encode()]


def known_targets(folder: Path) -> list[dict[str, Any]]:
    """All exporters that left a file in the folder, in the form of http_sd.

    Raises:
        ValueError: one line; a file is damaged.
    """
    found: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.json")):
        try:
            found += json.loads(file.read_text())
        except FileNotFoundError:
            continue  # it has just ended
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{file} is damaged: delete it, and start its monitor again ({error})") from None
    return found


def monitor(source: str, *, host: str, port: int, home: Path, targets: Path) -> None:
    """Export a running firm or a training run until told to end.

    Args:
        source: the firm's name, or the path of a run folder.
        host: address to listen at.
        port: 0: a free one.
        home: where running firms have their folders.
        targets: folder with a file for every exporter that runs.

    Raises:
        ValueError: one line; there is no such firm or run, or nobody can listen there.
    """
    firm = None if (Path(source) / "settings.json").is_file() else FirmSource(source, home)
    collector = FirmCollector(source, firm.figures, _say) if firm else RunCollector(Path(source), _say)
    asked_to_end, over = (signal.SIGTERM, signal.SIGINT), threading.Event()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, asked_to_end)
    try:
        exporter = Exporter(collector, host, port, targets)
        looking = threading.Thread(target=_look, args=(firm, over), daemon=True)
        looking.start()
        try:
            _say(f"{source}: http://{exporter.address}/metrics")
            # Waited for, not handled: a thread that joins or leaves a Ray puts handlers of Ray's in place of any other.
            signal.sigwait(asked_to_end)
        finally:
            over.set()
            exporter.close()
            if firm is not None:
                firm.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _look(firm: FirmSource | None, over: threading.Event) -> None:
    while firm is not None and not over.wait(_LOOK_EVERY):
        firm.look()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

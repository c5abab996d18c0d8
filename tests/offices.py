"""An office without Ray: of a firm whose ticks run in this process, on a port of its own."""

import contextlib
import threading
from types import SimpleNamespace

import uvicorn

from coordinator.live.running_firm import RunningFirm
from coordinator.office.api import office as application
from coordinator.office.guard import token_of
from coordinator.office.serve import listening_at, served
from tests.live_firms import running


class Here(RunningFirm):
    """A running firm that is asked in this process."""

    def __init__(self, firm):
        self._firm = firm
        super().__init__(firm.folder.name, firm.folder, None, False)

    def _ask(self, name, method, *arguments):
        if name == "coordinator":
            return getattr(self._firm.process, method)(*arguments)
        return None, getattr(self._firm.workers.monitor, arguments[0])(*arguments[1:])


@contextlib.contextmanager
def office_of(folder, monkeypatch, **options):
    """A firm, founded if it was not before, and its office, until the block ends."""
    with running(folder, monkeypatch, **options) as firm:
        listening = listening_at("127.0.0.1", 0)
        there = Here(firm)
        token, _ = token_of(folder)
        server = uvicorn.Server(served(application(there, token, None)))
        serving = threading.Thread(target=server.run, args=([listening],))
        serving.start()
        try:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            yield SimpleNamespace(firm=firm, there=there, url=url, token=token, folder=folder)
        finally:
            server.should_exit = True
            serving.join(30)
            there.close()
            listening.close()

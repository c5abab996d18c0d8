import threading
from types import SimpleNamespace

import httpx
import pytest

from coordinator.live.start import Opening, open_firm


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """The office of a running firm, on a port of its own; it closes when the firm stops."""
    from coordinator.office.serve import listening_at, serve

    home = tmp_path_factory.mktemp("live")
    with open_firm(Opening("a1", "shop", home, tick=0.2, deadline=5.0)) as firm:
        listening, said = listening_at("127.0.0.1", 0), []
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        serving = threading.Thread(target=serve, args=(firm, listening, "127.0.0.1", said.append))
        serving.start()
        try:
            with httpx.Client(base_url=url, timeout=60) as looking:
                looking.get("/api/status").raise_for_status()
                token = (firm.folder / "office.token").read_text().strip()
                asking = {"authorization": f"Bearer {token}"}
                with httpx.Client(base_url=url, timeout=60, headers=asking) as client:
                    yield SimpleNamespace(
                        firm=firm, url=url, token=token, looking=looking, client=client, said=said, asking=asking
                    )
        finally:
            firm.stop()
            serving.join(30)
            assert not serving.is_alive(), "the office closes with the firm"

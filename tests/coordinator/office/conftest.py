import contextlib
import threading
from types import SimpleNamespace

import httpx
import pytest

from coordinator.live.start import Opening, open_firm
from tests.small_firms import tree


@contextlib.contextmanager
def office_of(opening):
    """The office of a running firm, on a port of its own; it closes when the firm stops."""
    from coordinator.office.serve import listening_at, serve

    with open_firm(opening) as firm:
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


def on(ray):
    """How a firm of these tests is run: on the Ray that all of them share."""
    return {"tick": 0.2, "deadline": 5.0, "address": ray.get_runtime_context().gcs_address}


@pytest.fixture(scope="session")
def office(ray, tmp_path_factory):
    """One for all files of this folder, as a start takes longer than most that is asked of it."""
    with office_of(Opening("a1", "shop", tmp_path_factory.mktemp("live"), **on(ray))) as found:
        yield found


@pytest.fixture(scope="module")
def fed_office(ray, tmp_path_factory):
    """Of a firm of 20 products that waits for observations."""
    folder = tmp_path_factory.mktemp("fed")
    (folder / "firm.yaml").write_text(tree([f"p{number}" for number in range(20)]).to_yaml())
    with office_of(Opening(str(folder / "firm.yaml"), "branch", folder, feed=folder / "feed", **on(ray))) as found:
        yield found

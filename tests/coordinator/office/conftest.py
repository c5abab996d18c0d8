import contextlib
import threading
from types import SimpleNamespace

import httpx
import pytest

from coordinator.live.home import running_at
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


@pytest.fixture(scope="package")
def office(tmp_path_factory):
    """One for all files of this folder, as a start takes longer than most that is asked of it."""
    with office_of(Opening("a1", "shop", tmp_path_factory.mktemp("live"), tick=0.2, deadline=5.0)) as found:
        yield found


@pytest.fixture(scope="module")
def fed_office(office, tmp_path_factory):
    """Of a firm of 20 products that waits for observations, on the Ray of the other one."""
    folder = tmp_path_factory.mktemp("fed")
    (folder / "firm.yaml").write_text(tree([f"p{number}" for number in range(20)]).to_yaml())
    given = {
        "tick": 0.2,
        "deadline": 5.0,
        "feed": folder / "feed",
        "address": running_at(office.firm.folder)["address"],
    }
    with office_of(Opening(str(folder / "firm.yaml"), "branch", folder, **given)) as found:
        yield found

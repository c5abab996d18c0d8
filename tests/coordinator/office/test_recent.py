import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from coordinator.office import recent


@pytest.fixture
def asked():
    return []


@pytest.fixture
def look(asked):
    """Asks an office that counts what it is asked, one whose look-ups wait for each other."""

    async def slow(request):
        asked.append(str(request.url.path) + "?" + request.url.query)
        await asyncio.sleep(0.01)  # so that those who ask at once meet
        if request.url.path.endswith("wrong"):
            raise HTTPException(404, "there is none")
        return PlainTextResponse(f"{len(asked)}")

    app = Starlette(routes=[Route("/{path:path}", slow, methods=["GET", "POST"])])

    def run(*rounds):
        async def all_of_them():
            found = []
            shared = httpx.ASGITransport(recent.Recent(app))
            async with httpx.AsyncClient(transport=shared, base_url="http://office") as client:
                for one in rounds:
                    found.append(await asyncio.gather(*(client.request(*request) for request in one)))
            return found

        with ThreadPoolExecutor(1) as apart:  # a browser that other tests have open has a loop in this thread
            return apart.submit(asyncio.run, all_of_them()).result()

    return run


def test_who_asks_the_same_at_once_shares_one_answer(look, asked):
    (answers,) = look([("GET", "/api/ticks?since=3")] * 20 + [("GET", "/api/ticks?since=4")])
    assert sorted(asked) == ["/api/ticks?since=3", "/api/ticks?since=4"]
    assert len({answer.text for answer in answers[:20]}) == 1
    assert {answer.status_code for answer in answers} == {200}


def test_an_answer_is_asked_for_again_when_it_is_old(look, asked, monkeypatch):
    look([("GET", "/api/status")], [("GET", "/api/status")])
    assert len(asked) == 1
    monkeypatch.setattr(recent, "_FRESH", 0.0)
    look([("GET", "/api/status")], [("GET", "/api/status")])
    assert len(asked) == 3


def test_who_has_changed_something_sees_it(look, asked):
    before, _, after = look([("GET", "/api/status")], [("POST", "/api/stop")], [("GET", "/api/status")])
    assert before[0].text != after[0].text
    assert len(asked) == 3


def test_a_refusal_is_everyones_and_pages_are_not_kept(look, asked):
    (answers,) = look([("GET", "/api/wrong")] * 3 + [("GET", "/page")] * 2)
    assert [answer.status_code for answer in answers] == [404, 404, 404, 200, 200]
    assert len(asked) == 3

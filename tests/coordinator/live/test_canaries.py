"""Canaries: what is said of them, how they are withdrawn, and that they outlive who runs the ticks."""

import statistics
import threading
import time

import numpy as np
import pytest

from coordinator.live.book import Book, Command
from coordinator.live.book_file import BookError
from coordinator.live.examiner import Examiner
from coordinator.live.shadow import COPIES, Canary, Play
from coordinator.live.simulated import PAIRS
from tests.live_firms import Workers, running, until

WORSE, LIKE = "base-stock:retailer-2=60", "decomposition-aggregation"
POOR = "base-stock:warehouse=60,retailer-1=33,retailer-2=5,retailer-3=33"


def swap(firm, number, policy, **more):
    """Ask for a swap, and return at once."""
    given = {"policy": policy, "tolerance": 5.0, "canary": 40} | more
    return firm.process.command(number, "me", "swap", "retailer-2", given, "why")


def came_to(firm, number):
    until(lambda: firm.book.command(number).state != "pending", 60)
    return firm.book.command(number)


def test_a_canary_is_better_worse_or_undecided_and_the_operator_chooses_what_that_means(tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch, tick=0.001) as firm:
        swap(firm, "worse", WORSE)
        worse = came_to(firm, "worse")
        assert worse.state == "refused"
        assert "the canary is worse than the policy in office: in 40 periods" in worse.message
        swap(firm, "like", LIKE, canary=5)
        like = came_to(firm, "like")
        assert like.state == "refused"
        assert "not to be told apart from the policy in office" in like.message
        assert f"a saving of 0.0 (0.0 to 0.0, {COPIES} pairs)" in like.message
        assert "--undecided accept" in like.message
        swap(firm, "like-2", LIKE, canary=5, undecided="accept")
        assert came_to(firm, "like-2").state == "done"
        swap(firm, "poor", POOR, canary=0, tolerance=1000.0)
        assert came_to(firm, "poor").state == "done", "for the next one to be better than"
        swap(firm, "better", LIKE)
        better = came_to(firm, "better")
        assert better.state == "done"
        assert better.arguments["verdict"]["low"] > 0
        assert firm.ask("odd", "swap", "retailer-2", policy=LIKE, undecided="perhaps")["state"] == "refused"


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([1.0] * 31 + [2.0], "better"),
        ([-1.0] * 31 + [-2.0], "worse"),
        ([1.0, -1.0] * 16, "undecided"),
        ([0.0] * 32, "undecided"),
    ],
)
def test_a_verdict_is_a_95_percent_interval_over_pairs(differences, verdict):
    office = np.array([10.0 + i for i in range(32)])
    play = Play(5, {}, {}, office[None])
    tried = play._replace(cost=(office - differences)[None])
    canary = Canary(Command("c", "", "swap", "d", {}, ""), None, {}, 1, 5, play, tried)
    found = canary.verdict()
    assert found["verdict"] == verdict
    assert found["saving"] == pytest.approx(np.mean(differences))
    reach = 2.0395 * statistics.stdev(differences) / 32**0.5  # Student's t of 31 degrees of freedom at 97.5%
    middle = statistics.fmean(differences)
    assert (found["low"], found["high"]) == pytest.approx((middle - reach, middle + reach), abs=1e-3)


def test_a_canary_goes_on_where_it_was_after_a_death_and_after_a_stop(tmp_path, monkeypatch):
    def far(firm):
        until(lambda: firm.workers.monitor.metrics() and firm.workers.monitor.metrics()["canaries"])
        return firm.workers.monitor.metrics()["canaries"][0]

    with running(tmp_path / "f", monkeypatch, tick=0.01) as firm:
        swap(firm, "c", LIKE, canary=100_000, undecided="accept")
        until(lambda: far(firm)["done"] > 10)
        first = far(firm)
        commit = Book.commit

        def fails_once(self, *given, **more):
            monkeypatch.setattr(Book, "commit", commit)
            raise BookError("busy")

        monkeypatch.setattr(Book, "commit", fails_once)  # then the book is opened again, as by a successor
        until(lambda: [event for event in firm.book.events() if event["kind"] == "wait"])
        until(lambda: far(firm)["done"] > first["done"])
        assert far(firm)["since"] == first["since"]
    assert firm.book.command("c").state == "pending"
    with running(tmp_path / "f", monkeypatch, session="second", tick=0.01) as firm:
        until(lambda: far(firm)["done"] > first["done"])
        assert (far(firm)["since"], far(firm)["until"]) == (first["since"], first["until"])
        assert [event["kind"] for event in firm.book.events()].count("canary") == 1
        answer = firm.ask("x", "cancel", command="c")
        assert (answer["state"], answer["message"]) == ("done", "swap c is withdrawn")
        assert (firm.book.command("c").state, firm.book.command("c").message) == ("refused", "withdrawn by me")
        until(lambda: not firm.workers.monitor.metrics()["canaries"])
        assert firm.book.names("canary") == []
        for gone in ("c", "never-there", 7):
            again = firm.ask(f"y-{gone}", "cancel", command=gone)
            assert again["state"] == "refused"
            assert "COMMAND must be one that is under way" in again["message"]


@pytest.mark.parametrize("fault", ["it raises", "it kills the critic"])
def test_a_canary_that_cannot_play_is_refused_and_stops_nothing(fault, tmp_path, monkeypatch):
    play = Examiner.play

    def poisonous(self, playing, deciders, upto, stream=None):
        if stream == PAIRS and fault == "it raises":
            raise ZeroDivisionError("of a rule of somebody's own")
        return play(self, playing, deciders, upto, stream)

    monkeypatch.setattr(Examiner, "play", poisonous)
    with running(tmp_path / "f", monkeypatch, tick=0.01) as firm:
        if fault == "it kills the critic":
            firm.workers.result = lambda name, found, *_: None if name == "critic" and found[1:] != ([],) else found
        swap(firm, "c", LIKE)
        assert came_to(firm, "c").state == "refused"
        told = "ZeroDivisionError" if fault == "it raises" else "the critic died over it again and again"
        assert told in came_to(firm, "c").message
        firm.goes_on()
        assert firm.deaths == []
        assert firm.book.names("canary") == []


def test_commands_are_not_kept_waiting_by_those_who_wait_for_theirs(tmp_path, monkeypatch):
    examined, ask = threading.Event(), Workers.ask
    monkeypatch.setattr(
        Workers, "ask", lambda self, *a, **of: examined.wait(60) and None if a[1] == "examine" else ask(self, *a, **of)
    )
    with running(tmp_path / "f", monkeypatch, tick=0.01) as firm:
        for number in range(40):  # each of them waits for its answer outside, at the book
            assert swap(firm, f"c{number}", LIKE)["state"] == "pending"
        started = time.monotonic()
        assert firm.ask("emergency", "pause", "retailer-1")["state"] == "done"
        assert time.monotonic() - started < 5
        for number in range(40):
            firm.process.command(f"x{number}", "me", "cancel", "", {"command": f"c{number}"}, "")
        until(lambda: not [c for c in firm.book.pending() if c.id.startswith("c")])
        examined.set()
        firm.goes_on()

"""Orders that wait for approval: proposed, changed line by line, approved once, and only then they leave."""

import contextlib
import csv
import json

import pytest

from coordinator.cli import run
from coordinator.live import tick_process
from coordinator.live.book import Book
from coordinator.live.create import found, source_of
from coordinator.live.feed_files import observation_columns
from coordinator.live.replay import replay
from coordinator.live.start import Opening, open_firm
from tests.live_firms import running, until
from tests.small_firms import tree

PRODUCTS = ("tea", "rice", "00123")


def period_of(layout, arrivals, on_hand, otherwise=()):
    """A period's observations as csv in which each point holds `on_hand` of everything, but `otherwise`, by line."""
    columns = observation_columns(arrivals)
    rows = [["stock_point", "product", *columns]]
    for point in layout.points:
        for product in layout.products:
            sold = 3 if point in layout.customer_facing else 0
            told = {"on_hand": on_hand, "inventory_position": on_hand, "demand": sold, "sales": sold, "asked": sold}
            told |= dict(otherwise).get((point, product), {})
            rows.append([point, product, *(str(told.get(column, 0)) for column in columns)])
    return "".join(",".join(row) + "\n" for row in rows)


@pytest.fixture
def place(tmp_path):
    """A firm of three products that is fed and whose orders wait."""
    (tmp_path / "firm.yaml").write_text(tree(PRODUCTS).to_yaml())
    loaded, policies = source_of(str(tmp_path / "firm.yaml"), None)
    feed = tmp_path / "feed"
    found(tmp_path / "shop", loaded, policies, seed=5, settings={"feed": str(feed), "approve": True})
    (feed / "in").mkdir(parents=True)
    return tmp_path / "shop"


@contextlib.contextmanager
def opened(place, monkeypatch):
    with running(place, monkeypatch, approve=True, feed=str(place.parent / "feed")) as firm:
        yield firm


def put(place, firm, period, on_hand=4):
    text = period_of(firm.process._running().operation.layout, firm.workers.world.arrivals, on_hand)
    beside = place.parent / "feed" / f"{period}.new"
    beside.write_text(text)
    beside.rename(place.parent / "feed" / "in" / f"period-{period}.csv")


def waits(firm, period):
    reason = f"approval of the orders of period {period}"
    until(lambda: firm.process.state() == ("waiting", reason))
    return firm.book.now()[2]["proposal"]


def ordered(place, period):
    with (place.parent / "feed" / "out" / f"orders-{period}.csv").open() as file:
        return {(row["stock_point"], row["product"]): float(row["quantity"]) for row in csv.DictReader(file)}


def left(place):
    return sorted(path.name for path in (place.parent / "feed" / "out").glob("orders-*.csv"))


def test_nothing_leaves_before_it_is_approved_and_what_was_changed_stands_in_book_and_audit(place, monkeypatch):
    with opened(place, monkeypatch) as firm:
        put(place, firm, 0)
        proposal = waits(firm, 0)
        proposed = {name: dict(row["decision"]) for name, row in proposal["decided"].items()}
        assert left(place) == []
        assert proposed["east"]["tea"] > 2
        lines = {"east": {"tea": 2, "rice": proposed["east"]["rice"]}, "west": {"00123": 0}}
        answer = firm.ask("first", "approve", period=0, made=proposal["made"], lines=lines)
        assert (answer["state"], answer["tick"]) == ("done", 0), answer
        assert "2 were changed" in answer["message"]
        assert firm.ask("first", "approve", period=0, made=proposal["made"], lines=lines) == answer
        until(lambda: left(place) == ["orders-0.csv"])
        expected = {(name, product): units for name, row in proposed.items() for product, units in row.items()}
        assert ordered(place, 0) == expected | {("east", "tea"): 2, ("west", "00123"): 0}
        (event,) = [event for event in firm.book.events() if event["kind"] == "approve"]
        assert (event["who"], event["why"], event["tick"]) == ("me", "why", 0)
        assert event["details"]["changed"] == [
            {"stock_point": "east", "product": "tea", "proposed": proposed["east"]["tea"], "order": 2},
            {"stock_point": "west", "product": "00123", "proposed": proposed["west"]["00123"], "order": 0},
        ]
        modes = {row["department"]: row["mode"] for row in firm.book.decisions()}
        assert modes == {"depot": "policy", "east": "changed", "west": "changed"}
        put(place, firm, 1, on_hand=500)
        waits(firm, 1)
        assert firm.ask("second", "approve", period=1, lines={})["state"] == "done"
        until(lambda: left(place) == ["orders-0.csv", "orders-1.csv"])
    assert replay(place)["faults"] == []
    with contextlib.closing(Book(place / "book.sqlite")) as book:  # a book in which somebody else wrote
        book._file.execute("update events set details = replace(details, '\"order\": 2', '\"order\": 7')")
    assert any("what was approved says" in fault for fault in replay(place)["faults"])
    with contextlib.closing(Book(place / "book.sqlite")) as book:
        book._file.execute("delete from events where kind = 'approve' and tick = 1")
    assert any("tick 1: its orders left without approval" in fault for fault in replay(place)["faults"])


def test_a_proposal_and_its_approval_survive_the_death_of_whoever_holds_them(place, monkeypatch):
    with opened(place, monkeypatch) as firm:
        put(place, firm, 0)
        before = waits(firm, 0)
    with opened(place, monkeypatch) as firm:  # another life
        assert waits(firm, 0) == before
        made = firm.book.now()[0]
        monkeypatch.setattr(tick_process.Life, "due", lambda *_: False)  # dies between approval and tick
        assert firm.ask("yes", "approve", period=0, lines={"east": {"tea": 1}})["state"] == "done"
        assert firm.book.now()[0] == made
        assert left(place) == []
    monkeypatch.undo()
    with opened(place, monkeypatch) as firm:
        until(lambda: left(place) == ["orders-0.csv"])
        assert ordered(place, 0)["east", "tea"] == 1
        assert firm.ask("yes", "approve", period=0, lines={"east": {"tea": 1}})["state"] == "done"
        again = firm.ask("again", "approve", period=0, lines={})
        assert (again["state"], again["message"]) == ("refused", "--period 0 is decided already: period 1 is next")
    assert replay(place)["faults"] == []


def test_whoever_looked_at_another_proposal_approves_nothing(place, monkeypatch):
    with opened(place, monkeypatch) as firm:
        assert firm.ask("early", "approve", period=0, lines={})["message"] == "nothing of period 0 waits for approval"
        put(place, firm, 0)
        seen = waits(firm, 0)["made"]
        assert firm.ask("o", "override", "east", order=dict.fromkeys(PRODUCTS, 9), periods=1)["state"] == "done"
        until(lambda: (firm.book.now()[2]["proposal"] or {"made": seen})["made"] != seen)
        answer = firm.ask("late", "approve", period=0, made=seen, lines={})
        assert "was proposed anew, as something was changed since you looked" in answer["message"]
        assert firm.ask("now", "approve", period=0, lines={"east": {"rice": 8}})["state"] == "done"
        until(lambda: left(place) == ["orders-0.csv"])
        assert [ordered(place, 0)["east", product] for product in PRODUCTS] == [9, 8, 9]
    assert replay(place)["faults"] == []


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ({"north": {"tea": 1}}, "--line must be of depot, east, west, got 'north'"),
        ({"east": {"milk": 1}}, "--line of east must be of tea, rice, 00123, got 'milk'"),
        ({"east": {"tea": 1.5}}, "--line east/tea must be a whole number, 0 rejects it, got 1.5"),
        ({"east": {"tea": -1}}, "must be a whole number"),
        ({"east": {"tea": 21}}, "--line east/tea must be what can be ordered there, got 21: take 20"),
        ({"east": [1]}, "--line must give units by stock point and product"),
        (None, "--line must give units by stock point and product"),
    ],
)
def test_a_line_that_cannot_be_is_refused_and_the_proposal_waits_on(lines, reason, place, monkeypatch):
    with opened(place, monkeypatch) as firm:
        put(place, firm, 0)
        waits(firm, 0)
        answer = firm.ask("c", "approve", period=0, lines=lines)
        assert answer["state"] == "refused"
        assert reason in answer["message"]
        assert waits(firm, 0)["approved"] is False
        assert firm.deaths == []


def test_the_command_line_shows_what_waits_with_reasons_and_exceptions(place, monkeypatch, capsys):
    home = ("--home", str(place.parent))
    with opened(place, monkeypatch) as firm:
        put(place, firm, 0, on_hand=0)
        waits(firm, 0)
        assert run(["orders", "shop", "--json", *home]) == 0
        page = json.loads(capsys.readouterr().out)
        assert (page["tick"], page["matching"], page["proposal"]["made"]) == (0, 9, 1)
        assert run(["orders", "shop", "--search", "EAST tea", *home]) == 0
        shown = capsys.readouterr().out
        assert "1 lines" in shown
        assert "firmwide approve shop" in shown
        assert run(["orders", "shop", "--csv", str(place.parent / "lines.csv"), *home]) == 0
        with (place.parent / "lines.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["product"] for row in rows} == set(PRODUCTS)
        assert all(row["reason"] for row in rows)
        assert run(["approve", "shop", "--line", "east/milk=3", *home]) == 2
        assert "must name a stock point and a product, such as depot/tea, got 'east/milk'" in capsys.readouterr().err
        assert run(["approve", "shop", "--line", "east/tea=some", *home]) == 2
        assert "whole units, got east/tea=some" in capsys.readouterr().err


def test_approval_is_of_fed_firms_and_said_when_they_begin(place):
    with pytest.raises(ValueError, match="--approve needs --feed DIR"):
        open_firm(Opening("a1", "new", place.parent, approve=True))
    with pytest.raises(ValueError, match="--approve is said when a firm begins, and 'shop' has"):
        open_firm(Opening(None, "shop", place.parent, approve=True))

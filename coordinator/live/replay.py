"""Is a book true? Every committed period is played again, from the first state that it keeps, and compared.

Every decision is also held against the events: from the tick of a swap or rollback on its version and no other decides,
and for its periods an override is what is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.live.book import Book
from coordinator.live.fed import AWAITED, Fed
from coordinator.live.layout import FirmLayout
from coordinator.live.period_start import Arrays, PeriodStart, moment_in, unpacked
from coordinator.live.simulated import Simulated
from coordinator.live.structures import Structure
from departments.serving.numpy_policy import Array

Units = dict[str, float]
_PAGE = 500  # ticks read at a time


def replay(folder: Path) -> dict[str, Any]:
    """Play a firm's decisions again on the same chance; compare stock, backlog, money, versions and the last state.

    Args:
        folder: of the firm, which may run meanwhile; one that is fed is played on the observations in its book.

    Returns:
        `since` (the first period, or the first that the book still keeps), `ticks` (the next one), `decisions` and
        `events` counted, and `faults`: one line for each thing that does not fit.
    """
    with contextlib.closing(Book(folder / "book.sqlite", reads=True)) as book:
        book.stand_still()
        return _replayed(folder, book)


def _replayed(folder: Path, book: Book) -> dict[str, Any]:
    facts, (until, arrays, _), events = book.facts(), book.now(), book.events(0, 10_000_000)
    orders, faults, decisions = _Orders(events, facts["settings"].get("approve", False)), list[str](), 0
    course = _Course(book, facts, orders)
    since = course.tick
    while course.tick < until and not faults:
        page = book.ticks(course.tick, _PAGE)
        rows = book.decisions(None, course.tick, _PAGE * course.most)
        made = {(row["tick"], row["department"]): row for row in rows}
        for row in page:
            if row["tick"] != course.tick:
                faults.append(f"tick {course.tick} is missing")
                break
            faults += course.begin()
            tick, layout, moment = course.tick, course.layout, course.moment
            faults += _differences(layout, row, moment.account)
            for name in (n for n in layout.departments if (tick, n) in made):
                accepted = partial(_accepted, layout, name, moment.arrays, tick)
                faults += orders.faults(made[tick, name], accepted)
            faults += orders.unapproved(tick)
            wrong = [n for n in layout.departments if (tick, n) not in made]
            faults += [f"tick {tick}: no decision of {name} in the book" for name in wrong]
            decisions += len(layout.departments) - len(wrong)
            course.step(row["departments"])
        if not page:
            faults.append(f"the book says {until} ticks and holds {course.tick}")
    faults += [] if faults else course.begin(f"world/{AWAITED}" not in arrays)
    for key, value in {} if faults else course.moment.arrays.items():
        if not np.array_equal(arrays[f"world/{key}"], value):
            faults.append(f"the last state's {key} is not what the decisions lead to")
    return {"since": since, "ticks": course.tick, "decisions": decisions, "events": len(events), "faults": faults}


class _Course:
    """A firm that is played again, through one structure after the other."""

    def __init__(self, book: Book, facts: dict[str, Any], orders: _Orders) -> None:
        """Before the first period that can be played."""
        self._book, self._seed, self._feed = book, facts["seed"], facts["settings"].get("feed")
        structures, self._orders = book.structures(), orders
        since = next((row["tick"] for row in book.ticks(0, 1)), 0)
        self.tick = since = since if since and str(since) in book.names("state") else 0
        begun = [
            each for each in structures if not each.number or (each.tick or 0) < since
        ]  # it was kept before changes
        self._ahead = structures[len(begun) :]
        self.most = max(len(FirmLayout.of(each.frame).departments) for each in structures)  # departments
        self._build(begun[-1])
        self.moment = moment_in(unpacked(book.kept("state", str(since)))) if since else self._world.begin()

    def _build(self, structure: Structure) -> None:
        self.layout = FirmLayout.of(structure.frame)
        self._world = _world(structure, self._seed, self._feed)

    def begin(self, observed: bool = True) -> list[str]:
        """Begin a period: the firm may be changed, or have been told something (`observed`); what does not fit."""
        wrong = []
        while self._ahead and self._ahead[0].tick == self.tick:
            structure, before, arrays, account = self._ahead.pop(0), self._world, *self.moment[::2]
            self._build(structure)
            self.moment, told = self._world.cross(before, self.tick, arrays, account, structure.details["stock"])
            wrong += self._orders.change(structure.number, self.tick, told)
        if isinstance(self._world, Fed) and observed:
            self.moment = _told(self._world, self.tick, self.moment, self._book)
        return wrong

    def step(self, decided: dict[str, Any]) -> None:
        """Go on to the next period."""
        self.moment = self._world.step(self.tick, self.moment.arrays, *_decided(self.layout, decided))
        self.tick += 1


def _world(structure: Structure, seed: int, feed: str | None) -> Simulated:
    if feed is None:
        return Simulated(structure.firm, seed, structure.slots)
    return Fed(structure.firm, seed, FirmLayout.of(structure.frame), feed, structure.slots)


def _told(world: Fed, tick: int, moment: PeriodStart, book: Book) -> PeriodStart:
    told = book.observed(tick)
    if told is None:
        raise ValueError(f"{book.path} has no observations of period {tick}: it was begun before books kept them")
    return world.observed(tick, moment.arrays, told)


class _Orders:
    """What the events say that each department must follow."""

    def __init__(self, events: list[dict[str, Any]], approve: bool) -> None:
        self._approve = approve
        self._versions: dict[str, list[tuple[int, int]]] = {}  # from a tick on
        self._overrides: dict[str, list[tuple[int, int, Any]]] = {}  # from a tick until before another
        self._approved: dict[int, dict[str, dict[str, float]]] = {}  # by tick, what was changed then by department
        self._changes = {event["details"]["structure"]: event for event in events if event["kind"] == "change"}
        for event in events:
            name, tick, details = event["department"], event["tick"], event["details"]
            if event["kind"] in ("swap", "rollback"):
                self._versions.setdefault(name, []).append((tick, details["to"]))
            elif event["kind"] == "change":
                for closed in details["closed"]:
                    self._overrides.setdefault(closed, []).append((tick, tick, {}))  # it lasts no longer
                for begins, version in details["follows"].items():
                    self._versions.setdefault(begins, []).append((tick, version))
            elif event["kind"] == "override":
                given = details["order"] if "order" in details else details["exposure"]
                self._overrides.setdefault(name, []).append((tick, details["until"], given))
            elif event["kind"] == "approve":
                changed = self._approved[tick] = {}
                for line in details["changed"]:
                    changed.setdefault(line["stock_point"], {})[line["product"]] = line["order"]

    def change(self, number: int, tick: int, told: dict[str, Any]) -> list[str]:
        """What is wrong with the account of a change, against `told`, what became of the units."""
        event = self._changes.get(number)
        if event is None or event["tick"] != tick:
            return [f"tick {tick}: the firm is built otherwise, and no event says so"]
        wrong = [what for what, account in told.items() if event["details"].get(what) != account]
        return [f"tick {tick}: the change's account of {what} is not what became of them" for what in wrong]

    def unapproved(self, tick: int) -> list[str]:
        """Orders that left though nobody approved them."""
        wrong = self._approve and tick not in self._approved
        return [f"tick {tick}: its orders left without approval"] * wrong

    def faults(self, row: dict[str, Any], accepted: Callable[[Units, Units], Units]) -> list[str]:
        """What is wrong with a decision, one line each; `accepted`: what the firm takes of given orders."""
        name, tick, wrong = row["department"], row["tick"], []
        version = ([1] + [to for since, to in self._versions.get(name, ()) if since <= tick])[-1]
        if row["version"] != version:
            wrong.append(f"tick {tick}: {name} follows version {row['version']}, must be {version}")
        changed = self._approved.get(tick, {}).get(name, {})
        if (row["mode"] == "changed") != bool(changed) or row["decision"] | changed != row["decision"]:
            wrong.append(f"tick {tick}: {name} decided {row['decision']}, what was approved says {changed}")
        if changed:
            return wrong
        begun = [(until, given) for since, until, given in self._overrides.get(name, ()) if since <= tick]
        until, given = begun[-1] if begun else (0, {})
        if (row["mode"] == "override") != (tick < until):
            wrong.append(f"tick {tick}: {name} decides by {row['mode']}, its override lasts until {until}")
        elif row["mode"] == "override" and not _same(row["decision"], taken := accepted(given, row["decision"])):
            wrong.append(f"tick {tick}: {name} decided {row['decision']}, its override says {taken}")
        return wrong


def _accepted(layout: FirmLayout, name: str, arrays: Arrays, tick: int, given: Units, decided: Units) -> Units:
    """What a firm takes of orders that are given by hand; exposures are checked before.

    Products that were not given are what was decided; where they share room with those that were, this tells nothing.
    """
    if name == layout.recommends:
        return given
    point = layout.points.index(name)
    shares_room = max(layout.limits.load[point], layout.limits.storage[point]) >= 0
    if shares_room and given.keys() != decided.keys():
        return decided
    wish = np.array([(decided | given)[product] for product in layout.products])[:, None]
    return layout.by_product(layout.feasible_order(point, wish, arrays["inventory_position"][point], tick)[:, 0])


def _same(decision: dict[str, float], given: dict[str, float]) -> bool:
    return decision.keys() == given.keys() and all(abs(decision[key] - value) < 1e-6 for key, value in given.items())


def _decided(layout: FirmLayout, departments: dict[str, Any]) -> tuple[Array, Array | None]:
    decided = {name: departments[name]["order"] for name in layout.points}
    order = layout.whole_order(decided, {name: departments[name]["precedence"] for name in layout.allocates})
    if layout.recommends is None:
        return order, None
    exposure = np.zeros((*layout.sold.shape, 1))
    for key, share in departments[layout.recommends]["exposure"].items():
        segment, _, product = key.rpartition("/")
        exposure[layout.segments.index(segment), layout.products.index(product)] = share
    return order, exposure


def _differences(layout: FirmLayout, kept: dict[str, Any], account: dict[str, Array]) -> list[str]:
    cost = float(account["cost"].sum())
    wrong = []
    if abs(kept["money"] - (-cost if layout.earns else cost)) > 1e-3 * max(1.0, abs(cost)):
        wrong.append(f"tick {kept['tick']}: money {kept['money']} is not {cost}")
    for n, name in enumerate(layout.points):
        for field in ("on_hand", "inventory_position"):
            there = [kept["departments"][name][field][product] for product in layout.products]
            if there != account[field][n, :, 0].tolist():
                wrong.append(f"tick {kept['tick']}: {field} of {name} is {there}, must be {account[field][n, :, 0]}")
    return wrong

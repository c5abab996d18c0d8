"""Is a book true? Every committed period of a simulated firm is played again from its first state and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from coordinator.live.book import Book
from coordinator.live.frame import Frame
from coordinator.live.simulated import Simulated
from departments.serving import Array

_PAGE = 500  # ticks read at a time


def replay(folder: Path) -> dict[str, Any]:
    """Play a firm's decisions again on the same chance, and compare stock, backlog, money and the last state.

    Args:
        folder: of a firm that is simulated.

    Returns:
        `ticks`, `decisions`, `events` counted, and `faults`: one line for each thing that does not fit.
    """
    book = Book(folder / "book.sqlite")
    facts = book.facts()
    frame = Frame.of(facts["frame"])
    world = Simulated((folder / "firm.yaml").read_text(), facts["seed"])
    moment, tick, faults, decisions = world.start(), 0, [], 0
    until, arrays, _ = book.now()
    while tick < until:
        page = book.ticks(tick, _PAGE)
        rows = book.decisions(None, tick, _PAGE * len(frame.departments))
        made = {(row["tick"], row["department"]): row for row in rows}
        for kept in page:
            if kept["tick"] != tick:
                faults.append(f"tick {tick} is missing")
                break
            faults += _differences(frame, kept, moment.account)
            wrong = [n for n in frame.departments if (tick, n) not in made]
            faults += [f"tick {tick}: no decision of {name} in the book" for name in wrong]
            decisions += len(frame.departments) - len(wrong)
            moment = world.step(tick, moment.arrays, *_decided(frame, kept["departments"]))
            tick += 1
        if not page:
            faults.append(f"the book says {until} ticks and holds {tick}")
        if faults:
            break
    for key, value in {} if faults else moment.arrays.items():
        if not np.array_equal(arrays[f"world/{key}"], value):
            faults.append(f"the last state's {key} is not what the decisions lead to")
    events = len(book.events(0, 10_000_000))
    book.close()
    return {"ticks": tick, "decisions": decisions, "events": events, "faults": faults}


def _decided(frame: Frame, departments: dict[str, Any]) -> tuple[Array, Array | None]:
    order = np.array([[departments[name]["order"][p] for p in frame.products] for name in frame.points])[..., None]
    if frame.recommends is None:
        return order, None
    exposure = np.zeros((*frame.sold.shape, 1))
    for key, share in departments[frame.recommends]["exposure"].items():
        segment, _, product = key.rpartition("/")
        exposure[frame.segments.index(segment), frame.products.index(product)] = share
    return order, exposure


def _differences(frame: Frame, kept: dict[str, Any], account: dict[str, Array]) -> list[str]:
    cost = float(account["cost"].sum())
    wrong = []
    if abs(kept["money"] - (-cost if frame.earns else cost)) > 1e-3 * max(1.0, abs(cost)):
        wrong.append(f"tick {kept['tick']}: money {kept['money']} is not {cost}")
    for n, name in enumerate(frame.points):
        for field in ("on_hand", "inventory_position"):
            there = [kept["departments"][name][field][product] for product in frame.products]
            if there != account[field][n, :, 0].tolist():
                wrong.append(f"tick {kept['tick']}: {field} of {name} is {there}, must be {account[field][n, :, 0]}")
    return wrong

"""The lines of a running firm: of every stock point and product what is there, what is ordered and why, what is odd.

While a proposal waits for approval (`Operation.propose`) they tell of it, else of the last decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from coordinator.live.book import Book
from coordinator.live.layout import FirmLayout
from coordinator.live.period_start import unpacked
from coordinator.live.structures import Structure
from departments.serving.numpy_policy import Array
from environment import Firm
from environment.firm_file import parse_firm, read_yaml
from environment.network import Network

EXCEPTIONS = (  # from the most urgent on
    "owed to customers",
    "stock-out before arrival",
    "cut by a limit",
    "decided by a stand-in",
    "unusually large",
    "excess",
    "never sold",
)
_LARGE = 4.0  # times what is asked until an order arrives
_EXCESS = 120.0  # periods of demand on hand and on order that are too much
_SEEN = 28  # periods without any demand after which something counts as never sold
_SORTS = {"exception": "_rank", "service": "fill_rate", "stock": "on_hand", "order": "order", "name": "_at"}
SORTS = tuple(_SORTS)
Record = dict[str, Any]


class Page(NamedTuple):
    """Some lines, of so many."""

    tick: int  # of the decision that they tell of
    proposal: Record | None  # `made`, `lines` that order, `exceptions`, all in all; None: nothing waits for approval
    matching: int  # lines
    odd: int  # of them, with an exception
    lines: list[Record]


class Lines:
    """The lines of one firm, from its book."""

    def __init__(self, structure: Structure) -> None:
        """Look at how a firm is built: who supplies whom, and in what time."""
        firm, self._layout = parse_firm(read_yaml(structure.firm.encode())), FirmLayout.of(structure.frame)
        self._lead_time, self._parents = _lead_times(firm), _parents(firm)

    def page(
        self,
        book: Book,
        *,
        search: str = "",
        stock_point: str | None = None,
        sort: str = "exception",
        descending: bool = False,
        offset: int = 0,
        limit: int | None = None,
    ) -> Page:
        """Lines that match, in order.

        Args:
            book: the firm's.
            search: words that all stand in a line's stock point, product or exceptions, in any case.
            stock_point: of this one alone.
            sort: by `exception` (the most urgent first), `service`, `stock`, `order` or `name`.
            descending: the other way round.
            offset: of the first one.
            limit: at most so many; None: all.
        """
        tick, arrays, record = book.now()
        made = record.get("proposal")
        decided = self._decided(book, tick, made)
        found = self._lines(unpacked(arrays)["account"], record, *decided)
        waits = None
        if made is not None:
            ordered, odd = (sum(bool(line[key]) for line in found) for key in ("order", "exceptions"))
            waits = {"made": made["made"], "lines": ordered, "exceptions": odd}
        words = search.casefold().split()
        if stock_point is not None:
            found = [line for line in found if line["stock_point"] == stock_point]
        found = [line for line in found if all(word in _text(line) for word in words)]
        key = _SORTS[sort]
        found.sort(key=lambda line: line["_at"])
        found.sort(key=lambda line: _order_of(line[key]), reverse=descending)
        odd = sum(bool(line["exceptions"]) for line in found)
        shown = found[offset:] if limit is None else found[offset : offset + limit]
        told = [{k: v for k, v in line.items() if k[0] != "_"} | {"reason": _reason(line)} for line in shown]
        return Page(tick if made else tick - 1, waits, len(found), odd, told)

    def _decided(self, book: Book, tick: int, made: Record | None) -> tuple[Record, Record, Array | None]:
        """Decisions and wishes by department, and at what position [N, K]; None: at that of now."""
        if made is not None:
            return made["decided"], made["wished"], None
        rows = {row["department"]: row for row in book.decisions(None, max(tick - 1, 0), len(self._layout.departments))}
        account = book.ticks(max(tick - 1, 0), 1)
        if not rows or not account:
            return {}, {}, None
        points, products = account[0]["departments"], self._layout.products
        if points.keys() != set(self._layout.departments):  # the firm was changed since
            return {}, {}, None
        position = [[points[n]["inventory_position"][p] for p in products] for n in self._layout.points]
        return rows, {name: row["wished"] for name, row in rows.items()}, np.array(position)

    def _lines(
        self, account: Mapping[str, Array], record: Record, decided: Record, wished: Record, position: Array | None
    ) -> list[Record]:
        layout, totals = self._layout, record["totals"]
        shape = len(layout.points), len(layout.products)
        held, now = account["on_hand"][..., 0], account["inventory_position"][..., 0]
        flow, rate, owed = np.zeros(shape), np.full(shape, np.nan), np.zeros(shape)
        facing = [layout.points.index(name) for name in layout.customer_facing]
        owed[facing] = account["backlog"][..., 0]
        products, periods = totals.get("products"), 0
        if products is not None and np.any(products["periods"]):
            since, asked = np.reshape(products["periods"], (-1, 1)), np.array(products["demand"])
            flow[facing], periods = asked / np.maximum(since, 1), int(since.min())
            rate[facing] = np.divide(products["served"], asked, out=np.full(asked.shape, np.nan), where=asked > 0)
        for n in reversed(range(shape[0])):  # upstream first: what buyers ask is asked of their suppliers
            for parent in self._parents[n]:
                flow[parent] += flow[n] / len(self._parents[n])
        order, wish, modes = np.zeros(shape), np.full(shape, np.nan), []
        for n, name in enumerate(layout.points):
            modes.append(decided[name]["mode"] if name in decided else "")
            if name in decided:
                order[n] = [decided[name]["decision"][product] for product in layout.products]
                wish[n] = np.maximum(np.reshape(wished[name], -1), 0.0)
        at = now if position is None else position
        ahead = flow * self._lead_time
        quiet = (flow == 0) & (periods >= _SEEN)
        odd = {
            "owed to customers": owed > 0,
            "stock-out before arrival": (at < ahead) & (flow > 0),
            "cut by a limit": order < wish - 0.5,
            "decided by a stand-in": np.repeat([[mode == "fallback"] for mode in modes], shape[1], axis=1),
            "unusually large": (order > _LARGE * (ahead + flow)) & (flow > 0),
            "excess": (at > _EXCESS * flow) & (order == 0) & (flow > 0),
            "never sold": quiet & (now > 0),
        }
        lines = []
        for i, (n, k) in enumerate(np.ndindex(shape)):
            named = [name for name in EXCEPTIONS if odd[name][n, k]]
            lines.append(
                {
                    "stock_point": layout.points[n],
                    "product": layout.products[k],
                    "on_hand": float(held[n, k]),
                    "backlog": float(owed[n, k]),
                    "position": float(at[n, k]),
                    "target": None if np.isnan(wish[n, k]) else float(at[n, k] + wish[n, k]),
                    "order": float(order[n, k]),
                    "mode": modes[n],
                    "demand": float(flow[n, k]),
                    "expected_until_arrival": float(ahead[n, k]),
                    "fill_rate": None if np.isnan(rate[n, k]) else float(rate[n, k]),
                    "exceptions": named,
                    "_wish": float(wish[n, k]),
                    "_rank": (EXCEPTIONS.index(named[0]) if named else len(EXCEPTIONS), float(at[n, k] - ahead[n, k])),
                    "_lead": float(self._lead_time[n, k]),
                    "_at": i,
                }
            )
        return lines


def _lead_times(firm: Firm) -> Array:
    """Mean lead time, [N, K] periods, over a point's suppliers."""
    network, products = Network.of(firm), range(len(firm.products))
    found = np.zeros((len(firm.names), len(products)))
    for edge, point in enumerate(network.edge_target):
        laws = [network.lead_time(edge, k) for k in products]
        found[point] += [float(np.arange(len(mass)) @ mass) for mass in laws]
    return found / network.supplier_count[:, None]


def _parents(firm: Firm) -> list[list[int]]:
    """Who supplies each point, upstream first."""
    inside = [edge for edge in firm.supply if edge.source in firm.stock_points]
    return [[firm.names.index(edge.source) for edge in inside if edge.target == name] for name in firm.names]


def _text(line: Record) -> str:
    return " ".join((line["stock_point"], line["product"], *line["exceptions"])).casefold()


def _order_of(value: Any) -> Any:  # noqa: ANN401
    """What is not known comes last."""
    return (value is None, 0.0 if value is None else value)


def _reason(line: Record) -> str:
    """Why this order, in one sentence."""
    position, order = f"{line['position']:,.10g} on hand and on order", f"{line['order']:,.10g}"
    by = {"override": "by hand", "paused": "by the benchmark's rule, as it is paused", "changed": "changed at approval"}
    if not line["mode"]:
        return "Nothing has been decided yet."
    if line["mode"] in by:
        return f"{order} ordered {by[line['mode']]}, with {position}."
    of = " of a stand-in, as the department did not answer" if line["mode"] == "fallback" else ""
    if line["_wish"] < 0.5:
        text = f"With {position} there is nothing to order up to the target of {line['target']:,.0f}{of}"
        return f"{text}." if not line["order"] else f"{text}; {order} ordered because of a limit."
    text = f"{position}, {line['_wish']:,.0f} below the target of {line['target']:,.0f}{of}"
    if line["demand"]:
        text += f"; {line['demand']:,.3g} asked a period, {line['expected_until_arrival']:,.3g} until an order arrives"
    if line["order"] < line["_wish"] - 0.5:
        text += f"; cut to {order} by a limit"
    elif line["order"] > line["_wish"] + 0.5:
        text += f"; raised to {order} by a limit"
    return f"{text}."

"""A firm's state taken over into another structure of it: every unit stays, moves or is written off, and all is told.

What is our reading: goods under way on an edge that is closed arrive all the same, on another edge of whom they go to;
orders that wait at a supplier who is no more one are cancelled, and count in nobody's position any more; what a stock
point that opens is said to have on hand at the start is brought in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from coordinator.live.period_start import Arrays
from coordinator.live.structures import WRITE_OFF
from departments.serving.numpy_policy import Array
from environment import World

Record = dict[str, Any]
Edge = tuple[str, str]  # supplier, stock point
CUSTOMERS = "customers"


class Crossing:
    """The way of one state from a world to another; arrays of any number of copies E."""

    def __init__(
        self, before: World, after: World, arrays: Arrays, stock: Mapping[str, str], strict: bool = True
    ) -> None:
        """Prepare.

        Args:
            before: of the structure that ends.
            after: of the one that begins; it has as many pipeline slots as `before` or more.
            arrays: the state, as `Simulated` has it.
            stock: who takes over what a stock point that closes has, or `WRITE_OFF`.
            strict: refuse where something is left of which nothing is said; else, as of a firm in shadow, it is
                written off.

        Raises:
            ValueError: one line; a point that closes has something, and nothing is said of it.
        """
        self._before, self._after, self._arrays = before, after, arrays
        self._names, self._points = before.network.names, {name: n for n, name in enumerate(after.network.names)}
        self._from, self._to = _edges(before), {edge: e for e, edge in enumerate(_edges(after))}
        self._facing = {after.network.names[n]: c for c, n in enumerate(after.network.customer_facing)}
        self._stock = stock
        self._moves: list[Record] = []
        self._products, copies = after.firm.products, arrays["on_hand"].shape[-1]
        kind, shape = arrays["on_hand"].dtype, (len(self._products), copies)
        self._on_hand = np.zeros((after.points, *shape), kind)
        self._pipeline = np.zeros((after.slots, after.edges, *shape), kind)
        self._owed = np.zeros((after.incidence.lines, *shape), kind)
        self._flags, self._waiting, self._ages, self._regimes = (np.zeros((rows, *shape), kind) for rows in after.aside)
        if strict:
            self._must_be_said()

    def _must_be_said(self) -> None:
        closed, inside = [name for name in self._names if name not in self._points], self._before.network.internal
        for name, to in self._stock.items():
            if name not in closed:
                raise ValueError(f"--stock {name}={to}: {name} does not close; it keeps what it has")
            if to not in self._points and to != WRITE_OFF:
                known = ", ".join(self._points)
                raise ValueError(f"--stock {name}={to} must name one of {known}, or {WRITE_OFF}")
        suppliers = self._before.network.line_supplier
        for name in closed:
            n, into = self._names.index(name), [e for e, edge in enumerate(self._from) if edge[1] == name]
            has = {
                "on hand": self._arrays["on_hand"][n].sum(),
                "under way": self._arrays["pipeline"][:, into].sum(),
                "owed by it": self._arrays["owed"][suppliers == n].sum(),
                "ordered": self._arrays["owed"][[e for e in into if e < inside]].sum(),
            }
            if any(has.values()) and name not in self._stock:
                told = ", ".join(f"{units:g} {what}" for what, units in has.items() if units)
                raise ValueError(f"{name} closes with {told}: say --stock {name}=OTHER or --stock {name}={WRITE_OFF}")

    def _heir(self, name: str) -> str | None:
        """Who is in a stock point's place: itself, who takes over, or nobody."""
        stays = name in self._points or name in self._after.network.outside
        heir = name if stays else self._stock.get(name)
        return None if heir == WRITE_OFF else heir

    def arrays(self) -> Arrays:
        """The state in the other structure, with whatever else a period has."""
        self._keep_stock()
        self._keep_pipeline()
        self._keep_owed()
        self._keep_aside()
        network, inside = self._after.network, self._after.network.internal
        position = self._on_hand.copy()
        np.add.at(position, network.edge_target, self._pipeline.sum(0))
        np.add.at(position, network.edge_target[:inside], self._owed[:inside])
        np.subtract.at(position, network.line_supplier, self._owed)
        outside = [e for e in _shut(self._after) if e >= inside]
        np.add.at(position, network.edge_target[outside], self._waiting)
        state = {"on_hand": self._on_hand, "pipeline": self._pipeline, "owed": self._owed}
        aside = np.concatenate((self._flags, self._waiting, self._ages, self._regimes))
        told = {key: value for key, value in self._arrays.items() if key.startswith("told_") or key == "regime"}
        return told | state | {"inventory_position": position} | ({"aside": aside} if len(aside) else {})

    def _tell(self, what: str, of: str, units: Array, to: str | None) -> None:
        """Note what did not stay, of the first copy; `to` None: it is gone."""
        for product, amount in zip(self._products, units[..., 0].reshape(-1, len(self._products)).sum(0), strict=True):
            if amount:
                self._moves.append({"what": what, "of": of, "product": product, "units": float(amount), "to": to})

    def _keep_stock(self) -> None:
        for n, name in enumerate(self._names):
            units, heir = self._arrays["on_hand"][n], self._heir(name)
            if heir != name:
                self._tell("on hand", name, units, heir)
            if heir is not None:
                self._on_hand[self._points[heir]] += units
        for name, n in self._points.items():
            if name not in self._names:
                given = self._after.firm.stock_points[name].initial_on_hand_per(self._products)
                brought = np.array([[units or 0.0] for units in given], self._on_hand.dtype)
                self._tell("brought", name, brought, name)
                self._on_hand[n] += brought

    def _way_to(self, edge: Edge) -> int | None:
        """The edge on which goes on what was under way; None: nobody is there whom it goes to."""
        source, target = self._heir(edge[0]), self._heir(edge[1])
        if target is None:
            return None
        likely = [(edge[0], target), (source, target)]
        return next((self._to[each] for each in likely if each in self._to), self._first_into(target))

    def _first_into(self, target: str) -> int:
        return next(e for (_, point), e in self._to.items() if point == target)

    def _keep_pipeline(self) -> None:
        for e, edge in enumerate(self._from):
            units, to = self._arrays["pipeline"][:, e], self._way_to(edge)
            if to is not None:
                self._pipeline[: len(units), to] += units
            if to is None or edge[1] not in self._points:
                self._tell("under way", ">".join(edge), units, self._heir(edge[1]))

    def _line_of(self, source: str, target: str) -> int | None:
        """The line of an order in the structure that begins."""
        if target == CUSTOMERS:
            return self._after.network.internal + self._facing[source] if source in self._facing else None
        line = self._to.get((source, target))
        return None if line is None or line >= self._after.network.internal else line

    def _keep_owed(self) -> None:
        network = self._before.network
        facing = [(network.names[n], CUSTOMERS) for n in network.customer_facing]
        for line, edge in enumerate([*self._from[: network.internal], *facing]):
            source, target = (each if each == CUSTOMERS else self._heir(each) for each in edge)
            to = None if source is None or target is None else self._line_of(source, target)
            units = self._arrays["owed"][line]
            if to is not None:
                self._owed[to] += units
            if to is None or (source, target) != edge:
                what = "owed to customers" if target == CUSTOMERS else "ordered"
                self._tell(what, ">".join(edge), units, None if to is None else f"{source}>{target}")

    def _keep_aside(self) -> None:
        """Who is shut, orders outside that wait for it, and how old stock is."""
        before, after = self._before, self._after
        aside = self._arrays.get("aside", self._flags[:0])
        flags, waiting, ages, regimes = np.split(aside, np.cumsum(before.aside)[:3].tolist())
        if before.firm.regimes.keys() == after.firm.regimes.keys() and len(regimes):
            old, new = (world.network.regimes for world in (before, after))
            assert old is not None
            assert new is not None
            for place, m in enumerate(new.shown):
                self._regimes[place] = regimes[old.shown.index(m)]
        now, inside = {edge: i for i, edge in enumerate(_shut(after))}, before.network.internal
        held = [e for e in now if e >= after.network.internal]
        for flag, e in zip(flags, _shut(before), strict=True):
            if (to := self._to.get(self._from[e])) in now:
                self._flags[now[to]] = flag
        for units, e in zip(waiting, (e for e in _shut(before) if e >= inside), strict=True):
            to = self._to.get((self._from[e][0], self._heir(self._from[e][1]) or ""))
            edge = ">".join(self._from[e])
            if to in held:
                self._waiting[held.index(to)] += units
                continue
            self._tell("ordered", edge, units, None)
            if to is not None:  # it is never shut any more: they leave, with its longest lead time
                self._tell("brought", edge, units, after.network.names[after.network.edge_target[to]])
                for k, law in enumerate(after.network.lead_time_laws[to]):
                    self._pipeline[max(len(law.mass()) - 2, 0), to, k] += units[k]
        if len(self._ages):
            self._keep_ages(ages)

    def _keep_ages(self, ages: Array) -> None:
        """Units by the periods that they can still be sold in; what comes from where nothing expires is fresh."""
        lives = [point.shelf_life or 0 for point in self._before.firm.stock_points.values()]
        aged = [name for name, life in zip(self._names, lives, strict=True) if life]
        old = ages.reshape(-1, max(len(aged), 1), *ages.shape[1:])
        new = self._ages.reshape(-1, self._after.aside[2] // self._oldest(), *self._ages.shape[1:])
        expires = [
            (name, point.shelf_life) for name, point in self._after.firm.stock_points.items() if point.shelf_life
        ]
        for p, (name, life) in enumerate(expires):
            for i, source in enumerate(aged):
                if self._heir(source) == name:
                    for age, units in enumerate(old[:, i]):
                        new[min(age, life - 1), p] += units
            new[life - 1, p] += self._on_hand[self._points[name]] - new[:, p].sum(0)

    def _oldest(self) -> int:
        return max(point.shelf_life or 0 for point in self._after.firm.stock_points.values())

    def told(self, arrays: Arrays) -> Record:
        """What became of the units of the first copy, by product; `arrays` are those that came out.

        Returns:
            `units` (on hand and under way), `owed` to customers and `ordered` among stock points, each `before`,
            `after` and `gone`, of units also `brought`: before and brought is after and gone. `moves`: one by one what
            did not stay, `what` `of` whom goes `to` whom, or null.
        """
        both = (self._arrays, self._before), (arrays, self._after)
        held = [_sums(a["on_hand"]) + _sums(a["pipeline"]) for a, _ in both]
        owed = [_sums(a["owed"][world.network.internal :]) for a, world in both]
        ordered = [_sums(a["owed"][: world.network.internal]) + _waiting(a, world) for a, world in both]
        gone = {
            what: [m for m in self._moves if m["what"] in kinds and m["to"] is None] for what, kinds in _KINDS.items()
        }
        brought = self._by_product([move for move in self._moves if move["what"] == "brought"])
        accounts = {
            what: {"before": self._named(sums[0]), "after": self._named(sums[1]), "gone": self._by_product(gone[what])}
            for what, sums in {"units": held, "owed": owed, "ordered": ordered}.items()
        }
        accounts["units"]["brought"] = brought
        return {**accounts, "moves": self._moves}

    def _named(self, sums: Array) -> dict[str, float]:
        return dict(zip(self._products, map(float, sums), strict=True))

    def _by_product(self, moves: list[Record]) -> dict[str, float]:
        return {p: sum(move["units"] for move in moves if move["product"] == p) for p in self._products}


_KINDS = {"units": ("on hand", "under way"), "owed": ("owed to customers",), "ordered": ("ordered",)}


def _sums(units: Array) -> Array:
    """Of the first copy, by product."""
    return np.asarray(units[..., 0].astype(float).reshape(-1, units.shape[-2]).sum(0))


def _waiting(arrays: Arrays, world: World) -> Array | float:
    shut, waiting, *_ = world.aside
    return _sums(arrays["aside"][shut : shut + waiting]) if waiting else 0.0


def _shut(world: World) -> list[int]:
    """Edges that may be shut."""
    return list(map(int, np.flatnonzero(world.network.disruption[:, 1])))


def _edges(world: World) -> list[Edge]:
    return world.network.edge_names

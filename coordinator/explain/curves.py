"""Curves of decisions over stock, pipeline and recommendation: of trained departments, and of theory's example firm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.explain.propositions import Explanation, mean_and_half, segments_of
from departments.play.sensitivity import Change, decisions, more_incoming, pushed, stock_of
from heuristics.smoothing import EXAMPLE_FIRM, adaptive_order, smoothing_exposure

Kind = Callable[[int, dict[int, float]], Change]
Decided = Callable[[int, Kind, dict[int, float]], NDArray[np.float64]]  # product, change, units by product -> [B]

_STOCK = "units on hand (dashed: further units on their way)"
_SHOWN, _ORDER = "chance to be shown", "order, units"
_POINTS = 8  # of a curve
_COVER = 3.0  # periods of mean demand up to which stock is swept


@dataclass(frozen=True)
class Curve:
    """One line of a panel."""

    label: str
    at: list[float]
    mean: list[float]
    half: list[float]  # half the 95% interval; empty for theory


@dataclass(frozen=True)
class Panel:
    """Curves of one decision over one thing."""

    title: str
    over: str
    decision: str
    curves: list[Curve]


def agent_panels(explanation: Explanation) -> list[Panel]:
    """Four panels in the order of the theory's directions; each product's curve is the mean over stock points."""
    sweep, panels = _Sweep(explanation), []
    if any(member.recommends for member in explanation.members):
        others = sweep.over_stock(sweep.shown, others=True)
        panels += [
            Panel("i  own stock and pipeline", _STOCK, _SHOWN, sweep.over_own(sweep.shown)),
            Panel("ii  the others' stock", "units of each other product on hand", _SHOWN, others),
        ]
    if any(member.points for member in explanation.members):
        pushed_to = sweep.ordered_pushed()
        panels += [
            Panel("iii  own stock and pipeline", _STOCK, _ORDER, sweep.over_own(sweep.ordered)),
            Panel("iv  recommendation heard of in demand", "exposure of the product", _ORDER, pushed_to),
        ]
    return panels


def theory_panels() -> list[Panel]:
    """The same panels for `EXAMPLE_FIRM`: two products, one slot, two periods."""
    firm, both, none, on_way = EXAMPLE_FIRM, (20.0, 20.0), (0.0, 0.0), "units on hand (dashed: on their way)"
    stock, share = [float(units) for units in range(0, 41, 2)], [i / 20 for i in range(21)]

    def panel(title: str, over: str, decision: str, at: list[float], **of: Callable[[float], float]) -> Panel:
        curves = {name.replace("_", " "): [float(value(x)) for x in at] for name, value in of.items()}
        return Panel(title, over, decision, [Curve(label, at, values, []) for label, values in curves.items()])

    return [
        panel(
            "Prop. 3: product 1's stock and pipeline",
            on_way,
            "share of the slot",
            stock,
            product_1=lambda y: smoothing_exposure(firm, (y, 20.0), both, 0.5),
            pipeline=lambda x: smoothing_exposure(firm, both, (x, 20.0), 0.5),
        ),
        panel(
            "Prop. 3: product 2's stock",
            "units of product 2 on hand",
            "share of the slot",
            stock,
            product_1=lambda y: smoothing_exposure(firm, (20.0, y), both, 0.5),
        ),
        panel(
            "Prop. 4: product 1's stock and pipeline",
            on_way,
            _ORDER,
            stock,
            product_1=lambda y: adaptive_order(firm, (y, 20.0), none, 0.5, 0.5)[0],
            pipeline=lambda x: adaptive_order(firm, both, (x, 0.0), 0.5, 0.5)[0],
        ),
        panel(
            "Prop. 4: anticipated recommendation",
            "share of the slot for product 1 in period 2",
            _ORDER,
            share,
            product_1=lambda a: adaptive_order(firm, both, none, 0.5, a)[0],
            other=lambda a: adaptive_order(firm, both, none, 0.5, a)[1],
        ),
    ]


class _Sweep:
    """Sets one thing to one value after the other, in every second group of states."""

    def __init__(self, explanation: Explanation) -> None:
        self._world, self._policy, self._seen = explanation.world, explanation.policy, explanation.seen[::2]
        world, flow = explanation.world, explanation.world.network.mean_flow()
        self._facing = [int(point) for point in world.network.customer_facing]
        most = _COVER * float(flow[self._facing].max())
        self._units = sorted({float(round(x)) for x in np.linspace(0.0, max(most, 4.0), _POINTS)})
        self._ordering = [p for p in self._facing if any(p in member.points for member in explanation.members)]

    def over_stock(self, decided: Decided, others: bool = False) -> list[Curve]:
        """What is decided of each product over its own stock, or over that of all others."""
        products, curves = range(self._world.products), []
        for product, label in enumerate(self._world.firm.products):
            of = [k for k in products if (k != product) == others]
            values = [decided(product, stock_of, dict.fromkeys(of, units)) for units in self._units]
            curves.append(_curve(label, self._units, values))
        return curves

    def over_own(self, decided: Decided) -> list[Curve]:
        """Over the product's own stock; then the mean over products, over further units of it on their way."""
        products = range(self._world.products)
        values = [
            np.nanmean([decided(k, self._arriving, {k: units}) for k in products], axis=0) for units in self._units
        ]
        return [*self.over_stock(decided), _curve("pipeline", self._units, values)]

    def ordered_pushed(self) -> list[Curve]:
        """Order of each product over the exposure that last period's demand speaks of; dashed: of the others."""
        shares = [i / 4 for i in range(5)]
        own: dict[int, list[NDArray[np.float64]]] = {k: [] for k in range(self._world.products)}
        other: list[NDArray[np.float64]] = []
        for share in shares:
            rest = []
            for product in own:
                found = [self._orders(point, pushed(self._world, point, product, share)) for point in self._ordering]
                orders = np.mean(found, axis=0)  # [K, B]
                own[product].append(orders[product])
                rest.append(np.delete(orders, product, axis=0).mean(0) if len(orders) > 1 else orders[0])
            other.append(np.mean(rest, axis=0))
        named = [_curve(label, shares, own[k]) for k, label in enumerate(self._world.firm.products)]
        return [*named, _curve("other", shares, other)]

    def shown(self, product: int, kind: Kind, units: dict[int, float]) -> NDArray[np.float64]:
        """Chance to be shown, mean over stock points that sell the product, [B]."""
        rows = []
        for point in self._facing:
            segments = segments_of(self._world, point, product)
            if bool(segments.any()):
                _, shown = decisions(self._world, self._policy, self._seen, kind(point, units))
                rows.append(shown[segments, product].mean(0).double().cpu().numpy())
        states = sum(moment.state.on_hand.shape[-1] for moment in self._seen)
        return np.mean(rows, axis=0) if rows else np.full(states, np.nan)

    def ordered(self, product: int, kind: Kind, units: dict[int, float]) -> NDArray[np.float64]:
        """Order of a product, mean over stock points, [B] units."""
        found = [self._orders(point, kind(point, units))[product] for point in self._ordering]
        return np.asarray(np.mean(found, axis=0))

    def _arriving(self, point: int, units: dict[int, float]) -> Change:
        return more_incoming(self._world, point, units)

    def _orders(self, point: int, change: Change) -> NDArray[np.float64]:
        order, _ = decisions(self._world, self._policy, self._seen, change)
        return np.asarray(order[point].double().cpu().numpy(), dtype=np.float64)


def _curve(label: str, at: list[float], values: list[NDArray[np.float64]]) -> Curve:
    rows = [mean_and_half(value) for value in values]
    return Curve(label, at, [mean for mean, _ in rows], [half for _, half in rows])

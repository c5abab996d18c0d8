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
    sweep = _Sweep(explanation)
    orders = {point for member in explanation.members for point in member.points}
    panels = []
    if any(member.recommends for member in explanation.members):
        panels += [
            Panel(
                "i  own stock and pipeline",
                "units on hand (dashed: further units on their way)",
                "chance to be shown",
                [*sweep.shown(others=False), sweep.shown_incoming()],
            ),
            Panel(
                "ii  the others' stock", "units of each other product on hand", "chance to be shown", sweep.shown(True)
            ),
        ]
    if orders:
        panels += [
            Panel(
                "iii  own stock and pipeline",
                "units on hand (dashed: further units on their way)",
                "order, units",
                [*sweep.ordered(), sweep.ordered_incoming()],
            ),
            Panel(
                "iv  recommendation heard of in demand",
                "exposure of the product",
                "order, units",
                sweep.ordered_pushed(),
            ),
        ]
    return panels


def theory_panels() -> list[Panel]:
    """The same panels for `EXAMPLE_FIRM`: two products, one slot, two periods."""
    stock = [float(units) for units in range(0, 41, 2)]
    share = [i / 20 for i in range(21)]
    firm, both = EXAMPLE_FIRM, (20.0, 20.0)

    def curve(label: str, at: list[float], values: list[float]) -> Curve:
        return Curve(label, at, values, [])

    shown = "share of the slot"
    return [
        Panel(
            "Prop. 3: product 1's stock and pipeline",
            "units on hand (dashed: on their way)",
            shown,
            [
                curve("product 1", stock, [smoothing_exposure(firm, (y, 20.0), both, 0.5) for y in stock]),
                curve("pipeline", stock, [smoothing_exposure(firm, both, (x, 20.0), 0.5) for x in stock]),
            ],
        ),
        Panel(
            "Prop. 3: product 2's stock",
            "units of product 2 on hand",
            shown,
            [curve("product 1", stock, [smoothing_exposure(firm, (20.0, y), both, 0.5) for y in stock])],
        ),
        Panel(
            "Prop. 4: product 1's stock and pipeline",
            "units on hand (dashed: on their way)",
            "order, units",
            [
                curve(
                    "product 1", stock, [float(adaptive_order(firm, (y, 20.0), (0.0, 0.0), 0.5, 0.5)[0]) for y in stock]
                ),
                curve("pipeline", stock, [float(adaptive_order(firm, both, (x, 0.0), 0.5, 0.5)[0]) for x in stock]),
            ],
        ),
        Panel(
            "Prop. 4: anticipated recommendation",
            "share of the slot for product 1 in period 2",
            "order, units",
            [
                curve("product 1", share, [float(adaptive_order(firm, both, (0.0, 0.0), 0.5, a)[0]) for a in share]),
                curve("other", share, [float(adaptive_order(firm, both, (0.0, 0.0), 0.5, a)[1]) for a in share]),
            ],
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

    def shown(self, others: bool) -> list[Curve]:
        """Chance of each product to be shown over its own stock, or over that of all others."""
        curves = []
        for product, label in enumerate(self._world.firm.products):
            values = []
            for units in self._units:
                named = {k: units for k in range(self._world.products) if (k != product) == others}
                values.append(self._shown(product, stock_of, named))
            curves.append(_curve(label, self._units, values))
        return curves

    def shown_incoming(self) -> Curve:
        """Mean over products of the chance to be shown, over further units on their way."""
        values = []
        for units in self._units:
            rows = [self._shown(k, self._arriving, {k: units}) for k in range(self._world.products)]
            values.append(np.nanmean(rows, axis=0))
        return _curve("pipeline", self._units, values)

    def ordered(self) -> list[Curve]:
        """Order of each product over its own stock."""
        return [
            _curve(
                label,
                self._units,
                [self._ordered(product, stock_of, {product: units}).mean(0) for units in self._units],
            )
            for product, label in enumerate(self._world.firm.products)
        ]

    def ordered_incoming(self) -> Curve:
        """Mean order over products, over further units of the product on their way."""
        values = []
        for units in self._units:
            rows = [self._ordered(k, self._arriving, {k: units}).mean(0) for k in range(self._world.products)]
            values.append(np.mean(rows, axis=0))
        return _curve("pipeline", self._units, values)

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

    def _shown(self, product: int, kind: Kind, units: dict[int, float]) -> NDArray[np.float64]:
        """Mean over stock points that sell the product, [B]."""
        rows = []
        for point in self._facing:
            segments = segments_of(self._world, point, product)
            if bool(segments.any()):
                _, shown = decisions(self._world, self._policy, self._seen, kind(point, units))
                rows.append(shown[segments, product].mean(0).double().cpu().numpy())
        return np.mean(rows, axis=0) if rows else np.full(self._count(), np.nan)

    def _arriving(self, point: int, units: dict[int, float]) -> Change:
        return more_incoming(self._world, point, units)

    def _count(self) -> int:
        return sum(moment.state.on_hand.shape[-1] for moment in self._seen)

    def _ordered(self, product: int, kind: Kind, units: dict[int, float]) -> NDArray[np.float64]:
        """Orders of a product at each stock point, [points, B]."""
        return np.array([self._orders(point, kind(point, units))[product] for point in self._ordering])

    def _orders(self, point: int, change: Change) -> NDArray[np.float64]:
        order, _ = decisions(self._world, self._policy, self._seen, change)
        return np.asarray(order[point].double().cpu().numpy(), dtype=np.float64)


def _curve(label: str, at: list[float], values: list[NDArray[np.float64]]) -> Curve:
    rows = [mean_and_half(value) for value in values]
    return Curve(label, at, [mean for mean, _ in rows], [half for _, half in rows])

"""Curves of decisions over stock, pipeline and recommendation: of trained departments, and of theory's example firm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from coordinator.explain.propositions import Array, Explanation, Kind, decided, mean_and_half, segments_of
from departments.play.sensitivity import more_incoming, pushed, stock_of
from heuristics.smoothing import EXAMPLE_FIRM, adaptive_order, smoothing_exposure

Measure = Callable[[int, Kind, dict[int, float]], Array]  # product, kind of change, units by product -> [B]

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
    slot, pushing = "share of the slot", "share of the slot for product 1 in period 2"

    def panel(title: str, over: str, decision: str, at: list[float], **of: Callable[[float], float]) -> Panel:
        curves = {name.replace("_", " "): [float(value(x)) for x in at] for name, value in of.items()}
        return Panel(title, over, decision, [Curve(label, at, values, []) for label, values in curves.items()])

    def exposure(on_hand: tuple[float, float], pipeline: tuple[float, float] = both) -> float:
        return smoothing_exposure(firm, on_hand, pipeline, 0.5)

    def order(product: int, on_hand: tuple[float, float], pipeline: tuple[float, float], anticipated: float) -> float:
        return adaptive_order(firm, on_hand, pipeline, 0.5, anticipated)[product]

    own = {"product_1": lambda y: exposure((y, 20.0)), "pipeline": lambda x: exposure(both, (x, 20.0))}
    orders = {
        "product_1": lambda y: order(0, (y, 20.0), none, 0.5),
        "pipeline": lambda x: order(0, both, (x, 0.0), 0.5),
    }
    anticipating = {"product_1": lambda a: order(0, both, none, a), "other": lambda a: order(1, both, none, a)}
    others = {"product_1": lambda y: exposure((20.0, y))}
    return [
        panel("Prop. 3: product 1's stock and pipeline", on_way, slot, stock, **own),
        panel("Prop. 3: product 2's stock", "units of product 2 on hand", slot, stock, **others),
        panel("Prop. 4: product 1's stock and pipeline", on_way, _ORDER, stock, **orders),
        panel("Prop. 4: anticipated recommendation", pushing, _ORDER, share, **anticipating),
    ]


class _Sweep:
    """Sets one thing to one value after the other, in every second group of states."""

    def __init__(self, explanation: Explanation) -> None:
        self._world = world = explanation.world
        self._decided = partial(decided, world, explanation.policy, explanation.seen[::2])
        self._facing = [int(point) for point in world.network.customer_facing]
        most = _COVER * float(world.network.mean_flow()[self._facing].max())
        self._units = sorted({float(round(x)) for x in np.linspace(0.0, max(most, 4.0), _POINTS)})
        self._ordering = [p for p in self._facing if any(p in member.points for member in explanation.members)]

    def over_stock(self, measure: Measure, others: bool = False) -> list[Curve]:
        """What is decided of each product over its own stock, or over that of all others."""
        products, curves = range(self._world.products), []
        for product, label in enumerate(self._world.firm.products):
            of = [k for k in products if (k != product) == others]
            values = [measure(product, stock_of, dict.fromkeys(of, units)) for units in self._units]
            curves.append(_curve(label, self._units, values))
        return curves

    def over_own(self, measure: Measure) -> list[Curve]:
        """Over the product's own stock; then the mean over products, over further units of it on their way."""
        products, arriving = range(self._world.products), partial(more_incoming, self._world)
        values = [np.nanmean([measure(k, arriving, {k: units}) for k in products], axis=0) for units in self._units]
        return [*self.over_stock(measure), _curve("pipeline", self._units, values)]

    def ordered_pushed(self) -> list[Curve]:
        """Order of each product over the exposure that last period's demand speaks of; dashed: of the others."""
        shares, products = [i / 4 for i in range(5)], range(self._world.products)
        orders = np.array([[self._orders_pushed(product, share) for product in products] for share in shares])
        other = [
            np.mean([np.delete(of[k], k, axis=0).mean(0) if len(products) > 1 else of[k][k] for k in products], axis=0)
            for of in orders
        ]
        named = [_curve(label, shares, list(orders[:, k, k])) for k, label in enumerate(self._world.firm.products)]
        return [*named, _curve("other", shares, other)]

    def _orders_pushed(self, product: int, share: float) -> Array:
        """Orders of all products, mean over stock points, [K, B] units."""
        changes = [(point, pushed(self._world, point, product, share)) for point in self._ordering]
        return np.asarray(np.mean([self._decided(change)[0][point] for point, change in changes], axis=0))

    def shown(self, product: int, kind: Kind, units: dict[int, float]) -> Array:
        """Chance to be shown, mean over stock points that sell the product, [B]; NaN where none does."""
        selling = {point: segments_of(self._world, point, product) for point in self._facing}
        rows = [
            self._decided(kind(point, units))[1][segments, product].mean(0)
            for point, segments in selling.items()
            if segments.any()
        ]
        return np.asarray(np.mean(rows, axis=0) if rows else np.full(len(self._decided()[1][0, 0]), np.nan))

    def ordered(self, product: int, kind: Kind, units: dict[int, float]) -> Array:
        """Order of a product, mean over stock points, [B] units."""
        found = [self._decided(kind(point, units))[0][point, product] for point in self._ordering]
        return np.asarray(np.mean(found, axis=0))


def _curve(label: str, at: list[float], values: list[Array]) -> Curve:
    rows = [mean_and_half(value) for value in values]
    return Curve(label, at, [mean for mean, _ in rows], [half for _, half in rows])

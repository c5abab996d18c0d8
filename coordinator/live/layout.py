"""What operation knows of a firm: names and bounds as plain values, so that the process of the ticks needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from departments.numerics.actions import OrderLimits
from departments.serving.numpy_policy import Array


@dataclass(frozen=True)
class FirmLayout:
    """A firm's names and bounds."""

    firm: str  # its name
    points: list[str]  # [N]
    products: list[str]  # [K]
    customer_facing: list[str]  # [C]
    segments: list[str]  # [S] STOCK_POINT/SEGMENT
    max_order: Array  # [N, K] units
    limits: OrderLimits
    sold: Array  # [S, K] 1 where a product is sold to a segment
    slots: Array  # [S] largest sum of exposures
    earns: bool  # money is profit
    recommends: str | None  # the department that does
    # whose precedence a department decides where its allocation is learned, and at most how many units, [customers, K]
    allocates: dict[str, list[str]] = field(default_factory=dict)
    most_precedence: dict[str, Array] = field(default_factory=dict)

    @property
    def departments(self) -> list[str]:
        """Stock points, then the recommendation department if there is one."""
        return [*self.points, *([self.recommends] if self.recommends else [])]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> FirmLayout:
        """From what the book keeps."""
        arrays = {key: np.array(facts[key], dtype=float) for key in ("max_order", "sold", "slots")}
        limits = facts.get("limits")  # books of earlier versions have none
        known = OrderLimits.only(arrays["max_order"]) if limits is None else OrderLimits.of(limits)
        most = {name: np.array(units, dtype=float) for name, units in facts.get("most_precedence", {}).items()}
        return cls(**{**facts, **arrays, "limits": known, "most_precedence": most})

    def facts(self) -> dict[str, Any]:
        """What the book keeps."""

        def plain(value: Any) -> Any:  # noqa: ANN401
            if isinstance(value, dict):
                return {key: plain(inner) for key, inner in value.items()}
            return value.tolist() if isinstance(value, np.ndarray) else value

        return plain(asdict(self))  # type: ignore[no-any-return]

    def feasible_order(self, point: int, wish: Array, position: Array, period: int) -> Array:
        """Orders [K, E] of a point as the world accepts them; see `OrderLimits.feasible`."""
        return self.limits.feasible(point, wish[: len(self.products)], position, period)

    def feasible_precedence(self, name: str, wish: Array, customers: Sequence[str]) -> Array:
        """What a department says of each of its customers as the world accepts it, [customers, K, E] whole units.

        Args:
            name: of the department.
            wish: [K + customers K, E] units, orders and precedence; or [K, E], as rules have it, who say 0.
            customers: of whom it speaks; of others it says 0, and who is none of them any more is left.
        """
        products, most = len(self.products), self.most_precedence.get(name, np.zeros((0, len(self.products))))
        found = np.zeros((*most.shape, wish.shape[-1]))
        said = wish[products:].reshape(-1, products, wish.shape[-1])
        for customer, units in zip(customers, said, strict=False):
            if customer in (own := self.allocates.get(name, [])):
                found[own.index(customer)] = units
        return np.round(np.clip(found, -most[..., None], most[..., None])) + 0.0

    def by_customer(self, name: str, precedence: Array) -> dict[str, float]:
        """Precedence [customers, K] by CUSTOMER/PRODUCT."""
        return {
            f"{customer}/{product}": float(units)
            for customer, row in zip(self.allocates.get(name, []), precedence, strict=True)
            for product, units in zip(self.products, row, strict=True)
        }

    def whole_order(self, order: Mapping[str, Mapping[str, float]], precedence: Mapping[str, Any]) -> Array:
        """Orders by department and product, and precedence by department, as the world takes them, [N + A, K, 1]."""
        rows = [[order[name][product] for product in self.products] for name in self.points]
        rows += [
            [precedence[name][f"{customer}/{product}"] for product in self.products]
            for name in self.points
            for customer in self.allocates.get(name, [])
        ]
        return np.array(rows)[..., None]

    def feasible_exposure(self, wish: Array) -> Array:
        """Exposures [S, K, E] as the world accepts them: in [0, 1], 0 where not sold, scaled down to the slots."""
        inside = np.clip(wish, 0.0, 1.0) * self.sold[..., None]
        total = np.maximum(inside.sum(1, keepdims=True), 1e-9)
        return np.asarray(inside * np.minimum(self.slots[:, None, None] / total, 1.0))

    def by_product(self, values: Array) -> dict[str, float]:
        """Values [K] by product."""
        return {product: float(value) for product, value in zip(self.products, values, strict=True)}

    def shown(self, exposure: Array) -> dict[str, float]:
        """What is shown to whom, of exposures [S, K]; only what is above 0."""
        return {
            f"{segment}/{product}": float(exposure[s, k])
            for s, segment in enumerate(self.segments)
            for k, product in enumerate(self.products)
            if exposure[s, k] > 0
        }

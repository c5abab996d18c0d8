"""Approvals: what of a proposal is changed before it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from coordinator.live.layout import FirmLayout
from coordinator.live.overrides import number, shortened
from departments.serving.numpy_policy import Array

Record = dict[str, Any]


def nothing_waits(tick: int, period: Any) -> str:  # noqa: ANN401
    """Why a period cannot be approved."""
    if isinstance(period, int) and period < tick:
        return f"--period {shortened(period)} is decided already: period {tick} is next"
    if period == tick:
        return f"nothing of period {tick} waits for approval"
    return f"--period {shortened(period)} must be the one that waits: period {tick} is next"


def checked_approval(
    layout: FirmLayout, tick: int, position: Array, proposal: Mapping[str, Any], arguments: Mapping[str, Any]
) -> list[Record]:
    """The lines that an approval changes: `stock_point`, `product`, `proposed`, `order`.

    Args:
        layout: of the firm.
        tick: that is to be decided.
        position: [N, K, 1] units on hand and on order, less what is owed.
        proposal: that waits; see `Operation.propose`.
        arguments: `period`; `made`, of the proposal that was looked at, or None; `lines`: units by stock point and
            product, 0 rejects a line.

    Raises:
        ValueError: one line; nothing is approved.
    """
    period, made, given = (arguments.get(key) for key in ("period", "made", "lines"))
    if type(period) is not int or period != tick:
        raise ValueError(nothing_waits(tick, period))
    if proposal["approved"]:
        raise ValueError(f"period {tick} is approved already")
    if made is not None and made != proposal["made"]:
        raise ValueError(f"period {tick} was proposed anew, as something was changed since you looked: look again")
    if not isinstance(given, Mapping) or not all(isinstance(row, Mapping) for row in given.values()):
        raise ValueError(f"--line must give units by stock point and product, got {shortened(given)}")
    for name in given:
        if name not in layout.points:
            raise ValueError(f"--line must be of {', '.join(layout.points)}, got {shortened(name)}")
    return [line for name, row in given.items() for line in _changed(layout, tick, position, proposal, name, row)]


def _changed(
    layout: FirmLayout, tick: int, position: Array, proposal: Mapping[str, Any], name: str, row: Mapping[str, Any]
) -> list[Record]:
    """Of a stock point, the lines that differ from what is proposed."""
    n, proposed = layout.points.index(name), proposal["decided"][name]["decision"]
    _check(name, row, proposed)
    wish = np.array([[float(row.get(product, proposed[product]))] for product in layout.products])
    taken = layout.by_product(layout.feasible_order(n, wish, position[n], tick)[:, 0])
    for product, units in row.items():
        if taken[product] != units:
            what = f"--line {name}/{product} must be what can be ordered there"
            raise ValueError(f"{what}, got {units:g}: take {taken[product]:g}")
    return [
        {"stock_point": name, "product": product, "proposed": proposed[product], "order": float(units)}
        for product, units in row.items()
        if units != proposed[product]
    ]


def _check(name: str, row: Mapping[str, Any], proposed: Mapping[str, float]) -> None:
    """Lines of a stock point are whole units of its products."""
    for product, units in row.items():
        if product not in proposed:
            raise ValueError(f"--line of {name} must be of {', '.join(proposed)}, got {shortened(product)}")
        if not number(units) or units < 0 or units != int(units):
            raise ValueError(f"--line {name}/{product} must be a whole number, 0 rejects it, got {shortened(units)}")

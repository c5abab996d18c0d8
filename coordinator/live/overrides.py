"""Decisions that are given by hand: orders of a stock point, exposures of the recommendation department."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from coordinator.live.layout import FirmLayout
from departments.serving.numpy_policy import Array

MOST = 1_000_000_000  # units, periods
_SHOWN = 60  # characters
_SHARE = 1e-9  # by which exposures that are written with decimals may exceed the slots


def checked_override(layout: FirmLayout, name: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """What an override gives, `order` or `exposure`, and for how many periods.

    Raises:
        ValueError: one line; nothing that this department could decide.
    """
    periods = arguments.get("periods")
    if not isinstance(periods, int) or isinstance(periods, bool) or not 1 <= periods <= MOST:
        raise ValueError(f"--periods must be a whole number from 1 to {MOST:,}, got {shortened(periods)}")
    order, exposure = arguments.get("order"), arguments.get("exposure")
    if name == layout.recommends:
        if order is not None:
            raise ValueError(f"{name} orders nothing: give --exposure SEGMENT/PRODUCT=SHARE,...")
        return {"exposure": _exposure(layout, exposure)}, periods
    if exposure is not None:
        raise ValueError(f"{name} recommends nothing: give --order")
    return {"order": _order(layout, name, order)}, periods


def _order(layout: FirmLayout, name: str, order: Any) -> dict[str, float]:  # noqa: ANN401
    if not isinstance(order, dict) or not order or not set(order) <= set(layout.products):
        raise ValueError(f"--order must give a quantity for {', '.join(layout.products)}, got {shortened(order)}")
    most = layout.by_product(layout.max_order[layout.points.index(name)])
    for product, units in order.items():
        if not number(units) or not 0 <= units <= most[product] or units != int(units):
            bound = f"a whole number from 0 to {most[product]:g} of {product}"
            raise ValueError(f"--order of {name} must be {bound}, got {shortened(units)}")
    return {product: float(units) for product, units in order.items()}


def _exposure(layout: FirmLayout, exposure: Any) -> dict[str, float]:  # noqa: ANN401
    """Shares by SEGMENT/PRODUCT: within 0..1, of what is sold there, a segment's sum within its slots."""
    if not isinstance(exposure, dict):
        raise ValueError(f"--exposure must give shares by SEGMENT/PRODUCT, got {shortened(exposure)}")
    known = {
        f"{segment}/{product}": s
        for s, segment in enumerate(layout.segments)
        for k, product in enumerate(layout.products)
        if layout.sold[s, k]
    }
    total = np.zeros(len(layout.segments))
    for key, share in exposure.items():
        if key not in known:
            raise ValueError(f"--exposure must be of {', '.join(known)}; got {shortened(key)}")
        if not number(share) or not 0 <= share <= 1:
            raise ValueError(f"--exposure of {key} must be a share from 0 to 1, got {shortened(share)}")
        total[known[key]] += share
    for segment, given, slots in zip(layout.segments, total, layout.slots, strict=True):
        if given > slots + _SHARE:
            raise ValueError(f"--exposure of {segment} must sum to at most its {slots:g} slots, got {given:g}")
    return {key: float(share) for key, share in exposure.items() if share > 0}


def number(value: Any) -> bool:  # noqa: ANN401
    """Whether something is a number that can be counted with."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MOST  # no nan, no 10**400


def shortened(value: Any, most: int = _SHOWN) -> str:  # noqa: ANN401
    """What was given, for one line: nobody reads more of it."""
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python writes
        text = f"a {type(value).__name__} of many digits"
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def given_decision(layout: FirmLayout, name: str, override: Mapping[str, Any], own: Array) -> Array:
    """A checked override as a decision: orders [K, 1] units, or exposures [S, K, 1] where what is not given is 0.

    Of products that it does not name the department orders what it decides itself, `own`, and so it is with precedence.
    """
    if name != layout.recommends:
        given = override["order"]
        units = [given.get(product, own[k, 0]) for k, product in enumerate(layout.products)]
        return np.concatenate((np.array(units, dtype=float)[:, None], own[len(units) :]))
    exposure = np.zeros((*layout.sold.shape, 1))
    for key, share in override["exposure"].items():
        segment, _, product = key.rpartition("/")
        exposure[layout.segments.index(segment), layout.products.index(product)] = share
    return exposure

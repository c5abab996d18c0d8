"""What a running firm counts, as plain values that are kept with every commit: nothing here is lost by a restart."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coordinator.live.layout import FirmLayout
from departments.serving.numpy_policy import Array

LATENCY = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # s, upper ends of buckets
TICK = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
COUNTED = ("swaps", "rollbacks", "overrides", "pauses", "refusals", "fallbacks", "restarts")
Record = dict[str, Any]


def new_histogram(ends: Sequence[float]) -> Record:
    """An empty histogram."""
    return {"counts": [0] * (len(ends) + 1), "sum": 0.0}


def observe(histogram: Record, ends: Sequence[float], seconds: float) -> None:
    """Count one duration."""
    histogram["counts"][bisect_left(ends, seconds)] += 1
    histogram["sum"] += seconds


def shown(histogram: Record, ends: Sequence[float]) -> Record:
    """As Prometheus has histograms: cumulative counts by upper end."""
    total, buckets = 0, []
    for end, count in zip((*ends, float("inf")), histogram["counts"], strict=True):
        total += count
        buckets.append([end, total])
    return {"buckets": buckets, "sum": histogram["sum"], "count": total}


def new_totals(layout: FirmLayout) -> Record:
    """All zero."""
    facing = len(layout.customer_facing)
    return {
        "cost": [0.0] * len(layout.points),
        "demand": [0.0] * facing,
        "served": [0.0] * facing,
        "products": new_products(layout),
        "tick_seconds": new_histogram(TICK),
        "split": {"departments": 0.0, "environment": 0.0, "policy": 0.0, "log": 0.0},
        "departments": {
            name: {"decisions": 0, "latency": new_histogram(LATENCY)} | dict.fromkeys(COUNTED, 0)
            for name in layout.departments
        },
        "actors": {name: 0 for name in ("coordinator", "environment", "critic", "monitor")},
    }


def new_products(layout: FirmLayout) -> Record:
    """Demand and units served at once by product, [C][K], and of how many periods; books of before begin with none."""
    empty = [[0.0] * len(layout.products) for _ in layout.customer_facing]
    return {"periods": 0, "demand": empty, "served": [list(row) for row in empty]}


def add_account(totals: Record, account: Mapping[str, Array]) -> None:
    """Add a period's cost [N, 1], demand and units served at once [C, K, 1]."""
    for key, values in (
        ("cost", account["cost"][:, 0]),
        ("demand", account["demand"].sum((1, 2))),
        ("served", account["served"].sum((1, 2))),
    ):
        totals[key] = [before + float(value) for before, value in zip(totals[key], values, strict=True)]
    products = totals["products"]
    products["periods"] += 1
    for key in ("demand", "served"):
        products[key] = (np.array(products[key]) + account[key][..., 0]).tolist()


def fill_rate(served: float, demand: float) -> float | None:
    """Share served at once; None before any demand."""
    return served / demand if demand else None


def stock_of(layout: FirmLayout, name: str, account: Mapping[str, Array]) -> Record:
    """A department's stock and cost of a period, by product."""
    if name == layout.recommends:
        return {"on_hand": {}, "inventory_position": {}, "backlog": {}, "cost": 0.0}
    point = layout.points.index(name)
    backlog = dict.fromkeys(layout.products, 0.0)
    if name in layout.customer_facing:
        backlog = layout.by_product(account["backlog"][layout.customer_facing.index(name), :, 0])
    return {
        "on_hand": layout.by_product(account["on_hand"][point, :, 0]),
        "inventory_position": layout.by_product(account["inventory_position"][point, :, 0]),
        "backlog": backlog,
        "cost": float(account["cost"][point, 0]),
    }

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
        "past": new_past(),
    }


def new_past() -> Record:
    """What departments that have closed have had."""
    return {"cost": 0.0, "demand": 0.0, "served": 0.0} | dict.fromkeys(COUNTED, 0)


def new_products(layout: FirmLayout) -> Record:
    """Demand and units served at once by product, [C][K], of how many periods, [C]; books of before begin with none."""
    empty = [[0.0] * len(layout.products) for _ in layout.customer_facing]
    return {"periods": [0] * len(empty), "demand": empty, "served": [list(row) for row in empty]}


def add_account(totals: Record, account: Mapping[str, Array]) -> None:
    """Add a period's cost [N, 1], demand and units served at once [C, K, 1]."""
    for key, values in (
        ("cost", account["cost"][:, 0]),
        ("demand", account["demand"].sum((1, 2))),
        ("served", account["served"].sum((1, 2))),
    ):
        totals[key] = [before + float(value) for before, value in zip(totals[key], values, strict=True)]
    products = totals["products"]
    products["periods"] = (np.array(products["periods"]) + 1).tolist()  # once it was one number for all
    for key in ("demand", "served"):
        products[key] = (np.array(products[key]) + account[key][..., 0]).tolist()


def cost_of(totals: Record) -> float:
    """Money of the firm so far, also of who has closed."""
    return float(sum(totals["cost"]) + totals["past"]["cost"])


def totals_after(totals: Record, before: FirmLayout, after: FirmLayout, account: Mapping[str, Array]) -> Record:
    """Totals when a change is carried out: of who stays as they are, of who closes with those of the `past`.

    Args:
        totals: of the firm as it was built.
        before: its layout.
        after: that of the firm as it is built from now on.
        account: of the period at hand, which has not been added yet: what it says of who closes counts as past.
    """
    new, past = new_totals(after), dict(totals["past"])
    of = {"cost": (before.points, after.points)} | dict.fromkeys(
        ("demand", "served"), (before.customer_facing, after.customer_facing)
    )
    for key, (old_names, names) in of.items():
        known = dict(zip(old_names, totals[key], strict=True))
        new[key] = [known.get(name, 0.0) for name in names]
        at_hand = account[key].reshape(len(old_names), -1).sum(1)
        for name, value in zip(old_names, at_hand, strict=True):
            past[key] += 0.0 if name in names else known[name] + float(value)
    periods = np.broadcast_to(totals["products"]["periods"], len(before.customer_facing)).tolist()
    for key, values in {**totals["products"], "periods": periods}.items():
        known = dict(zip(before.customer_facing, values, strict=True))
        empty = dict(zip(after.customer_facing, new["products"][key], strict=True))
        new["products"][key] = [known.get(name, none) for name, none in empty.items()]
    for name, counted in totals["departments"].items():
        if name in new["departments"]:
            new["departments"][name] = counted
        else:
            past |= {key: past[key] + counted[key] for key in COUNTED}
    return totals | {key: new[key] for key in (*of, "products", "departments")} | {"past": past}


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

"""The firm that tables describe: the products, stock points and supply that a firm file without tables would name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.blocks import Blocks, filled
from environment.laws import MAX_UNITS, MassFunction, Sequence
from environment.parts import TARGETS
from environment.tables import OWN, Tables, read_tables, whole_days

Array = NDArray[np.float64]
_MONDAY = np.datetime64("1970-01-05", "D")


def expanded(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The firm file without its tables: products, stock points and supply as they say.

    Raises:
        ValueError: as `read_tables`, or the file names what its tables say.
    """
    if said := sorted({"products", "stock_points", "supply", "customers"} & set(content)):
        raise ValueError(f"{said[0]} is what the tables say: remove one of the two")
    tables = read_tables(content, folder)
    plain = {key: value for key, value in content.items() if key not in OWN}
    return plain | firm_of(tables)


def firm_of(tables: Tables, until: int | None = None, *, dated: bool = False) -> dict[str, Any]:
    """Products, stock points and supply of a firm file, from the first `until` days of history (default: all).

    Where periods are `dated`, see `period_of`, single days are closed, too; episodes, which begin on a Monday of no
    year, know weekdays alone.
    """
    demand = tables.demand[:until]
    mean = np.nan_to_num(np.nanmean(np.where(np.isnan(demand).all(0), 0.0, demand), axis=0))
    flow, holding = tables.flow(mean), tables.holding_cost
    most = tables.flow(np.nan_to_num(np.nanmax(np.where(np.isnan(demand).all(0), 0.0, demand), axis=0)))
    points, last = dict[str, Any](), np.maximum(tables.intervals(_MONDAY, 7 * 8).max(0), tables.lead_time + 1)
    aimed = tables.cycle_service if tables.fill_rate is None else tables.fill_rate
    crowded = any(room is not None for room in (*tables.capacity, *tables.load)) or any(tables.joint_order_cost)
    whole = None if tables.blocks is None else np.rint(filled(demand, tables.days[:until])).astype(np.int64)
    for n, name in enumerate(tables.points):
        largest = np.ceil(4.0 * flow[n] * last[n] + most[n] + tables.minimum[n])
        point: dict[str, Any] = {
            "holding_cost": _by_item(tables, np.maximum(holding, 1e-9)),
            "max_order": _by_item(
                tables, np.clip(np.ceil(largest / tables.multiple[n]) * tables.multiple[n], 1, 10**6)
            ),
        }
        point |= _limits(tables, n) | _costs(tables, n)
        if n in tables.selling:
            c = tables.selling.index(n)
            point["demand"] = {
                item: _law(demand[:, c, k]) if whole is None else _sequence(whole[:, c, k], tables.blocks)
                for k, item in enumerate(tables.items)
                if tables.sold[c, k]
            }
            if aimed is None:
                point["price"] = _by_item(tables, np.nan_to_num(tables.price))
            else:
                point["backorder_cost"] = _by_item(tables, holding * aimed / (1.0 - aimed))
                if (
                    not crowded
                ):  # what shares a room or an order cannot meet targets product by product: costs decide there
                    point[TARGETS[tables.fill_rate is None]] = _by_item(tables, aimed)
        if aimed is None and tables.supplier[n] < 0:
            point["unit_cost"] = _by_item(tables, np.nan_to_num(tables.cost))
        points[name] = point
    supply = [
        {
            "from": "outside" if tables.supplier[n] < 0 else tables.points[tables.supplier[n]],
            "to": name,
            "lead_time": {item: _lead_time(tables, n, k) for k, item in enumerate(tables.items)},
            **({} if tables.load[n] is None else {"capacity": tables.load[n]}),
            **({"fixed_order_cost": cost} if (cost := tables.joint_order_cost[n]) else {}),
            **_closed_days(tables, n, dated),
        }
        for n, name in enumerate(tables.points)
    ]
    return {"products": list(tables.items), "stock_points": points, "supply": supply}


def _limits(tables: Tables, point: int) -> dict[str, Any]:
    """What the orders of a point are limited by, as far as something does."""
    found: dict[str, Any] = {}
    every = np.where([bool(days) for days in tables.review_days[point]], 1.0, tables.review_period[point])
    fields = {"order_multiple": tables.multiple[point], "min_order": tables.minimum[point], "review_period": every}
    for field, values in fields.items():
        if (values > (field != "min_order")).any():
            found[field] = _by_item(tables, values)
    named = zip(tables.items, tables.review_days[point], strict=True)
    if days := {item: {"cycle": 7, "days": list(some)} for item, some in named if some}:
        found["review_days"] = days
    return found if tables.capacity[point] is None else found | {"capacity": tables.capacity[point]}


def _costs(tables: Tables, point: int) -> dict[str, Any]:
    """What orders and expired units of a point cost, and how long these keep, as far as it is told."""
    found: dict[str, Any] = {} if tables.shelf_life[point] is None else {"shelf_life": tables.shelf_life[point]}
    for field, values in {"fixed_order_cost": tables.order_cost, "waste_cost": tables.waste_cost}.items():
        if values[point].any():
            found[field] = _by_item(tables, values[point])
    return found


def _closed_days(tables: Tables, point: int, dated: bool) -> dict[str, Any]:
    """On which days nothing gets on towards a point, as far as somebody is ever closed."""
    found = {}
    for item, closed in zip(tables.items, tables.closed[point], strict=True):
        own = {"days": list(closed.days), "periods": list(closed.dates) * dated}
        if told := {key: value for key, value in own.items() if value}:
            found[item] = told
    return {"closed_days": found} if found else {}


def _by_item(tables: Tables, values: Array) -> dict[str, float]:
    return dict(zip(tables.items, np.asarray(values, dtype=float).tolist(), strict=True))


def _law(history: Array) -> MassFunction:
    """Relative frequencies; a part of a unit, as estimates have, is split so that the mean stays."""
    known = history[~np.isnan(history)]
    if not len(known):
        return MassFunction.of(np.ones(1))
    below = np.minimum(np.floor(known + 1e-9), MAX_UNITS - 1).astype(np.int64)
    above = np.clip(known - below, 0.0, 1.0)
    counts = np.bincount(below, 1.0 - above, int(below.max()) + 2) + np.bincount(below + 1, above, int(below.max()) + 2)
    return MassFunction.of(np.trim_zeros(counts, "b") / counts.sum())


def _sequence(units: NDArray[np.int64], blocks: Blocks | None) -> Sequence:
    """Days in blocks; not checked number by number, which takes long where there are millions."""
    return Sequence.model_construct(values=tuple(np.minimum(units, MAX_UNITS).tolist()), blocks=blocks)


def _lead_time(tables: Tables, point: int, item: int) -> Any:  # noqa: ANN401
    if law := tables.laws[point][item]:
        counts = {int(day): float(count) for day, count in (part.split(":") for part in law.split())}
        total = math.fsum(counts.values())
        return {"law": "mass", "values": list(counts), "probabilities": [count / total for count in counts.values()]}
    return whole_days(tables, point, item)

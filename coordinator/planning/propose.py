"""`firmwide propose`: what to order tomorrow, line by line with its reason; what needs a look stands first."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from coordinator.planning.backtest import tables_to_play
from coordinator.planning.policies import COVER, cover_levels, kind_of, policy_of, target_of, world_for
from coordinator.planning.proposal import EXCEPTIONS, Proposal
from coordinator.planning.propose_page import propose_page
from coordinator.planning.reasons import Part, parts_of
from coordinator.planning.tuning import Past, Tuned, tuned_to
from coordinator.storage.files import write_atomically
from environment import State, World
from environment.calendars import period_of
from environment.tables import Tables

Array = NDArray[np.float64]

_EXCESS = 120.0  # days of demand on hand and on order that are too much
_LARGE = 4.0  # times what usually is ordered at once
_APART = 3.0  # times what the rule of cover would order
_RECENT, _BROKEN = 28, 4.0  # days, and standard errors by which the last ones may differ from the forecast


def propose(
    folder: Path,
    policy: str = "tuned",
    *,
    beside: str = f"cover:{COVER:g}",
    out: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Proposal:
    """Propose tomorrow's orders: those of the day after the last one of history.

    Args:
        folder: of `firmwide import`.
        policy: as in `backtest`; `tuned` by default, to the firm's `service`.
        beside: a rule of cover, `cover:DAYS`, that the policy is compared with.
        out: where orders.csv, orders.xlsx, lines.csv, lines.parquet and propose.html go; default: FOLDER/orders/DAY.
        note: told how far the tuning is.

    Raises:
        ValueError: one line.
    """
    tables = tables_to_play(folder)
    name, kind, argument = kind_of(policy)
    _, rule, cover = kind_of(beside)
    if rule != "cover":
        raise ValueError(f"--beside takes cover:DAYS, got {beside!r}")
    past, world = Past.of(tables), world_for(kind, argument, tables)
    rate, parts = (target_of(argument, tables) if kind == "tuned" else None), list[list[Part]]()
    if rate is not None:
        note(f"tuning on {len(tables.days)} days")
        tuned = tuned_to(past, world, rate)
        target = tuned.levels(past)[-1]
    else:
        tuned = None
        decides = policy_of(kind, argument, world, tables, len(tables.days), 1, note)
        state, period = _state(world, tables), period_of(tables.days[-1] + 1)
        with torch.inference_mode():
            wish = decides.decide(world, state, None, period, None).order
        target = (state.inventory_position + wish.clamp_min(0.0))[..., 0].double().numpy()
        parts = parts_of(decides, argument, state, period, note)
    other = cover_levels(past, float(cover or COVER))[-1]
    lines = _lines(past, world, np.rint(target), np.rint(other), tuned, rate, parts)
    day = tables.days[-1] + 1
    done = Proposal(tables, name, lines, folder / "orders" / str(day) if out is None else out)
    _write(done)
    return done


def _state(world: World, tables: Tables) -> State:
    """Stock on hand, and what is on order as if it were due after the whole lead time, or there if that is 0."""
    waits = tables.waits(tables.days[-1] + 1)
    under_way = np.where(waits < 1, 0.0, tables.on_order)
    on_hand = np.maximum(tables.on_hand, 0.0) + tables.on_order - under_way
    start = world.reset(1, torch.as_tensor(on_hand, dtype=world.dtype)[..., None])
    pipeline = start.pipeline.clone()
    for edge, point in enumerate(world.network.edge_target):
        slot = np.clip(waits[point].astype(int) - 1, 0, world.slots - 1)
        for k in np.flatnonzero(under_way[point]):
            pipeline[slot[k], edge, k, 0] += under_way[point, k] if world.network.supplier_rank[edge] == 0 else 0.0
    position = torch.as_tensor(tables.on_hand + tables.on_order, dtype=world.dtype)[..., None]
    return start._replace(pipeline=pipeline, inventory_position=position)


def _taken(world: World, tables: Tables, target: Array) -> Array:
    """What the firm takes tomorrow of orders up to a target, [N, K] units."""
    position = tables.on_hand + tables.on_order
    wish, held = (torch.as_tensor(units, dtype=world.dtype)[..., None] for units in (target - position, position))
    with torch.inference_mode():
        order = world.feasible(wish, held, period_of(tables.days[-1] + 1))
    return np.asarray(order[..., 0].numpy(), dtype=np.float64)


def _lines(
    past: Past,
    world: World,
    target: Array,
    other: Array,
    tuned: Tuned | None,
    rate: Array | None,
    parts: Sequence[Sequence[Part]],
) -> pd.DataFrame:
    tables, shape = past.tables, target.shape
    position = tables.on_hand + tables.on_order
    wish = np.maximum(target - position, 0.0)
    order = _taken(world, tables, target)
    closed = ~world.limits.reviews.at(period_of(tables.days[-1] + 1))
    cut = _cut(tables, order, position, target)
    order = order - cut
    flow = past.flow
    recent = flow[-_RECENT:].mean(0).reshape(shape)
    mean = recent if tuned is None else tuned.forecaster.levels(flow, past.days)[-1].reshape(shape)
    waits = tables.waits(tables.days[-1] + 1)
    ahead = mean * waits
    if tuned is not None:
        days = tuned.forecaster._replace(interval=np.ceil(waits).astype(np.int64).ravel())
        ahead = days.over_interval(flow, past.days)[-1].reshape(shape)
    spread = flow.std(0).reshape(shape)
    never = flow.sum(0).reshape(shape) == 0
    rule = _taken(world, tables, other)
    usual = np.maximum(np.maximum(tables.multiple, tables.minimum), mean * 7)
    error = np.sqrt(np.maximum(flow.var(0).reshape(shape), 1e-9) / min(_RECENT, len(flow)))
    long_run = flow.mean(0).reshape(shape) if tuned is None else mean
    found = {
        "stock-out before arrival": (tables.on_hand + tables.on_order < ahead) & ~never,
        "cut by the stock of its supplier": cut > 0,
        "unusually large": order > _LARGE * np.maximum(usual, mean + 3 * spread),
        "excess": (position > _EXCESS * mean) & (position > target) & (position > 0) & ~never,
        "never sold": never & (position > 0),
        "policy and rule far apart": (np.abs(order - rule) > _APART * np.maximum(usual, np.minimum(order, rule))),
        "forecast broken": (np.abs(recent - long_run) > _BROKEN * error) & ~never,
    }
    cost = np.nan_to_num(tables.cost)
    rows: list[dict[str, Any]] = []
    for n, k in zip(*np.nonzero((order > 0) | np.any([found[name] for name in EXCEPTIONS], axis=0)), strict=True):
        named = [name for name in EXCEPTIONS if found[name][n, k]]
        unit = tables.unit[k]
        row = {
            "supplier": tables.supplier_names[n][k],
            "location": tables.points[n],
            "item": tables.items[k],
            "order": order[n, k] * unit,
            "packs": order[n, k] / tables.multiple[n, k],
            "position": position[n, k] * unit,
            "on_hand": tables.on_hand[n, k] * unit,
            "on_order": tables.on_order[n, k] * unit,
            "target": target[n, k] * unit,
            "expected_until_arrival": round(ahead[n, k] * unit, 2),
            "order_multiple": tables.multiple[n, k] * unit,
            "min_order": tables.minimum[n, k] * unit,
            "rule_orders": rule[n, k] * unit,
            "cost": order[n, k] * cost[k] * (tables.supplier[n] < 0),  # what is bought outside
            "exceptions": "; ".join(named),
        }
        row["reason"] = _reason(
            row,
            waits[n, k],
            any(tables.closed[n][k]) and not closed[n, k] and waits[n, k] > np.ceil(tables.lead_time[n, k]),
            mean[n, k] * unit,
            wish[n, k] * unit,
            cut[n, k] * unit,
            None if rate is None else float(rate[k]),
            f"{tables.days[-1] + 1} is no review day" if closed[n, k] else "",
            parts[n][k].sentence(unit) if parts else "",
        )
        rows.append(
            row
            | {
                "_rank": EXCEPTIONS.index(named[0]) if named else len(EXCEPTIONS),
                "_short": ahead[n, k] - position[n, k],
            }
        )
    columns = ("supplier", "location", "item", "order", "exceptions", "reason", "cost", "_rank", "_short")
    table = pd.DataFrame(rows, columns=None if rows else list(columns))
    return (
        table.sort_values(["_rank", "_short"], ascending=[True, False])
        .drop(columns=["_rank", "_short"])
        .reset_index(drop=True)
    )


def _cut(tables: Tables, order: Array, position: Array, target: Array) -> Array:
    """What a stock point cannot send tomorrow, [N, K] units; who is furthest below the target is served first."""
    cut = np.zeros_like(order)
    for source in {one for one in tables.supplier if one >= 0}:
        buyers = [n for n, one in enumerate(tables.supplier) if one == source]
        left = np.maximum(tables.on_hand[source], 0.0)
        need = np.divide(position[buyers], np.maximum(target[buyers], 1.0))
        for rank in np.argsort(need, axis=0, kind="stable"):
            rows = np.array(buyers)[rank], np.arange(order.shape[1])
            sent = np.minimum(
                np.floor(np.minimum(order[rows], left) / tables.multiple[rows]) * tables.multiple[rows], left
            )
            cut[rows] = order[rows] - sent
            left = left - sent
    return cut


def _reason(
    row: dict[str, Any],
    wait: float,
    shut: bool,
    mean: float,
    wish: float,
    cut: float,
    rate: float | None,
    closed: str,
    learned: str,
) -> str:
    """One sentence."""
    position = f"{row['position']:,.10g} on hand and on order"
    if row["order"] == 0 and cut == 0 and wish <= 0:
        if "never sold" in row["exceptions"]:
            return f"Nothing was ever sold, and {position} {'is' if row['position'] == 1 else 'are'} there."
        why = f"; {learned}" if learned else ""
        return f"With {position} there is nothing to order up to the target of {row['target']:,.10g}{why}."
    why = f"for a fill rate of {100 * rate:.4g}%" if rate is not None else "of this policy"
    text = f"{position} are {wish:,.10g} below the target of {row['target']:,.10g} {why}"
    text += f", at {mean:,.3g} a day and {wait:g} {'day' if wait == 1 else 'days'} until it arrives"
    text += ", closed days included" if shut else ""
    if learned:
        text += f"; {learned}"
    if (row["order"] + cut) - wish > 0.5:
        least = (
            f"at least {row['min_order']:,.10g}"
            if row["min_order"] > wish
            else f"packs of {row['order_multiple']:,.10g}"
        )
        text += f"; {row['order'] + cut:,.10g} because of {least}"
    elif closed or wish - (row["order"] + cut) > 0.5:
        left = wish - (row["order"] + cut)
        text += f"; nothing is ordered, as {closed}" if closed else f"; {left:,.10g} less, as there is no room for more"
    if cut > 0:
        text += f"; {cut:,.10g} less, as {row['supplier']} has no more"
    return f"{text}."


def _write(done: Proposal) -> None:
    done.folder.mkdir(parents=True, exist_ok=True)
    for name, table in {"orders": done.orders, "lines": done.lines}.items():
        write_atomically(done.folder / f"{name}.csv", table.to_csv(index=False, float_format="%.10g"))
    content = io.BytesIO()
    done.lines.to_parquet(content)
    write_atomically(done.folder / "lines.parquet", content.getvalue())
    if importlib.util.find_spec("openpyxl"):  # of the extra `import`; the csv says the same
        content = io.BytesIO()
        done.orders.to_excel(content, index=False, engine="openpyxl")
        write_atomically(done.folder / "orders.xlsx", content.getvalue())
    write_atomically(done.folder / "propose.html", propose_page(done).html())

"""The figures of a running firm, from what it holds: `metrics()` of docs/live.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.live.counters import COUNTED, LATENCY, TICK, cost_of, fill_rate, shown, stock_of
from coordinator.live.operation import Operation

Record = dict[str, Any]


def figures(
    operation: Operation, firm: Mapping[str, Any], workers: Mapping[str, Record], canaries: list[Record]
) -> Record:
    """All figures.

    Args:
        operation: the firm's.
        firm: what only the coordinator knows: name, state, reason, time, told, interval, tick_rate, lag.
        workers: of each department, `up` and `node`.
        canaries: under way.
    """
    layout, totals, shadow = operation.layout, operation.totals, operation.record["shadow"]
    sign, past = -1.0 if layout.earns else 1.0, totals["past"]
    departments = {name: _department(operation, name, workers[name]) for name in layout.departments}
    demand, served = (sum(totals[key]) + past[key] for key in ("demand", "served"))
    benchmark, firm_cost = sum(shadow["cost"]) + shadow["past"], sum(shadow["firm_cost"])
    return {
        **firm,
        "firm": layout.firm,
        "structure": operation.structure,
        "tick": operation.now.tick,
        "tick_seconds": shown(totals["tick_seconds"], TICK),
        "split": dict(totals["split"]),
        "earns": layout.earns,
        "money": sign * cost_of(totals),
        "benchmark": {
            "tick": shadow["tick"],
            "money": sign * benchmark,
            "firm_money": sign * firm_cost,
            "saving": benchmark - firm_cost,
        },
        "demand": demand,
        "served": served,
        "fill_rate": fill_rate(served, demand),
        **{key: past[key] + sum(entry[key] for entry in departments.values()) for key in COUNTED if key != "restarts"},
        "restarts": past["restarts"]
        + sum(entry["restarts"] for entry in departments.values())
        + sum(totals["actors"].values()),
        "actors": {name: {"restarts": count} for name, count in totals["actors"].items()},
        "canaries": canaries,
        "proposal": _proposal(operation),
        "departments": departments,
    }


def _proposal(operation: Operation) -> Record | None:
    """What waits for approval."""
    proposal = operation.proposal
    if proposal is None or proposal["approved"]:
        return None
    return {"period": operation.now.tick, "made": proposal["made"]}


def _department(operation: Operation, name: str, worker: Record) -> Record:
    layout, totals, shadow = operation.layout, operation.totals, operation.record["shadow"]
    counted, bundle = totals["departments"][name], operation.now.bundles[name]
    last = operation.last.get(name, {"mode": "policy", "decision": {}})
    recommends = name == layout.recommends
    point = None if recommends else layout.points.index(name)
    demand = served = None
    if name in layout.customer_facing:
        facing = layout.customer_facing.index(name)
        demand, served = totals["demand"][facing], totals["served"][facing]
    stock = stock_of(layout, name, operation.now.moment.account)
    return {
        "kind": "recommendation" if recommends else "replenishment",
        **worker,
        "mode": last["mode"],
        "paused": operation.posts[name]["paused"],
        "version": bundle.version,
        "policy": bundle.label,
        "order": {} if recommends else last["decision"],
        "exposure": last["decision"] if recommends else {},
        **{key: stock[key] for key in ("on_hand", "inventory_position", "backlog")},
        "cost": 0.0 if point is None else totals["cost"][point],
        "benchmark_cost": dict(zip(shadow["points"], shadow["cost"], strict=True)).get(name, 0.0),
        "demand": demand,
        "served": served,
        "fill_rate": None if demand is None or served is None else fill_rate(served, demand),
        "decisions": counted["decisions"],
        "latency": shown(counted["latency"], LATENCY),
        **{key: counted[key] for key in COUNTED},
    }


def canary_figures(canary: Any, sign: float) -> Record:  # noqa: ANN401
    """A canary under way, as `metrics()` shows it."""
    verdict = canary.verdict()
    return {
        "command": canary.command.id,
        "department": canary.command.department,
        "policy": canary.candidate.label,
        "until": canary.until,
        "since": canary.since,
        "done": verdict["periods"],
        "money": sign * verdict["cost"],
        "incumbent_money": sign * verdict["incumbent_cost"],
        **{key: verdict[key] for key in ("verdict", "saving", "low", "high")},
    }

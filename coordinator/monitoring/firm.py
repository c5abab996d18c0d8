"""A running firm for Prometheus: the figures that `RunningFirm.metrics()` gives, docs/live.md, as metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coordinator.monitoring.registry import MODES, STATES, Families, Told

Figures = Mapping[str, Any]
_FIRM = {  # gauges and counters of a firm, and the figures that they are
    "ticks": "tick",
    "ticks_per_second": "tick_rate",
    "tick_interval_seconds": "interval",
    "lag_seconds": "lag",
    "last_tick_timestamp_seconds": "time",
    "told_timestamp_seconds": "told",
}
_COUNTED = ("swaps", "rollbacks", "overrides", "pauses", "refusals", "fallbacks", "restarts")
_STOCK = ("on_hand", "inventory_position", "backlog")


def _firm(found: Families, figures: Figures) -> None:
    firm, benchmark, split = figures["name"], figures["benchmark"], figures["split"]
    sign = -1.0 if figures["earns"] else 1.0
    about = {"built_from": figures["firm"], "counts": "profit" if figures["earns"] else "cost"}
    found.tell("firmwide_firm", about, firm)
    found.choose("firmwide_firm_state", STATES, figures["state"], firm)
    for name, key in _FIRM.items():
        found.set(f"firmwide_firm_{name}", figures[key], firm)
    found.count("firmwide_firm_tick_duration_seconds", figures["tick_seconds"], firm)
    for part in ("departments", "environment", "log"):
        found.set("firmwide_firm_tick_work_seconds", split[part], firm, part)
    found.set("firmwide_firm_policy_seconds", split["policy"], firm)
    found.set("firmwide_firm_cost", sign * figures["money"], firm)
    found.set("firmwide_firm_benchmark_cost", sign * benchmark["money"], firm)
    found.set("firmwide_firm_benchmark_ticks", benchmark["tick"], firm)
    found.set("firmwide_firm_saving", benchmark["saving"], firm)
    found.set("firmwide_firm_canaries", len(figures["canaries"]), firm)
    for department, canary in {row["department"]: row for row in figures["canaries"]}.items():  # of two, the later
        ahead = sign * (canary["incumbent_money"] - canary["money"])
        found.set("firmwide_department_canary_saving", ahead, firm, department)
        remaining = canary["until"] - canary["since"] - canary["done"]
        found.set("firmwide_department_canary_remaining_ticks", remaining, firm, department)
    _demand(found, "firm", figures, firm)
    for actor, row in figures["actors"].items():
        found.set("firmwide_actor_restarts", row["restarts"], firm, actor)
    for name, row in figures["departments"].items():
        _department(found, firm, name, row)


def _demand(found: Families, whose: str, row: Figures, *labels: str) -> None:
    found.set(f"firmwide_{whose}_demand_units", row["demand"], *labels)
    found.set(f"firmwide_{whose}_served_units", row["served"], *labels)
    found.set(f"firmwide_{whose}_fill_ratio", row["fill_rate"], *labels)


def _department(found: Families, firm: str, name: str, row: Figures) -> None:
    own = (firm, name)
    found.set("firmwide_department_up", row["up"], *own)
    about = {"kind": row["kind"], "policy": row["policy"], "version": str(row["version"])}
    found.tell("firmwide_department_policy", about, *own)
    found.set("firmwide_department_policy_version", row["version"], *own)
    found.choose("firmwide_department_mode", MODES, row["mode"], *own)
    found.set("firmwide_department_decisions", row["decisions"], *own)
    found.count("firmwide_department_decision_duration_seconds", row["latency"], *own)
    for product, units in row["order"].items():
        found.set("firmwide_department_order_units", units, *own, product)
    for key in _STOCK:
        for product, units in row[key].items():
            found.set(f"firmwide_department_{key}_units", units, *own, product)
    for place, share in row["exposure"].items():
        segment, _, product = place.rpartition("/")
        found.set("firmwide_department_exposure_ratio", share, *own, segment, product)
    if row["kind"] == "replenishment":
        found.set("firmwide_department_cost", row["cost"], *own)
        found.set("firmwide_department_benchmark_cost", row["benchmark_cost"], *own)
    _demand(found, "department", row, *own)
    for key in _COUNTED:
        found.set(f"firmwide_department_{key}", row[key], *own)


class FirmCollector(Told):
    """A running firm."""

    def __init__(self, name: str, ask: Callable[[], Figures], report: Callable[[str], None]) -> None:
        """Ask nothing yet: `ask` gives its figures; ValueError or RuntimeError, one line, if it does not answer."""
        super().__init__("firm", name, "answers again", report)
        self._ask = ask

    def tell(self, found: Families) -> None:
        """All metrics of a firm."""
        _firm(found, self._ask())

"""A running firm for Prometheus: the figures that `RunningFirm.metrics()` gives, docs/live.md, as metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from coordinator.monitoring.registry import MODES, STATES, Families

Figures = Mapping[str, Any]
_COUNTED = ("swaps", "rollbacks", "overrides", "pauses", "refusals", "fallbacks", "restarts")
_STOCK = ("on_hand", "inventory_position", "backlog")


def firm_metrics(figures: Figures) -> Families:
    """All metrics of a firm."""
    found, firm, benchmark = Families(), figures["name"], figures["benchmark"]
    sign = -1.0 if figures["earns"] else 1.0
    found.set("firmwide_firm_up", 1, firm)
    about = {"built_from": figures["firm"], "counts": "profit" if figures["earns"] else "cost"}
    found.tell("firmwide_firm", about, firm)
    found.choose("firmwide_firm_state", STATES, figures["state"], firm)
    found.set("firmwide_firm_ticks", figures["tick"], firm)
    found.set("firmwide_firm_ticks_per_second", figures["tick_rate"], firm)
    found.set("firmwide_firm_tick_interval_seconds", figures["interval"], firm)
    found.set("firmwide_firm_lag_seconds", figures["lag"], firm)
    found.set("firmwide_firm_last_tick_timestamp_seconds", figures["time"], firm)
    found.set("firmwide_firm_told_timestamp_seconds", figures["told"], firm)
    found.count("firmwide_firm_tick_duration_seconds", figures["tick_seconds"], firm)
    for part in ("departments", "environment", "log"):
        found.set("firmwide_firm_tick_work_seconds", figures["split"][part], firm, part)
    found.set("firmwide_firm_policy_seconds", figures["split"]["policy"], firm)
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
    return found


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


class FirmCollector(Collector):
    """Asks for a firm's figures at every scrape; while it does not answer, only `firmwide_firm_up 0` is told."""

    def __init__(self, name: str, ask: Callable[[], Figures], report: Callable[[str], None]) -> None:
        """Ask nothing yet.

        Args:
            name: of the running firm.
            ask: gives its figures; ValueError or RuntimeError, one line, if it does not run or answer.
            report: is told, once, why it does not answer, and that it does again.
        """
        self._name, self._ask, self._report = name, ask, report
        self._reason = ""

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        try:
            found = firm_metrics(self._ask())
            reason = ""
        except (ValueError, RuntimeError) as error:
            found, reason = Families(), " ".join(str(error).split())
            found.set("firmwide_firm_up", 0, self._name)
        if reason != self._reason:
            self._report(reason or f"firm {self._name!r} answers again")
        self._reason = reason
        return iter(found)

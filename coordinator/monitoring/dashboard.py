"""The Grafana dashboard, from its panels; `python -m coordinator.monitoring.dashboard` writes the shipped file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).parent / "grafana" / "dashboards" / "firmwide.json"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 24


class Panel(NamedTuple):
    """A chart: title, unit as Grafana names it, PromQL by legend."""

    title: str
    unit: str
    queries: dict[str, str]


_F, _D = '{firm=~"$firm"}', '{firm=~"$firm",department=~"$department"}'
_R = '{run=~"$run"}'
_RATE = "[$__rate_interval]"


def _share(part: str, whole: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (increase({part}{labels}[15m])) / (sum by ({by}) (increase({whole}{labels}[15m])) > 0)"


def _quantile(name: str, labels: str, by: str) -> str:
    return f"histogram_quantile(0.95, sum by (le, {by}) (rate({name}_bucket{labels}{_RATE})))"


_OWN = "{{firm}} {{department}}"
_ITEM = "{{firm}} {{department}} {{product}}"
FIRM = (
    Panel("Ahead of the benchmark", "none", {"{{firm}}": f"firmwide_firm_saving{_F}"}),
    Panel(
        "Cost so far (negative: profit)",
        "none",
        {"{{firm}}": f"firmwide_firm_cost{_F}", "{{firm}} benchmark": f"firmwide_firm_benchmark_cost{_F}"},
    ),
    Panel(
        "Served from stock at once, 15 minutes",
        "percentunit",
        {"{{firm}}": _share("firmwide_firm_served_units_total", "firmwide_firm_demand_units_total", _F, "firm")},
    ),
    Panel(
        "Ticks a second",
        "none",
        {
            "{{firm}} now": f"firmwide_firm_ticks_per_second{_F}",
            "{{firm}} mean": f"rate(firmwide_firm_ticks_total{_F}{_RATE})",
        },
    ),
    Panel("Behind schedule", "s", {"{{firm}}": f"firmwide_firm_lag_seconds{_F}"}),
    Panel(
        "Since the last tick",
        "s",
        {
            "{{firm}} tick": f"time() - firmwide_firm_last_tick_timestamp_seconds{_F}",
            "{{firm}} figures": f"time() - firmwide_firm_told_timestamp_seconds{_F}",
        },
    ),
    Panel(
        "Duration of a tick, 95%",
        "s",
        {"{{firm}}": _quantile("firmwide_firm_tick_duration_seconds", _F, "firm")},
    ),
    Panel(
        "Where ticks spend their time",
        "percentunit",
        {
            "{{firm}} {{part}}": f"rate(firmwide_firm_tick_work_seconds_total{_F}{_RATE})",
            "{{firm}} policies": f"rate(firmwide_firm_policy_seconds_total{_F}{_RATE})",
        },
    ),
    Panel(
        "State",
        "none",
        {
            "{{firm}} {{state}}": f"firmwide_firm_state{_F} == 1",
            "{{firm}} answers": f"firmwide_firm_up{_F}",
            "{{firm}} canaries": f"firmwide_firm_canaries{_F}",
        },
    ),
    Panel(
        "Canaries: money ahead of the policy in office",
        "none",
        {
            "{{firm}} {{department}}": f"firmwide_department_canary_saving{_F}",
            "{{firm}} {{department}} periods left": f"firmwide_department_canary_remaining_ticks{_F}",
        },
    ),
)
DEPARTMENTS = (
    Panel("On hand", "none", {_ITEM: f"firmwide_department_on_hand_units{_D}"}),
    Panel("Inventory position", "none", {_ITEM: f"firmwide_department_inventory_position_units{_D}"}),
    Panel("Orders", "none", {_ITEM: f"firmwide_department_order_units{_D}"}),
    Panel("Backlog", "none", {_ITEM: f"firmwide_department_backlog_units{_D}"}),
    Panel(
        "Cost against the benchmark",
        "none",
        {_OWN: f"firmwide_department_cost{_D} - firmwide_department_benchmark_cost{_D}"},
    ),
    Panel(
        "Served from stock at once, 15 minutes",
        "percentunit",
        {
            _OWN: _share(
                "firmwide_department_served_units_total",
                "firmwide_department_demand_units_total",
                _D,
                "firm, department",
            )
        },
    ),
    Panel(
        "Recommended",
        "percentunit",
        {"{{segment}} {{product}}": f"firmwide_department_exposure_ratio{_D}"},
    ),
    Panel(
        "Duration of a decision, 95%",
        "s",
        {_OWN: _quantile("firmwide_department_decision_duration_seconds", _D, "firm, department")},
    ),
    Panel(
        "Policy version",
        "none",
        {
            "{{firm}} {{department}} {{policy}}": f"firmwide_department_policy_version{_D}"
            f" * on (firm, department) group_left (policy) firmwide_department_policy_info{_D}"
        },
    ),
    Panel(
        "Answers, and how it decided",
        "none",
        {
            _OWN: f"firmwide_department_up{_D}",
            "{{department}} {{mode}}": f"firmwide_department_mode{_D} == 1",
        },
    ),
    Panel(
        "Interventions in 15 minutes",
        "none",
        {
            f"{_OWN} {what}": f"increase(firmwide_department_{what}_total{_D}[15m])"
            for what in ("swaps", "rollbacks", "overrides", "pauses", "refusals")
        },
    ),
    Panel(
        "Fallbacks and restarts in 15 minutes",
        "none",
        {
            f"{_OWN} fallbacks": f"increase(firmwide_department_fallbacks_total{_D}[15m])",
            f"{_OWN} restarts": f"increase(firmwide_department_restarts_total{_D}[15m])",
            "{{firm}} {{actor}} restarts": f"increase(firmwide_actor_restarts_total{_F}[15m])",
        },
    ),
)
TRAINING = (
    Panel(
        "Cost on selection episodes (negative: profit)",
        "none",
        {"{{run}}": f"firmwide_run_cost{_R}", "{{run}} start": f"firmwide_run_benchmark_cost{_R}"},
    ),
    Panel("Environment steps a second", "none", {"{{run}}": f"rate(firmwide_run_env_steps_total{_R}{_RATE})"}),
    Panel(
        "Iterations",
        "none",
        {
            "{{run}}": f"firmwide_run_iterations_total{_R}",
            "{{run}} restarts": f"firmwide_run_worker_restarts_total{_R}",
        },
    ),
    Panel("Learning rate", "sci", {"{{run}} {{department}}": f"firmwide_learner_learning_rate{_R}"}),
    Panel(
        "Timescale: decay of the step law",
        "none",
        {
            "{{run}} {{department}} lr0 {{initial}} c {{decay}}": f"firmwide_learner_updates_total{_R}"
            f" * on (run, department) group_left (initial, decay) firmwide_learner_step_law_info{_R}"
        },
    ),
    Panel("KL divergence of an update", "none", {"{{run}} {{department}}": f"firmwide_learner_kl_nats{_R}"}),
    Panel("Entropy", "none", {"{{run}} {{department}}": f"firmwide_learner_entropy_nats{_R}"}),
    Panel("Clipped samples", "percentunit", {"{{run}} {{department}}": f"firmwide_learner_clip_ratio{_R}"}),
    Panel("Gradient norm", "none", {"{{run}} {{department}}": f"firmwide_learner_gradient_norm{_R}"}),
    Panel("Value loss", "none", {"{{run}}": f"firmwide_run_value_loss{_R}"}),
    Panel("Explained variance", "percentunit", {"{{run}}": f"firmwide_run_explained_variance_ratio{_R}"}),
    Panel(
        "Versions accepted",
        "none",
        {
            "{{run}} {{department}}": f"firmwide_learner_accepted_total{_R}",
            "{{run}} {{department}} saves": f"firmwide_learner_last_gain{_R}",
        },
    ),
    Panel(
        "Since the last iteration",
        "s",
        {"{{run}}": f"(time() - firmwide_run_written_timestamp_seconds{_R}) and on (run) firmwide_run_finished == 0"},
    ),
)
ROWS = {"The firm": FIRM, "Departments": DEPARTMENTS, "Training": TRAINING}


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> Iterator[dict[str, Any]]:
    number = y = 0
    for row, panels in ROWS.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
            "panels": [],
        }
        y += 1
        for index, panel in enumerate(panels):
            number += 1
            line, column = divmod(index, _COLUMNS // _WIDTH)
            yield {
                "id": number,
                "type": "timeseries",
                "title": panel.title,
                "datasource": _SOURCE,
                "gridPos": {"x": column * _WIDTH, "y": y + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
                "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
                    for i, (legend, expr) in enumerate(panel.queries.items())
                ],
            }
        y += -(-len(panels) // (_COLUMNS // _WIDTH)) * _HEIGHT


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": "firmwide",
        "title": "firmwide",
        "tags": ["firmwide"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                source,
                _variable("firm", "label_values(firmwide_firm_up, firm)"),
                _variable("department", 'label_values(firmwide_department_up{firm=~"$firm"}, department)'),
                _variable("run", "label_values(firmwide_run_up, run)"),
            ]
        },
        "panels": list(_panels()),
    }


def text() -> str:
    """The dashboard's file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())

"""The Grafana dashboard, from `panels.yml`; `python -m coordinator.monitoring.dashboard` writes the shipped file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "grafana" / "dashboards" / "firmwide.json"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 24
_STANDS_FOR = {
    "<firm>": '{firm=~"$firm"}',
    "<department>": '{firm=~"$firm",department=~"$department"}',
    "<run>": '{run=~"$run"}',
    "<rate>": "[$__rate_interval]",
}


def rows() -> dict[str, list[dict[str, Any]]]:
    """By row of the page, charts with `title`, perhaps `unit`, and `queries`: PromQL by legend."""
    text = Path(__file__).with_name("panels.yml").read_text(encoding="utf-8")
    found: dict[str, list[dict[str, Any]]] = yaml.safe_load(text)
    for panel in (panel for panels in found.values() for panel in panels):
        for legend, query in panel["queries"].items():
            for short, long in _STANDS_FOR.items():
                query = query.replace(short, long)
            panel["queries"][legend] = query
    return found


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
    for row, panels in rows().items():
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
                "title": panel["title"],
                "datasource": _SOURCE,
                "gridPos": {"x": column * _WIDTH, "y": y + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
                "fieldConfig": {"defaults": {"unit": panel.get("unit", "none")}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
                    for i, (legend, expr) in enumerate(panel["queries"].items())
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

"""The Grafana dashboard, from two yml files; `python -m coordinator.monitoring.dashboard` writes what is shipped."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from coordinator.monitoring.registry import REGISTRY

FILE = Path(__file__).parent / "grafana" / "dashboards" / "firmwide.json"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24
_SIZES = {"timeseries": (8, 8), "stat": (4, 4), "state-timeline": (12, 8)}  # width and height by kind
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "textMode": "auto"},
    "state-timeline": {"mergeValues": True, "showValue": "never", "legend": {"showLegend": False}},
}
_STANDS_FOR = {
    "<firm>": '{firm=~"$firm"}',
    "<department>": '{firm=~"$firm",department=~"$department"}',
    "<run>": '{run=~"$run"}',
    "<rate>": "[$__rate_interval]",
}


def rows() -> dict[str, list[dict[str, Any]]]:
    """By row of the page, panels with `title`, `queries` (PromQL by legend), perhaps `kind`, `unit` and `steps`."""
    found: dict[str, list[dict[str, Any]]] = _read("panels.yml")
    for panel in (panel for panels in found.values() for panel in panels):
        for legend, query in panel["queries"].items():
            for short, long in _STANDS_FOR.items():
                query = query.replace(short, long)
            panel["queries"][legend] = query
    return found


def _read(name: str) -> Any:  # noqa: ANN401
    return yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _panels() -> Iterator[dict[str, Any]]:
    y, numbers = 0, itertools.count(1)
    for row, panels in rows().items():
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        yield {"id": next(numbers), "type": "row", "title": row, "collapsed": False, "gridPos": place, "panels": []}
        x, y, tall = 0, y + 1, 0
        for panel in panels:
            kind = panel.get("kind", "timeseries")
            width, height = _SIZES[kind]
            if x + width > _COLUMNS:
                x, y, tall = 0, y + tall, 0
            place, x, tall = {"x": x, "y": y, "w": width, "h": height}, x + width, max(tall, height)
            yield {
                "id": next(numbers),
                "type": kind,
                "title": panel["title"],
                "description": _description(panel),
                "datasource": _SOURCE,
                "gridPos": place,
                "fieldConfig": {"defaults": _defaults(panel, kind), "overrides": []},
                "options": _OPTIONS[kind],
                "targets": [
                    {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
                    for i, (legend, expr) in enumerate(panel["queries"].items())
                ],
            }
        y += tall


def _description(panel: dict[str, Any]) -> str:
    """What the panel's metrics mean, as the registry has it."""
    words = re.findall(r"\bfirmwide_\w+", " ".join(panel["queries"].values()))
    names = dict.fromkeys(re.sub("_(total|info|bucket|sum|count)$", "", word) for word in words)
    return ". ".join(REGISTRY[name].help for name in names) + "."


def _defaults(panel: dict[str, Any], kind: str) -> dict[str, Any]:
    """How values are written and coloured."""
    defaults: dict[str, Any] = {"unit": panel.get("unit", "none")}
    if kind == "state-timeline":
        holds = {"type": "value", "options": {"1": {"text": "yes", "color": "green"}}}
        return defaults | {"mappings": [holds]}
    if "steps" in panel:
        steps = [{"color": "red", "value": None}]
        steps += [
            {"color": colour, "value": at} for colour, at in zip(("orange", "green"), panel["steps"], strict=True)
        ]
        return defaults | {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
    return defaults


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {**_read("dashboard.yml"), "panels": list(_panels())}


def text() -> str:
    """The dashboard's file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())

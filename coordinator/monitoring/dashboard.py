"""The Grafana dashboard, from two yml files; `python -m coordinator.monitoring.dashboard` writes what is shipped."""

from __future__ import annotations

import itertools
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
    y, numbers, across = 0, itertools.count(1), _COLUMNS // _WIDTH
    for row, panels in rows().items():
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        yield {"id": next(numbers), "type": "row", "title": row, "collapsed": False, "gridPos": place, "panels": []}
        for index, panel in enumerate(panels):
            line, column = divmod(index, across)
            yield {
                "id": next(numbers),
                "type": "timeseries",
                "title": panel["title"],
                "datasource": _SOURCE,
                "gridPos": {"x": column * _WIDTH, "y": y + 1 + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
                "fieldConfig": {"defaults": {"unit": panel.get("unit", "none")}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
                    for i, (legend, expr) in enumerate(panel["queries"].items())
                ],
            }
        y += 1 + -(-len(panels) // across) * _HEIGHT


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {**_read("dashboard.yml"), "panels": list(_panels())}


def text() -> str:
    """The dashboard's file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())

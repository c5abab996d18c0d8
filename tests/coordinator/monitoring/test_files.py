import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from coordinator.cli import run
from coordinator.monitoring import dashboard
from coordinator.monitoring.registry import REGISTRY, SAMPLES
from tests.coordinator.monitoring.tools import WORDS, needs_prometheus, panels, promtool, rules, written


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prometheus' and Grafana's files as a user gets them."""
    home = tmp_path_factory.mktemp("files")
    assert run(["monitor", "--files", str(home / "here"), "--targets", str(home / "targets")]) == 0
    return home / "here"


def test_panels_and_rules_name_nothing_that_is_not_exported():
    for query in [query for _, query in panels()] + [rule["expr"] for rule in rules()]:
        unknown = {word for word in WORDS.findall(query)} - SAMPLES
        assert not unknown, query


def test_every_figure_has_a_panel_or_a_rule():
    asked = {word for _, query in panels() for word in WORDS.findall(query)}
    asked |= {word for rule in rules() for word in WORDS.findall(rule["expr"])}
    texts = {"firmwide_firm_info", "firmwide_run_info"}  # for whoever joins them
    shown = {name for name in REGISTRY if any(word.startswith(name) for word in asked | texts)}
    assert sorted(REGISTRY.keys() - shown) == [
        "firmwide_department_fill_ratio",  # over the firm's whole life; panels show the last quarter of an hour
        "firmwide_firm_fill_ratio",
        "firmwide_run_duration_seconds",
    ]


def test_the_dashboard_that_is_shipped_is_the_one_that_is_described():
    shipped = files("coordinator.monitoring") / "grafana" / "dashboards" / "firmwide.json"
    assert shipped.read_text(encoding="utf-8") == dashboard.text()
    places = [
        (x, panel["gridPos"]["y"])
        for panel in json.loads(dashboard.text())["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
    ]
    assert len(set(places)) == len(places), "no panel hides another"


def test_panels_say_what_they_show_and_swaps_and_rollbacks_are_marked():
    board = json.loads(dashboard.text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert {panel["type"] for panel in panels} == {"timeseries", "stat", "state-timeline"}
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    (rate,) = (panel for panel in panels if panel["title"] == "Served from stock at once, all along")
    steps = rate["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["color"], step["value"]) for step in steps] == [("red", None), ("orange", 0.9), ("green", 0.95)]
    assert [each["name"] for each in board["annotations"]["list"]] == ["Swaps", "Rollbacks"]


def test_files_know_their_paths(folder):
    assert str(folder.parent / "targets") in (folder / "prometheus.yml").read_text()
    assert str(folder / "grafana/dashboards") in (folder / "grafana/provisioning/dashboards/firmwide.yml").read_text()
    for file in folder.rglob("*.*"):
        assert not re.search(r"@[A-Z_]+@", file.read_text())


def test_a_file_in_the_way_is_refused_with_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert run(["monitor", "--files", str(tmp_path / "file")]) == 2
    assert "--files must be a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"
    assert run(["monitor"]) == 2
    assert "give either NAME|RUN" in capsys.readouterr().err


@needs_prometheus
def test_prometheus_finds_no_fault_with_configuration_and_rules(folder):
    said = promtool("check", "config", folder / "prometheus.yml")
    assert f"{len(rules())} rules found" in said


@needs_prometheus
def test_every_alert_fires_when_it_must_and_only_then(folder, tmp_path):
    cases = yaml.safe_load((Path(__file__).parent / "alerts.yml").read_text())
    fires, keeps_quiet = set(), set()
    for case in [case for test in cases["tests"] for case in test["alert_rule_test"]]:
        (fires if case["exp_alerts"] else keeps_quiet).add(case["alertname"])
    assert fires == keeps_quiet == {rule["alert"] for rule in rules()}
    promtool("test", "rules", written(tmp_path / "test.yml", cases | {"rule_files": [str(folder / "alerts.yml")]}))


def test_the_documentation_has_every_metric_and_every_alert():
    text = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text()
    suffixes = {"counter": "_total", "info": "_info"}
    for name, described in REGISTRY.items():
        row = f"| `{name}{suffixes.get(described.kind, '')}` | {described.kind} | {', '.join(described.labels)} |"
        assert f"{row} {described.help} |" in text
    for rule in rules():
        assert f"`{rule['alert']}`" in text

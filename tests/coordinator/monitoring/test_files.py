import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from coordinator.cli import run
from coordinator.monitoring import dashboard
from coordinator.monitoring.registry import REGISTRY, SAMPLES
from tests.coordinator.monitoring.tools import WORDS, needs_prometheus, panels, promtool, rules, written

FIRM = 'firm="shop"'
DEPARTMENT = f'{FIRM},department="retailer"'
RUN = 'run="a1"'
# What happens, once a minute, and to whom: the alert fires for the first and not for the second.
CASES = {
    "FirmwideMonitorDown": ({'up{job="firmwide",instance="a"}': "0x30"}, {'up{job="firmwide",instance="a"}': "1x30"}),
    "FirmwideFirmDown": ({f"firmwide_firm_up{{{FIRM}}}": "0x30"}, {f"firmwide_firm_up{{{FIRM}}}": "1x30"}),
    "FirmwideFirmFailed": (
        {f'firmwide_firm_state{{{FIRM},state="failed"}}': "1x30"},
        {f'firmwide_firm_state{{{FIRM},state="failed"}}': "0x30"},
    ),
    "FirmwideFirmSilent": (
        {f"firmwide_firm_told_timestamp_seconds{{{FIRM}}}": "60x30"},
        {
            f"firmwide_firm_told_timestamp_seconds{{{FIRM}}}": "60x30",
            f'firmwide_firm_state{{{FIRM},state="stopped"}}': "1x30",
        },
    ),
    "FirmwideTickLag": (
        {f"firmwide_firm_lag_seconds{{{FIRM}}}": "20x30"},
        {f"firmwide_firm_lag_seconds{{{FIRM}}}": "5x30"},
    ),
    "FirmwideWorseThanBenchmark": (
        {
            f"firmwide_firm_saving{{{FIRM}}}": "-6x30",
            f"firmwide_firm_benchmark_cost{{{FIRM}}}": "100x30",
            f"firmwide_firm_benchmark_ticks_total{{{FIRM}}}": "100+10x30",
        },
        {
            f"firmwide_firm_saving{{{FIRM}}}": "-4x30",
            f"firmwide_firm_benchmark_cost{{{FIRM}}}": "100x30",
            f"firmwide_firm_benchmark_ticks_total{{{FIRM}}}": "100+10x30",
        },
    ),
    "FirmwideDepartmentDown": (
        {f"firmwide_department_up{{{DEPARTMENT}}}": "0x30"},
        {f"firmwide_department_up{{{DEPARTMENT}}}": "1x30"},
    ),
    "FirmwideFallbacks": (
        {
            f"firmwide_department_fallbacks_total{{{DEPARTMENT}}}": "0+10x30",
            f"firmwide_department_decisions_total{{{DEPARTMENT}}}": "0+90x30",
        },
        {
            f"firmwide_department_fallbacks_total{{{DEPARTMENT}}}": "0+1x30",
            f"firmwide_department_decisions_total{{{DEPARTMENT}}}": "0+99x30",
        },
    ),
    "FirmwideRestarts": (
        {f'firmwide_actor_restarts_total{{{FIRM},actor="critic"}}': "0+1x30"},
        {f'firmwide_actor_restarts_total{{{FIRM},actor="critic"}}': "0x15 1x15"},
    ),
    "FirmwideStockOut": (
        {
            f'firmwide_department_on_hand_units{{{DEPARTMENT},product="unit"}}': "0x30",
            f"firmwide_department_demand_units_total{{{DEPARTMENT}}}": "0+5x30",
        },
        {
            f'firmwide_department_on_hand_units{{{DEPARTMENT},product="unit"}}': "0 0 0 7 0 0 0 0 0 3 0 0 0 0 0 2x15",
            f"firmwide_department_demand_units_total{{{DEPARTMENT}}}": "0+5x30",
        },
    ),
    "FirmwideLowService": (
        {
            f"firmwide_department_served_units_total{{{DEPARTMENT}}}": "0+7x30",
            f"firmwide_department_demand_units_total{{{DEPARTMENT}}}": "0+10x30",
        },
        {
            f"firmwide_department_served_units_total{{{DEPARTMENT}}}": "0+9x30",
            f"firmwide_department_demand_units_total{{{DEPARTMENT}}}": "0+10x30",
        },
    ),
    "FirmwideRunUnreadable": ({f"firmwide_run_up{{{RUN}}}": "0x30"}, {f"firmwide_run_up{{{RUN}}}": "1x30"}),
    "FirmwideLearningStalled": (
        {
            f"firmwide_run_written_timestamp_seconds{{{RUN}}}": "60x30",
            f"firmwide_run_finished{{{RUN}}}": "0x30",
        },
        {
            f"firmwide_run_written_timestamp_seconds{{{RUN}}}": "60x30",
            f"firmwide_run_finished{{{RUN}}}": "1x30",
        },
    ),
    "FirmwideUpdatesTooLarge": (
        {f'firmwide_learner_kl_nats{{{RUN},department="shop"}}': "0.2x30"},
        {f'firmwide_learner_kl_nats{{{RUN},department="shop"}}': "0.2 0.01 0.2 0.2 0.01 0.2 0.2 0.02x30"},
    ),
    "FirmwideCriticExplainsNothing": (
        {
            f"firmwide_run_explained_variance_ratio{{{RUN}}}": "-0.1x30",
            f"firmwide_run_finished{{{RUN}}}": "0x30",
        },
        {
            f"firmwide_run_explained_variance_ratio{{{RUN}}}": "-0.1x8 0.3 -0.1x21",
            f"firmwide_run_finished{{{RUN}}}": "0x30",
        },
    ),
}


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
@pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
def test_an_alert_fires_when_it_must_and_only_then(alert, folder, tmp_path):
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": "25m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for series, fires in zip(CASES[alert], (True, False), strict=True)
    ]
    content = {"rule_files": [str(folder / "alerts.yml")], "evaluation_interval": "1m", "tests": tests}
    promtool("test", "rules", written(tmp_path / "test.yml", content))


def test_the_documentation_has_every_metric_and_every_alert():
    text = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text()
    suffixes = {"counter": "_total", "info": "_info"}
    for name, described in REGISTRY.items():
        row = f"| `{name}{suffixes.get(described.kind, '')}` | {described.kind} | {', '.join(described.labels)} |"
        assert f"{row} {described.help} |" in text
    for rule in rules():
        assert f"`{rule['alert']}`" in text

"""Debian's Prometheus, and what panels and rules ask for."""

import json
import re
import shutil
import subprocess
from importlib.resources import files

import pytest
import yaml

from coordinator.monitoring.dashboard import dashboard, rows

WORDS = re.compile(r"\bfirmwide_\w+")
needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None or shutil.which("prometheus") is None,
    reason="needs Prometheus: apt-get install prometheus",
)


def panels():
    """(title, PromQL) of everything that the dashboard draws or marks, Grafana's variables filled in."""
    found = [(f"{r}: {p['title']}", q) for r, entries in rows().items() for p in entries for q in p["queries"].values()]
    found += [(f"annotation {each['name']}", each["expr"]) for each in dashboard()["annotations"]["list"]]
    for title, query in found:
        filled = re.sub(r"\$(firm|department|run)\b", ".*", query).replace("$__rate_interval", "30s")
        assert "$" not in filled
        yield title, filled


def rules():
    """The alert rules that are shipped."""
    content = yaml.safe_load((files("coordinator.monitoring") / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


def promtool(*arguments, **options):
    """What promtool says; it must be content."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def written(path, content):
    """A file of JSON, which is YAML too."""
    path.write_text(json.dumps(content))
    return path

"""A live firm takes on another firm file between two periods: `firmwide change`."""

import yaml

from coordinator.live.replay import replay
from environment import load_firm
from tests.live_firms import running, until


def changed(firm, close=(), opened=None, **point):
    """A firm file as text: points of `firm` that close, with all their edges; points that open, like others; figures."""
    plain = yaml.safe_load(load_firm(firm).to_yaml())
    points = plain["stock_points"]
    for name, like in (opened or {}).items():
        points[name] = dict(points[like])
        plain["supply"] += [edge | {"to": name} for edge in plain["supply"] if edge["to"] == like]
    for name in close:
        del points[name]
    plain["supply"] = [edge for edge in plain["supply"] if not {edge["from"], edge["to"]} & set(close)]
    for name, given in point.items():
        points[name.replace("_", "-")] |= given
    return yaml.safe_dump(plain)


def test_a_firm_of_other_figures_goes_on_and_its_audit_is_complete(tmp_path, monkeypatch):
    with running(tmp_path / "f", monkeypatch) as firm:
        firm.goes_on()
        answer = firm.ask("c", "change", firm=changed("a1", retailer_1={"holding_cost": 5}))
        assert answer["state"] == "done", answer
        firm.goes_on()
        until(lambda: firm.workers.monitor.metrics()["benchmark"]["tick"] > answer["tick"] + 3)
        assert firm.deaths == []
    found = replay(tmp_path / "f")
    assert found["faults"] == []

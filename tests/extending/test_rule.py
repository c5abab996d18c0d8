import csv
import json

import pytest

from coordinator.cli import run
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.live.running_firm import RunningFirm
from departments.rules import local
from environment import load_firm
from tests.coordinator.live.test_nodes import until
from tests.extending.conftest import write


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(local, "REGISTERED", {})


def test_the_command_compares_the_rule_of_the_docs(here, capfd):
    write(here, "half_way.py")
    policies = [part for name in ("half-way", "half-way:share=0.5", "half-way:0.8") for part in ("--policy", name)]
    assert run(["evaluate", "a1", *policies]) == 2
    assert "policy must be" in capfd.readouterr().err
    assert run(["--import", "half_way.py", "evaluate", "a1", *policies, "--episodes", "32", "--json"]) == 0
    same, again, other = json.loads(capfd.readouterr().out)["policies"].values()
    assert same["cost"] == again["cost"] != other["cost"]


@pytest.mark.ray
def test_the_command_puts_the_rule_live_swaps_it_in_and_rolls_it_back(here, capfd):
    write(here, "half_way.py")
    home, own = ["--home", str(here / "live")], ["--import", "half_way.py"]
    begin = ["live", "a1", "--name", "own", "--policies", "half-way:0.8", "--tick", "50ms", "--deadline", "5s"]
    assert run([*own, *begin, *home]) == 0
    try:
        with RunningFirm.connect("own", here / "live") as firm:
            until(lambda: firm.committed() > 2)
            for command in (
                [*own, "swap", "own", "retailer-1", "--policy", "half-way:share=0.6", "--tolerance", "99"],
                ["rollback", "own", "retailer-1"],
            ):
                assert run([*command, *home]) == 0, capfd.readouterr().err
                since = firm.committed()
                until(lambda since=since: firm.committed() > since + 2)
    finally:
        run(["stop", "own", *home])
    assert run(["history", "own", "--department", "retailer-1", "--limit", "9999", "--csv", "h.csv", *home]) == 0
    level, share = float(PolicyBundles(load_firm("a1")).levels[1, 0]), {"1": 0.8, "2": 0.6}
    lines = (here / "h.csv").read_text().splitlines()
    rows = [row for row in csv.DictReader(lines) if row["mode"] == "policy"]
    versions = [row["version"] for row in rows]
    assert "2" in versions
    assert versions[-1] == "1"
    assert "".join(versions).strip("1").strip("2") == ""  # one stretch of each
    for row in rows:
        position, on_hand, *arrivals = json.loads(row["saw"])
        wish = 0.0 if on_hand + sum(arrivals) >= level else share[row["version"]] * (level - position)
        assert json.loads(row["wished"]) == pytest.approx([wish], abs=1e-3)

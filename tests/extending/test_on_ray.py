"""What the docs add, on Ray: a rule in a running firm, a scheme that trains."""

import csv
import json

import pytest

from coordinator.cli import run
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.live.running_firm import RunningFirm
from environment import load_firm
from tests.coordinator.live.test_nodes import until
from tests.extending.conftest import write
from tests.extending.test_scheme import TRAIN


@pytest.mark.ray
@pytest.mark.slow
def test_the_command_puts_the_rule_of_the_docs_live_swaps_it_in_and_rolls_it_back(here, capfd):
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


def policies(folder):
    return {path.name: path.read_bytes() for path in (folder / "policies").rglob("*.safetensors")}


@pytest.mark.ray
@pytest.mark.slow
def test_the_scheme_of_the_docs_gives_the_same_as_actors(here):
    write(here, "climb.py")
    for backend in ("local", "ray"):
        assert run([*TRAIN, "--backend", backend, "--run", backend]) == 0
    assert policies(here / "ray") == policies(here / "local") != {}
    assert load_firm(here / "ray/firm.yaml").name == "toy"

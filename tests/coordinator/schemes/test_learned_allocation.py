"""Departments that learn who gets scarce stock, by every scheme."""

import numpy as np
import pytest
import yaml

from coordinator.learning.settings import Wiring
from coordinator.runs.firm_policies import policy_of
from coordinator.runs.folder import RunFolder
from coordinator.runs.mailbox import Request
from coordinator.schemes.registry import schemes_for
from coordinator.schemes.simultaneous import retailers_share
from departments.policies.policy import FIRM, PolicyConfig
from departments.policies.spec import DepartmentSpec
from environment import Network, parse_firm
from tests.coordinator.live.test_learned_allocation import scarce
from tests.small_firms import tree, world_of
from tests.small_runs import Asking, Record, final_policies, settings

FIRM_FILE = scarce()
SCHEMES = schemes_for(FIRM_FILE)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_teaches_it(scheme, tmp_path):
    watcher = Record()
    given = settings(iterations=6, scheme=scheme, single={"hidden": (32, 32)})
    final_policies(FIRM_FILE, given, tmp_path / "run", watcher=watcher)
    run = RunFolder(tmp_path / "run")
    name = FIRM if FIRM in run.current_versions() else "depot"
    world, observer = world_of(FIRM_FILE)
    snapshot = policy_of(run, name, None)
    spec = DepartmentSpec.of(world, observer, name, snapshot.config)
    assert spec.head.orders == (12 if name == FIRM else 8)  # an order and three lines, two products; stores, too
    first = policy_of(run, name, 0).parameters
    assert snapshot.version, "something must be learned"
    moved = snapshot.parameters != first
    assert moved[len(moved) - 2 * spec.head.orders :][2 * len(spec.points) : spec.head.orders].all(), "of precedence"


@pytest.mark.ray
def test_actors_change_no_bit_of_it(ray, tmp_path):
    given = settings(iterations=4)
    here = final_policies(FIRM_FILE, given, tmp_path / "here")
    assert here["depot"][0], "something must be learned"
    wiring = Wiring(environments=1, execution="message", departments_per_process=1)
    assert final_policies(FIRM_FILE, given, tmp_path / "actors", wiring) == here


def test_a_rule_that_is_swapped_in_leaves_it_alone(tmp_path):
    request = Request("swap-1", "swap", "depot", "ann", "", "base-stock:depot=23,east=9,west=9", tolerance=99.0)
    run, watcher = tmp_path / "run", Asking(tmp_path / "run", {2: [request]})
    given = settings(iterations=6, base_policy="benchmark")
    final_policies(FIRM_FILE, given, run, watcher=watcher)
    (swap,) = (event for event in watcher.events if event.event in ("swapped", "refused"))
    snapshot = policy_of(RunFolder(run), "depot", swap.version)
    world, observer = world_of(FIRM_FILE)
    biases = DepartmentSpec.of(world, observer, "depot", snapshot.config).usual_orders(snapshot.parameters)
    assert np.flatnonzero(biases).tolist() == [0, 1]


def test_retailers_who_decide_more_than_others_share_nothing_with_them():
    assert retailers_share(Network.of(FIRM_FILE)) == {"depot": "depot", "east": "east", "west": "east"}
    assert retailers_share(Network.of(tree())) == {"depot": "depot", "east": "east", "west": "east"}
    plain = yaml.safe_load(tree().to_yaml()) | {"supplier_choice": "ordered"}
    plain["supply"].append({"from": "outside", "to": "east"})
    assert retailers_share(Network.of(parse_firm(plain))) == {"depot": "depot", "east": "east", "west": "west"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"hybrid": True}, "policy.hybrid and allocation learned do not go together; leave it out for depot"),
        ({"over_points": "shared"}, "policy.over_points: shared decides an order alone: no .* allocation learned"),
    ],
)
def test_what_does_not_go_with_it_is_refused(changes, line):
    world, observer = world_of(scarce(products=("unit",)))
    with pytest.raises(ValueError, match=line):
        DepartmentSpec.of(world, observer, "depot", PolicyConfig(hidden=(8,), **changes))

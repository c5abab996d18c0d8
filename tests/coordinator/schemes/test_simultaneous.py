from dataclasses import replace

import numpy as np
import pytest
import yaml

from coordinator.schemes.rewards import retailers_by_their_own
from coordinator.schemes.setup import setup_of
from coordinator.schemes.simultaneous import Simultaneous, retailers_share
from environment import Network, load_firm, parse_firm
from tests.small_firms import tree
from tests.small_runs import final_policies, settings, training_of


def _run(given, change=None):
    plan, training = training_of(tree(), given)
    scheme = Simultaneous.begin(plan.network, training)
    costs, kept = [scheme.best_cost], []
    scheme.run(lambda p: costs.append(p.cost), lambda snapshot, gain, error: kept.append(snapshot), lambda: None)
    return scheme, costs, kept, training


def test_retailers_share_one_policy_and_upstream_points_own_theirs():
    assert retailers_share(Network.of(load_firm("a1"))) == {
        "warehouse": "warehouse",
        "retailer-1": "retailer-1",
        "retailer-2": "retailer-1",
        "retailer-3": "retailer-1",
    }
    scheme, _, _, training = _run(settings(scheme="marl", iterations=3))
    del scheme
    policies = {name: snapshot.parameters.tobytes() for name, snapshot in training.published.items()}
    assert policies["east"] == policies["west"]
    assert {snapshot.version for snapshot in training.published.values()} == {3}
    assert training.published["depot"].parameters.size == training.published["east"].parameters.size
    assert policies["depot"] != policies["east"]


@pytest.mark.parametrize(
    ("point", "edge"), [({}, {"disruption": {"start": 0.1, "end": 0.5}}), ({"review_period": 2}, {})]
)
def test_retailers_who_see_or_decide_at_other_times_share_nothing(point, edge):
    firm = yaml.safe_load(tree().to_yaml())
    firm["stock_points"]["west"] |= point
    firm["supply"][-1] |= edge
    firm = parse_firm(firm)
    assert retailers_share(Network.of(firm)) == {"depot": "depot", "east": "east", "west": "west"}
    _, training = training_of(firm, settings(scheme="marl"))
    training.iterate(["depot", "east", "west"], (0, 0), (0, 1))
    assert {snapshot.version for snapshot in training.published.values()} == {1}


def test_the_shared_policy_learns_from_the_slices_of_every_retailer():
    """One retailer's rollout alone teaches something else."""
    given = settings(scheme="marl")
    _, both = training_of(tree(), given)
    _, one = training_of(tree(), given)
    for training, learning in ((both, ["depot", "east", "west"]), (one, ["depot", "east"])):
        training.iterate(learning, (0, 0, 0))
    assert both.published["east"].parameters.tobytes() != one.published["east"].parameters.tobytes()
    assert both.published["depot"].version == one.published["depot"].version == 1
    assert one.published["west"].version == 0


def test_retailers_are_paid_by_their_own_cost_and_all_others_by_the_networks():
    weights = retailers_by_their_own(Network.of(load_firm("b1")))
    for point in range(9):
        expected = np.ones(9) if point < 4 else np.eye(9)[point]
        np.testing.assert_array_equal(weights[point], expected)


def test_in_marl_everyone_sees_its_own_position_only():
    plan = setup_of(load_firm("c1"), settings(scheme="marl"))
    assert {spec.shapes.inputs for spec in plan.specs.values()} == {1}
    assert len({spec.seed for spec in plan.specs.values()}) == 5, "nine retailers start from one network"


def test_of_the_last_that_were_best_on_selection_episodes_the_least_costly_on_others_is_kept():
    given = settings(scheme="marl", iterations=12, selection_episodes=100, acceptance_episodes=50, seed=4)
    plan, training = training_of(tree(), given)
    scheme, tried = Simultaneous.begin(plan.network, training), {}

    def spied(*candidates, cost=training.acceptance_costs):
        found = cost(*candidates)
        tried[candidates[0].version] = float(found.mean())
        return found

    training.acceptance_costs = spied
    costs, kept = [scheme.best_cost], {}
    scheme.run(lambda p: costs.append(p.cost), lambda s, *_: kept.update({s.department: s.version}), lambda: None)
    assert scheme.best_cost == min(costs)
    records = [i for i, cost in enumerate(costs) if cost < min(costs[:i], default=np.inf)]
    assert len(records) > 3, "some must have been forgotten"
    assert sorted(tried) == records[-3:]
    assert kept == dict.fromkeys(("depot", "east", "west"), min(tried, key=tried.get))


def test_a_policy_that_fails_on_other_episodes_is_not_kept_whatever_it_saved_on_the_first():
    plan, training = training_of(tree(), settings(scheme="marl", acceptance_episodes=300))
    scheme = Simultaneous.begin(plan.network, training)
    before, ruined = scheme.best, {}
    for name, snapshot in before.items():
        worse = snapshot.parameters.copy()
        worse[-2] -= 3.0  # hardly anything is ordered
        ruined[name] = replace(snapshot, parameters=worse, version=1)
    scheme.best, scheme.earlier, kept = ruined, [before], []
    scheme._accept(lambda snapshot, gain, error: kept.append(snapshot.version))
    assert kept == [0, 0, 0]


def test_marl_is_the_same_for_the_same_seed_and_another_for_another(tmp_path):
    given = settings(scheme="marl", iterations=3)
    runs = [
        final_policies(tree(), given.model_copy(update={"seed": s}), tmp_path / str(i)) for i, s in enumerate((0, 0, 1))
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]

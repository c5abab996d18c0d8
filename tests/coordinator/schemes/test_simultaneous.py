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


def test_what_is_kept_is_the_joint_policy_with_the_least_selection_cost():
    scheme, costs, kept, training = _run(settings(scheme="marl", iterations=6, selection_episodes=200))
    assert scheme.best_cost == min(costs)
    assert scheme.best_cost < costs[0]
    training.publish(*scheme.best.values())
    assert float(training.selection_costs().mean()) == pytest.approx(scheme.best_cost)
    assert {snapshot.department: snapshot.version for snapshot in kept} == dict.fromkeys(
        ("depot", "east", "west"), costs.index(min(costs))
    )


def test_marl_is_the_same_for_the_same_seed_and_another_for_another(tmp_path):
    given = settings(scheme="marl", iterations=3)
    runs = [
        final_policies(tree(), given.model_copy(update={"seed": s}), tmp_path / str(i)) for i, s in enumerate((0, 0, 1))
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]

"""Runs that start from the policies of other runs."""

import json

import numpy as np
import pytest

import firmwide
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.transfer import policies_from
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig
from departments.serving.numpy_policy import NumpyPolicy
from environment import load_firm
from tests.small_firms import after_some_periods, pair, tree, world_of
from tests.small_markets import market
from tests.small_runs import LOCAL, Record, Stop, final_policies, settings

SHARED = {
    "scheme": "pathwise",
    "policy": PolicyConfig(hidden=(8,), over_points="shared"),
    "base_policy": "benchmark",
    "pathwise": {"updates": 12, "copies": 16, "learning_rate": 0.03},
    "steps": None,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run of the pair, all of whose departments follow one network."""
    folder = tmp_path_factory.mktemp("runs") / "pair"
    train(pair(), settings(**SHARED), LOCAL, folder, Record())
    return folder


def test_all_departments_learn_one_policy_and_threads_change_no_bit(source, tmp_path):
    ended = [RunFolder(source).current_versions(), policies_from(source, pair(), settings(**SHARED))]
    assert min(ended[0].values()) > 0, "something must be learned"
    np.testing.assert_array_equal(ended[1][0].parameters, ended[1][1].parameters)
    threads = LOCAL.model_copy(update={"threads": 3})
    again = final_policies(pair(), settings(**SHARED), tmp_path / "again", threads)
    assert {one.parameters.tobytes() for one in ended[1]} == {parameters for _, parameters in again.values()}


def test_another_firm_starts_where_a_run_ended(source, tmp_path):
    given, run = settings(**SHARED), RunFolder(tmp_path / "tree")
    start = policies_from(source, tree(), given)
    assert [one.department for one in start] == ["depot", "east", "west"]
    train(tree(), given, LOCAL, run.path, Record(), start_from=source)
    for name in tree().names:
        about = json.loads((run.path / "policies" / name / "0.json").read_text())
        assert about["provenance"] == {"why": "where training starts", "from": str(source)}
    assert {one.parameters.tobytes() for one in run.taken_over().values()} == {start[0].parameters.tobytes()}


def test_a_run_that_ended_before_its_first_checkpoint_still_starts_there(source, tmp_path):
    given, whole = settings(**SHARED), final_policies(tree(), settings(**SHARED), tmp_path / "whole", start_from=source)
    with pytest.raises(KeyboardInterrupt):
        train(tree(), given, LOCAL, tmp_path / "cut", Stop(at_note="workers ready"), start_from=source)
    assert final_policies(tree(), given, tmp_path / "cut", resume=True) == whole


def test_a_damaged_policy_that_a_run_starts_from_is_told_in_one_line_and_is_no_matter_after_a_checkpoint(
    source, tmp_path
):
    given, run = settings(**SHARED), RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(tree(), given, LOCAL, run.path, Stop(at_note="workers ready"), start_from=source)
    file = run.path / "policies/east/0.json"
    whole = file.read_text()
    for damaged in (whole[:40], "[]", whole.replace("where", "there")):
        file.write_text(damaged)
        with pytest.raises(ValueError, match=r"policies/east/0\.json cannot be read as a policy: ") as refused:
            train(tree(), given, LOCAL, run.path, Record(), resume=True)
        assert "\n" not in str(refused.value)
    file.write_text(whole)
    with pytest.raises(KeyboardInterrupt):
        train(tree(), given, LOCAL, run.path, Stop(after=4), resume=True)
    file.write_text("[]")
    train(tree(), given, LOCAL, run.path, Record(), resume=True)


def test_in_operation_a_department_decides_as_in_training(source):
    world, observer = world_of(pair())
    state, policies = after_some_periods(world), policies_from(source, pair(), settings(**SHARED))
    order, _, _ = FirmPolicy(world, observer, policies).decide(world, state, None, 0, None)
    seen, bundles = observer.units(state).double().numpy(), PolicyBundles(pair())
    for number, name in enumerate(world.firm.names):
        policy = NumpyPolicy(bundles.policy(name, str(source)))
        wished, _ = policy.decide(seen[policy.rows], policy.start(5), 0)
        np.testing.assert_allclose(wished, order[number], rtol=1e-5, atol=1e-4)


def test_networks_of_their_own_carry_over_by_name_to_who_sees_the_same(tmp_path):
    given = settings(**SHARED | {"policy": PolicyConfig(hidden=(8,))})
    train(pair(), given, LOCAL, tmp_path / "run", Record())
    dear = pair().model_copy(update={"name": "dear"})
    start = policies_from(tmp_path / "run", dear, given)
    assert start[0].parameters.tobytes() != start[1].parameters.tobytes()
    assert [one.department for one in start] == ["warehouse", "shop"]
    with pytest.raises(ValueError, match=r"has no department 'depot': leave --from out, or train both .*=shared"):
        policies_from(tmp_path / "run", tree(), given)
    several = given.model_copy(update={"policy": PolicyConfig(hidden=(8,), over_points="shared")})
    with pytest.raises(ValueError, match="has no network for all stock points"):
        policies_from(tmp_path / "run", tree(), several)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"base_policy": "random"}, "so does base_policy random; leave one of them out"),
        ({"base_policy": "tuned"}, "with base_policy benchmark, and this run has tuned: --set base_policy=benchmark"),
        ({"scaling": "bounds"}, "with scaling benchmark, and this run has bounds: --set scaling=benchmark"),
        ({"policy": PolicyConfig(hidden=(9,), over_points="shared")}, r"policy.hidden \(8,\) for depot, and this run"),
    ],
)
def test_what_differs_is_named(changes, why, source, tmp_path):
    with pytest.raises(ValueError, match=f"^--from .*{why}"):
        train(tree(), settings(**SHARED | changes), LOCAL, tmp_path / "run", Record(), start_from=source)
    assert not (tmp_path / "run").exists()


def test_firms_with_customers_start_from_rules(source):
    given = settings(scheme="pathwise", base_policy="tuned")
    with pytest.raises(ValueError, match="where customers choose, departments start from rules"):
        policies_from(source, market(), given.for_firm(market()))


def test_a_run_that_goes_on_starts_from_itself(source):
    with pytest.raises(ValueError, match="--from cannot change a run that goes on"):
        firmwide.train(run=source, resume=True, start_from=source, backend="local")


def test_schemes_that_do_not_differentiate_have_no_such_network():
    with pytest.raises(ValueError, match=r"policy.over_points is not used by imarl: pathwise alone learns one network"):
        firmwide.train(load_firm("a1"), scheme="imarl", values=["policy.over_points=shared"], backend="local")

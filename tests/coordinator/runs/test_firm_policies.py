"""Whatever a run is put to, its firm acts as it did in training, departments without an accepted policy included."""

import json
from dataclasses import replace

import numpy as np
import pytest

from coordinator.evaluation.evaluate import evaluate
from coordinator.experiments.train import compare_with_baselines
from coordinator.live.policy_bundles import PolicyBundles, departments_of
from coordinator.runs.firm_policies import firm_policies, policy_of
from coordinator.runs.folder import RunFolder, unpack
from coordinator.runs.train import train
from coordinator.schemes.imarl import IMARLSettings
from coordinator.schemes.setup import setup_of
from departments.play.episode import run_episodes, shards
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig
from departments.rules.ordering import baseline_levels
from departments.serving.numpy_policy import NumpyPolicy
from environment import World
from environment.observation import Observer
from tests.small_firms import pair, tree
from tests.small_markets import market
from tests.small_runs import LOCAL, SEED, Record, Stop, settings

PLAIN = PolicyConfig(form="plain", hidden=(8,))
NEVER = IMARLSettings(parallel=False, share=1, iterations=2, patience=3, significance=1e9)
RUNS = {
    "imarl": (pair, {"policy": PLAIN}),
    "imarl, nothing accepted": (tree, {"policy": PLAIN, "imarl": NEVER, "base_policy": "random"}),
    "imarl by the base policy": (tree, {"policy": PLAIN, "imarl": NEVER, "base_policy": "benchmark"}),
    "marl": (tree, {"scheme": "marl", "policy": PLAIN}),
    "sarl": (pair, {"scheme": "sarl", "policy": PLAIN}),
    "pathwise": (pair, {"scheme": "pathwise", "policy": PLAIN}),
    "mtma": (market, {"scheme": "mtma", "policy": PLAIN, "start": "nothing"}),
    "mtma from the rules": (market, {"scheme": "mtma", "policy": PLAIN}),
}


@pytest.fixture(scope="module", params=RUNS)
def trained(request, tmp_path_factory):
    """A short run, and what stood in its last checkpoint: the policies by which its firm acted."""
    build, changes = RUNS[request.param]
    firm, given = build(), settings(iterations=3, **changes)
    folder = tmp_path_factory.mktemp("run") / "run"
    train(firm, given, LOCAL, folder, Record())
    run = RunFolder(folder)
    arrays, record = run.checkpoint()
    snapshots, _, _ = unpack(arrays, record["snapshots"])
    role = "saved/" if given.scheme == "imarl" else "best/"
    return run, {name.removeprefix(role): s for name, s in snapshots.items() if name.startswith(role)}


def independent(run, snapshots, episodes, seed):
    """Cost of episodes by policies that are handed over, whatever stands in the run folder beside its firm."""
    firm, given = run.firm(), run.settings()
    world = World(firm, baseline_levels(firm))
    observer = Observer(world, baseline_levels(firm), given.scaling)
    policy = FirmPolicy(world, observer.until(firm.periods.evaluate - 1), list(snapshots.values()))
    return np.concatenate([run_episodes(world, policy, chance).cost for chance in shards(world, episodes, seed)])


def test_the_reported_cost_is_that_of_the_policies_that_were_trained(trained):
    run, snapshots = trained
    cost = independent(run, snapshots, 60, SEED)
    told = compare_with_baselines(run.firm(), run, run.settings(), 60).results[run.settings().scheme].cost
    np.testing.assert_array_equal(told, cost)
    again = evaluate(run.firm(), [str(run.path)], episodes=60, seed=SEED).results[str(run.path)].cost
    np.testing.assert_array_equal(again, cost)


def test_in_operation_every_department_decides_by_the_policy_that_was_trained(trained):
    run, snapshots = trained
    if run.settings().scheme == "sarl":
        pytest.skip("one department for all cannot be put into operation")
    bundles = PolicyBundles(run.firm())
    for name in departments_of(run.firm()):
        bundle = bundles.policy(name, str(run.path))
        assert bundle.about["label"] == f"run@{snapshots[name].version}"
        np.testing.assert_array_equal(bundle.arrays["parameters"], snapshots[name].parameters)
        NumpyPolicy(bundle)


def test_a_run_that_did_not_keep_its_first_policies_has_them_made_again(trained, tmp_path):
    run, snapshots = trained
    if getattr(run.settings(), "start", "nothing") == "rules":
        pytest.skip("runs of that kind always kept them")
    current = run.current_versions()
    assert current == {name: snapshot.version for name, snapshot in snapshots.items()}
    older = RunFolder(tmp_path / "older")
    older.create(run.firm(), run.settings())
    older.keep({}, {})
    for snapshot in snapshots.values():
        if snapshot.version:
            older.save_snapshot(snapshot, {})
    for name, policy in firm_policies(older).items():
        assert policy.config == snapshots[name].config.model_copy(
            update={"form": "plain"}
        )  # such runs began with the networks
        np.testing.assert_array_equal(policy.parameters, snapshots[name].parameters)
        np.testing.assert_array_equal(policy_of(older, name, 0).parameters, policy_of(run, name, 0).parameters)
    with pytest.raises(ValueError, match="has no department 'attic'; it has"):
        policy_of(older, "attic")


@pytest.mark.parametrize("kind", ["marl", "sarl", "pathwise", "mtma"])
def test_a_run_that_was_stopped_before_it_kept_a_policy_acts_as_it_began(kind, tmp_path):
    build, changes = RUNS[kind]
    firm, given = build(), settings(iterations=9, **changes)
    with pytest.raises(KeyboardInterrupt):
        train(firm, given, LOCAL, tmp_path / "run", Stop(after=1))
    run, first = RunFolder(tmp_path / "run"), setup_of(firm, given).base(given)
    told = evaluate(firm, [str(run.path)], episodes=30, seed=5).results[str(run.path)].cost
    np.testing.assert_array_equal(told, independent(run, first, 30, 5))


def test_a_run_whose_training_has_not_begun_holds_no_policy(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(pair(), settings())
    with pytest.raises(ValueError, match="holds no policy yet: training has not begun"):
        firm_policies(run)


def test_nobody_recommends_in_operation_where_nobody_did_in_training(tmp_path):
    run = RunFolder(tmp_path / "run")
    given = settings(policy=PLAIN)
    run.create(market(), given)
    for snapshot in setup_of(market(), given).base(given).values():
        run.save_snapshot(replace(snapshot, version=2), {})
    bundle = PolicyBundles(market()).policy("recommendation", str(run.path))
    assert json.dumps(bundle.about["label"]) == '"none"'

"""Schemes of one agent for the whole firm, and those with graph attention."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from coordinator.critic.value_function import values_of
from coordinator.experiments.options import config_file
from coordinator.learning.settings import Wiring
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import part_used, settings_of
from coordinator.schemes.registry import names, schemes_for
from coordinator.schemes.setup import setup_of
from departments.learning.ppo import samples_first
from departments.numerics.graph import GraphShapes
from departments.policies.policy import FIRM
from environment import load_firm, parse_firm
from tests.small_firms import tree
from tests.small_runs import Stop, final_policies, settings, training_of

NEW = ("sarl", "sarl-gnn", "marl-gnn")


def test_one_agent_sees_all_positions_decides_all_orders_and_pays_all_costs():
    firm = tree(products=("red", "blue"))
    plan, training = training_of(firm, settings(scheme="sarl"))
    (spec,) = plan.specs.values()
    assert (spec.name, spec.shapes.inputs, spec.shapes.outputs) == (FIRM, 6, 6)
    assert setup_of(firm, settings_of(scheme="sarl")).specs[FIRM].shapes.hidden == (256, 256)
    values = values_of(training.workers.critic.call("state"))
    shard = training.workers.environments[0].call("rollout", [FIRM], [0], values, 4, (0, 0, 0), None, returns=2)
    (observation, action, log_prob, memory, advantage), (features, target) = shard
    assert observation.shape == action.shape == (12, 6, 4)
    assert log_prob.shape == advantage.shape == (12, 4)
    assert memory.shape == (1, 0, 4)
    np.testing.assert_array_equal(samples_first(torch.tensor(observation)), features[:, :6])
    assert target.shape == (48, 1)


def test_the_firms_reward_is_the_sum_of_what_its_points_are_charged():
    firm = tree()
    given = settings(scheme="sarl", reward_unit=1000.0, base_policy="benchmark")
    _, single = training_of(firm, given)
    _, many = training_of(firm, settings(scheme="imarl", reward_unit=1000.0, base_policy="benchmark"))
    quiet = single.published[FIRM].parameters.copy()
    quiet[:] = 0.0
    quiet[-3:] = -30.0  # no exploration: both are the benchmark
    single.publish(dataclasses.replace(single.published[FIRM], parameters=quiet))
    ours = single.workers.environments[0].call("rewards", [FIRM], 8, (1, 2))
    upstream = many.published["depot"].parameters.copy()
    upstream[:] = 0.0
    upstream[-1] = -30.0
    many.publish(dataclasses.replace(many.published["depot"], parameters=upstream))
    theirs = many.workers.environments[0].call("rewards", ["depot"], 8, (1, 2))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)  # downstream of the depot is everyone


@pytest.mark.parametrize("scheme", NEW)
def test_runs_are_resumed_and_act_by_message_with_the_same_result(scheme, tmp_path):
    given = settings(scheme=scheme, iterations=3)
    straight = final_policies(tree(), given, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        final_policies(tree(), given, tmp_path / "run", watcher=Stop(after=2))
    assert final_policies(tree(), given, tmp_path / "run", resume=True) == straight
    by_message = Wiring(backend="local", execution="message")
    assert final_policies(tree(), given, tmp_path / "message", by_message) == straight
    names = {FIRM} if scheme.startswith("sarl") else set(tree().names)
    assert set(RunFolder(tmp_path / "run").current_versions()) == set(straight) == names


def test_graph_attention_stands_where_the_scheme_says():
    firm = load_firm("b1")
    single, many = (setup_of(firm, settings_of(scheme=scheme)) for scheme in ("sarl-gnn", "marl-gnn"))
    assert isinstance(single.specs[FIRM].shapes, GraphShapes)
    assert {spec.shapes.inputs for spec in many.specs.values()} == {1}, "actors stay local"
    plain = setup_of(firm, settings_of(scheme="marl")).factories.critic().state()["parameters"]
    assert many.factories.critic().state()["parameters"].size > plain.size


def test_all_schemes_of_the_paper_fit_a_firm_without_customers_only():
    assert {"imarl", "marl", *NEW} <= set(schemes_for(load_firm("a1")))
    assert not {"imarl", *NEW} & set(schemes_for(load_firm("firm")))


def test_a_stock_point_that_is_called_as_the_whole_firm_is_refused():
    content = {
        "name": "odd",
        "stock_points": {FIRM: {"holding_cost": 1, "backorder_cost": 2, "max_order": 9, "demand": 3}},
        "supply": [],
    }
    with pytest.raises(ValueError, match="rename the stock point"):
        setup_of(parse_firm(content), settings_of(scheme="sarl"))
    assert setup_of(parse_firm(content), settings_of(scheme="marl")).specs[FIRM].points == (0,)


def test_attention_asked_for_by_hand_in_a_policy_is_refused():
    with pytest.raises(ValueError, match=r"policy\.graph"):
        setup_of(tree(), settings_of({"policy": {"graph": {}}}))


@pytest.mark.parametrize("scheme", ["imarl", "marl", *NEW])
def test_the_papers_setting_runs_for_every_scheme_of_the_paper(scheme):
    given = settings_of(part_used(config_file(Path("paper")) | {"scheme": scheme}, among=tuple(names())))
    _, training = training_of(load_firm("toy"), given)
    learning = list(training.streams)
    before = {name: training.published[name].parameters for name in learning}
    result = training.iterate(learning, (0, 0, 0))
    assert (given.copies, given.train_periods, given.ppo.minibatch) == (4, 128, 64)
    for name in learning:
        assert np.isfinite(result.snapshots[name].parameters).all()
        assert (result.snapshots[name].parameters != before[name]).any()


def test_a_setting_that_is_not_built_in_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="built-in: paper"):
        config_file(Path("papers"))

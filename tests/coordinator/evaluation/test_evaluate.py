import json
from dataclasses import replace

import numpy as np
import pytest

from coordinator.evaluation.evaluate import evaluate
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from departments.named_policies import parse_rule
from departments.play.episode import run_episodes, shards
from departments.policies.firm_policy import FirmPolicy
from environment import load_firm, parse_firm
from environment.parts import Disruption
from tests.known_optima import lost_sales, tiny
from tests.small_firms import fresh, pair, stirred, tree, world_of
from tests.small_runs import LOCAL, Record, settings

RULES = ["base-stock:shop=14", "base-stock:shop=18"]


def _costs(firm, rule, episodes, seed):
    world, _ = world_of(firm)
    policy = parse_rule(rule, firm)
    return np.concatenate([run_episodes(world, policy, chance).cost for chance in shards(world, episodes, seed)])


def test_policies_meet_the_same_episodes_and_differences_are_paired():
    result = evaluate(pair(), RULES, episodes=1100, seed=5)
    one, other = (_costs(pair(), rule, 1100, 5) for rule in RULES)
    mean, error = result.difference(RULES[1], RULES[0])
    assert mean == pytest.approx((other - one).mean())
    assert error == pytest.approx((other - one).std(ddof=1) / 1100**0.5)
    assert result.mean(RULES[0]) == pytest.approx((one.mean(), one.std(ddof=1) / 1100**0.5))
    apart = (one.var(ddof=1) / 1100 + other.var(ddof=1) / 1100) ** 0.5
    assert error < apart, "common random numbers make a difference more precise"


def test_rules_in_the_compiled_world_are_paired_with_policies_in_the_eager_one():
    said = []
    compiled = evaluate(pair(), RULES, episodes=1100, seed=5, compiled=said.append)
    eager = evaluate(pair(), RULES, episodes=1100, seed=5)
    assert compiled.difference(*RULES) == eager.difference(*RULES)
    assert compiled.to_json()["policies"][RULES[0]]["cost"] == eager.to_json()["policies"][RULES[0]]["cost"]
    assert all(line.startswith("not compiled: no C++ compiler") for line in said)


def test_the_json_says_what_the_episodes_were():
    result = evaluate(tree(), ["decomposition-aggregation", "reorder"], episodes=300)
    told = result.to_json()
    assert (told["firm"], told["episodes"]) == ("tree", 300)
    one = told["policies"]["decomposition-aggregation"]
    episodes = result.results["decomposition-aggregation"]
    assert one["cost"]["mean"] == pytest.approx(episodes.cost.mean())
    assert one["on_hand"] == pytest.approx(episodes.on_hand.sum())
    assert one["fill_rate"] == pytest.approx(episodes.served_at_once.sum() / episodes.demand.sum())
    assert sum(point["cost"] for point in one["stock_points"].values()) == pytest.approx(one["cost"]["mean"], rel=1e-5)
    assert set(one["stock_points"]) == {"depot", "east", "west"}
    assert "fill_rate" not in one["stock_points"]["depot"]
    difference = one["versus"]["reorder"]["difference"]
    assert difference == pytest.approx(one["cost"]["mean"] - told["policies"]["reorder"]["cost"]["mean"])


def test_the_policies_of_a_run_folder_are_evaluated_as_they_were_kept(tmp_path):
    firm = pair()
    world, observer = world_of(firm)
    given = settings()
    snapshots = [stirred(snapshot, i) for i, snapshot in enumerate(fresh(world, observer, given.policy))]
    run = RunFolder(tmp_path / "run")
    run.create(firm, given)
    for snapshot in snapshots:
        run.save_snapshot(snapshot, {})
    told = evaluate(firm, [str(tmp_path / "run")], episodes=200, seed=2)
    policy = FirmPolicy(world, observer, snapshots)
    direct = [run_episodes(world, policy, chance).cost for chance in shards(world, 200, 2)]
    np.testing.assert_array_equal(told.results[str(tmp_path / "run")].cost, np.concatenate(direct))


def test_a_run_of_another_firm_is_refused(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(tree(), settings())
    with pytest.raises(ValueError, match="was trained for firm 'tree'") as refused:
        evaluate(pair(), [str(tmp_path / "run")], episodes=10)
    assert "\n" not in str(refused.value)


def test_a_run_that_saw_other_things_is_refused(tmp_path):
    run, disrupted = RunFolder(tmp_path / "run"), tree(disruption={"start": 0.1, "end": 0.5})
    train(tree(), settings(), LOCAL, run.path, Record())
    words = r"trained for firm 'tree', where it saw other things: \w+ sees shut/\w+>\w+ in firm 'tree', and not"
    with pytest.raises(ValueError, match=words):
        evaluate(disrupted, [str(run.path)], episodes=10)
    dearer = disrupted.model_copy(update={"supply": tree().supply, "cost_spread": 0.2})
    assert evaluate(dearer, [str(run.path)], episodes=10).results, "what departments see is the same"


def test_a_run_without_a_policy_is_refused(tmp_path):
    RunFolder(tmp_path / "run").create(pair(), settings())
    with pytest.raises(ValueError, match="holds no policy yet"):
        evaluate(pair(), [str(tmp_path / "run")], episodes=10)


def test_where_prices_are_set_profit_is_told():
    shop = {"holding_cost": 1, "backorder_cost": 2, "price": 10, "unit_cost": 4, "max_order": 30}
    points = {"shop": shop | {"demand": {"law": "poisson", "mean": 6}}}
    firm = parse_firm({"name": "earner", "stock_points": points})
    result = evaluate(firm, ["base-stock:shop=16", "base-stock:shop=9"], episodes=100)
    told = result.to_json()["policies"]["base-stock:shop=16"]
    assert told["profit"]["mean"] == pytest.approx(-result.results["base-stock:shop=16"].cost.mean())
    assert 20 < told["profit"]["mean"] / 50 < 36, "6 units a period earn 36, their stock costs something"
    versus = told["versus"]["base-stock:shop=9"]["difference"]
    assert versus == pytest.approx(-result.difference("base-stock:shop=16", "base-stock:shop=9")[0])


def test_a_firm_that_nobody_buys_from_is_evaluated_and_its_json_is_valid():
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 30, "demand": 0}
    result = evaluate(parse_firm({"name": "still", "stock_points": {"shop": shop}}), ["reorder"], episodes=4)
    measures = json.loads(json.dumps(result.to_json(), allow_nan=False))["policies"]["reorder"]
    assert measures["fill_rate"] == measures["stock_points"]["shop"]["fill_rate"] == 1.0
    assert measures["stock_points"]["shop"]["inventory_turns"] is None
    assert measures["stock_points"]["shop"]["bullwhip_ratio"] is None


def test_without_stock_turns_are_unknown_instead_of_huge():
    empty = evaluate(pair(), ["base-stock:shop=0,warehouse=0"], episodes=20, seed=1).to_json()
    assert empty["policies"]["base-stock:shop=0,warehouse=0"]["stock_points"]["shop"]["inventory_turns"] is None


def test_a_policy_may_have_a_name():
    result = evaluate(pair(), ["today=base-stock:shop=14", "base-stock:shop=14"], episodes=20)
    assert result.difference("today", "base-stock:shop=14") == (0.0, 0.0)


def test_what_an_optimum_earns_exactly_stands_beside_what_it_earned():
    result = evaluate(tiny(), ["optimum", "mine=optimum", "none"], episodes=64)
    told = result.to_json()["policies"]
    assert told["optimum"]["expected"] == told["mine"]["expected"] == pytest.approx(682.5, abs=0.05)
    assert "expected" not in told["none"]
    assert "optimum: exactly 682.50 an episode" in repr(result)
    cost = evaluate(lost_sales(4, 1), ["optimum"], episodes=8).to_json()["policies"]["optimum"]["expected"]
    assert cost == pytest.approx(404, abs=0.5)  # 100 periods of the published 4.04


def test_the_worst_episodes_have_an_error_and_are_paired_and_recovery_is_told_where_edges_are_shut():
    found = evaluate(pair(), ["base-stock:shop=18", "base-stock:shop=14"], episodes=400)
    first, second = found.to_json()["policies"].values()
    costs = [np.sort(episodes.cost) for episodes in found.results.values()]
    worst = [cost[-20:].mean() for cost in costs]
    np.testing.assert_allclose([first["worst_5_percent"], second["worst_5_percent"]], worst)
    paired = second["versus"]["base-stock:shop=18"]
    np.testing.assert_allclose(paired["worst_5_percent_difference"], worst[1] - worst[0])
    errors = [policy["worst_5_percent_se"] for policy in (first, second)]
    assert 0 < paired["worst_5_percent_difference_se"] < sum(errors)
    assert "recovery_time" not in first
    firm = pair()
    shut = firm.supply[0].model_copy(update={"disruption": Disruption(start=0.1, end=0.3)})
    firm = firm.model_copy(update={"supply": (shut, *firm.supply[1:])})
    assert evaluate(firm, ["base-stock"], episodes=50).to_json()["policies"]["base-stock"]["recovery_time"] > 0


def test_a_policy_that_fails_in_few_episodes_is_warned_of():
    found = evaluate(load_firm("s1"), ["decomposition-aggregation"], episodes=300)
    assert not [line for line in found.to_json()["warnings"] if "proportion" in line]
    name, sound = next(iter(found.results.items()))
    cost = sound.cost.copy()
    cost[[7, 100]] = 300_000.0
    failing = replace(found, results=found.results | {"odd": replace(sound, cost=cost)})
    (line,) = [line for line in failing.to_json()["warnings"] if "proportion" in line]
    assert line.startswith("odd: 2 of 300 episodes")
    assert name in found.results

import json

import numpy as np
import pytest
import torch

import coordinator.workers.rollout_worker
from coordinator.cli import run as command
from coordinator.critic.value_function import CriticConfig
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import RunFolder
from coordinator.runs.mailbox import Mailbox, Request, ask, being_trained
from coordinator.runs.train import train
from coordinator.schemes.imarl import IMARLSettings
from coordinator.schemes.setup import setup_of
from coordinator.storage.policies import load_policy
from departments.learning.ppo import PPOConfig
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig, Snapshot
from departments.rules.forecast import ForecastBaseStock
from departments.rules.ordering import baseline_levels
from environment import World
from environment.observation import Observer
from environment.streams import Stream, torch_stream
from tests.small_firms import pair, tree
from tests.small_markets import after_some_periods, market
from tests.small_runs import LOCAL, Asking, Record, final_policies, settings

RULE = "base-stock:warehouse=23,shop=11"
TURNS = IMARLSettings(parallel=False, share=1, iterations=3, patience=3, significance=0, least_gain=0)
RESIDUAL = {"base_policy": "benchmark", "imarl": TURNS}


def swap(department, policy, number="swap-1", **more):
    return Request(number, "swap", department, "ann", "a better one", policy, **({"tolerance": 9.0} | more))


def told(run, kind):
    return [row for row in RunFolder(run).rows("events.csv") if row["event"] == kind]


def taught(folder, asked, firm=None, given=None, stop=None, **more):
    return final_policies(
        firm or pair(), given or settings(**RESIDUAL), folder, LOCAL, Asking(folder, asked, stop), **more
    )


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another run of the same firm, with a policy of each department."""
    folder = tmp_path_factory.mktemp("runs") / "other"
    given, run = settings(**RESIDUAL), RunFolder(folder)
    run.create(pair(), given)
    for number, policy in enumerate(setup_of(pair(), given).base(given).values()):
        stir = np.random.default_rng(number).normal(0, 0.02, policy.parameters.shape).astype("f4")
        run.save_snapshot(Snapshot(policy.department, 5 + number, policy.config, policy.parameters + stir), {})
    return folder


def test_after_a_swap_the_others_learn_in_rollouts_in_which_that_rule_orders(tmp_path, monkeypatch):
    """Every rollout is simulated again, the swapped department ordering up to the rule's level."""
    seen, real = {}, coordinator.workers.rollout_worker.rollout

    def spy(world, observer, snapshots, learning, account, **how):
        result = real(world, observer, snapshots, learning, account, **how)
        seen[how["seed"]] = learning, how, result  # a department's first shards are played for the rewards, and again
        return result

    monkeypatch.setattr(coordinator.workers.rollout_worker, "rollout", spy)
    taught(tmp_path / "run", {4: [swap("warehouse", RULE)]})
    firm = pair()
    world = World(firm, baseline_levels(firm))
    level, spread = torch.tensor(baseline_levels(firm)), torch.tensor([6.0, 6.0])  # all demand passes both points

    def again(learning, how):
        """Mean cost with the warehouse ordering up to 23, the learner as it acted."""
        (acted,) = (part.action for part in result.slices)
        chance, state = (
            world.draw(12, how["copies"], torch_stream("cpu", Stream.TRAINING, *how["seed"])),
            world.reset(how["copies"]),
        )
        costs = []
        for t in range(12):
            order = level[:, :, None] - state.inventory_position
            order[0] = 23 - state.inventory_position[0]
            point = firm.names.index(learning[0])
            order[point] = level[point, :, None] - state.inventory_position[point] + spread[point] * acted[t]
            state, outcome = world.step(state, world.feasible(order.float(), state.inventory_position, t), chance.at(t))
            costs.append(outcome.cost)
        return torch.stack(costs)

    same = []
    for learning, how, result in seen.values():
        same.append(torch.allclose(again(learning, how), result.account) if learning != ["warehouse"] else None)
    before, after = same[: 2 * 4], same[2 * 4 :]  # two shards an iteration
    assert len(after) == 2 * 4
    assert all(after), "from the next iteration on, in every rollout; and the warehouse gets no turn: a rule is held"
    assert not any(before)


def test_a_swap_stands_in_the_events_in_the_store_and_in_what_the_run_ends_with(tmp_path, other):
    version = RunFolder(other).current_versions()["shop"]
    policies = taught(tmp_path / "run", {4: [swap("shop", str(other), hold=True)]})
    (event,) = told(tmp_path / "run", "swapped")
    assert (event["department"], event["who"], event["why"]) == ("shop", "ann", "a better one")
    assert event["details"] == f"other@{version}, held"
    assert event["iteration"] == "4"
    theirs = load_policy(other / "policies", "shop", version)
    kept = load_policy(tmp_path / "run" / "policies", "shop", int(event["version"]))
    np.testing.assert_array_equal(kept.parameters, theirs.parameters)
    assert policies["shop"] == (int(event["version"]), theirs.parameters.tobytes())
    assert RunFolder(tmp_path / "run").current_versions()["shop"] == int(event["version"])
    about = json.loads((tmp_path / "run" / "policies" / "shop" / f"{event['version']}.json").read_text())
    assert about["provenance"]["command"] == "swap-1"
    answer = Mailbox(tmp_path / "run").answer("swap-1")
    assert (answer["state"], answer["iteration"]) == ("done", 5)
    assert Mailbox(tmp_path / "run").pending() == []


def test_named_levels_from_a_file_act_as_the_rule_that_they_are(tmp_path):
    (tmp_path / "levels.csv").write_text("stock_point,level\nwarehouse,23\nshop,11\n")
    by_name, by_rule = tmp_path / "by-name", tmp_path / "by-rule"
    policies = taught(by_name, {4: [swap("warehouse", f"today={tmp_path}/levels.csv")]})
    assert policies == taught(by_rule, {4: [swap("warehouse", RULE)]})
    assert [event["details"] for event in told(by_name, "swapped")] == ["today, held"]
    assert [event["details"] for event in told(by_rule, "swapped")] == [f"{RULE}, held"]


def test_what_is_swapped_in_learns_on_from_there_when_its_turn_comes(tmp_path, other):
    given = settings(**RESIDUAL, iterations=16)
    taught(tmp_path / "run", {4: [swap("shop", str(other))]}, given=given)
    (event,) = told(tmp_path / "run", "swapped")
    rows = RunFolder(tmp_path / "run").rows("metrics.csv")
    versions = [int(row["version"]) for row in rows if row["department"] == "shop" and int(row["iteration"]) > 4]
    assert versions[0] == int(event["version"]) + 1


@pytest.mark.parametrize(
    ("scheme", "firm"), [("imarl", pair), ("marl", tree), ("pathwise", pair), ("pathwise", market), ("mtma", market)]
)
def test_a_run_that_is_stopped_after_a_swap_and_resumed_ends_as_if_it_had_not_been(scheme, firm, tmp_path):
    firm = firm()
    remembering = {
        "policy": PolicyConfig(hidden=(8,), memory="stack", memory_size=2),
        "ppo": PPOConfig(minibatch=256),
        "critic": CriticConfig(hidden=(8,), minibatch=256),
    }
    hybrid = {"warehouse": {"policy": {"hybrid": True}}}
    descending = {"pathwise": {"copies": 16, "updates": 6}, "departments": hybrid}
    own = {"mtma": remembering, "pathwise": descending}.get(scheme, {})
    if scheme == "pathwise" and firm.customers:
        own = {"pathwise": {"copies": 16, "updates": 6}, "base_policy": "tuned"}
    more = {"scheme": scheme, "iterations": 6, "steps": 6 * 16 * firm.periods.train}
    given = settings(**RESIDUAL | more | own)
    name, rule = {"pair": ("warehouse", RULE), "tree": ("depot", "base-stock:depot=30,east=9,west=9")}.get(
        firm.name, ("east", "forecast-base-stock")
    )
    asked = {3: [swap(name, rule)]}
    whole = taught(tmp_path / "whole", asked, firm, given)
    with pytest.raises(KeyboardInterrupt):
        taught(tmp_path / "parts", asked, firm, given, stop=5)
    assert taught(tmp_path / "parts", {}, firm, given, resume=True) == whole
    (event,) = told(tmp_path / "parts", "swapped")
    assert whole[name][0] == int(event["version"]), "it is held: it has not learned since"
    learned = {row["department"] for row in RunFolder(tmp_path / "parts").rows("metrics.csv") if row["iteration"] > "3"}
    assert learned
    assert name not in learned


def test_a_rule_in_the_place_of_a_plain_network_is_that_rule_where_the_run_is_evaluated(tmp_path):
    given = settings(scheme="mtma", iterations=3, ppo=PPOConfig(minibatch=256))
    taught(tmp_path, {1: [swap(name, "forecast-base-stock", name) for name in ("east", "west")]}, market(), given)
    run = RunFolder(tmp_path)
    policies, firm = firm_policies(run), run.firm()
    forms = {name: policy.config.form for name, policy in policies.items()}
    assert forms == {"depot": "plain", "east": "residual", "west": "residual", "recommendation": "plain"}
    world = World(firm, baseline_levels(firm))
    state, feedback = after_some_periods(world)
    with torch.inference_mode():
        acting = FirmPolicy(world, Observer(world, baseline_levels(firm), "benchmark"), list(policies.values()))
        rule = ForecastBaseStock("rule", firm).decide(world, state, feedback, 5, None).order
        order = acting.decide(world, state, feedback, 5, None)[0]
    assert torch.allclose(order[1:], rule[1:], atol=1e-3)
    assert not torch.allclose(order[0], rule[0], atol=0.1)


def test_a_request_that_was_left_as_the_run_was_killed_is_carried_out_once_when_it_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        taught(tmp_path / "run", {4: [swap("warehouse", RULE)]}, stop=4)
    assert told(tmp_path / "run", "swapped") == []
    taught(tmp_path / "run", {}, resume=True)
    assert len(told(tmp_path / "run", "swapped")) == 1
    policies = taught(tmp_path / "run", {}, resume=True)
    assert len(told(tmp_path / "run", "swapped")) == 1
    assert policies["warehouse"][0] == int(told(tmp_path / "run", "swapped")[0]["version"])


def test_a_rollback_brings_back_what_was_there_before(tmp_path):
    run = tmp_path / "run"
    back = Request("back", "rollback", "warehouse", "bob", "it was better")
    given = settings(scheme="marl", iterations=5)
    taught(run, {2: [swap("depot", "base-stock:depot=30,east=9,west=9", tolerance=99)], 3: []}, tree(), given)
    first = RunFolder(run).rows("metrics.csv")
    taught(
        tmp_path / "again",
        {
            2: [swap("depot", "base-stock:depot=30,east=9,west=9", tolerance=99)],
            4: [Request(**(back.__dict__ | {"department": "depot"}))],
        },
        tree(),
        given,
    )
    (gone,), (came,) = told(tmp_path / "again", "swapped"), told(tmp_path / "again", "rolled back")
    left = max(int(row["version"]) for row in first if row["department"] == "depot")
    assert came["details"] == f"version {left} again"
    assert int(came["version"]) == int(gone["version"]) + 1
    stored = tmp_path / "again" / "policies"
    np.testing.assert_array_equal(
        load_policy(stored, "depot", left).parameters, load_policy(stored, "depot", int(came["version"])).parameters
    )
    last = RunFolder(tmp_path / "again").rows("metrics.csv")[-1]
    assert "depot" in {row["department"] for row in RunFolder(tmp_path / "again").rows("metrics.csv")[-2:]}, last


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (swap("store", RULE), "DEPARTMENT must be one of warehouse, shop"),
        (swap("shop", "reorder"), "cannot be followed in training"),
        (swap("shop", "base-stock:warehouse=23,shop=0", tolerance=0.1), "more than 10% worse"),
        (swap("shop", "nowhere/run"), "neither a rule nor a run folder"),
        (Request("x", "rollback", "shop", "ann", ""), "there is no way back"),
        (Request("x", "promote", "shop", "ann", ""), "takes swap and rollback"),
    ],
)
def test_what_cannot_be_is_refused_and_the_run_goes_on_as_if_nobody_had_asked(request_, reason, tmp_path):
    undisturbed = taught(tmp_path / "undisturbed", {})
    assert taught(tmp_path / "run", {4: [request_]}) == undisturbed
    answer = Mailbox(tmp_path / "run").answer(request_.id)
    assert answer["state"] == "refused"
    assert reason in answer["message"]
    assert "\n" not in answer["message"]
    (event,) = told(tmp_path / "run", "refused")
    assert reason in event["details"]


def _refusal(tmp_path, firm, given, request):
    taught(tmp_path / "run", {1: [request]}, firm, given)
    return Mailbox(tmp_path / "run").answer(request.id)["message"]


def test_policies_of_another_kind_or_firm_or_damaged_are_refused(tmp_path, other):
    wider = settings(**RESIDUAL, policy=PolicyConfig(hidden=(9,)), iterations=2)
    assert "policy.hidden" in _refusal(tmp_path / "a", pair(), wider, swap("shop", str(other)))
    few = settings(**RESIDUAL, iterations=2)
    assert "built otherwise" in _refusal(tmp_path / "b", tree(), few, swap("depot", str(other)))
    scaled = settings(**RESIDUAL, iterations=2, scaling="standard")
    assert "scales of observations" in _refusal(tmp_path / "c", pair(), scaled, swap("shop", str(other)))
    version = RunFolder(other).current_versions()["shop"]
    base = load_policy(other / "policies", "shop", version)
    broken = RunFolder(tmp_path / "broken")
    broken.create(pair(), few)
    broken.save_snapshot(Snapshot("shop", 1, base.config, base.parameters * np.float32(np.nan)), {})
    assert "finite" in _refusal(tmp_path / "d", pair(), few, swap("shop", str(broken.path)))
    (broken.path / "policies" / "shop" / "1.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    assert "damaged" in _refusal(tmp_path / "e", pair(), few, swap("shop", str(broken.path)))


def test_departments_that_share_a_policy_and_the_last_one_that_learns_are_not_taken_away(tmp_path):
    given = settings(scheme="marl", iterations=2)
    levels = "base-stock:depot=30,east=9,west=9"
    assert "east shares one policy with west under marl" in _refusal(
        tmp_path / "a", tree(), given, swap("east", levels)
    )
    both = {1: [swap("shop", RULE, "one"), swap("warehouse", RULE, "two")]}
    taught(tmp_path / "b", both)
    assert "nobody would be left to learn" in Mailbox(tmp_path / "b").answer("two")["message"]


def test_what_comes_too_late_is_refused(tmp_path):
    taught(tmp_path / "run", {})
    Mailbox(tmp_path / "run").post(swap("shop", RULE))
    taught(tmp_path / "run", {}, resume=True)
    assert "has ended" in Mailbox(tmp_path / "run").answer("swap-1")["message"]


def test_a_run_is_trained_by_one_process_and_asked_only_while_it_is(tmp_path, capsys):
    taught(tmp_path, {})
    with being_trained(tmp_path):
        with pytest.raises(ValueError, match="is being trained by another process"):
            train(pair(), settings(), LOCAL, tmp_path, Record(), resume=True)
        assert ask(tmp_path, swap("shop", RULE), wait=0.0)["state"] == "pending"
    with pytest.raises(ValueError, match="is not being trained; go on with"):
        ask(tmp_path, swap("shop", RULE, "swap-2"))
    assert command(["swap", str(tmp_path), "shop", "--policy", RULE]) == 2
    assert "is not being trained" in capsys.readouterr().err
    assert command(["swap", str(tmp_path), "shop", "--policy", RULE, "--canary", "3"]) == 2
    assert "--canary is for running firms" in capsys.readouterr().err


@pytest.mark.parametrize(("scheme", "firm"), [("sarl", pair()), ("stsa-fast", market())])
def test_a_joint_department_is_refused_with_what_to_do(scheme, firm, tmp_path, capsys):
    RunFolder(tmp_path / "run").create(firm, settings(scheme=scheme))
    assert command(["swap", str(tmp_path / "run"), "shop", "--policy", RULE]) == 2
    assert f"trains one department for the whole firm ({scheme})" in capsys.readouterr().err

import numpy as np
import pytest
import torch
import yaml

from coordinator.critic.value_function import values_of
from coordinator.evaluation.evaluate import evaluate
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.pathwise import Pathwise
from coordinator.schemes.setup import setup_of
from departments.learning.pathwise import PathwiseConfig, counted_from, window_of
from departments.play.episode import run_costs
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import RECOMMENDATION, PolicyConfig, Snapshot
from departments.rules.dual_sourcing import teacher_of
from departments.rules.ordering import reorder_rule
from environment import Network, load_firm, parse_firm
from environment.streams import Stream
from tests.environment.test_happenings import shop
from tests.environment.test_regimes import in_time, newsvendors
from tests.known_optima import tiny
from tests.small_firms import tree, world_of
from tests.small_markets import market
from tests.small_runs import Record, Stop, final_policies, settings, training_of


def _given(updates=8, **changes):
    teaching = PathwiseConfig(updates=updates, copies=32, learning_rate=0.02)
    return settings(**({"scheme": "pathwise", "steps": None, "pathwise": teaching} | changes))


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_run_that_is_stopped_and_resumed_ends_as_if_it_had_not_been(hybrid, tmp_path):
    """With the critic that says what it is worth to order at all, if one department may leave it."""
    own = {"departments": {"east": {"policy": {"hybrid": True}}}} if hybrid else {}
    whole = final_policies(tree(), _given(**own), tmp_path / "whole")
    assert any(version for version, _ in whole.values()), "something must be learned"
    for after in (1, 5):
        folder = tmp_path / str(after)
        with pytest.raises(KeyboardInterrupt):
            final_policies(tree(), _given(**own), folder, watcher=Stop(after=after))
        assert final_policies(tree(), _given(**own), folder, resume=True) == whole
        assert RunFolder(folder).rows("metrics.csv")[-1]["iteration"] == "8"


def test_a_budget_of_a_few_updates_is_told_of(tmp_path):
    """As where seconds pass while others have the machine; who asks for few updates hears nothing."""
    few, asked = Record(), Record()
    final_policies(tree(), _given(updates=100, steps=1500), tmp_path / "few", watcher=few)
    final_policies(tree(), _given(updates=3), tmp_path / "asked", watcher=asked)
    assert [line for line in few.notes if "used up after 2 of at least 16 updates" in line]
    assert not [line for line in asked.notes if "used up" in line]


def test_a_point_with_two_suppliers_begins_at_the_best_capped_dual_index():
    """A residual policy does not, as what base-stock gives each of them goes up and down by whole units."""
    firm = load_firm("dual-sourcing-l2-c105")
    given = settings_of({"scheme": "pathwise", "selection_episodes": 256}).for_firm(firm)
    assert (given.policy.form, given.policy.observation) == ("plain", "pipeline")
    plan, training = training_of(firm, given)
    scheme, (world, observer) = Pathwise.begin(plan.network, training), world_of(firm, "standard")
    chance = world.draw(firm.periods.evaluate - 1, 256, world.generator(5))
    begun, rule = (
        run_costs(world, policy, chance).sum(0).mean()
        for policy in (FirmPolicy(world, observer, scheme.policies), teacher_of(firm))
    )
    assert begun == pytest.approx(float(rule), rel=0.003)
    own = settings_of({"scheme": "pathwise", "policy": {"form": "residual"}}).for_firm(firm)
    assert (own.policy.form, own.policy.observation) == ("residual", "pipeline")


def test_a_point_whose_rule_takes_long_to_find_begins_at_base_stock():
    firm = load_firm("dual-sourcing-l2-c105")
    point = firm.stock_points["shop"]
    larger = point.model_copy(update={"demand": point.demand.model_copy(update={"high": 30}), "max_order": 150})
    wide = firm.model_copy(update={"stock_points": {"shop": larger}})
    given = settings_of({"scheme": "pathwise", "selection_episodes": 64}).for_firm(wide)
    assert given.policy.form == "residual"
    plan, training = training_of(wide, given)
    scheme = Pathwise.begin(plan.network, training)
    assert all(plan.specs[snapshot.department].is_rule(snapshot) for snapshot in scheme.policies)


def test_departments_that_lose_their_way_go_back_to_the_best_and_slow_down(tmp_path):
    """Steps of five units of every parameter; a run that is resumed in between goes on at the lower pace."""
    wild = _given(pathwise=PathwiseConfig(updates=70, copies=32, learning_rate=5.0))
    plan, training = training_of(tree(), wild)
    scheme, costs, rates = Pathwise.begin(plan.network, training), [], []

    def watch(progress):
        rates.append(next(iter(progress.result.updates.values())).learning_rate)
        if progress.cost is not None:
            costs.append(progress.cost)

    start = scheme.best_cost
    scheme.run(watch, lambda *_: None, lambda: None)
    lost = sum(cost > 1.05 * min([start, *costs[: i + 1]]) for i, cost in enumerate(costs))
    assert lost >= 2
    assert scheme.pace == 0.5**lost
    assert rates[-2] < 5.0 * 0.5 ** (lost - 1)
    assert scheme.best_cost <= start
    whole = final_policies(tree(), wild, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        final_policies(tree(), wild, tmp_path / "stopped", watcher=Stop(after=40))
    assert final_policies(tree(), wild, tmp_path / "stopped", resume=True) == whole


def test_from_eight_units_off_the_newsvendor_optimum_is_found():
    firm = load_firm("toy")
    given = _given(250, base_policy="benchmark", selection_episodes=512)
    plan, training = training_of(firm, given)
    (name,) = training.published
    base = training.published[name]
    shifted = base.parameters.copy()
    shifted[-2] += 0.8  # the network's output, mean demands
    training.publish(Snapshot(name, 0, base.config, shifted))
    scheme = Pathwise.begin(plan.network, training)
    scheme.run(lambda _: None, lambda *_: None, lambda: None)
    world, observer = world_of(firm)
    chance = world.draw(firm.periods.evaluate - 1, 4096, world.generator(9, 17))

    def cost(snapshot):
        return run_costs(world, FirmPolicy(world, observer, [snapshot]), chance).sum(0).double()

    gap = cost(scheme.best[name]) - cost(base)  # the benchmark is the optimum here
    error = float(gap.std()) / 64
    assert float((cost(Snapshot(name, 0, base.config, shifted)) - cost(base)).mean()) > 0.3 * float(cost(base).mean())
    assert -3 * error < float(gap.mean()) < 0.01 * float(cost(base).mean()) + 3 * error


def test_shards_are_averaged_and_departments_step_against_their_own_part():
    given = _given(policy=PolicyConfig(hidden=(8,)))
    _, training = training_of(tree(), given)
    _, again = training_of(tree(), given)
    result = training.descend(list(training.streams), (0, 0, 0), 12, given.pathwise, 0.0)
    worker = again.workers.environments[0]
    starts = [worker.call("start", 16) for _ in range(2)]
    parts = [worker.call("descend", list(again.streams), 12, (0, 0, 0, i), 2.0, None, *starts[i]) for i in range(2)]
    for i, name in enumerate(again.streams):
        gradient = np.mean([part[i] for part in parts], axis=0)
        norm = float(np.linalg.norm(gradient))
        assert result.updates[name].grad_norm == pytest.approx(norm, rel=1e-4)
        move = result.snapshots[name].parameters - again.published[name].parameters
        touched = np.abs(gradient) > 1e-4
        np.testing.assert_allclose(move[touched], -0.02 * np.sign(gradient[touched]), rtol=0.01)
    assert training.env_steps == 32 * 12
    assert torch.isfinite(torch.from_numpy(training.learner_states()[0]["world/1"]["on_hand"])).all()


def costly(**changes):
    """A shop whose orders have a fixed cost, about six periods' demand apart at their best."""
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 60, "demand": {"law": "poisson", "mean": 5}}
    point = shop | {"fixed_order_cost": 60} | changes
    supply = [{"from": "outside", "to": "shop", "lead_time": 1}]
    periods = {"train": 48, "evaluate": 75, "warm_up": 25}
    return parse_firm({"name": "costly", "periods": periods, "stock_points": {"shop": point}, "supply": supply})


def test_whether_to_order_is_learned_where_orders_have_a_fixed_cost():
    """From base-stock to within 8% of the exact best (s, S) in two seconds; no gradient tells of the fixed cost."""
    firm, costs = costly(), {}
    world, observer = world_of(firm, "standard")
    chance = world.draw(firm.periods.evaluate - 1, 2048, world.generator(9, 17))
    for hybrid in (False, True):
        teaching, policy = {"updates": 60, "learning_rate": 0.02}, {"hybrid": hybrid}
        given = settings_of(scheme="pathwise", pathwise=teaching, base_policy="benchmark", policy=policy)
        plan, training = training_of(firm, given)
        scheme = Pathwise.begin(plan.network, training)
        scheme.run(lambda _: None, lambda *_: None, lambda: None)
        costs[hybrid] = float(run_costs(world, FirmPolicy(world, observer, scheme.policies), chance).sum(0).mean())
    best = float(run_costs(world, reorder_rule(firm), chance).sum(0).mean())
    assert costs[True] < 1.08 * best
    assert costs[False] > 1.5 * best


def test_in_pytorch_it_is_learned_from_the_same_gradients():
    firm = tree(products=("tea", "rice"))
    given = _given(policy=PolicyConfig(hidden=(8,), hybrid=True), base_policy="benchmark")
    found = []
    for compiled in (True, False):
        plan, training = training_of(firm, given.model_copy(update={"compiled": compiled}))
        worker, names = training.workers.environments[0], list(plan.specs)
        start = worker.call("start", 16)
        spent = worker.call("earned", names, 12, (0, 0, 0, 0), *start)
        assert spent.shape == (12, 1, 16)
        values = values_of(training.workers.critic.call("calibrate", [0], spent))
        found.append(worker.call("descend", names, 12, (0, 0, 0, 0), 2.0, values, *start))
    (*ours, cost, lesson, _), (*theirs, their_cost, their_lesson, _) = found
    assert cost == pytest.approx(their_cost, rel=1e-6)
    for mine, other in zip((*ours, *lesson), (*theirs, *their_lesson), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())
    assert all(np.abs(gradient).max() > 0.0 for gradient in ours)


def test_where_customers_choose_orders_and_recommendations_learn_together():
    """From the rules, 628 an episode, in two seconds most of the way to the optimum of 682.5."""
    firm = tiny()
    given = settings_of(scheme="pathwise", steps=150_000, selection_episodes=1024).for_firm(firm)
    assert given.policy.clock
    assert given.pathwise.copies == 32
    plan, training = training_of(firm, given)
    assert set(plan.specs) == {"shop", RECOMMENDATION}
    scheme = Pathwise.begin(plan.network, training)
    assert -scheme.best_cost < 632.0
    scheme.run(lambda _: None, lambda *_: None, lambda: None)
    assert -float(training.costs(4096, Stream.REPORT, *scheme.policies).mean()) > 655.0


def test_a_run_with_customers_that_is_resumed_ends_as_if_it_had_not_been_stopped(tmp_path):
    given = settings_of(
        scheme="pathwise", pathwise={"updates": 6, "copies": 32}, policy={"hidden": (8,)}, selection_episodes=40
    )
    whole = final_policies(market(), given, tmp_path / "whole")
    assert set(whole) == {"depot", "east", "west", RECOMMENDATION}
    with pytest.raises(KeyboardInterrupt):
        final_policies(market(), given, tmp_path / "stopped", watcher=Stop(after=3))
    assert final_policies(market(), given, tmp_path / "stopped", resume=True) == whole
    eager = given.model_copy(update={"compiled": False, "pathwise": PathwiseConfig(updates=1, copies=4)})
    assert set(final_policies(market(), eager, tmp_path / "eager")) == set(whole)


@pytest.mark.parametrize(
    ("firm", "given", "said"),
    [
        ("a1", {"policy": {"clock": True}}, "policy.clock is not for firms without customers"),
        ("closing-loop", {"policy": {"hybrid": True}}, "policy.hybrid is not for firms with customers: departments"),
        ("a1", {"departments": {"west": {"policy": {"memory": "gru"}}}}, "departments.west.policy.memory is not for"),
        (
            "closing-loop",
            {"policy": {"observation": "own"}},
            "policy.observation is not for firms with customers: each",
        ),
        (
            "closing-loop",
            {"pathwise": {"window": 9}},
            "pathwise.window is not for firms with customers: whole episodes",
        ),
        ("closing-loop", {"base_policy": "random"}, "base_policy is not for firms with customers: policies start from"),
    ],
)
def test_settings_of_the_other_kind_of_firm_are_refused(firm, given, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        setup_of(load_firm(firm), settings_of(scheme="pathwise", **given))


def test_where_the_calendar_holds_something_stretches_begin_again_with_the_episode():
    """Trend and events lie in the first periods: of two stretches of 16 in an episode of 24 the second is the last."""
    content = yaml.safe_load(tree().to_yaml()) | {"periods": {"train": 24, "evaluate": 30, "warm_up": 5}}
    sells = next(name for name, point in content["stock_points"].items() if "demand" in point)
    begins = {}
    for events in ([], [{"period": 9, "factor": 3}]):
        more = {"law": "poisson", "mean": 5} | ({"events": events} if events else {})
        content["stock_points"][sells]["demand"] = more
        plan, training = training_of(parse_firm(content), _given(pathwise=PathwiseConfig(copies=32, window=16)))
        training.adopt(*training.published.values())
        begins[bool(events)] = []
        for update in range(4):
            training.descend(list(plan.specs), (0, 0, update), 16, training.settings.pathwise, 0.0)
            begins[bool(events)].append(int(training._worlds[0][0][0]))
    assert begins == {False: [16, 32, 48, 64], True: [16, 0, 16, 0]}


def test_stretches_are_long_enough_to_tell_what_stock_is_good_for_when_what_is_ordered_takes_longer(tmp_path):
    """In stretches of 16 periods, counted from their start, departments end above tuned base-stock."""
    strike = {"lead_time": 8, "next": {"calm": 0.15}}
    regimes = {"calm": {"next": {"strike": 0.02}}, "strike": strike}
    firm = shop(regimes=regimes, periods={"train": 128, "evaluate": 150, "warm_up": 40})
    network = Network.of(firm)
    assert window_of(network) == 16 + round(4 * (8 + 1 / 0.15))
    assert counted_from(network, 40) == 20
    assert window_of(Network.of(shop())) == 16
    teaching = PathwiseConfig(updates=400, copies=64, learning_rate=0.01)
    final_policies(firm, settings(scheme="pathwise", pathwise=teaching, steps=None), tmp_path)
    found = evaluate(firm, ["tuned-base-stock", str(tmp_path)], episodes=1024, compiled=lambda _: None)
    tuned, learned = (found.mean(name)[0] for name in found.results)
    assert learned < 0.85 * tuned


def test_who_sees_the_regime_learns_what_the_newsvendor_of_each_pays(tmp_path):
    """The share of a rush is 1/4 in the long run; episodes are counted from period 20 on."""
    _, (rush, calm) = newsvendors()
    teaching = PathwiseConfig(updates=300, copies=64, learning_rate=0.01)
    cost = {}
    for known in (True, False):
        firm, run = in_time(known=known), tmp_path / str(known)
        final_policies(firm, settings(scheme="pathwise", pathwise=teaching, steps=None), run)
        found = evaluate(firm, ["tuned-base-stock", str(run)], episodes=2048, compiled=lambda _: None)
        blind, cost[known] = (found.mean(name)[0] for name in found.results)
    assert cost[True] == pytest.approx(60 * (0.25 * rush + 0.75 * calm), rel=0.03)
    assert cost[True] < 0.7 * cost[False] < 0.7 * blind

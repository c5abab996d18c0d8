import numpy as np
import pytest
import torch
from scipy.stats import poisson, ttest_rel

from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.imarl import IMARL, IMARLSettings
from coordinator.schemes.rewards import reward_weights
from coordinator.schemes.setup import setup_of
from departments.learning.ppo import PPOConfig
from departments.play.episode import run_costs
from departments.play.rollout import rollout
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig, Snapshot
from departments.rules.ordering import BaseStock, baseline_levels
from environment import Network, World, load_firm
from environment.streams import Stream, torch_stream
from tests.small_firms import pair, tree, world_of
from tests.small_runs import settings, training_of


def _follow(firm, given, change=None):
    """Run IMARL; what happened, in order: ("turn", name), ("accepted", name, gain, ...), and the scheme."""
    plan, training = training_of(firm, given)
    if change:
        training.publish(*(change(snapshot) for snapshot in training.published.values()))
    scheme = IMARL.begin(plan.network, training)
    happened = []

    def watch(progress):
        turn = ("turn", progress.job, progress.department)
        if turn not in happened:
            happened.append(turn)

    scheme.run(watch, lambda snapshot, gain, error: happened.append(("accepted", snapshot, gain, error)), lambda: None)
    return happened, scheme, plan


def _one_step_each(order, parallel=False, **changes):
    imarl = IMARLSettings(
        iterations=1, patience=1, order=order, significance=0, least_gain=0, parallel=parallel, share=1
    )
    return settings(imarl=imarl, **changes)


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("downstream-first", ["retailer", "depot", "warehouse", "center"]),
        ("upstream-first", ["center", "warehouse", "depot", "retailer"]),
    ],
)
def test_the_list_begins_with_everyone_from_the_end_that_the_settings_name(order, first):
    given = _one_step_each(order, steps=4 * 16 * 128)
    happened, _, _ = _follow(load_firm("s1"), given)
    assert [turn[2] for turn in happened if turn[0] == "turn"] == first


def test_no_more_turns_begin_than_the_settings_allow():
    given = _one_step_each("upstream-first", steps=None)
    given = given.model_copy(update={"imarl": given.imarl.model_copy(update={"turns": 3})})
    happened, scheme, _ = _follow(load_firm("s1"), given)
    assert [turn[2] for turn in happened if turn[0] == "turn"] == ["center", "warehouse", "depot"]
    assert "retailer" in scheme.jobs, "it waits still"


@pytest.mark.parametrize("order", ["downstream-first", "upstream-first", "greedy"])
def test_the_list_is_worked_off_as_table_5_says(order):
    """The list again, by hand, from nothing but what was accepted: who is woken, who is next, when it is empty."""
    firm = tree()
    given = _one_step_each(order, steps=None, copies=8).model_copy(
        update={
            "imarl": IMARLSettings(
                parallel=False, share=1, iterations=3, patience=3, order=order, significance=3, least_gain=0
            )
        }
    )
    happened, scheme, plan = _follow(firm, given, lambda s: _shifted(s, 2.0 if s.department == "depot" else 0.4))
    neighbours = {"depot": ["east", "west"], "east": ["depot"], "west": ["depot"]}
    names = {"upstream-first": ["depot", "east", "west"], "downstream-first": ["east", "west", "depot"]}
    waiting = list(names.get(order, names["upstream-first"]))
    worth = dict.fromkeys(waiting, np.inf)
    woken = 0
    events = iter(happened)
    event = next(events, None)
    while waiting:
        if order == "greedy":
            waiting.sort(key=lambda name: -worth[name])
        name = waiting.pop(0)
        assert event[0] == "turn"
        assert event[2] == name
        event = next(events, None)
        if event and event[0] == "accepted":
            _, snapshot, gain, error = event
            assert snapshot.department == name
            assert gain > 3 * error
            worth[name] = 0.0
            for neighbour in neighbours[name]:
                worth[neighbour] = max(worth[neighbour], gain)
                if neighbour not in waiting:
                    waiting.append(neighbour)
                    woken += 1
            event = next(events, None)
    assert event is None, "nothing happens when the list is empty"
    assert scheme.jobs == []
    assert woken > 0, "this run must show the neighbour rule"
    assert plan.network.names == ("depot", "east", "west")


def _shifted(snapshot, shift):
    """The benchmark with `shift` mean demands more in every order: plainly not optimal."""
    parameters = snapshot.parameters.copy()
    parameters[-2] += shift
    return Snapshot(snapshot.department, 1, snapshot.config, parameters)


def _cost(firm, snapshots, episodes=4096, seed=123):
    world, observer = world_of(firm)
    chance = world.draw(firm.periods.evaluate - 1, episodes, world.generator(seed, 17))
    return run_costs(world, FirmPolicy(world, observer, snapshots), chance).sum(0).double()


def test_every_policy_that_is_accepted_lowers_the_cost_on_episodes_of_its_own():
    firm = pair()
    given = settings(
        seed=0,  # with which both departments gain
        iterations=40,
        copies=64,
        acceptance_episodes=1024,
        selection_episodes=256,
        imarl=IMARLSettings(parallel=False, share=1, iterations=8, patience=3, significance=3),
    )
    happened, _, plan = _follow(firm, given, change=lambda snapshot: _shifted(snapshot, 0.5))
    now = {name: _shifted(snapshot, 0.5) for name, snapshot in plan.base(given).items()}
    accepted = [event[1:] for event in happened if event[0] == "accepted"]
    assert len(accepted) >= 2
    for snapshot, gain, error in accepted:
        before = _cost(firm, list(now.values()))
        now[snapshot.department] = snapshot
        saving = before - _cost(firm, list(now.values()))
        spread = float(saving.std()) / 64
        assert float(saving.mean()) > 0
        assert float(saving.mean()) == pytest.approx(gain, abs=4 * (spread**2 + error**2) ** 0.5)


def test_side_by_side_those_who_are_no_neighbours_share_a_turn_and_are_saved_one_at_a_time():
    firm = load_firm("c1")
    given = _one_step_each("upstream-first", steps=4 * 16 * 128, parallel=True)
    happened, _, plan = _follow(firm, given)
    turns = [turn[2] for turn in happened if turn[0] == "turn"][:2]
    network, names = plan.network, plan.network.names
    top = [name for point, name in enumerate(names) if not network.predecessors(point)]
    middle = [name for point, name in enumerate(names) if network.predecessors(point) and network.successors(point)]
    # the top and the nine retailers are two steps apart; the three between them come after
    assert turns == [f"{top[0]} and 9 more", f"{middle[0]} and 2 more"]

    firm = tree()
    changes = {"copies": 64, "acceptance_episodes": 1024, "selection_episodes": 256}
    imarl = IMARLSettings(parallel=True, share=1, iterations=8, patience=3, significance=3)
    given = settings(iterations=40, imarl=imarl, **changes)
    happened, _, plan = _follow(firm, given, change=lambda snapshot: _shifted(snapshot, 2.0))
    now = {name: _shifted(snapshot, 2.0) for name, snapshot in plan.base(given).items()}
    accepted = [event[1:] for event in happened if event[0] == "accepted"]
    assert {"east", "west"} <= {snapshot.department for snapshot, *_ in accepted}
    for snapshot, gain, error in accepted:
        before = _cost(firm, list(now.values()))
        now[snapshot.department] = snapshot
        saving = before - _cost(firm, list(now.values()))
        assert float(saving.mean()) == pytest.approx(gain, abs=4 * (float(saving.var()) / 4096 + error**2) ** 0.5)


def _turns_by_hand(firm, given, change):
    """How many iterations each turn has, and the best t of its selections over what gained last (scipy, paired)."""
    plan, training = training_of(firm, given)
    training.publish(*(change(snapshot) for snapshot in training.published.values()))
    scheme, turns = IMARL.begin(plan.network, training), []
    world, observer = world_of(firm)
    stream = torch_stream("cpu", Stream.SELECTION, given.seed, 0)
    chance = world.draw(firm.periods.evaluate - 1, given.selection_episodes, stream)

    def costs(*snapshots):
        everyone = scheme.saved | {snapshot.department: snapshot for snapshot in snapshots}
        return run_costs(world, FirmPolicy(world, observer, list(everyone.values())), chance).sum(0).numpy()

    def watch(progress):
        if progress.iteration == 1:
            turns.append((progress.department, costs(), []))
        turns[-1][2].append(costs(*progress.result.snapshots.values()))

    scheme.run(watch, lambda *_: None, lambda: None)
    least, lengths = given.imarl.turn_significance, []
    for _, over, seen in turns:
        stale, length = 0, 0
        while length < given.imarl.iterations and stale < given.imarl.patience:
            if ttest_rel(over, seen[length]).statistic > least:
                over, stale = seen[length], 0
            else:
                stale += 1
            length += 1
        lengths.append(length)
    return lengths, [len(seen) for _, _, seen in turns]


def test_a_turn_goes_on_while_it_gains_significantly_and_ends_where_it_does_not():
    firm = tree()
    turns = {"parallel": False, "share": 1, "iterations": 5, "patience": 2, "significance": 3, "least_gain": 0}
    lengths = {}
    for least in (0.5, 3.0):
        given = settings(copies=8, steps=None, imarl=IMARLSettings(turn_significance=least, **turns))
        expected, lengths[least] = _turns_by_hand(firm, given, lambda snapshot: _shifted(snapshot, 0.4))
        assert lengths[least] == expected
    assert min(lengths[3.0]) == 2, "a turn ends as soon as its patience is over"
    assert max(lengths[0.5]) == 5, "and goes on to the last iteration"
    assert any(2 < length < 5 for of in lengths.values() for length in of)


def _newsvendor_cost_of_the_toy_firm():
    """50 counted periods at the best level: E[(26 - D)+] + 9 E[(D - 26)+], D ~ Poisson(20)."""
    units = np.arange(200)
    left = 26 - units
    return 50 * float(poisson.pmf(units, 20) @ np.where(left > 0, left, -9 * left))


def _toy(**changes):
    ppo = PPOConfig(minibatch=2048, learning_rate=5e-3)
    return settings(
        **(
            {
                "copies": 32,
                "steps": None,
                "ppo": ppo,
                "policy": PolicyConfig(hidden=(16,)),
                "selection_episodes": 256,
                "acceptance_episodes": 1024,
                "select_every": 4,
                "imarl": IMARLSettings(share=1, iterations=48, patience=6),
            }
            | changes
        )
    )


@pytest.mark.parametrize("shift", [-0.8, 0.8])
def test_from_eight_units_off_imarl_comes_within_three_percent_of_the_newsvendor_optimum(shift):
    firm = load_firm("toy")
    best = _newsvendor_cost_of_the_toy_firm()
    start = float(_cost(firm, [_shifted(s, shift) for s in training_of(firm, _toy())[0].base(_toy()).values()]).mean())
    _, scheme, _ = _follow(firm, _toy(), change=lambda snapshot: _shifted(snapshot, shift))
    end = _cost(firm, list(scheme.saved.values()))
    error = float(end.std()) / 64
    assert start > 1.3 * best
    assert best - 4 * error < float(end.mean()) < 1.03 * best + 3 * error


def test_a_plain_policy_that_always_orders_half_the_limit_learns_when_to_order():
    """It starts at 20 units a period where 10 are sold: far more than fifty times the cost of the optimum."""
    firm, best = load_firm("toy"), _newsvendor_cost_of_the_toy_firm()
    given = _toy(
        seed=1,  # of four seeds, one has not begun to order less after 60 iterations, compiled or not
        scaling="bounds",
        policy=PolicyConfig(form="plain", hidden=(16,)),
        ppo=PPOConfig(minibatch=1024),
        imarl=IMARLSettings(share=1, iterations=60, patience=20),
    )
    networks = training_of(firm, given)[0].networks(given)
    _, scheme, _ = _follow(firm, given, change=lambda snapshot: networks[snapshot.department])
    assert float(_cost(firm, list(networks.values())).mean()) > 50 * best
    assert float(_cost(firm, list(scheme.saved.values())).mean()) < 4 * best


@pytest.mark.parametrize("base_policy", ["benchmark", "tuned"])
@pytest.mark.parametrize("compiled", [True, False])
def test_plain_networks_learn_while_those_without_one_order_by_the_base_policy(base_policy, compiled, monkeypatch):
    """[I], 3.4.5: nobody orders half of the limit while others learn, and a turn starts from a fresh network."""
    firm, levels = tree(), np.array([[31.0], [17.0], [18.0]])
    turns = IMARLSettings(order="upstream-first", parallel=False, share=1, iterations=2, patience=9, significance=1e9)
    plain = PolicyConfig(form="plain", hidden=(8,))
    given = settings(
        iterations=4, imarl=turns, base_policy=base_policy, policy=plain, scaling="bounds", compiled=compiled
    )
    levels = levels if base_policy == "tuned" else baseline_levels(firm)
    plan = setup_of(firm, given, levels)
    world = World(firm, baseline_levels(firm))
    chance = world.draw(firm.periods.evaluate - 1, 40, torch_stream("cpu", Stream.SELECTION, given.seed, 0))
    rule = run_costs(world, BaseStock("rule", levels), chance).sum(0)
    training = training_of(firm, given, plan=plan)[1]
    np.testing.assert_array_equal(training.selection_costs(), rule)
    seen = []
    adopt = training.adopt
    monkeypatch.setattr(training, "adopt", lambda *some: (seen.append(some), adopt(*some)))
    scheme = IMARL.begin(plan.network, training)
    scheme.run(lambda progress: seen.append(progress.result.snapshots), lambda *_: None, lambda: None)
    (start,), first, second, (back,) = seen[:4]
    assert (start.department, start.config, start.version) == ("depot", plain, 0)
    assert start.parameters.tobytes() == plan.specs["depot"].first_snapshot().parameters.tobytes()
    assert [some["depot"].config.form for some in (first, second)] == ["plain", "plain"]
    assert back.config.form == "residual"
    np.testing.assert_array_equal(training.selection_costs(), rule)
    assert seen[4][0].config == plain, "the next one starts from a fresh network too"


def test_at_the_optimum_nothing_worse_is_ever_accepted():
    firm = load_firm("toy")
    happened, scheme, plan = _follow(firm, _toy(imarl=IMARLSettings(share=1, iterations=12, patience=3)))
    saving = _cost(firm, list(plan.base(_toy()).values())) - _cost(firm, list(scheme.saved.values()))
    assert float(saving.mean()) >= -3 * float(saving.std()) / 64
    assert [event[0] for event in happened].count("accepted") <= 1


def test_a_policy_that_does_not_win_is_forgotten_by_everyone():
    firm = pair()
    given = settings(
        imarl=IMARLSettings(parallel=False, share=1, iterations=2, patience=2, significance=1e6), iterations=4
    )
    happened, scheme, plan = _follow(firm, given)
    assert {event[0] for event in happened} == {"turn"}
    for name, snapshot in plan.base(given).items():
        own = scheme.training.workers.departments[name].plain.snapshot()
        for kept in (scheme.saved[name], scheme.training.published[name], own):
            assert kept.parameters.tobytes() == snapshot.parameters.tobytes()


def test_turns_cut_short_by_their_share_go_on_where_they_were_while_there_is_budget():
    """Three iterations a turn of ten in all; nothing is ever accepted, so every turn would begin at the base policy."""
    firm = pair()
    given = settings(
        imarl=IMARLSettings(parallel=False, share=0.3, iterations=99, patience=99, significance=1e6),
        steps=10 * 16 * firm.periods.train,
        copies=16,
    )
    plan, training = training_of(firm, given)
    scheme, begun, versions = IMARL.begin(plan.network, training), [], {}

    def watch(progress):
        (snapshot,) = progress.result.snapshots.values()
        if progress.iteration == 1:
            begun.append(progress.department)
        assert snapshot.version == versions.get(progress.department, 0) + 1, "it goes on from its last version"
        versions[progress.department] = snapshot.version

    scheme.run(watch, lambda *_: None, lambda: None)
    assert begun == ["warehouse", "shop", "warehouse", "shop"]
    assert versions == {"warehouse": 6, "shop": 4}
    base = plan.base(given)
    assert all(np.array_equal(scheme.saved[name].parameters, base[name].parameters) for name in base)


def test_departments_are_paid_for_what_they_and_those_below_them_cost():
    network = Network.of(load_firm("c1"))
    weights = reward_weights(network, "downstream")
    assert weights[0].tolist() == [1.0] * 13
    assert np.flatnonzero(weights[2]).tolist() == [2, 7, 8, 9]
    assert np.flatnonzero(weights[9]).tolist() == [9]
    assert torch.equal(torch.tensor(reward_weights(network, "own")), torch.eye(13))
    assert reward_weights(network, "network").min() == 1.0


@pytest.mark.parametrize(
    ("paid", "pays"), [("own", [[2.0, 5.0]]), ("downstream", [[7.0, 5.0]]), ("network", [[7.0, 7.0]])]
)
def test_settings_say_what_of_the_costs_departments_pay(paid, pays):
    given = settings_of(scheme="imarl", imarl={"paid": paid}, reward_unit=1.0)
    worker = setup_of(pair(), given).factories.environment()
    cost = torch.tensor([[[2.0], [5.0]]])  # [T, N, E]
    assert (-worker._payment.reward([0, 1], cost)[..., 0]).tolist() == pays


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("given", "own"),
    [
        ({"scheme": "imarl", "imarl": {"paid": "own"}}, [[0], [1], [2]]),
        ({"scheme": "imarl"}, [[0, 1, 2], [1], [2]]),  # the paper's: with all downstream
        ({"scheme": "marl"}, [[0, 1, 2], [1], [2]]),  # the depot by the network's
    ],
)
def test_rewards_mix_own_cost_and_the_networks_by_a_share(given, own, compiled):
    """Rewards of a rollout against the costs that were recorded in the same episodes, added up one by one."""
    firm, share, names = tree(), 0.3, ["depot", "east", "west"]
    given = given | {"reward_unit": 2.0, "compiled": compiled, "scaling": "benchmark"}
    mixed = settings_of(given, own_share=share)
    plan = setup_of(firm, mixed)
    worker, policies = plan.factories.environment(), list(plan.networks(mixed).values())
    worker.publish(*policies)
    rewards = worker.rewards(names, 8, (3, 1))  # [T, N, E]
    world, observer = world_of(firm)
    how = {"copies": 8, "seed": (3, 1), "compiled": worker._compiled, "eager": not compiled}
    costs = rollout(world, observer, policies, names, **how).account.double().numpy()  # [T, N, E]
    for point, paid in enumerate(own):
        for period in range(len(costs)):
            own_cost = sum(costs[period, other] for other in paid)
            expected = -(share * own_cost + (1.0 - share) * (costs[period, 0] + costs[period, 1] + costs[period, 2]))
            np.testing.assert_allclose(rewards[period, point], expected / 2.0, rtol=1e-4, atol=1e-4)
    alone = setup_of(firm, settings_of(given)).factories.environment()
    alone.publish(*policies)
    assert not np.allclose(alone.rewards(names, 8, (3, 1))[:, 1], rewards[:, 1]), "the east pays for others now"


@pytest.mark.parametrize("share", [-0.1, 1.1, "half"])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=r"^own_share: "):
        settings_of(scheme="imarl", own_share=share)

import numpy as np
import pytest

from departments.named_policies import ORDERS, RECOMMENDATIONS, order_rules, parse_policy
from departments.play.episode import run_costs
from departments.play.stepping import play
from departments.rules import local
from departments.rules.local import register_rule
from environment import World, load_firm
from tests.small_firms import tree, world_of


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(local, "REGISTERED", {})


def missing(seen, share=1.0, extra=0.0):
    """What is missing to the benchmark's level."""
    return share * (seen.level - seen.inventory_position) + extra


def test_a_rule_of_one_s_own_is_evaluated_by_its_name_and_its_numbers():
    register_rule("missing")(missing)
    world, _ = world_of(tree())
    chance = world.draw(20, 8, world.generator(1))
    costs = {text: run_costs(world, parse_policy(text, world.firm), chance) for text in (
        "decomposition-aggregation", "missing", "missing:1", "missing:0.5", "missing:share=0.5,extra=2")}  # fmt: skip
    same, *others = costs.values()
    assert [bool((cost == same).all()) for cost in others] == [True, True, False, False]
    assert order_rules()["missing"].help == "What is missing to the benchmark's level."
    assert "missing" not in ORDERS


def test_every_department_sees_what_the_state_says_of_its_own_point():
    seen = []
    register_rule("look", sees_backlog=True)(lambda now: seen.append(now) or np.full(now.on_hand.shape, 9.0))
    world, _ = world_of(tree(products=("tea", "rice")))
    chance = world.draw(12, 3, world.generator(2))
    for step in play(world, parse_policy("look", world.firm), chance):
        state, (depot, east, west) = step.before, seen[-3:]
        for point, one in enumerate((depot, east, west)):
            assert one.period == step.period
            assert np.array_equal(one.on_hand, state.on_hand[point].numpy())
            assert np.array_equal(one.inventory_position, state.inventory_position[point].numpy())
            assert np.array_equal(one.max_order[:, 0], world.firm.amounts("max_order")[point])
            edges = np.flatnonzero(world.network.edge_target == point)
            arriving = state.pipeline[:, edges].sum(1).numpy()
            assert np.array_equal(one.arrivals, arriving[: len(one.arrivals)])
        lines = world.network.line_supplier
        owed = np.stack([state.owed[lines == point].sum(0).numpy() for point in range(3)])
        assert np.array_equal(np.stack([depot.backlog, east.backlog, west.backlog]), owed)
        assert depot.asked is None


def test_where_customers_choose_a_rule_is_told_what_was_asked_for_and_recommends_nothing():
    register_rule("again")(lambda seen: seen.asked)
    firm = load_firm("closing-loop")
    world = World(firm, np.zeros((len(firm.names), len(firm.products))))
    chance = world.draw(9, 4, world.generator(3))
    feedback = None
    for step in play(world, parse_policy("margin-greedy+again", firm), chance):
        expected = (
            0 if feedback is None else world.feasible(feedback.asked, step.before.inventory_position, step.period)
        )
        assert bool((step.order == expected).all())
        assert bool(step.exposure.any())
        feedback = step.feedback
    alone, paired = (run_costs(world, parse_policy(text, firm), chance) for text in ("again", "none+again"))
    assert bool((alone == paired).all())


def test_names_that_are_taken_or_none_are_refused(monkeypatch):
    for name in (*ORDERS, *RECOMMENDATIONS):
        with monkeypatch.context() as patched:
            patched.setattr(local, "REGISTERED", {})
            register_rule(name)(missing)
            with pytest.raises(ValueError, match=f"{name}' is there already"):
                parse_policy("reorder", load_firm("a1"))
    with pytest.raises(ValueError, match="lower-case letters"):
        register_rule("My Rule")
    register_rule("mine")(missing)
    register_rule("mine")(missing)  # a module that is imported again
    with pytest.raises(ValueError, match=r"'mine' is registered by .*test_local"):
        register_rule("mine")(np.abs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missing:much", "'missing' is written as missing:share=0.5, each number once, got 'much'"),
        ("missing:nan", "got 'nan'"),
        ("missing:shar=1", "got 'shar=1'"),
        ("missing:1,share=2", "got 'share=2'"),
        ("needy", "rule 'needy' needs level: write needy:level=0.5"),
        ("bare:3", "'bare' is written as bare, each number once, got '3'"),
        ("other", "policy must be .*reorder.*missing.* got 'other'"),
    ],
)
def test_what_is_written_wrongly_behind_a_rule_is_refused_with_one_line(text, message):
    register_rule("missing")(missing)
    register_rule("needy")(lambda seen, level: seen.on_hand + level)
    register_rule("bare")(lambda seen: seen.on_hand)
    with pytest.raises(ValueError, match=message) as refused:
        parse_policy(text, load_firm("a1"))
    assert "\n" not in str(refused.value)


def test_a_rule_that_returns_another_shape_is_told_so():
    register_rule("flat")(lambda seen: seen.on_hand.sum())
    world, _ = world_of(tree())
    with pytest.raises(ValueError, match=r"'flat' must return orders of shape \(1, 2\), got \(\)"):
        run_costs(world, parse_policy("flat", world.firm), world.draw(3, 2, world.generator(1)))

"""Schemes of firms with customers, from their start on."""

import pytest

from coordinator.learning.iterations import Training
from coordinator.schemes.registry import scheme_of
from coordinator.schemes.setup import setup_of
from coordinator.workers.group import LocalGroup
from departments.named_policies import parse_policy
from departments.play.episode import run_episodes, shards
from departments.rules.ordering import baseline_levels
from environment import World
from tests.small_markets import market
from tests.small_runs import settings


@pytest.mark.parametrize("scheme", ["mtma", "stsa-fast", "pathwise"])
def test_it_begins_about_where_the_coordinated_rules_are(scheme):
    firm = market()
    given = settings(
        scheme=scheme,
        policy={"hidden": (32,), "form": "plain"},
        base_policy="tuned",
        copies=128,
        selection_episodes=200,
    )
    plan = setup_of(firm, given)
    how = {"streams": plan.streams, "train_periods": plan.firm.periods.train}
    training = Training(LocalGroup(plan.factories, 1, 2), given, plan.base(given), **how)
    nothing = -float(training.selection_costs().mean())
    scheme_of(scheme).runner.begin(plan.network, training)
    start = -float(training.selection_costs().mean())
    world = World(firm, baseline_levels(firm))
    (chance,) = shards(world, 200, 5)
    ruled = -float(run_episodes(world, parse_policy("inventory-aware", firm), chance).cost.mean())
    assert start == pytest.approx(ruled, rel=0.06)
    assert nothing < ruled - 0.5 * abs(ruled)

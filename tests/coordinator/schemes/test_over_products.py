"""Schemes whose departments share one network over products: paid and valued by product, and able to learn."""

import numpy as np
import pytest

from coordinator.critic.value_function import values_of
from coordinator.learning.settings import Wiring
from coordinator.schemes.given_settings import kept_settings, to_json
from coordinator.schemes.setup import setup_of
from departments.policies.policy import PolicyConfig
from tests.small_firms import tree
from tests.small_runs import LOCAL, final_policies, settings

FIRM, COPIES = tree(products=("tea", "rice", "salt")), 4
SHARED = PolicyConfig(hidden=(8,), over_products="shared")
JOINT = SHARED.model_copy(update={"over_products": "joint"})
PLAIN = SHARED.model_copy(update={"form": "plain"})  # starts far from good


def rolled(policy, **changes):
    """What depot and west learn from in a shard, the critic's lesson, and what they are paid."""
    given = settings(policy=policy, base_policy="benchmark", **changes)
    plan, learning = setup_of(FIRM, given), ["depot", "west"]
    worker, streams = plan.factories.environment(), [plan.streams[name] for name in learning]
    worker.publish(*plan.networks(given).values())
    reward = worker.rewards(learning, COPIES, (3, 1))
    values = values_of(plan.factories.critic().calibrate(streams, reward))
    return *worker.rollout(learning, streams, values, COPIES, (3, 1)), reward


def test_who_shares_is_paid_by_product_what_is_paid_for_all_in_sum():
    _, _, _, apart = rolled(SHARED)
    _, _, _, together = rolled(JOINT)  # does the same: it starts as the rule, and explores by the same numbers
    assert apart.shape == (12, 2, 3 * COPIES)
    np.testing.assert_allclose(apart.reshape(12, 2, 3, COPIES).sum(2), together, rtol=1e-5)


def test_advantages_and_values_are_by_product_too_and_add_up_where_one_decides_about_all():
    depot, west, lesson, _ = rolled(SHARED)
    assert depot[1].shape == (12, 1, 3 * COPIES)
    assert depot[-1].shape == west[-1].shape == lesson[1].reshape(12, -1, 2).shape[:2] == (12, 3 * COPIES)
    mixed, also_west, *_ = rolled(SHARED, departments={"depot": {"policy": JOINT}})
    assert mixed[1].shape == (12, 3, COPIES)
    np.testing.assert_allclose(mixed[-1], depot[-1].reshape(12, 3, COPIES).sum(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(also_west[-1], west[-1])


def test_a_critic_that_attends_values_all_products_together():
    depot, west, lesson, reward = rolled(SHARED, scheme="marl-gnn")
    assert reward.shape == (12, 2, COPIES)
    assert len(lesson[0]) == 12 * COPIES
    for part in (depot, west):
        np.testing.assert_array_equal(part[-1].reshape(12, 3, COPIES), part[-1][:, None, :COPIES].repeat(3, 1))


@pytest.mark.parametrize("scheme", ["imarl", "marl", "sarl", "pathwise"])
def test_departments_that_share_learn_and_threads_change_no_bit(scheme, tmp_path):
    given = settings(scheme=scheme, policy=PLAIN, pathwise={"updates": 8, "copies": 16})
    one = final_policies(FIRM, given, tmp_path / "one", LOCAL)
    assert any(version for version, _ in one.values()), "something must be learned"
    assert final_policies(FIRM, given, tmp_path / "many", Wiring(backend="local", environments=2, threads=3)) == one


def test_a_run_of_before_there_was_a_choice_is_joint():
    written = to_json(settings(policy={"hidden": [8]}))
    assert written["policy"].pop("over_products") == "auto"
    assert kept_settings(written).policy.over_products == "joint"

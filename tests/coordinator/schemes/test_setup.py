import numpy as np
import pytest

from coordinator.learning.settings import DepartmentSettings
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import setup_of
from departments.learning.ppo import PPOConfig
from departments.policies.policy import PolicyConfig
from environment import load_firm
from tests.small_firms import pair
from tests.small_runs import settings


def test_departments_are_set_up_from_their_own_settings_where_they_have_any():
    own = DepartmentSettings(policy=PolicyConfig(hidden=(3,), observation="own"), ppo=PPOConfig(learning_rate=0.5))
    plan = setup_of(load_firm("a1"), settings(departments={"retailer-2": own}))
    specs = plan.specs
    assert specs["retailer-2"].shapes.hidden == (3,)
    assert specs["retailer-2"].ppo.learning_rate == 0.5
    assert specs["warehouse"].shapes.inputs == 4
    assert specs["warehouse"].ppo.learning_rate == 0.01


def test_rewards_are_counted_in_the_holding_cost_of_the_benchmarks_stock():
    plan = setup_of(load_firm("toy"), settings_of())
    reward = _collect(plan)
    assert plan.specs["shop"].shapes.inputs == 1
    assert 0.2 < -float(reward.mean()) < 0.6  # 8.2 a period at the optimum, over 26


def _collect(plan):
    collector = plan.factories.environment()
    collector.publish(*plan.base(settings_of()).values())
    return collector.rewards(["shop"], 64, (0,))


def test_a_random_base_policy_differs_by_seed_and_from_the_benchmark():
    def base(seed):
        given = settings(seed=seed, base_policy="random")
        return {name: snapshot.parameters for name, snapshot in setup_of(pair(), given).base(given).items()}

    benchmark = {name: s.parameters for name, s in setup_of(pair(), settings()).base(settings()).items()}
    for name in ("shop", "warehouse"):
        np.testing.assert_array_equal(base(1)[name], base(1)[name])
        assert not np.array_equal(base(1)[name], base(2)[name])
        assert np.count_nonzero(base(1)[name] != benchmark[name]) == benchmark[name].size


@pytest.mark.parametrize(
    ("firm", "given", "parts"),
    [
        ("a1", {"scheme": "mtma"}, ["mtma needs a firm with customers", "a1 has none", "use imarl"]),
        ("a1", {"departments": {"shop": {}}}, ["departments.shop is not a department of a1", "warehouse, retailer-1"]),
        (
            "closing-loop",
            {"scheme": "stsa-fast", "departments": {"recommendation": {}}},
            ["departments.recommendation is not a department", "stsa-fast"],
        ),
    ],
)
def test_settings_that_do_not_fit_the_firm_are_refused_in_one_line(firm, given, parts):
    with pytest.raises(ValueError, match=parts[0]) as refused:
        setup_of(load_firm(firm), settings_of(**given))
    assert "\n" not in str(refused.value)
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("scheme", "departments", "streams"),
    [
        ("mtma", {"warehouse", "store-1", "store-2", "store-3", "recommendation"}, 1),
        ("siloed", {"warehouse", "store-1", "store-2", "store-3", "recommendation"}, 5),
        ("stsa-slow", {"everyone"}, 1),
    ],
)
def test_in_a_firm_with_customers_all_are_paid_by_its_profit_and_silos_by_their_own(scheme, departments, streams):
    plan = setup_of(load_firm("firm"), settings_of(scheme=scheme))
    if scheme != "stsa-slow":
        assert set(plan.specs) == departments
    assert len(plan.specs) == len(departments)
    assert len(set(plan.streams.values())) == streams


def test_each_department_of_a_firm_with_customers_learns_on_the_law_of_its_timescale():
    rates = {}
    for scheme in ("mtma", "stma-fast", "stma-slow"):
        specs = setup_of(load_firm("firm"), settings_of(scheme=scheme)).specs
        rates[scheme] = (specs["recommendation"].law, specs["warehouse"].law)
    fast, slow = rates["mtma"]
    assert fast != slow
    assert rates["stma-fast"] == (fast, fast)
    assert rates["stma-slow"] == (slow, slow)

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.named_policies import parse_policy
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.episode import run_costs, run_episodes
from departments.policies.firm_policy import FirmPolicy
from departments.rules.forecast import ForecastBaseStock
from departments.rules.ordering import BaseStock, baseline_levels, echelon_weights
from departments.rules.recommendation import OfferRule, Pair
from environment import World, load_firm, parse_firm
from environment.toolchain import COMPILERS
from tests.random_firms import examples, firms
from tests.small_firms import fresh, pair, stirred, world_of
from tests.small_runs import settings as run_settings

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")
SHOP = {"holding_cost": 0.5, "backorder_cost": 2, "price": 9, "unit_cost": 4, "fixed_order_cost": 5, "max_order": 30}
TEAHOUSE = {  # two products, sales that are lost, money that comes in, costs an order, a value at the end
    "name": "teahouse",
    "unmet": "lost",
    "products": ["tea", "rice"],
    "periods": {"evaluate": 20, "warm_up": 0},
    "stock_points": {
        "depot": {"holding_cost": 0.25, "max_order": 60, "demand": 2},
        "shop": SHOP | {"salvage_value": 1, "demand": {"law": "uniform", "low": 0, "high": 9}},
    },
    "supply": [{"from": "depot", "to": "shop", "lead_time": 2}],
}


@needs_compiler
@pytest.mark.parametrize(
    ("firm", "rule"),
    [
        *[("d5", "echelon-base-stock"), ("a3", "reorder"), (TEAHOUSE, "decomposition-aggregation")],
        *[("closing-loop", "inventory-aware"), ("firm", "margin-greedy"), ("firm", "inventory-aware:1+reorder")],
    ],
)
def test_compiled_episodes_are_those_of_the_eager_world(firm, rule):
    firm = load_firm(firm) if isinstance(firm, str) else parse_firm(firm)
    world, policy = World(firm, baseline_levels(firm)), parse_policy(rule, firm)
    chance = world.draw(firm.periods.evaluate - 1, 70, world.generator(4))
    said = []
    compiled = CompiledEpisodes(world, said.append)
    found, expected = compiled.episodes(policy, chance), run_episodes(world, policy, chance)
    np.testing.assert_array_equal(found.cost, expected.cost)
    for field, value in vars(expected).items():
        np.testing.assert_allclose(getattr(found, field), value, rtol=1e-12, err_msg=field)
    np.testing.assert_allclose(compiled.costs(policy, chance), run_costs(world, policy, chance), rtol=1e-5, atol=1e-2)
    assert not said


@needs_compiler
@examples(25)
@given(firms(customers=True).filter(lambda firm: firm.customers), st.data())
def test_rules_of_random_firms_with_customers_decide_the_same(firm, data):
    firm = firm.model_copy(update={"periods": firm.periods.model_copy(update={"evaluate": 20, "warm_up": 5})})
    levels, weights = np.full((len(firm.names), len(firm.products)), 15.0), echelon_weights(firm)
    follows = ForecastBaseStock("forecast-base-stock", firm, 0.3)
    rules = [follows]
    if all(edge.share is None for edge in firm.supply):  # else weighted positions may be halves, rounded either way
        rules.append(BaseStock("echelon", weights @ levels, weights))
    orders = data.draw(st.sampled_from(rules))
    shows = data.draw(st.sampled_from([None, OfferRule("none", pushes=False), OfferRule("aware", 0.6)]))
    world, said = World(firm, levels), []
    policy = orders if shows is None else Pair("pair", shows, orders)
    chance, compiled = world.draw(19, 21, world.generator(4)), CompiledEpisodes(world, said.append)
    found, expected = compiled.episodes(policy, chance), run_episodes(world, policy, chance)
    np.testing.assert_allclose(found.cost, expected.cost, rtol=1e-5, atol=1e-4)  # money alone may be rounded otherwise
    fields = ("product_on_hand", "order_square", "received_square", "product_demand", "product_served_at_once")
    for field in (*fields, "unserved", "full_service", "full_cycles", "cycles", "outages", "recovering"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-12, err_msg=field)
    assert not said


@needs_compiler
def test_learned_policies_cost_the_same():
    world, observer = world_of(pair())
    networks = [stirred(one, 3, 0.3) for one in fresh(world, observer, run_settings().policy)]
    chance, said = world.draw(world.firm.periods.evaluate - 1, 37, world.generator(1)), []
    compiled, policy = CompiledEpisodes(world, said.append), FirmPolicy(world, observer, networks)
    found, expected = compiled.episodes(policy, chance), run_episodes(world, policy, chance)
    np.testing.assert_array_equal(found.cost, expected.cost)
    np.testing.assert_allclose(found.fill_rate, expected.fill_rate, rtol=1e-12)
    assert not said


@needs_compiler
def test_networks_that_are_not_compiled_are_played_by_the_eager_world():
    world, observer = world_of(pair())
    tanh = run_settings().policy.model_copy(update={"activation": "tanh"})
    policy = FirmPolicy(world, observer, fresh(world, observer, tanh))
    chance, said = world.draw(world.firm.periods.evaluate - 1, 5, world.generator(1)), []
    compiled = CompiledEpisodes(world, said.append)
    for _ in range(2):
        found = compiled.episodes(policy, chance)
    np.testing.assert_array_equal(found.cost, run_episodes(world, policy, chance).cost)
    assert said == ["not compiled: policies that are no rules of ours"]

import numpy as np
import pytest
import torch

from departments.named_policies import parse_rule
from departments.play.episode import SHARD, Episodes, run_costs, run_episodes, shards
from departments.rules.ordering import BaseStock
from environment import World, load_firm
from environment.streams import Stream
from tests.oracles import SlowWorld, chain_of
from tests.small_firms import pair, tree, world_of


def _slow_measures(world, levels, chance, copy):
    """One copy in the slow world, which also decides its own orders: what each counted period brought."""
    firm, chain, start = world.firm, chain_of(world.firm), world.reset(1).on_hand
    initial = {(p, k): int(start[n, i, 0]) for n, p in enumerate(firm.names) for i, k in enumerate(firm.products)}
    slow = SlowWorld(chain, initial)
    laws = zip(world.network.edge_names, world.network.lead_time_laws, strict=True)
    fixed = {edge: int(own[0].mass().argmax()) for edge, own in laws}
    periods, warm_up = firm.periods.evaluate, firm.periods.warm_up
    rows, backlog = [], dict.fromkeys(slow.keys, 0)
    orders, demand = {}, {}
    suppliers = {(c, k): s for s, c in chain.supply for k in chain.products}
    for t in range(periods):
        slow.receive(t)
        if t > 0:
            slow.stand_in_line(orders, suppliers, demand)
        times = {}
        for e, edge in enumerate(world.network.edge_names):
            for i, k in enumerate(firm.products):
                drawn = chance.lead_time
                times[(*edge, k)] = int(fixed[edge] if drawn is None or t == 0 else drawn[t - 1, e, i, copy])
        sales, lost, _ = slow.fulfil(t, times)
        cost = slow.account(orders or dict.fromkeys(slow.keys, 0), sales, lost, None)
        if t >= warm_up:
            rows.append((cost, dict(slow.on_hand), orders, demand, sales, lost, backlog, dict(slow.backlog)))
        backlog = dict(slow.backlog)
        if t == periods - 1:
            break
        limit = {n: firm.stock_points[n].max_order for n in firm.names}
        orders = {
            (p, k): int(min(max(levels[n, i] - slow.position(p, k), 0), limit[p]))
            for n, p in enumerate(firm.names)
            for i, k in enumerate(firm.products)
        }
        demand = {
            (p, k): int(chance.demand[t, c, i, copy])
            for c, p in enumerate(firm.customer_facing)
            for i, k in enumerate(firm.products)
        }
    return rows


def _wanted(key):
    """Units that customers asked for in the period of a row."""
    return lambda row: row[3][key]


def _met(key):
    """Units of them that were served at once."""
    return lambda row: max(row[4][key] - row[6][key], 0)


def _asked(chain, row, point):
    """Units that all customers of a point ordered in the period of a row."""
    _, _, orders, demand, *_ = row
    inside = sum(orders[c, k] for s, c in chain.supply if s == point for k in chain.products)
    return inside + sum(demand.get((point, k), 0) for k in chain.products)


FIRMS = {
    "pair": pair,
    "tree": tree,
    "lost sales": lambda: tree(unmet="lost"),
    "two products": lambda: tree(products=("tea", "rice")),
}


@pytest.mark.parametrize("firm", FIRMS.values(), ids=FIRMS)
def test_costs_and_measures_equal_slow_loops_over_the_slow_world(firm):
    world, observer = world_of(firm(), dtype=torch.float64)
    chain, names, copies = chain_of(world.firm), world.firm.names, 3
    levels = observer.level.view(world.points, world.products).numpy() - 3  # short of stock, so that service suffers
    chance = world.draw(world.firm.periods.evaluate - 1, copies, world.generator(2))
    fast = run_episodes(world, BaseStock("rule", levels), chance)
    slow = [_slow_measures(world, levels, chance, copy) for copy in range(copies)]
    for copy, rows in enumerate(slow):
        assert fast.cost[copy] == pytest.approx(sum(sum(row[0].values()) for row in rows))
    rows = [row for copy in slow for row in copy]
    for n, point in enumerate(names):
        keys = [(point, k) for k in world.firm.products]
        on_hand = np.mean([sum(row[1][key] for key in keys) for row in rows])
        ordered = np.array([sum(row[2][key] for key in keys) for row in rows])
        asked = np.array([_asked(chain, row, point) for row in rows])
        cost = sum(row[0][key] for row in rows for key in keys) / copies
        assert fast.point_cost[n] == pytest.approx(cost)
        assert fast.on_hand[n] == pytest.approx(on_hand)
        assert fast.order_quantity[n] == pytest.approx(ordered.mean())
        assert fast.bullwhip_ratio[n] == pytest.approx(ordered.var() / asked.var())
        assert fast.inventory_turns[n] == pytest.approx(asked.mean() / on_hand)
    for c, point in enumerate(world.firm.customer_facing):
        keys = [(point, k) for k in world.firm.products]
        demand = sum(_wanted(key)(row) for row in rows for key in keys)
        at_once = sum(_met(key)(row) for row in rows for key in keys)
        left = [sum(row[5][key] + row[7][key] for key in keys) for row in rows]
        assert fast.fill_rate[c] == pytest.approx(at_once / demand)
        assert fast.unserved[c] == pytest.approx(np.mean(left))
        assert fast.full_service[c] == pytest.approx(np.mean([units == 0 for units in left]))
        for k, key in enumerate(keys):
            own = [row[5][key] + row[7][key] for row in rows]
            assert fast.product_cycle_service[c, k] == pytest.approx(np.mean([units == 0 for units in own]))
            asked, met = (sum(of(row) for row in rows) for of in (_wanted(key), _met(key)))
            assert fast.product_fill_rate[c, k] == pytest.approx(met / asked)
        assert 0.1 < fast.fill_rate[c] < 0.999, "the rule must leave something to measure"


def test_without_a_warm_up_the_stock_of_period_0_costs_too():
    world, observer = world_of(pair(periods={"train": 8, "evaluate": 6, "warm_up": 0}), dtype=torch.float64)
    levels = observer.level.view(2, 1).numpy()
    chance = world.draw(5, 2, world.generator(0))
    rows = _slow_measures(world, levels, chance, 1)
    assert len(rows) == 6
    fast = run_episodes(world, BaseStock("rule", levels), chance)
    assert fast.cost[1] == pytest.approx(sum(sum(row[0].values()) for row in rows))
    assert run_costs(world, BaseStock("rule", levels), chance).sum(0)[1].item() == pytest.approx(fast.cost[1])


@pytest.mark.parametrize("firm", FIRMS.values(), ids=FIRMS)
def test_costs_alone_are_the_costs_with_the_measures(firm):
    world, observer = world_of(firm())
    rule = BaseStock("rule", observer.level.view(world.points, world.products).numpy())
    chance = world.draw(world.firm.periods.evaluate - 1, 9, world.generator(4))
    full, costs = run_episodes(world, rule, chance), run_costs(world, rule, chance)
    np.testing.assert_allclose(costs.sum(0), full.cost, rtol=1e-5)
    np.testing.assert_allclose(costs.mean(1), full.point_cost, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "rule", "episodes", "golden", "tolerance"),
    [
        ("a1", "base-stock:warehouse=60,retailer-1=33,retailer-2=33,retailer-3=33", 2048, 2355, 7),
        ("a3", "base-stock:warehouse=130,retailer-1=67,retailer-2=67,retailer-3=67", 1024, 5298, 12),
        ("a1", "echelon-base-stock:warehouse=125,retailer-1=33,retailer-2=33,retailer-3=33", 2048, 2225, 5),
    ],
)
def test_costs_of_given_levels_are_the_published_ones(name, rule, episodes, golden, tolerance):
    """Measured by independent implementations; the tolerance is the standard error stated there."""
    world, _ = world_of(load_firm(name))
    parts = [run_costs(world, parse_rule(rule, world.firm), chance) for chance in shards(world, episodes, 3)]
    cost = torch.cat(parts, -1).sum(0).double()
    error = float(cost.std()) / episodes**0.5
    assert abs(float(cost.mean()) - golden) < 3 * (error**2 + tolerance**2) ** 0.5


def test_the_chance_of_an_episode_does_not_depend_on_how_many_follow_in_other_shards():
    world, _ = world_of(pair())
    few, many = list(shards(world, SHARD, 1)), list(shards(world, SHARD + 40, 1))
    assert [part.demand.shape[-1] for part in many] == [SHARD, 40]
    assert torch.equal(few[0].demand, many[0].demand)
    assert not torch.equal(many[1].demand, many[0].demand[..., :40])
    assert not torch.equal(next(shards(world, SHARD, 1, Stream.SELECTION)).demand, few[0].demand)


def test_shards_are_joined_by_their_number_of_episodes():
    world, observer = world_of(pair())
    rule = BaseStock("rule", observer.level.view(2, 1).numpy())
    chance = world.draw(15, 30, world.generator(0))
    whole = run_episodes(world, rule, chance)
    pieces = [type(chance)(*(None if f is None else f[..., part] for f in chance)) for part in (slice(7), slice(7, 30))]
    joined = Episodes.joined([run_episodes(world, rule, piece) for piece in pieces])
    np.testing.assert_allclose(joined.cost, whole.cost)
    for name in ("on_hand", "order_square", "fill_rate", "full_service", "point_cost"):
        np.testing.assert_allclose(getattr(joined, name), getattr(whole, name), rtol=1e-5)


def test_an_episode_leaves_the_policy_only_what_the_world_accepts():
    world = World(pair(), np.zeros((2, 1)))
    chance = world.draw(15, 4, world.generator(0))
    greedy = run_episodes(world, BaseStock("rule", np.array([[1e6], [1e6]])), chance)
    np.testing.assert_allclose(greedy.order_quantity, [60, 30])
    nothing = run_episodes(world, BaseStock("rule", np.array([[-1e6], [-1e6]])), chance)
    assert not nothing.order_quantity.any()
    assert not nothing.fill_rate.any()

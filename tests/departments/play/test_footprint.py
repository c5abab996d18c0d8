"""Who is served how well, and from whom, beside loops over single copies."""

import numpy as np
import pytest

from departments.named_policies import parse_policy
from departments.play.episode import run_episodes
from departments.play.footprint import by_region, by_segment, concentration, concentration_of_all, footprint, gap
from departments.play.stepping import play
from departments.rules.ordering import baseline_levels
from environment import Network, World, load_firm, parse_firm


def shops(choice="split", **regions):
    """Two shops, each with a mill and a depot outside; one of them sells twice as much."""
    point = {"holding_cost": 1, "backorder_cost": 4, "max_order": 99}
    points = {
        name: point | {"demand": {"law": "poisson", "mean": mean}} | ({"region": regions[name]} if regions else {})
        for name, mean in {"big": 8, "small": 4, "far": 4}.items()
    }
    supply = [{"from": "mill", "to": "big", "share": 0.25}, {"from": "outside", "to": "big", "share": 0.75}]
    supply += [{"from": "outside", "to": "small", "lead_time": 3}, {"from": "outside", "to": "far"}]
    return parse_firm(
        {"name": "shops", "supplier_choice": choice, "suppliers": ["mill"], "stock_points": points, "supply": supply}
    )


def test_regions_are_served_as_their_points_together():
    firm = shops(big="north", small="north", far="south")
    world, rule = World(firm, baseline_levels(firm)), parse_policy("base-stock:big=17,small=14,far=6", firm)
    chance = world.draw(firm.periods.evaluate - 1, 8, world.generator(1))
    found = run_episodes(world, rule, chance)
    asked, served, backlog = np.zeros(3), np.zeros(3), 0.0
    for step in play(world, rule, chance):
        if step.period + 1 >= firm.periods.warm_up:
            asked += step.outcome.demand.sum((1, 2)).numpy()
            served += (step.outcome.sales - backlog).clamp_min(0).sum((1, 2)).numpy()
        backlog = world.backlog(step.after)
    expected = {"north": served[:2].sum() / asked[:2].sum(), "south": served[2] / asked[2]}
    assert by_region(firm, found) == pytest.approx(expected)
    told = footprint(firm, found)
    assert told["gaps"]["regions"] == pytest.approx(abs(expected["north"] - expected["south"])) == gap(expected)
    assert "regions" not in footprint(shops(), found)
    assert "emissions" not in told


def test_the_herfindahl_index_is_that_of_the_suppliers_shares():
    for choice in ("split", "random"):
        firm = shops(choice)
        world = World(firm, baseline_levels(firm))
        chance = world.draw(firm.periods.evaluate - 1, 512, world.generator(2))
        found = run_episodes(world, parse_policy("base-stock", firm), chance)
        index = concentration(Network.of(firm), found)
        np.testing.assert_allclose(index, [0.25**2 + 0.75**2, 1, 1], atol=0.02)
        assert concentration_of_all(Network.of(firm), found) == pytest.approx(index[0])


def test_segments_share_what_a_product_s_customers_get():
    firm = load_firm("closing-loop")
    world, rule = World(firm, baseline_levels(firm)), parse_policy("margin-greedy", firm)
    chance = world.draw(firm.periods.evaluate - 1, 6, world.generator(3))
    found, served = run_episodes(world, rule, chance), {}
    names = [(point, segment) for point in firm.customer_facing for segment in firm.segments(point)]
    for step in play(world, rule, chance):
        if step.period + 1 >= firm.periods.warm_up:
            now = chance.at(step.period)
            shown = world.choice.standing if step.exposure is None else step.exposure
            bought = world.choice.purchases(shown, now.customers, now.traffic).sum(-1).numpy()
            for s, name in enumerate(names):
                served[name] = served.get(name, 0.0) + bought[s]
    rates = by_segment(firm, found)
    assert len(rates) == len(names) > 1
    for (point, segment), units in served.items():
        fill = found.product_fill_rate[firm.customer_facing.index(point)]
        assert rates[f"{point}/{segment}"] == pytest.approx((units @ fill) / units.sum())
    total = sum(units.sum() for units in served.values())
    mean = sum(rates[f"{p}/{s}"] * units.sum() for (p, s), units in served.items()) / total
    assert mean == pytest.approx(found.served_at_once.sum() / found.demand.sum()), "all together are the firm"

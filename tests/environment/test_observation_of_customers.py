import math

import numpy as np
import pytest
import torch

from environment import World, load_firm, parse_firm
from environment.observation import Observer


@pytest.fixture
def seen():
    """A world of four stock points after one step, with what there is to see."""
    world = World(load_firm("firm"), np.zeros((4, 3)), dtype=torch.float64)
    observer = Observer(world, np.full((4, 3), 20.0))
    chance, state = world.draw(1, 5, world.generator(1)).at(0), world.reset(5)
    order = torch.arange(12.0, dtype=torch.float64).view(4, 3, 1).expand(-1, -1, 5)
    exposure = torch.zeros(6, 3, 5, dtype=torch.float64)
    exposure[:, 1] = 1.0
    after, outcome = world.step(state, order, chance, exposure)
    feedback = world.feedback(state, order, chance, exposure, after, outcome)
    return world, observer, order, after, outcome, feedback


def part(observer, kind, point, *view):
    return observer.all_features(*view)[observer.rows(kind, point)]


def test_a_store_sees_its_position_stock_arrivals_last_demand_and_sales_and_the_season(seen):
    world, observer, _, after, outcome, feedback = seen
    rows = part(observer, "replenishment", 2, after, feedback, 1)
    spread = observer.spread.view(4, 3, 1)[2]
    assert torch.allclose(rows[:3], (after.inventory_position[2] - 20) / spread)
    assert torch.allclose(rows[3:6], after.on_hand[2] / spread)
    arrivals = 3 * min(world.slots, 6)
    assert rows[6 : 6 + arrivals].abs().sum() > 0
    demand, sales = rows[6 + arrivals :].split((3, 3, 2))[:2]
    assert torch.allclose(demand, outcome.demand[1] / spread)
    assert torch.allclose(sales, outcome.sales[1] / spread)
    phase = 2 * math.pi / 15
    assert rows[-2:, 0].tolist() == pytest.approx([math.sin(phase), math.cos(phase)])


def test_a_warehouse_sees_what_its_stores_have_ordered(seen):
    _, observer, order, after, _, feedback = seen
    rows = part(observer, "replenishment", 0, after, feedback, 1)
    spread = observer.spread.view(4, 3, 1)[0]
    assert torch.allclose(rows[-8:-5] * spread, order[1:].sum(0))


def test_replenishment_sees_neither_exposure_nor_traffic(seen):
    _, observer, _, after, _, feedback = seen
    hidden = feedback._replace(exposure=feedback.exposure + 1, traffic=feedback.traffic + 1)
    for point in range(4):
        one, other = (part(observer, "replenishment", point, after, told, 1) for told in (feedback, hidden))
        assert torch.equal(one, other)


def test_recommendation_sees_stock_arrivals_totals_traffic_and_its_exposure_but_no_orders(seen):
    world, observer, _, after, _, feedback = seen
    rows = part(observer, "recommendation", 0, after, feedback, 1)
    assert len(rows) == 3 * 12 + 6 + 18 + 2
    spread = observer.spread.view(4, 3, 1)
    assert torch.allclose(rows[:12].view(4, 3, 5), after.on_hand / spread)
    assert torch.allclose(rows[24:36].view(4, 3, 5), world.in_transit(after) / spread)
    assert torch.allclose(rows[36:42], feedback.traffic / world.choice.traffic)
    assert torch.equal(rows[42:60].view(6, 3, 5), feedback.exposure)
    hidden = feedback._replace(asked=feedback.asked + 1, handed=feedback.handed + 1)
    moved = after._replace(inventory_position=after.inventory_position + 1, owed=after.owed + 1)
    assert torch.equal(rows, part(observer, "recommendation", 0, moved, hidden, 1))


def test_all_features_are_finite_and_as_many_as_announced(seen):
    _, observer, _, after, _, feedback = seen
    for told in (None, feedback):
        features = observer.all_features(after, told, 1)
        assert features.shape == (observer.size, 5)
        assert torch.isfinite(features).all()


def test_a_firm_without_customers_has_no_closed_loop_observations():
    world = World(load_firm("a1"), np.zeros((4, 1)))
    observer = Observer(world, np.zeros((4, 1)))
    with pytest.raises(RuntimeError, match="has no customers"):
        observer.rows("recommendation", 0)


def test_what_no_customer_buys_is_counted_in_units():
    content = load_firm("firm").model_dump(mode="json")
    for segment in content["customers"]["store-2"]["segments"].values():
        segment["preference"] = {"p1": 0.0, "p2": 0.0}
    world = World(parse_firm(content), np.zeros((4, 3)))
    observer = Observer(world, np.zeros((4, 3)))
    assert observer.spread.view(4, 3)[2, 2] == 1.0
    assert observer.spread.view(4, 3)[2, 0] > 1.0
    assert observer.all_features(world.reset(2)).abs().max() < 100

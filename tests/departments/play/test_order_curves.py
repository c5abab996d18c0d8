from itertools import chain

import numpy as np

from departments.named_policies import parse_policy, parse_rule
from departments.play.order_curves import order_curves
from environment import World
from tests.small_firms import pair
from tests.small_markets import market


def test_base_stock_orders_what_lacks_to_its_level():
    firm = pair()
    world = World(firm, np.array([[20.0], [14.0]]))
    found = order_curves(world, parse_rule("base-stock:warehouse=20,shop=14", firm), copies=128)
    for (habit,), level, most in zip(found, (20.0, 14.0), firm.amounts("max_order")[:, 0], strict=True):
        whole = np.isclose(habit.position, habit.position.round())  # bins that hold one position
        assert whole.sum() > 4
        expected = np.clip(level - habit.position[whole], 0, most)
        for orders in (habit.order, habit.low, habit.high):
            np.testing.assert_allclose(orders[whole], expected)
        assert (np.diff(habit.position) > 0).all()
        assert habit.slope < -0.9
        np.testing.assert_allclose(habit.at(habit.position[whole][0]), expected[0])
        assert np.isnan(habit.at(habit.position[-1] + 1))


def test_firms_with_customers_have_a_curve_per_product_and_the_same_seed_the_same_curve():
    firm = market()
    world = World(firm, np.full((3, 3), 8.0))
    once, again = (order_curves(world, parse_policy("inventory-aware", firm), copies=64, seed=3) for _ in range(2))
    assert [len(products) for products in once] == [3, 3, 3]
    for first, second in zip(chain(*once), chain(*again), strict=True):
        np.testing.assert_array_equal(first.order, second.order)
        assert (first.low <= first.high).all()

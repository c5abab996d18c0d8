import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from departments.numerics.actions import OrderLimits, action_to_order
from environment import World, parse_firm
from tests.random_firms import examples, firms

RNG = np.random.default_rng(0)


def test_orders_become_whole_and_feasible():
    wished = np.array([[-1.0, 2.5, 3.5, 8.6, 1e9]])
    assert OrderLimits.only(np.array([[8.0]])).feasible(0, wished, 0 * wished, 0).tolist() == [[0, 2, 4, 8, 8]]
    assert wished.tolist() == [[-1.0, 2.5, 3.5, 8.6, 1e9]]


@examples(60)
@given(firms(), st.integers(0, 1000))
def test_orders_are_made_feasible_as_the_world_makes_them(firm, seed):
    assume(firm.supplier_choice != "ordered")  # whose orders are not decided in numpy
    world = World(firm, np.zeros((len(firm.names), len(firm.products))))
    rng, limits = np.random.default_rng(seed), OrderLimits.of(world.limits.facts())
    wish, position = rng.uniform((-9, -20), (40, 35), (world.points, world.products, 50, 2)).transpose(3, 0, 1, 2)
    wish, position = wish.astype(np.float32).round(1), position.astype(np.float32).round()
    for period in range(12):
        expected = world.feasible(torch.from_numpy(wish.copy()), torch.from_numpy(position), period).numpy()
        found = [limits.feasible(n, wish[n], position[n], period) for n in range(world.points)]
        np.testing.assert_array_equal(found, expected[: world.orders])


@given(st.lists(st.integers(-50, 6000), min_size=1, max_size=20), st.integers(1, 200), st.integers(0, 1000))
def test_an_order_is_the_least_that_a_supplier_takes_and_serves_the_wish(wishes, multiple, minimum):
    point = {"holding_cost": 1, "max_order": 5000, "demand": 9, "order_multiple": multiple, "min_order": minimum}
    world = World(parse_firm({"name": "one", "stock_points": {"shop": point}}), np.zeros((1, 1)))
    wish = torch.tensor(wishes, dtype=torch.float32).view(1, 1, -1)
    order = world.feasible(wish, 0.0 * wish, 0).flatten().tolist()
    for one, got in zip(wishes, order, strict=True):
        enough = [n for n in range(0, 5001, multiple) if n >= max(one, minimum)]
        assert got == (enough[0] if enough else 5000 // multiple * multiple) * (one > 0)


def test_what_products_share_goes_to_them_in_equal_shares_and_then_in_their_order():
    shop = {"holding_cost": 1, "max_order": 100, "demand": 9, "order_multiple": {"rice": 6}}
    supply = {"from": "outside", "to": "shop"}

    def accepted(wishes, positions=(0, 0, 0), truck=None, **point):
        firm = {"name": "three", "products": ["tea", "rice", "oats"], "stock_points": {"shop": shop | point}}
        firm["supply"] = [supply if truck is None else supply | {"capacity": truck}]
        world = World(parse_firm(firm), np.zeros((1, 3)))
        wish, position = (torch.tensor([values], dtype=torch.float32)[..., None] for values in (wishes, positions))
        return world.feasible(wish, position, 0).flatten().tolist()

    assert accepted([10, 12, 8], truck=30) == [10, 12, 8]
    assert accepted([20, 18, 16], truck=30) == [16, 6, 8]  # shares 11, 10, 8; then tea takes what rice cannot
    assert accepted([20, 24, 16], [5, -4, 0], capacity=30) == [10, 12, 7]  # 4 of rice are waited for
    assert accepted([20, 24, 16], [40, 0, 0], capacity=30) == [0, 0, 0]
    assert accepted([6, 6, 6], truck=13, order_multiple=6) == [6, 6, 0]


def test_an_action_means_the_same_order_in_numpy_and_in_torch():
    base, action = RNG.normal(0, 20, (3, 2, 40)).astype(np.float32), RNG.normal(0, 1, (3, 2, 40)).astype(np.float32)
    unit = RNG.uniform(1, 30, (3, 2, 1)).astype(np.float32)
    for form in ("residual", "plain"):
        order = action_to_order(form, base, unit, action)
        same = action_to_order(form, *(torch.from_numpy(each) for each in (base, unit, action)))
        np.testing.assert_array_equal(order, same.numpy())
    assert action_to_order("plain", base, 25.0, np.array([-1.0, 0.0, 1.0])).tolist() == [0.0, 25.0, 50.0]

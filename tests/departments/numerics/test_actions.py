import numpy as np
import torch

from departments.numerics.actions import action_to_order, feasible_order
from environment.events import feasible

RNG = np.random.default_rng(0)


def test_orders_are_made_feasible_as_the_world_makes_them():
    wish = RNG.uniform(-30, 80, (4, 2, 500)).astype(np.float32)
    wish[0, 0, :8] = [0.5, 1.5, 2.5, -0.4, 49.5, 50.5, np.nextafter(np.float32(7.5), 8), 1e9]
    limit = np.array([50, 20, 7, 0], dtype=np.float32)[:, None, None]
    world = feasible(torch.from_numpy(wish.copy()), torch.from_numpy(limit)).numpy()
    np.testing.assert_array_equal(feasible_order(wish, limit), world)
    np.testing.assert_array_equal(feasible_order(torch.from_numpy(wish), torch.from_numpy(limit)).numpy(), world)


def test_an_action_means_the_same_order_in_numpy_and_in_torch():
    base, action = RNG.normal(0, 20, (3, 2, 40)).astype(np.float32), RNG.normal(0, 1, (3, 2, 40)).astype(np.float32)
    unit = RNG.uniform(1, 30, (3, 2, 1)).astype(np.float32)
    for form in ("residual", "plain"):
        order = action_to_order(form, base, unit, action)
        same = action_to_order(form, *(torch.from_numpy(each) for each in (base, unit, action)))
        np.testing.assert_array_equal(order, same.numpy())
    assert action_to_order("plain", base, 25.0, np.array([-1.0, 0.0, 1.0])).tolist() == [0.0, 25.0, 50.0]

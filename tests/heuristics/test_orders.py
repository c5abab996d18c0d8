"""Orders in packs and of at least a minimum."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from heuristics.orders import packed


def test_orders_are_packs_of_at_least_the_minimum():
    wish = np.array([0.0, -3.0, 1.0, 12.0, 13.0, 95.0, 200.0])
    assert packed(wish, np.array(12.0), np.array(96.0)).tolist() == [0, 0, 96, 96, 96, 96, 204]
    assert packed(wish, np.array(1.0), np.array(0.0)).tolist() == [0, 0, 1, 12, 13, 95, 200]
    assert packed(np.array([5.0]), np.array(7.0), np.array(10.0)).tolist() == [14]


@given(st.lists(st.integers(-50, 5000), min_size=1, max_size=20), st.integers(1, 200), st.integers(0, 1000))
def test_an_order_is_the_least_that_a_supplier_takes_and_serves_the_wish(wishes, multiple, minimum):
    wish = np.array(wishes, dtype=np.float64)
    order = packed(wish, np.full_like(wish, multiple), np.full_like(wish, minimum))
    needed = np.maximum(wish, minimum)
    for one, got, least in zip(wish, order, needed, strict=True):
        expected = next(n for n in range(0, 10**6, multiple) if n >= least) if one > 0 else 0
        assert got == expected
    like = [torch.as_tensor(value) for value in (wish, np.full_like(wish, multiple), np.full_like(wish, minimum))]
    assert packed(*like).tolist() == order.tolist()

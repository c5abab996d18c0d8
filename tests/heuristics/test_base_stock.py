import numpy as np
import pytest

from heuristics.base_stock import descendant_weights, echelon_inventory_position, order_up_to

SERIAL = [(-1, 0), (0, 1), (1, 2)]
TWO_SUPPLIERS = [(-1, 0), (-1, 1), (0, 2), (1, 2), (1, 3)]


def kinds():
    torch = pytest.importorskip("torch")
    return np.asarray, torch.tensor


def test_orders_fill_up_to_the_level_where_the_position_is_at_or_below_the_reorder_point():
    for array in kinds():
        position = array([10.0, 40.0, -30.0])
        order = order_up_to(position, array([34.0, 34.0, 34.0]))
        assert type(order) is type(position)
        assert order.tolist() == [24, -6, 64]
        assert order_up_to(position, 34.0, array([9.0, 40.0, 0.0])).tolist() == [0, -6, 64]
        weights = array([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        assert order_up_to(position, 34.0, weights=weights).tolist() == [14, -6, 64]


def test_echelon_positions_sum_everything_downstream():
    weights = descendant_weights(SERIAL, 3)
    assert weights.tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    for array in kinds():
        position = array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
        found = echelon_inventory_position(position, array(weights.tolist()))
        assert found.tolist() == [[111, 222], [110, 220], [100, 200]]


def test_positions_keep_their_trailing_axes():
    position = np.random.default_rng(0).normal(size=(4, 2, 5))
    weights = descendant_weights(TWO_SUPPLIERS, 4)
    slow = np.array([sum(weights[i, j] * position[j] for j in range(4)) for i in range(4)])
    np.testing.assert_allclose(echelon_inventory_position(position, weights), slow)


def test_weights_are_the_chance_that_a_unit_passes_through():
    weights = descendant_weights(TWO_SUPPLIERS, 4)
    assert weights[0].tolist() == [1, 0, 0.5, 0]
    assert weights[1].tolist() == [0, 1, 0.5, 1]


def test_an_outside_supplier_beside_an_inner_one_takes_its_share():
    assert descendant_weights([(-1, 0), (-1, 1), (0, 1)], 2).tolist() == [[1, 0.5], [0, 1]]


@pytest.mark.parametrize(
    ("edges", "message"), [([(0, 1), (1, 0)], "cycle"), ([(-1, 0), (-1, 0)], "twice"), ([(0, 5)], "join points 0..1")]
)
def test_impossible_edges_are_refused(edges, message):
    with pytest.raises(ValueError, match=message):
        descendant_weights(edges, 2)

import numpy as np
import pytest

from environment import load_firm, parse_firm
from environment.likeness import RELATED, alike, likeness_of
from tests.small_firms import pair, tree


def named(firm, order):
    """The same firm with its stock points in another order."""
    return firm.model_copy(update={"stock_points": {name: firm.stock_points[name] for name in order}})


def test_a_warehouse_and_its_shop_look_as_by_hand():
    likeness = likeness_of(pair(), np.array([20.0, 15.0]))  # Poisson demand of 6, lead times 1, so 12 in two periods
    np.testing.assert_allclose(likeness.spread, np.sqrt([12, 12]))
    np.testing.assert_allclose(likeness.mean, [6, 6])
    own, below, further, above, others = likeness.weight.transpose(1, 0, 2) * np.sqrt(12)
    np.testing.assert_allclose(own, np.eye(2))
    np.testing.assert_allclose(below, [[0, 1], [0, 0]])
    np.testing.assert_allclose(above, [[0, 0], [1, 0]])
    assert not further.any()
    assert not others.any()
    common = [np.log(12 / 30) / 2, np.log(np.sqrt(12) / 12) + 1]
    warehouse = [*common, (np.log(9 / 0.5) - 3) / 2, np.log(1 / 0.5), (20 - 12) / np.sqrt(12) - 1]
    shop = [*common, (np.log(9) - 3) / 2, 0, (15 - 12) / np.sqrt(12) - 1]
    lead = [(1 - 2) / 3, 0]
    warehouse += [*lead, 0, np.log(2) / 2, 0, 0, 0]
    shop += [*lead, 1, 0, 1, 1 / 3, 0]
    np.testing.assert_allclose(likeness.fixed, [warehouse, shop], atol=1e-12)


def test_a_chain_of_three_has_somebody_further_downstream():
    points = {name: {"holding_cost": 1, "max_order": 60} for name in ("a", "b")}
    points["c"] = {"holding_cost": 1, "backorder_cost": 9, "max_order": 60, "demand": {"law": "poisson", "mean": 6}}
    supply = [{"from": one, "to": other, "lead_time": 1} for one, other in (("outside", "a"), ("a", "b"), ("b", "c"))]
    firm = parse_firm({"name": "chain", "unmet": "backorder", "stock_points": points, "supply": supply})
    weight = likeness_of(firm, np.full(3, 20.0)).weight * np.sqrt(12)
    further, others = (weight[:, RELATED.index(what)] for what in ("further downstream", "others"))
    np.testing.assert_allclose(further, [[0, 0, 1], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(others, [[0, 0, 0], [0, 0, 0], [1, 0, 0]])


def test_money_in_another_unit_and_points_in_another_order_change_nothing():
    level = np.array([30.0, 12.0, 14.0])
    before = likeness_of(tree(), level)
    richer = {
        name: point.model_copy(
            update={"holding_cost": 3 * point.holding_cost, "backorder_cost": 3 * point.backorder_cost}
        )
        for name, point in tree().stock_points.items()
    }
    np.testing.assert_allclose(
        likeness_of(tree().model_copy(update={"stock_points": richer}), level).fixed, before.fixed
    )
    order = [0, 2, 1]
    other = likeness_of(named(tree(), ("depot", "west", "east")), level[order])
    np.testing.assert_allclose(other.fixed, before.fixed[order])
    np.testing.assert_allclose(other.weight, before.weight[order][:, :, order])


def test_several_products_are_refused():
    with pytest.raises(ValueError, match="is for firms of one product, and tree has several"):
        likeness_of(tree(products=("tea", "rice")), np.ones(3))


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("a1", [0, 1, 1, 1]),
        ("a4", [0, 1, 2, 3]),  # every retailer has a demand of its own
        ("b1", [0, 1, 2, 3, 4, 4, 4, 5, 6]),  # the first three retailers buy from the same warehouses
        ("c1", [0, 1, 1, 1, *[2] * 9]),
        ("firm", [0, 1, 2, 3]),  # customers have preferences
    ],
)
def test_points_are_alike_that_differ_by_their_names_alone(name, classes):
    assert alike(load_firm(name)).tolist() == classes


def test_who_is_told_apart_tells_apart_whom_they_serve():
    firm = load_firm("c1")
    warehouses = [name for name in firm.names if name.startswith("warehouse")]
    assert alike(firm, warehouses).tolist() == [0, 1, 2, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6]


def test_an_amount_of_ones_own_is_enough_to_be_told_apart():
    firm = load_firm("a1")
    last = firm.names[-1]
    dearer = firm.stock_points[last].model_copy(update={"holding_cost": 2.0})
    assert alike(firm.model_copy(update={"stock_points": firm.stock_points | {last: dearer}})).tolist() == [0, 1, 1, 2]


def test_where_orders_are_split_in_the_order_of_suppliers_nobody_is_alike():
    split = load_firm("b1").model_copy(update={"supplier_choice": "split"})
    assert alike(split).tolist() == list(range(9))

import numpy as np
import pytest

from environment import Network, load_firm, parse_firm


def point(**more):
    return {"holding_cost": 1, "max_order": 10, **more}


DIAMOND = parse_firm(
    {
        "name": "diamond",
        "products": ["tea", "rice"],
        "stock_points": {
            "shop": point(demand={"tea": 6, "rice": {"law": "uniform", "low": 0, "high": 8}}),
            "mill": point(),
            "east": point(demand=3),
            "west": point(),
        },
        "supply": [
            {"from": "west", "to": "shop", "lead_time": {"tea": 2, "rice": 4}},
            {"from": "mill", "to": "east"},
            {"from": "mill", "to": "west"},
            {"from": "outside", "to": "mill", "lead_time": 3},
            {"from": "east", "to": "shop"},
            {"from": "outside", "to": "east"},
        ],
    }
)


def test_internal_edges_come_first_then_by_customer_and_supplier():
    network = Network.of(DIAMOND)
    assert network.edge_names == [
        *(("east", "shop"), ("west", "shop"), ("mill", "east"), ("mill", "west")),
        *(("outside", "mill"), ("outside", "east")),
    ]
    assert network.internal == 4
    assert network.supplier_rank.tolist() == [0, 1, 0, 0, 0, 1]
    assert network.supplier_count.tolist() == [2, 1, 2, 1]
    assert network.line_supplier.tolist() == [2, 3, 1, 1, 0, 2]  # the edges' suppliers, then shop and east
    assert network.customer_facing.tolist() == [0, 2]


def test_neighbours_and_descendants_are_those_of_the_edges():
    network = Network.of(DIAMOND)
    assert [network.successors(i) for i in range(4)] == [[], [2, 3], [0], [0]]
    assert [network.predecessors(i) for i in range(4)] == [[2, 3], [], [1], [1]]
    assert [network.descendants(i) for i in range(4)] == [[], [0, 2, 3], [0], [0]]
    assert network.echelons() == [1, 3, 2, 2]


def test_the_mean_flow_adds_up_what_is_sold_below():
    flow = Network.of(DIAMOND).mean_flow()
    # The shop sells 6 and 4, from either supplier; east sells 3 itself, and buys half from the mill, half outside.
    np.testing.assert_allclose(flow, [[6, 4], [3 + 3, 2.5 + 2], [3 + 3, 3 + 2], [3, 2]])


def test_the_pipeline_is_as_long_as_the_longest_lead_time():
    assert Network.of(DIAMOND).longest_lead_time() == 4
    assert Network.of(load_firm("a3")).longest_lead_time() == 5


def test_who_is_not_supplied_buys_from_outside_with_lead_time_one():
    network = Network.of(parse_firm({"name": "alone", "stock_points": {"shop": point(demand=1)}}))
    assert network.edge_names == [("outside", "shop")]
    assert network.longest_lead_time() == 1


def test_the_flow_of_a_general_network_is_what_its_retailers_sell():
    network = Network.of(load_firm("d1"))
    flow = network.mean_flow()[:, 0]
    assert flow[:4].sum() == pytest.approx(90)
    assert flow[4:9].sum() == pytest.approx(90)


def test_a_chain_of_two_thousand_points_has_two_thousand_echelons():
    points = {f"p-{i}": point() for i in range(2000)}
    points["p-1999"]["demand"] = 3
    supply = [{"from": f"p-{i}", "to": f"p-{i + 1}"} for i in range(1999)]
    network = Network.of(parse_firm({"name": "deep", "stock_points": points, "supply": supply}))
    assert network.echelons() == list(range(2000, 0, -1))
    assert network.mean_flow().tolist() == [[3]] * 2000


@pytest.mark.parametrize(("name", "periods"), [("toy", 2), ("a1", 4), ("a3", 8), ("s1", 8), ("c3", 12), ("d1", 6)])
def test_an_order_takes_a_mean_lead_time_and_a_period_of_review_on_every_edge_of_the_longest_path(name, periods):
    assert Network.of(load_firm(name)).time_through() == pytest.approx(periods)

import pytest

from coordinator.evaluation.check import facts, warnings_of
from environment import parse_firm
from tests.small_firms import pair


def shop(periods=None, lead_time=1, edge=None, **more):
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 50, "demand": 5} | more
    supply = [{"from": "outside", "to": "shop", "lead_time": lead_time} | (edge or {})]
    firm = {"name": "own", "unmet": "lost", "stock_points": {"shop": point}, "supply": supply}
    return parse_firm(firm | ({"periods": periods} if periods else {}))


@pytest.mark.parametrize(
    ("firm", "said"),
    [
        (shop(backorder_cost=0), "shop: a unit short costs nothing, so nothing makes stock worth while"),
        (shop(backorder_cost=0, price=3, unit_cost=4), "shop: a unit short costs nothing"),
        (shop(max_order=4), "shop: mean demand 5 of unit is above max_order 4, so it can never keep up"),
        (shop(max_order=34, review_period=7), "shop: mean demand 35 of unit between reviews is above max_order 34"),
        (shop(capacity=9), "shop: capacity 9 is below the mean demand of its protection interval (10), so it is short"),
        (shop(edge={"capacity": 4}), "shop: capacity 4 from outside is below the mean demand 5 that comes so"),
        (shop({"evaluate": 75, "warm_up": 25}, 40), "the way through the network takes 41 periods, and costs count"),
        (shop({"evaluate": 30, "warm_up": 0}, 40), "the way through the network takes 41 periods"),
    ],
)
def test_what_is_hardly_meant_is_said(firm, said):
    (line,) = warnings_of(firm)
    assert line.startswith(said)
    assert facts(firm)["warnings"] == [line]


@pytest.mark.parametrize(
    "firm",
    [
        *(pair(), shop(), shop(backorder_cost=0, price=3), shop(lead_time=40)),
        shop(max_order=35, review_period=7, capacity=45, order_multiple=5),
        shop({"evaluate": 75, "warm_up": 0}, 40),  # the start is meant to count
        shop(backorder_cost=0, demand=0),
    ],
)
def test_of_a_sound_firm_nothing_is_said(firm):
    assert warnings_of(firm) == []

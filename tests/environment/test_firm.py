import numpy as np
import pytest
import yaml
from hypothesis import given, settings

from environment import built_in_firms, load_firm, parse_firm
from tests.random_firms import firms


@pytest.mark.parametrize("name", built_in_firms())
def test_a_built_in_firm_survives_being_written_and_read(name):
    firm = load_firm(name)
    assert parse_firm(yaml.safe_load(firm.to_yaml())) == firm


@settings(max_examples=40, deadline=None)
@given(firms())
def test_any_firm_survives_being_written_and_read(firm):
    assert parse_firm(yaml.safe_load(firm.to_yaml())) == firm


def test_a_written_firm_stands_without_its_history_file(tmp_path):
    (tmp_path / "sales.csv").write_text("sold\n1\n2\n2\n7\n")
    (tmp_path / "firm.yaml").write_text(
        "name: own\nstock_points: {shop: {holding_cost: 1, max_order: 9, demand: "
        "{law: history, file: sales.csv, column: sold}}}"
    )
    firm = load_firm(tmp_path / "firm.yaml")
    (tmp_path / "sales.csv").unlink()
    again = parse_firm(yaml.safe_load(firm.to_yaml()))
    demand = again.stock_points["shop"].demand
    assert demand.law == "mass"
    assert (
        demand.mass().tolist() == firm.stock_points["shop"].demand.mass().tolist() == [0, 0.25, 0.5, 0, 0, 0, 0, 0.25]
    )


def test_amounts_are_read_per_point_and_product():
    firm = parse_firm(
        {
            "name": "amounts",
            "products": ["tea", "rice"],
            "stock_points": {
                "depot": {"holding_cost": 0.5, "max_order": 100},
                "shop": {"holding_cost": {"rice": 2, "tea": 1}, "max_order": 9, "price": {"rice": 5}, "demand": 1},
            },
            "supply": [{"from": "depot", "to": "shop"}],
        }
    )
    np.testing.assert_array_equal(firm.amounts("holding_cost"), [[0.5, 0.5], [1, 2]])
    np.testing.assert_array_equal(firm.amounts("price"), [[0, 0], [0, 5]])
    assert firm.earns
    assert firm.names == ("depot", "shop")
    assert firm.customer_facing == ("shop",)


def test_a_product_without_a_demand_is_not_asked_for():
    shop = {"holding_cost": 1, "max_order": 9, "demand": {"tea": 4}}
    firm = parse_firm({"name": "half", "products": ["tea", "rice"], "stock_points": {"shop": shop}})
    assert [law.mass().argmax() for law in firm.demand_laws()[0]] == [4, 0]


def test_what_a_firm_file_leaves_out_is_the_documented_default():
    shop = {"holding_cost": 1, "max_order": 9, "demand": 3}
    firm = parse_firm({"name": "plain", "stock_points": {"shop": shop}})
    assert (firm.unmet, firm.products, firm.cost_spread, firm.supply) == ("backorder", ("unit",), 0, ())
    assert firm.periods.model_dump() == {"train": 128, "evaluate": 75, "warm_up": 25}
    assert firm.stock_points["shop"].initial_on_hand is None
    assert not firm.earns


def test_a_firm_cannot_be_changed_after_the_check():
    firm = load_firm("toy")
    with pytest.raises(ValueError, match="frozen"):
        firm.name = "other"

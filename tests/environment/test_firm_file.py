import pytest
import yaml

from environment import built_in_firms, load_firm, parse_firm
from environment.grid import GRID

SHOP = "stock_points: {shop: {holding_cost: 1, max_order: %s, demand: 3}}"


def write(tmp_path, text):
    path = tmp_path / "firm.yaml"
    path.write_text(text)
    return path


def test_every_built_in_firm_is_named_as_it_is_called():
    assert built_in_firms()[:30] == list(GRID)
    assert [load_firm(name).name for name in built_in_firms()] == built_in_firms()


def test_a_file_of_a_built_in_name_does_not_hide_the_built_in_firm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").write_text("name: other\n" + SHOP % 9)
    assert load_firm("toy").name == "toy"
    assert load_firm("./toy").name == "other"


@pytest.mark.parametrize(("written", "read"), [("1e3", 1000), ("1.5E+1", 15), ("12", 12), ("12.0", 12)])
def test_numbers_may_be_written_with_an_exponent(written, read, tmp_path):
    assert load_firm(write(tmp_path, "name: own\n" + SHOP % written)).stock_points["shop"].max_order == read


def test_settings_may_be_shared_by_anchors(tmp_path):
    text = """
name: anchors
stock_points:
  first: &shop {holding_cost: 1, max_order: 9, demand: {law: poisson, mean: 3}}
  second: {<<: *shop, max_order: 7}
"""
    points = load_firm(write(tmp_path, text)).stock_points
    assert points["second"].max_order == 7
    assert points["second"].demand == points["first"].demand


def test_a_history_is_sought_beside_the_firm_file(tmp_path, monkeypatch):
    (tmp_path / "firm").mkdir()
    (tmp_path / "firm" / "sales.csv").write_text("sold\n4\n")
    demand = "{law: history, file: sales.csv, column: sold}"
    path = write(
        tmp_path / "firm", f"name: own\nstock_points: {{shop: {{holding_cost: 1, max_order: 9, demand: {demand}}}}}"
    )
    monkeypatch.chdir(tmp_path)
    assert load_firm(path).stock_points["shop"].demand.mass().tolist() == [0, 0, 0, 0, 1]


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "firm.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + ("name: own\n" + SHOP % 9).encode())
    assert load_firm(path).name == "own"


def test_blanks_in_the_header_of_a_history_do_no_harm(tmp_path):
    (tmp_path / "sales.csv").write_text("day , SKU1 \n1,3\n2,3\n")
    path = write(tmp_path, "name: own\n" + (SHOP % 9).replace("3}", "{law: history, file: sales.csv, column: SKU1}}"))
    assert load_firm(path).stock_points["shop"].demand.mass().tolist() == [0, 0, 0, 1]


def test_a_name_of_digits_is_text_as_it_is_written(tmp_path):
    text = "name: own\nproducts: [0100, 0x1f]\n" + SHOP % 9
    assert load_firm(write(tmp_path, text.replace("0x1f", "007"))).products == ("0100", "007")
    with pytest.raises(ValueError, match=r"products.* must be text, got 31"):
        load_firm(write(tmp_path, text))


LONG = "name: own\n{}supply: [{{from: outside, to: shop, lead_time: 40}}]\n" + (SHOP % 999).replace("{", "{{").replace(
    "}", "}}"
)


def test_episodes_outlast_the_way_through_the_network_unless_the_file_says_otherwise(tmp_path):
    def periods(given):
        return tuple(dict(load_firm(write(tmp_path, LONG.format(given))).periods).values())

    assert periods("") == (144, 91, 41)  # of 128, 75 and 25: 16 more, as the way takes 40 + 1 periods
    assert periods("periods: {train: 20}\n") == (20, 91, 41)
    assert periods("periods: {evaluate: 60}\n") == (144, 60, 25)
    assert tuple(dict(load_firm("d4").periods).values()) == (128, 75, 25)
    firm = load_firm(write(tmp_path, LONG.format("")))
    assert parse_firm(yaml.safe_load(firm.to_yaml())).periods == firm.periods

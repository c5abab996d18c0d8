"""`firmwide import`: the same sales in many layouts come out as the same firm; what is doubtful is refused or said."""

import datetime as dt
import io
import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import firmwide
from coordinator.cli import run as command
from coordinator.live.feed_files import read_observations
from coordinator.live.layout import FirmLayout
from coordinator.planning.backtest import tables_of
from coordinator.planning.policies import target_of
from environment import World, load_firm
from tests.traces import shared_file

DAYS = [dt.date(2011, 1, 3) + dt.timedelta(days=number) for number in range(21)]
STORES, ITEMS = ["Köln", "00123"], ["00123", "Tee grün", "FOODS_3_090"]
SALES = np.random.default_rng(3).integers(0, 2500, (len(DAYS), len(STORES), len(ITEMS)))
SALES[:, 0, 1] = SALES[:, 0, 1] % 2


def imported(folder, *files, **how):
    paths = []
    for number, content in enumerate(files):
        paths.append(folder / f"table-{number}.csv")
        paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
    return firmwide.import_firm(paths, out=folder / "shop", **how)


def written(value, decimal, places, thousands):
    text = f"{value:,.{places}f}".replace(",", "T").replace(".", decimal)
    return text.replace("T", thousands)


def quoted(cell, separator):
    return f'"{cell}"' if separator in cell else cell


def long_rows(form, decimal, places, thousands, zeros):
    for t, day in enumerate(DAYS):
        for s, store in enumerate(STORES):
            for k, item in enumerate(ITEMS):
                if zeros or SALES[t, s, k]:
                    yield {
                        "date": day.strftime(form),
                        "store": store,
                        "item": item,
                        "qty": written(SALES[t, s, k], decimal, places, thousands),
                    }


HEADERS = [
    {"date": "date", "store": "store", "item": "item", "qty": "quantity"},
    {"date": "Datum", "store": "Filiale", "item": "Artikelnummer", "qty": "Absatzmenge"},
    {"date": "Sale Date", "store": "Location", "item": "SKU", "qty": "units_sold"},
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    separator=st.sampled_from([",", ";", "\t", "|"]),
    style=st.sampled_from([(".", 0, ""), (",", 2, ""), (",", 2, "."), (".", 1, ","), (",", 1, " "), (".", 2, "'")]),
    form=st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y%m%d", "%d %b %Y"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]),
    ends=st.sampled_from(["\n", "\r\n"]),
    zeros=st.booleans(),
    title=st.booleans(),
    names=st.sampled_from(HEADERS),
    columns=st.permutations(["date", "store", "item", "qty", "note"]),
    order=st.randoms(use_true_random=False),
)
def test_long_tables_of_any_layout_come_out_as_the_same_firm(
    tmp_path_factory, separator, style, form, encoding, ends, zeros, title, names, columns, order
):
    rows = list(long_rows(form, *style, zeros=zeros))
    order.shuffle(rows)
    head = [names.get(column, "Bemerkung") for column in columns]
    lines = [*["Report of sales"][:title], separator.join(head)]
    lines += [separator.join(quoted(row.get(column, "ja"), separator) for column in columns) for row in rows]
    folder = tmp_path_factory.mktemp("layout")
    same_firm(imported(folder, (ends.join(lines) + ends).encode(encoding)))


def same_firm(found):
    tables = found.tables
    assert sorted(tables.points) == sorted(STORES)
    assert sorted(tables.items) == sorted(ITEMS)
    points, items = [tables.points.index(name) for name in STORES], [tables.items.index(name) for name in ITEMS]
    rows = [tables.selling.index(point) for point in points]
    assert tables.days[[0, -1]].tolist() == [DAYS[0], DAYS[-1]]
    np.testing.assert_array_equal(np.nan_to_num(tables.demand[:, rows][:, :, items]), SALES)
    assert tables.unit.tolist() == [1.0] * 3
    firm = load_firm(found.folder)
    assert firm.stock_points["Köln"].demand["00123"].mass() @ np.arange(SALES[:, 0, 0].max() + 1) == pytest.approx(
        SALES[:, 0, 0].mean()
    )


def wide(column, style=(".", 0, ""), separator=","):
    table = pd.DataFrame({"Date": [str(day) for day in DAYS]})
    for k, item in enumerate(ITEMS):
        table[item] = [written(value, *style) for value in SALES[:, column, k]]
    return table.to_csv(index=False, sep=separator)


def test_a_column_per_item_and_days_in_columns_come_out_as_the_same_sales(tmp_path):
    found = imported(tmp_path, wide(0))
    assert found.tables.points == ("shop",)
    np.testing.assert_array_equal(found.tables.demand[:, 0], SALES[:, 0])
    for name, labels in {"m5": [f"d_{number + 1}" for number in range(len(DAYS))], "dates": map(str, DAYS)}.items():
        flat = SALES.reshape(len(DAYS), -1).T
        table = pd.DataFrame(flat, columns=list(labels))
        places = [(store, item) for store in STORES for item in ITEMS]
        table.insert(0, "store_id", [store for store, _ in places])
        table.insert(0, "cat_id", "HOBBIES")
        table.insert(0, "item_id", [item for _, item in places])
        folder = tmp_path / name
        folder.mkdir()
        if name == "m5":
            with pytest.raises(ValueError, match="days are numbered from 'd_1' on: give --first-day"):
                imported(folder, table.to_csv(index=False))
        same_firm(imported(folder, table.to_csv(index=False), first_day="2011-01-03" if name == "m5" else None))


def test_workbooks_and_parquet_come_out_as_the_same_firm(tmp_path):
    rows = pd.DataFrame(list(long_rows("%Y-%m-%d", ".", 0, "", zeros=True)))
    rows["date"], rows["qty"] = pd.to_datetime(rows["date"]), rows["qty"].astype(int)
    rows.to_excel(tmp_path / "sales.xlsx", index=False)
    rows.to_parquet(tmp_path / "sales.parquet")
    for name in ("sales.xlsx", "sales.parquet"):
        same_firm(firmwide.import_firm([tmp_path / name], out=tmp_path / name.replace(".", "-")))


SMALL = "date,item,qty\n2011-01-01,a,3\n2011-01-02,a,4\n2011-01-03,a,5\n"
REFUSED = {
    "a thousand or one": (SMALL.replace(",4\n", ",1.000\n"), r"'1\.000' may be 1000 or 1\.000.*--decimal"),
    "days or months": (SMALL.replace("2011-01-", "03/").replace(",a", "/2011,a"), r"2 ways.*give --date-format"),
    "no number": (SMALL.replace(",4\n", ",4 pcs\n"), r"column 'qty', row 2 must be a number, got '4 pcs'"),
    "no date": (SMALL.replace("2011-01-02", "soon"), r"column 'date' must hold dates of one form, got 'soon'"),
    "longer rows": (SMALL.replace(",4\n", ",4,7\n"), r"a row has 4 cells where the table has 3"),
    "shorter rows": (SMALL.replace(",a,4\n", ",4\n"), r"a row has 2 cells where the table has 3"),
    "twice": ("date,qty,qty\n2011-01-01,3,4\n", r"column 'qty' stands in the header twice"),
    "nothing": ("", r"is empty"),
    "header alone": ("date,item,qty\n", r"has a header and no rows"),
    "which quantity": (
        "date,item,foo,bar\n2011-01-01,a,3,4\n",
        r"which column is the quantity\? give --column quantity",
    ),
    "by weeks": (
        "week,item,qty\n2011-W02,a,4\n",
        r"sales by day .*, got 0 that do, taking .* for items: name",
    ),
    "for what": ("foo,bar\n1,2\n", r"cannot tell what it is for from its columns 'foo', 'bar': give --column"),
    "most days twice": (
        "".join([SMALL, *(f"2011-01-0{day},a,{day + 2}\n" for day in (1, 2))]),
        r"on 2 of 3 days every row is there twice, such as 2011-01-01: give --doubled once",
    ),
    "a word of firm files": (
        SMALL.replace(",a,", ",law,"),
        r"table-0\.csv: 'law': a firm file means something else by it",
    ),
    "parts of a unit": ("date,item,qty\n2011-01-01,a,0.0005\n", r"'a' is sold in parts of its unit"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_doubtful_is_refused_in_one_line_and_nothing_is_written(case, tmp_path):
    content, expected = REFUSED[case]
    with pytest.raises(ValueError, match=expected) as caught:
        imported(tmp_path, content)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["table-0.csv"]


def said(found, pattern):
    assert re.search(pattern, "\n".join(found.said)), found.said
    return found.tables.demand[:, 0, 0].tolist()


def test_what_exports_leave_open_is_said_and_may_be_said_otherwise(tmp_path):
    def at(name, content, **how):
        (tmp_path / name).mkdir()
        return imported(tmp_path / name, content, **how)

    returned = SMALL.replace(",4\n", ",4\n2011-01-02,a,-1\n")
    assert said(at("net", returned), "1 returns of 1 units are netted") == [3, 3, 5]
    assert said(at("drop", returned, returns="drop"), "1 returns of 1 units are left out") == [3, 4, 5]
    gap = SMALL.replace("2011-01-03", "2011-01-04")
    assert said(at("zero", gap), "on 1 days nothing at all has a row .*they count 0") == [3, 4, 0, 5]
    np.testing.assert_array_equal(said(at("days", gap, missing="days"), "they are unknown"), [3, 4, np.nan, 5])
    days = "".join(f"2011-02-{day:02},a,{day}\n2011-02-{day:02},b,1\n" for day in range(1, 29))
    doubled = "date,item,qty\n" + days + "2011-02-05,a,5\n2011-02-05,b,1\n"
    assert said(at("doubled", doubled), "1 days are there twice and count once: 2011-02-05")[4] == 5
    assert said(at("summed", doubled, doubled="sum"), "2 further rows of a day, location and item are summed")[4] == 10
    total = SMALL + "Total,,12\n"
    assert said(at("total", total), "1 total rows left out, such as 'Total'") == [3, 4, 5]
    kilos = SMALL.replace(",4\n", ",0.4\n")
    found = at("kilos", kilos)
    assert said(found, "'a' is sold in steps of 0.2: that is a unit") == [15, 2, 25]
    stocked = "date,item,qty,stock\n" + "".join(
        f"2011-02-{day:02},a,{min(day, 9)},{int(day < 9)}\n" for day in range(1, 12)
    )
    assert said(at("stock", stocked), r"3 days ran out of stock.*Kaplan-Meier") == [*range(1, 9), 9, 9, 9]
    assert len(at("until", SMALL, until="2011-01-03").tables.days) == 2


def test_a_circle_of_suppliers_is_refused_and_leaves_nothing(tmp_path):
    supply = "item,from,to,lead_time\na,x,y,1\na,y,x,1\na,x,shop,1\n"
    with pytest.raises(ValueError, match=r"tables\.supply goes in a circle: "):
        imported(tmp_path, SMALL, supply)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table-0.csv", "table-1.csv"]


def test_an_item_may_have_a_service_of_its_own(tmp_path):
    found = imported(tmp_path, SMALL.replace("\n2011-01-03,a", "\n2011-01-03,b"), "item,service level\nb,0.9\n")
    assert found.tables.fill_rate.tolist() == [0.98, 0.9]
    (point,) = load_firm(found.folder).stock_points.values()
    assert point.fill_rate == {"a": 0.98, "b": 0.9}
    path = found.folder / "firm.yaml"
    path.write_text(path.read_text().replace("fill_rate: 0.98", "cycle_service: 0.95"))
    with pytest.raises(ValueError, match=r"fill_rate is another measure than the firm's, whose service says cycle"):
        load_firm(found.folder)
    items = found.folder / "items.csv"
    items.write_text(items.read_text().replace("fill_rate", "cycle_service"))
    (point,) = load_firm(found.folder).stock_points.values()
    assert point.cycle_service == {"a": 0.95, "b": 0.9}
    assert point.fill_rate is None
    with pytest.raises(ValueError, match=r"the firm's service is a cycle_service: say one, such as tuned:0\.98"):
        target_of("", tables_of(found.folder))
    stock = found.folder / "stock.csv"
    rows = stock.read_text().splitlines()
    stock.write_text("\n".join([f"{rows[0]},capacity", *(f"{row},90" for row in rows[1:])]))
    (point,) = load_firm(found.folder).stock_points.values()  # products that share a room cannot meet targets each
    assert point.cycle_service is None
    assert point.backorder_cost["b"] == pytest.approx(9 * point.holding_cost["b"])


def test_classes_of_items_have_services_of_their_own(tmp_path):
    days = np.arange("2023-01-02", "2023-03-27", dtype="datetime64[D]")
    units = {"much": [9] * 7, "some": [2, 0, 0, 0, 1, 0, 0], "own": [1] * 7}  # each week alike: X
    rows = [f"{day},{item},{n[t % 7]}" for t, day in enumerate(days) for item, n in units.items()]
    rows += [f"{day},rare,{4 * (t == 9)}" for t, day in enumerate(days)]  # Z
    sold, master = "\n".join(["date,item,qty", *rows]), "item,cost,service level\nmuch,1,\nown,1,0.9\n"
    found = imported(tmp_path, sold, master, fill_rates=["A=0.99", "X=0.97", "CZ=0.85", "AZ=0.6"])
    rates = dict(zip(found.tables.items, found.tables.fill_rate.tolist(), strict=True))
    assert rates == {"much": 0.99, "some": 0.97, "own": 0.9, "rare": 0.85}
    assert said(found, "fill rates by class: 1 items A 0.99, 1 items X 0.97, 1 items CZ 0.85, 0 items AZ 0.6")
    (point,) = load_firm(found.folder).stock_points.values()
    assert point.fill_rate["rare"] == 0.85
    (tmp_path / "shop").rename(tmp_path / "done")
    for wrong in ("D=0.9", "A=2", "A=x", "A"):
        with pytest.raises(ValueError, match=r"--fill-rate-of (A must be from 0.5 to below 1|takes CLASS=RATE)"):
            imported(tmp_path, sold, master, fill_rates=[wrong])
    with pytest.raises(ValueError, match=r"--fill-rate-of A is given twice, '0.9' and '0.95': remove one of them$"):
        imported(tmp_path, sold, master, fill_rates=["A=0.9", "A=0.95"])


def test_a_history_long_enough_is_played_in_blocks(tmp_path):
    days = np.arange("2023-01-04", "2023-03-02", dtype="datetime64[D]")  # 57 of them, the first a Wednesday
    rows = [f"{day},{item},{n + k}" for n, day in enumerate(days) for k, item in enumerate("ab")]
    sold = "\n".join(["date,item,qty", *rows])
    found = imported(tmp_path, sold)
    firm = load_firm(found.folder)
    (demand,) = firm.demand_laws()
    assert demand[0].blocks.model_dump() == {"periods": 28, "cycle": 7, "first": 2, "season": None, "within": 45}
    world = World(firm, np.zeros((1, 2)))
    drawn = world.draw(20, 30, world.generator(3)).demand[:, 0]
    assert (drawn[:, 1] == drawn[:, 0] + 1).all()
    assert ((drawn[:, 0] + 2) % 7 == torch.arange(20)[:, None] % 7).all()
    (tmp_path / "short").mkdir()
    short = imported(tmp_path / "short", "\n".join(sold.splitlines()[:101]))
    assert "history" not in (short.folder / "firm.yaml").read_text()
    (short.folder / "firm.yaml").write_text((short.folder / "firm.yaml").read_text() + "history: blocks\n")
    with pytest.raises(ValueError, match="history: blocks needs at least 56 days, and the tables hold 50: remove it"):
        load_firm(short.folder)


def test_lead_times_come_from_receipts_and_the_world_draws_from_them(tmp_path):
    receipts = "item,ordered,received\na,2011-01-01,2011-01-03\na,2011-01-05,2011-01-08\na,2011-02-01,2011-02-03\n"
    found = imported(tmp_path, SMALL, receipts)
    assert "lead times of 1 items from 3 receipts" in "\n".join(found.said)
    (edge,) = load_firm(found.folder).supply
    np.testing.assert_allclose(edge.lead_time["a"].mass(), [0, 0, 2 / 3, 1 / 3])


def _names(firm):
    known = {
        "firm": firm.name,
        "points": firm.names,
        "products": firm.products,
        "customer_facing": firm.customer_facing,
    }
    return {**known, "segments": [], "earns": firm.earns, "recommends": None}


def test_the_exports_of_an_erp_become_a_firm_as_they_are(tmp_path, capsys):
    exports = shared_file("data/exports/sales_export.csv").parent
    files = [str(path) for path in sorted(exports.glob("*.csv"))]
    assert command(["import", *files, "--out", str(tmp_path / "shop")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "decimal sign ',', as in '20,00'" in told
    assert "60 series of 501 days, 2010-12-01 to 2012-04-14" in told
    assert "1,647 of 30,060 days of a series have no row and count as days without sales" in told
    firm = load_firm(tmp_path / "shop")
    assert firm.names == ("DC", "Store1", "Store2", "Store3")
    assert len((tmp_path / "shop" / "firm.yaml").read_text().splitlines()) < 10
    assert [(edge.source, edge.target) for edge in firm.supply] == [
        ("outside", "DC"), ("DC", "Store1"), ("DC", "Store2"), ("DC", "Store3"),
    ]  # fmt: skip
    raw = pd.read_csv(io.StringIO(shared_file("data/exports/sales_export.csv").read_text()), sep=";", decimal=",")
    mean = raw[(raw["store"] == "Store2") & (raw["sku"] == "SKU7")]["quantity"].sum() / 501
    law = firm.stock_points["Store2"].demand["SKU7"].mass()
    assert law @ np.arange(len(law)) == pytest.approx(mean, rel=0.01)  # some returns came back on days without sales
    layout = FirmLayout.of({**dict.fromkeys(("max_order", "sold", "slots"), 0), **_names(firm)})
    seen = read_observations(tmp_path / "shop" / "feed" / "in" / "period-0.csv", layout, 6)
    assert seen["on_hand"][0, 0] == 857
    assert seen["inventory_position"][0, 5] == 755

"""Closed days of a planner's firm: read from tables, kept in the world, counted in forecasts, backtest and proposal."""

import datetime

import numpy as np
import pandas as pd
import pytest

import firmwide
from coordinator.planning.policies import cover_levels, world_for
from coordinator.planning.tuning import Past, plain_firm
from environment import World, load_firm
from environment.calendars import period_of
from environment.streams import torch_stream
from tests.oracles import arrival

DAYS = pd.date_range("2023-01-02", periods=140)
HOLIDAYS = ("2023-04-07", "2023-04-10", "2023-05-01", "2023-05-22")  # of the supplier, the last one to come
SUPPLY = "item,from,to,lead_time,closed days\na,x,shop,2,Sat Sun\nb,x,shop,2,\n"
STOCK = "location,item,on_hand,on_order,Ruhetag\nshop,a,2,0,So\nshop,b,90,0,So\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, demand = tmp_path_factory.mktemp("closed"), np.random.default_rng(2).poisson(5, (140, 2))
    rows = [
        f"{day.date()},{k},{n}" for day, row in zip(DAYS, demand, strict=True) for k, n in zip("ab", row, strict=True)
    ]
    (folder / "sales.csv").write_text("\n".join(["date,item,qty", *rows]))
    (folder / "supply.csv").write_text(SUPPLY)
    (folder / "stock.csv").write_text(STOCK)
    lines = [f"x,{day},a feast" for day in HOLIDAYS]
    (folder / "feasts.csv").write_text("\n".join(["supplier,date,holiday", *lines, "nobody,2023-06-06,other"]))
    return [folder / f"{name}.csv" for name in ("sales", "supply", "stock", "feasts")]


@pytest.fixture(scope="module")
def shop(files):
    return firmwide.import_firm(files, out=files[0].parent / "shop")


def closed(item):
    """Whether nothing gets on for an item on a day, counted from a Monday."""

    def of(period):
        day = datetime.date(1970, 1, 5) + datetime.timedelta(days=int(period))
        return str(day) in HOLIDAYS or day.weekday() in ((5, 6) if item == "a" else (6,))

    return of


def test_tables_tell_when_supplier_and_location_are_closed(shop):
    (edge,) = load_firm(shop.folder).supply
    assert {item: days.days for item, days in edge.closed_days.items()} == {"a": (5, 6), "b": (6,)}
    assert (shop.folder / "calendar.csv").read_text() == "location,date\n" + "".join(f"x,{day}\n" for day in HOLIDAYS)
    assert any("closed days of 'nobody' are left out" in line for line in shop.said)
    assert not any("counts as a Monday" in line for line in shop.said)
    (dated,) = plain_firm(shop.tables).supply
    assert dated.closed_days["b"].periods == tuple(period_of(np.datetime64(day)) for day in HOLIDAYS)


def test_the_world_and_the_protection_intervals_know_the_same_days(shop):
    first = period_of(np.datetime64("2023-03-27"))
    chance = world_for("tuned", "", shop.tables).draw(60, 1, torch_stream("cpu", 1), start=first)
    waits, lasts = (
        shop.tables.waits(np.datetime64("2023-05-19")),
        shop.tables.intervals(np.datetime64("2023-03-27"), 60),
    )
    for k, item in enumerate("ab"):
        arrives = [arrival(first + t, 2, closed(item)) for t in range(61)]
        assert chance.lead_time[:, 0, k, 0].tolist() == [arrives[t] - first - t for t in range(60)]
        assert lasts[:, 0, k].tolist() == [arrives[t + 1] - first - t for t in range(60)]
    assert waits.tolist() == [[5, 4]]  # Friday; Saturday, Sunday and the feast on Monday do not count


def test_the_backtest_receives_what_was_ordered_on_open_days(shop):
    tables, start, first = shop.tables, 56, 84
    course = firmwide.backtest(shop.folder, "2023-03-27", ["cover:5"], progress=False).courses["cover:5"]
    levels, opening = cover_levels(Past.of(tables), 5.0), cover_levels(Past.of(tables, start), 14.0)[-1]
    for k, item in enumerate("ab"):
        on_hand, due, stock, ordered = round(opening[0, k]), {}, [], []
        for t in range(start, 140):
            day = period_of(tables.days[t])
            order = max(round(levels[t, 0, k]) - on_hand - sum(due.values()), 0)
            there = arrival(day, 2, closed(item))
            due[there] = due.get(there, 0) + order
            on_hand = max(on_hand + due.pop(day, 0) - int(tables.demand[t, 0, k]), 0)
            stock.append(on_hand)
            ordered.append(order)
        np.testing.assert_array_equal(course.on_hand[:, 0, k], stock[first - start :])
        np.testing.assert_array_equal(course.ordered[:, 0, k], ordered[first - start :])


def test_forecasts_cover_the_days_until_the_next_order_is_there(shop):
    past = Past.of(shop.tables)
    lasts = past.interval(np.datetime64("2023-05-22"), 7)[:, 0]
    assert lasts.tolist() == [3, 3, 5, 5, 5, 4, 3]  # on Wednesday: until Monday, when what Thursday orders is there
    line = firmwide.propose(shop.folder, "cover:14", progress=False).lines.set_index("item").loc["a"]
    assert "and 3 days until it arrives" in line["reason"]  # ordered on the feast, which counts as Tuesday
    assert "closed days included" in line["reason"]
    tuned = firmwide.propose(shop.folder, "tuned:0.95", progress=False).lines.set_index("item").loc["a"]
    assert tuned["expected_until_arrival"] == pytest.approx(3 * 5, rel=0.4)


def test_the_first_feed_has_room_for_what_comes_after_closed_days(shop):
    header = (shop.folder / "feed" / "in" / "period-0.csv").read_text().splitlines()[0].split(",")
    assert [name for name in header if name.startswith("arriving")] == [f"arriving_{n + 1}" for n in range(4)]
    assert World(load_firm(shop.folder), np.zeros((1, 2))).slots == 4


def test_receipts_hold_closed_days_already(files, tmp_path):
    lines = ["item,supplier,ordered,received", "a,x,2023-01-05,2023-01-09", "a,x,2023-01-09,2023-01-11"]
    (tmp_path / "receipts.csv").write_text("\n".join(lines))
    done = firmwide.import_firm([*files, tmp_path / "receipts.csv"], out=tmp_path / "shop")
    assert any("closed days are in them, and not counted again" in line for line in done.said)
    (edge,) = load_firm(done.folder).supply
    assert list(edge.closed_days) == ["b"]
    assert edge.lead_time["a"].values == (2, 4)
    earlier = firmwide.import_firm(files, out=tmp_path / "earlier", until="2023-05-17")
    assert "in operation period 0 counts as a Monday, and 2023-05-17 is none" in "\n".join(earlier.said)


@pytest.mark.parametrize(
    ("table", "old", "new", "line"),
    [
        (
            1,
            "Sat Sun",
            "never",
            "supply.csv, column 'closed days', row 1 must be weekdays such as 'Mon Thu', got 'never'",
        ),
        (1, "Sat Sun", "Mo Di Mi Do Fr Sa So", "supply.csv, column 'closed days', row 1 must be 6 weekdays at most"),
        (1, "Sat Sun", "Mo Di Mi Do Fr Sa", "tables: x and shop are open on no day together"),
        (2, "shop,b,90,0,So", "shop,b,90,0,Sa", "tables: closed_days must be the same in all rows of a location"),
        (3, "2023-05-01", "the first of May", "feasts.csv, column 'date'"),
    ],
)
def test_what_closed_days_of_tables_cannot_mean_is_refused_in_a_line(files, table, old, new, line, tmp_path):
    copies = [tmp_path / file.name for file in files]
    for place, (file, copy) in enumerate(zip(files, copies, strict=True)):
        copy.write_text(file.read_text().replace(old, new) if place == table else file.read_text())
    with pytest.raises(ValueError) as error:  # noqa: PT011
        firmwide.import_firm(copies, out=tmp_path / "shop")
    assert line in str(error.value)
    assert "\n" not in str(error.value)

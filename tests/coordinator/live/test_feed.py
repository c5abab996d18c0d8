import csv
import io
import os
import tracemalloc

import numpy as np
import pytest

from coordinator.live.book import Book
from coordinator.live.create import found, source_of
from coordinator.live.fed import Fed, Shadow
from coordinator.live.feed_files import observation_columns, write_decisions
from coordinator.live.layout import FirmLayout
from coordinator.live.operation import Operation
from tests.coordinator.live.test_operation import Office, begun
from tests.live_firms import zeros


def observations(operation):
    """A simulated firm's period as the csv files that a real one would send."""
    layout, arrays, account = operation.layout, operation.now.moment.arrays, operation.now.moment.account
    world = operation.clients.world
    slots = min(world.world.slots, 6)
    pipeline = arrays["pipeline"][..., 0]
    arriving = [*pipeline[: slots - 1], pipeline[slots - 1 :].sum(0)]
    incoming = world.world.incidence.incoming.numpy()
    text = io.StringIO()
    writer = csv.writer(text)
    several = len(layout.products) > 1
    writer.writerow(["stock_point", *["product"][:several], *observation_columns(slots)])
    for n, name in enumerate(layout.points):
        for k, product in enumerate(layout.products):
            facing = layout.customer_facing.index(name) if name in layout.customer_facing else None
            # what customers got of old backlog too: sales are what left the shelf
            backlog, demand, sales = (
                0 if facing is None else values[facing, k, 0]
                for values in (account["backlog"], account["demand"], operation.sales)
            )
            told = [arrays[f"told_{what}"][n, k, 0] if layout.recommends else 0 for what in ("asked", "handed")]
            stock = [arrays[what][n, k, 0] for what in ("on_hand", "inventory_position")]
            comes = [(incoming[n] @ slot)[k] for slot in arriving]
            row = [*stock, *comes, backlog, *told, demand, sales]
            writer.writerow([name, *[product][:several], *(f"{value:g}" for value in row)])
    traffic = None
    if layout.recommends:
        came = [(*segment.split("/"), f"{arrays['told_traffic'][s, 0]:g}") for s, segment in enumerate(layout.segments)]
        traffic = "stock_point,segment,traffic\n" + "\n".join(",".join(row) for row in came) + "\n"
    return text.getvalue(), traffic


class FedOffice(Office):
    """The environment reads files."""

    def __init__(self, folder, feed):
        super().__init__(folder)
        layout = FirmLayout.of(Book(folder / "book.sqlite").facts()["frame"])
        self.world = Fed((folder / "firm.yaml").read_text(), 5, layout, str(feed))


def fed(folder, feed, firm):
    loaded, policies = source_of(firm, None)
    found(folder, loaded, policies, seed=5, settings={"feed": str(feed)})
    return Operation(folder, Book(folder / "book.sqlite"), FedOffice(folder, feed))


def put(feed, period, text, traffic):
    (feed / "in").mkdir(parents=True, exist_ok=True)
    (feed / "in" / f"period-{period}.csv").write_text(text)
    if traffic is not None:
        (feed / "in" / f"traffic-{period}.csv").write_text(traffic)


@pytest.mark.parametrize("firm", ["a1", "a3", "firm"])
def test_a_fed_firm_decides_what_the_simulated_one_decides_that_its_files_tell_of(firm, tmp_path):
    real, feed = begun(tmp_path / "real", firm), tmp_path / "feed"
    shadowed = fed(tmp_path / "fed", feed, firm)
    real.sales = np.zeros_like(real.now.moment.account["demand"])
    for period in range(8):
        assert shadowed.awaits
        assert shadowed.clients.world.observe(period, shadowed.now.moment.arrays) is None
        put(feed, period, *observations(real))
        moment = shadowed.clients.world.observe(period, shadowed.now.moment.arrays)
        shadowed.arrive(*moment)
        backlog = real.now.moment.account["backlog"]
        there, here = real.tick(), shadowed.tick()
        lost = 0 * backlog if firm == "firm" else backlog
        account = real.now.moment.account
        after = 0 * account["backlog"] if firm == "firm" else account["backlog"]
        real.sales = account["served"] if firm == "firm" else lost + account["demand"] - after
        assert here["departments"].keys() == there["departments"].keys()
        for name, row in there["departments"].items():
            fed_row = here["departments"][name]
            assert {k: fed_row[k] for k in ("order", "exposure", "on_hand", "backlog")} == {
                k: row[k] for k in ("order", "exposure", "on_hand", "backlog")
            }, (period, name)
        assert here["money"] == pytest.approx(there["money"], rel=1e-5, abs=1e-3)
    assert shadowed.record["shadow"]["cost"] == pytest.approx(real.record["shadow"]["cost"])
    assert shadowed.totals["served"] == real.totals["served"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("warehouse", "wharehouse"), "unknown stock_point 'wharehouse'"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "has no row for retailer-3"),
        (lambda text: text.replace("on_hand", "stock"), "the header must be stock_point,on_hand"),
        (lambda text: text.replace("retailer-1,", "retailer-1,x", 1), "on_hand must be a whole number"),
        (lambda text: text + text.splitlines()[-1], "is there twice"),
        (lambda text: text.replace("retailer-1,", "retailer-1,-", 1), "on_hand must be at least 0"),
        (lambda text: text[: len(text) - 12], "cells, but the header"),
    ],
)
def test_a_file_that_cannot_be_read_waits_and_says_why_in_one_line(change, reason, tmp_path):
    real, feed = begun(tmp_path / "real", "a1"), tmp_path / "feed"
    operation = fed(tmp_path / "fed", feed, "a1")
    real.sales = np.zeros_like(real.now.moment.account["demand"])
    text, _ = observations(real)
    put(feed, 0, change(text), None)
    why = operation.clients.world.observe(0, operation.now.moment.arrays)
    assert isinstance(why, str)
    assert reason in why
    assert "\n" not in why
    put(feed, 0, text, None)  # and once it is mended, nothing is lost
    operation.arrive(*operation.clients.world.observe(0, operation.now.moment.arrays))
    assert operation.tick()["tick"] == 0


def test_shadow_firms_play_the_demand_that_was_observed(tmp_path):
    real = begun(tmp_path / "real", "a1")
    real.tick()
    told = {1: {"demand": [[0.0], *real.now.moment.account["demand"][..., 0].tolist()]}}
    shadow = Shadow((tmp_path / "real" / "firm.yaml").read_text(), 99, told.get)
    drawn = shadow.chance(0, real.now.moment.arrays)
    np.testing.assert_array_equal(drawn.demand.numpy(), real.now.moment.account["demand"])


def test_orders_leave_as_a_file(tmp_path):
    operation = begun(tmp_path / "f", "firm")
    operation.tick()
    rows = {row["department"]: row["decision"] for row in operation.book.decisions()}
    write_decisions(tmp_path, 0, operation.layout, rows)
    with (tmp_path / "out" / "orders-0.csv").open() as file:
        written = {(r["stock_point"], r["product"]): float(r["quantity"]) for r in csv.DictReader(file)}
    assert written == {(n, p): rows[n][p] for n in operation.layout.points for p in operation.layout.products}
    shown = (tmp_path / "out" / "shown-0.csv").read_text().splitlines()
    assert shown[0] == "stock_point,segment,product,exposure"
    assert sum(line.endswith(",1") for line in shown) == 6


def refusal(operation, feed, text, traffic=None):
    put(feed, 0, text, traffic)
    found = operation.clients.world.observe(0, operation.now.moment.arrays)
    assert isinstance(found, str), "it was taken"
    assert "\n" not in found
    assert len(found) < 400
    return found


@pytest.mark.parametrize(
    ("point", "column", "value", "reason"),
    [
        ("warehouse", "demand", "3", "warehouse: demand 3 where no customers buy; leave 0"),
        ("warehouse", "sales", "3", "warehouse: sales 3 where no customers buy; leave 0"),
        ("warehouse", "backlog", "3", "warehouse: backlog 3 where no customers buy; leave 0"),
        ("retailer-1", "sales", "300", "sales 300 are more than the demand 0 and 0 that were owed before"),
        (
            "retailer-1",
            "on_hand",
            "1.000",
            "whole number of at most 1,000,000,000, in digits alone, got '1.000': write 1000 or 1",
        ),
        ("retailer-1", "on_hand", "1e3", "in digits alone, got '1e3'"),
        ("retailer-1", "on_hand", "1_0", "in digits alone, got '1_0'"),
        ("retailer-1", "on_hand", "٣", "in digits alone"),
        ("retailer-1", "on_hand", "inf", "in digits alone, got 'inf'"),
        ("retailer-1", "on_hand", "9" * 5000, "(5002 characters)"),
    ],
)
def test_what_cannot_have_happened_or_be_read_one_way_alone_is_refused(point, column, value, reason, tmp_path):
    operation, feed = fed(tmp_path / "fed", tmp_path / "feed", "a1"), tmp_path / "feed"
    rows = [
        row.split(",")
        for row in zeros(operation.layout, observation_columns(operation.clients.world.arrivals)).splitlines()
    ]
    at = next(row for row in rows if row[0] == point)
    at[rows[0].index(column)] = value
    assert reason in refusal(operation, feed, "\n".join(map(",".join, rows)) + "\n")


def test_sales_of_what_was_owed_before_are_taken_and_no_more(tmp_path):
    operation, feed = fed(tmp_path / "fed", tmp_path / "feed", "a1"), tmp_path / "feed"
    columns = observation_columns(operation.clients.world.arrivals)

    def period(number, **values):
        rows = [row.split(",") for row in zeros(operation.layout, columns).splitlines()]
        for column, value in values.items():
            rows[2][rows[0].index(column)] = value
        put(feed, number, "\n".join(map(",".join, rows)) + "\n", None)
        return operation.clients.world.observe(number, operation.now.moment.arrays)

    operation.arrive(*period(0, demand="5", sales="1", backlog="4"))
    operation.tick()
    assert "sales 8 are more than the demand 3 and 4 that were owed before" in period(1, demand="3", sales="8")
    operation.arrive(*period(1, demand="3", sales="7"))
    operation.tick()
    served, demand = operation.totals["served"][0], operation.totals["demand"][0]
    assert (served, demand) == (4.0, 8.0), "1 of 5, then 3 of 3; the rest was late"


def test_only_plain_files_of_a_sensible_size_are_read(tmp_path):
    operation, feed = fed(tmp_path / "fed", tmp_path / "feed", "a1"), tmp_path / "feed"
    (feed / "in").mkdir(parents=True)
    place = feed / "in" / "period-0.csv"

    def said():
        return operation.clients.world.observe(0, operation.now.moment.arrays)

    os.mkfifo(place)
    assert said() == "period-0.csv must be a plain file"
    place.unlink()
    place.symlink_to("/dev/zero")
    assert said() == "period-0.csv must be a plain file"
    place.unlink()
    place.mkdir()
    assert "irectory" in said()
    place.rmdir()
    text = zeros(operation.layout, observation_columns(operation.clients.world.arrivals))
    place.write_text(text + "\n" * 1_000_000)
    tracemalloc.start()
    assert "has more than 1,008 lines" in said()
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()
    place.write_text(text + "x" * 17_000_000)
    assert "has more than 16,777,216 bytes" in said()
    place.write_text(text.replace("on_hand", "h" * 100_000))
    assert len(said()) < 500
    place.write_text("")
    assert "period-0.csv is empty: the header must be stock_point,on_hand" in said()
    place.write_text(text)
    assert isinstance(said(), tuple)


def test_lost_sales_leave_nothing_owed_and_what_is_not_sold_is_not_asked_for(tmp_path):
    operation, feed = fed(tmp_path / "fed", tmp_path / "feed", "firm"), tmp_path / "feed"
    layout = operation.layout
    traffic = "stock_point,segment,traffic\n" + "".join(f"{s.replace('/', ',')},0\n" for s in layout.segments)
    rows = [row.split(",") for row in zeros(layout, observation_columns(operation.clients.world.arrivals)).splitlines()]
    at = next(row for row in rows if row[0] == layout.customer_facing[0])
    at[rows[0].index("backlog")] = "2"
    said = refusal(operation, feed, "\n".join(map(",".join, rows)) + "\n", traffic)
    assert "backlog 2, but unmet demand is lost in this firm; leave 0" in said

"""The page of a backtest: the result first, then the worst items, then a curve per item of those."""

from __future__ import annotations

import numpy as np

from coordinator.planning.course import Backtest
from coordinator.report.charts import Line, lines
from coordinator.report.page import COLOURS, Cell, Entry, Figure, Grid, Legend, Page, Section, Table, Text, numeric

_WORST = 200  # lines in the table
_CURVES = 12  # items with a picture


def backtest_page(done: Backtest) -> Page:
    """The report of a backtest."""
    names = list(done.courses)
    lead = (
        f"{done.days[0]} to {done.days[-1]}: {len(done.days)} days of demand as it happened, "
        f"{len(done.tables.items)} items, {len(done.tables.points)} stock points. All policies met the same demand, "
        f"each on what was known on the day; the {done.settled} days before do not count."
    )
    reading = "± is half of a 95% interval by blocks of four weeks; differences are paired, from the first policy."
    shown = [
        {str(key): _cell(str(key), value) for key, value in row.items() if value == value}  # NaN: nothing to say
        for row in done.results.to_dict("records")
    ]
    columns = list(done.results.columns)
    results = [{key: row.get(key, Cell("")) for key in columns} for row in shown]
    table = done.lines.dropna(subset=["fill_rate"])
    rows = table.sort_values("fill_rate").head(_WORST).to_dict("records")
    worst: list[dict[str, Cell]] = [
        {"policy": Cell(row["policy"]), "location": Cell(row["location"]), "item": Cell(row["item"])}
        | {"fill rate": Cell(f"{row['fill_rate']:.1%}", row["fill_rate"])}
        | {key.replace("_", " "): numeric(row[key], 1) for key in ("demand", "stock", "days_without_stock", "orders")}
        for row in rows
    ]
    legend = Legend([Entry(name, f"c{place % COLOURS}") for place, name in enumerate(names)])
    return Page(
        "What last year would have been",
        [Text(lead, "lead")],
        [
            Section("Result", [Table("All locations and items", results, reading, sortable=True), _days(done, legend)]),
            Section("By location and supplier", [_groups(done)]),
            Section("Worst first", [Table("Locations and items by fill rate", worst, sortable=True)]),
            Section("Curves", [legend, Grid(_curves(done))]),
        ],
    )


def _groups(done: Backtest) -> Table:
    rows = [
        {"policy": Cell(row["policy"]), "by": Cell(row["by"]), "name": Cell(row["name"])}
        | {"fill rate": Cell("") if np.isnan(rate := row["fill_rate"]) else Cell(f"{rate:.1%}", rate)}
        | {key: numeric(row[key], 1) for key in ("demand", "stock", "orders", "ordered", "holding")}
        for row in done.groups.to_dict("records")
    ]
    reading = "Where a location sells nothing it has no fill rate; amounts of several items are added up as they are."
    return Table("What each location sold and held, and what each supplier was asked for", rows, reading, sortable=True)


def _cell(key: str, value: object) -> Cell:
    if isinstance(value, str):
        return Cell(value)
    value = float(str(value))
    return Cell(f"{value:.2%}", value) if key.startswith("fill rate") else numeric(value, 1 if abs(value) < 100 else 0)


def _days(done: Backtest, legend: Legend) -> Grid:
    x = np.arange(len(done.days), dtype=np.float64)
    series = [
        Line(f"c{place % COLOURS}", x, course.on_hand.sum((1, 2))) for place, course in enumerate(done.courses.values())
    ]
    found = lines("Stock in the whole firm", "Lower is cheaper.", series, f"days from {done.days[0]}", "units")
    return Grid([legend, found])


def _curves(done: Backtest) -> list[Figure]:
    """Stock on hand and demand of the locations and items that were served worst under the first policy."""
    first = next(iter(done.courses))
    own = done.lines[done.lines["policy"] == first].dropna(subset=["fill_rate"]).sort_values("fill_rate")
    x, found = np.arange(len(done.days), dtype=np.float64), []
    for point, item in zip(own["location"].head(_CURVES), own["item"].head(_CURVES), strict=True):
        n, k = done.tables.points.index(point), done.tables.items.index(item)
        series = [
            Line(f"c{place % COLOURS}", x, course.on_hand[:, n, k])
            for place, course in enumerate(done.courses.values())
        ]
        asked = done.courses[first].asked[:, done.tables.selling.index(n), k]
        series.append(Line("muted", x, asked, line="dotted"))
        found.append(
            lines(f"{point}, {item}", "Stock on hand; demand dotted.", series, f"days from {done.days[0]}", "units")
        )
    return found

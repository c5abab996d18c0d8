"""The page of an import: what was found and done, and every series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from coordinator.report.page import Cell, Page, Section, Table, Text, numeric
from environment.tables import Tables

_MOST = 2000  # series on the page; all are in series.csv


def import_page(folder: Path, said: Sequence[str], series: pd.DataFrame, tables: Tables) -> Page:
    """The report of an import."""
    findings = [Text(line, "note") for line in said]
    rows = [
        {
            str(column).replace("_", " "): Cell(str(value))
            if isinstance(value, str)
            else numeric(float(value), 2 if column == "mean" else 0)
            for column, value in row.items()
        }
        for row in series.sort_values("mean", ascending=False).head(_MOST).to_dict("records")
    ]
    lead = (
        f"{len(tables.items)} items, {len(tables.points)} stock points, {len(tables.days)} days to {tables.days[-1]}."
    )
    more = f"The {_MOST} largest of {len(series)} series; all are in series.csv." if len(series) > _MOST else ""
    table = Table("Every series, by mean demand a day", rows, more, sortable=True)
    return Page(
        f"Imported into {folder.name}",
        [Text(lead, "lead"), Text("Each line below says what was found and what was done about it.")],
        [Section("What was found", findings), Section("Series", [table])],
    )

"""The page of a forecast: errors first, then a curve per series of those that are largest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coordinator.report.charts import Line, lines
from coordinator.report.page import Cell, Figure, Grid, Page, Section, Table, Text, numeric

_MOST = 2000  # series in the table
_CURVES = 12  # series with a picture


def forecast_page(
    errors: pd.DataFrame, total: dict[str, float], ahead: pd.DataFrame, known: NDArray[np.float64]
) -> Page:
    """The report of a forecast; `known` are the last days of demand of each series, [series, days]."""
    lead = (
        f"On days that they had not seen, forecasts were off by {total['wape']:.1%} of demand; if all follow weekdays, "
        f"by {total['plain_wape']:.1%}; what was sold a week before, by {total['naive_wape']:.1%}. Of all days "
        f"{total['coverage']:.0%} lay in the 80% interval."
    )
    rows = [
        {key: Cell(row[key]) for key in ("location", "item", "method")}
        | {"mean": numeric(row["mean"], 2)}
        | {key: Cell(f"{row[key]:.1%}", row[key]) for key in ("wape", "plain_wape", "coverage")}
        | {key: numeric(row[key], 2) for key in ("mase", "pinball")}
        for row in errors.sort_values("error", ascending=False).head(_MOST).to_dict("records")
    ]
    return Page(
        "What will be asked for",
        [Text(lead, "lead")],
        [
            Section("Errors", [Table("Every series, the largest error first", rows, sortable=True)]),
            Section("Curves", [Grid(_curves(errors, ahead, known))]),
        ],
    )


def _curves(errors: pd.DataFrame, ahead: pd.DataFrame, known: NDArray[np.float64]) -> list[Figure]:
    days, found = len(ahead) // max(len(errors), 1), []
    for place in errors["error"].sort_values(ascending=False).index[:_CURVES]:
        own = ahead.iloc[place * days : (place + 1) * days]
        x = np.arange(days, dtype=np.float64)
        series = [Line("muted", np.arange(-known.shape[1], 0, dtype=np.float64), known[place])]
        series += [Line("c0", x, own["mean"].to_numpy(dtype=float))]
        series += [Line("c0", x, own[key].to_numpy(dtype=float), line="dotted") for key in ("low", "high")]
        title = f"{errors.loc[place, 'location']}, {errors.loc[place, 'item']}"
        found.append(
            lines(title, "Demand, then its forecast; the 80% interval dotted.", series, "days from tomorrow", "units")
        )
    return found

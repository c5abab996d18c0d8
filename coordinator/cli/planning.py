"""`firmwide import`, `forecast`, `backtest` and `propose`: a planner's firm from exports to orders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator import api
from coordinator.cli.options import argument, option
from coordinator.cli.show import say, show

Repeated = list[str] | None


def import_firm(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", show_default=False, help="csv, xlsx or parquet: sales, stock, suppliers, items."
        ),
    ],
    out: Annotated[Path, option("DIR", "The firm's new folder.")],
    name: Annotated[str | None, option("NAME", "Of the firm (default: as DIR).")] = None,
    column: Annotated[Repeated, option("ROLE=NAME", "What a column is, such as quantity=Absatz; repeatable.")] = None,
    kind: Annotated[
        Repeated,
        option("FILE=KIND", "What a file is for: sales, stock, supply, receipts, items, calendar; repeatable."),
    ] = None,
    separator: Annotated[str | None, option("SIGN", "Of cells in csv files.")] = None,
    encoding: Annotated[str | None, option("NAME", "Of csv files, such as cp1252.")] = None,
    decimal: Annotated[str | None, option(".|,", "The decimal sign.")] = None,
    date_format: Annotated[str | None, option("FORM", "Such as %d.%m.%Y.")] = None,
    first_day: Annotated[str | None, option("DAY", "Of a table whose days are numbered, as M5's.")] = None,
    missing: Annotated[
        str, option("zero|days|unknown", "Days without a row: no sales; unknown if nobody has one; unknown.")
    ] = "zero",
    returns: Annotated[str, option("net|drop", "Negative quantities: off the day's sales, or left out.")] = "net",
    doubled: Annotated[str | None, option("sum|once", "Equal rows of a day (default: doubled days once).")] = None,
    until: Annotated[str | None, option("DAY", "Leave out days from then on, to train on what was known.")] = None,
    lead_time: Annotated[int, typer.Option(min=1, max=1000, help="Days, where no table tells.")] = 1,
    holding_rate: Annotated[float, typer.Option(help="Holding cost, a share of an item's cost a year.")] = 0.25,
    fill_rate: Annotated[float, typer.Option(help="What stock is for: the share of demand served from it.")] = 0.98,
    fill_rate_of: Annotated[
        Repeated, option("CLASS=RATE", "Of a class of items, such as A=0.99, Z=0.9 or CZ=0.85; repeatable.")
    ] = None,
    unmet: Annotated[str, option("lost|backorder", "What becomes of demand that is not served.")] = "lost",
) -> None:
    """Make a firm of exports as an ERP writes them; say what was found, and refuse what can be read in two ways."""
    lists = ("column", "kind", "fill_rate_of")
    given = {
        key: value for key, value in locals().items() if key not in ("files", "lists", *lists) and value is not None
    }
    show(api.import_firm(files, **given, columns=column or (), kinds=kind or (), fill_rates=fill_rate_of or ()))


FolderOf = Annotated[Path, argument("FOLDER", "Of `firmwide import`.")]


def backtest(
    folder: FolderOf,
    begin: Annotated[str, option("DAY", "The first day that counts.", "--from")],
    policy: Annotated[
        Repeated,
        option(
            "[NAME=]RULE|RUN|CSV",
            "cover:DAYS, rule:EXPRESSION, tuned[:FILL_RATE], trained[:FILL_RATE], a run, or levels "
            "(stock_point,product,level); "
            "repeatable, others are compared with the first (default: today=cover:14 and tuned).",
        ),
    ] = None,
    until: Annotated[str | None, option("DAY", "The first day that does not count any more.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Days between two tunings or trainings.")] = 28,
    out: Annotated[Path | None, option("DIR", "For backtest.html and csv files (default: FOLDER/backtest).")] = None,
) -> None:
    """Play history as it happened under several policies, each on what was known on the day."""
    done = api.backtest(folder, begin, policy or ["today=cover:14", "tuned"], until=until, every=every, out=out)
    show(done)
    say(f"{(folder / 'backtest' if out is None else out) / 'backtest.html'}")


def propose(
    folder: FolderOf,
    policy: Annotated[
        str,
        option(
            "[NAME=]RULE|RUN|CSV",
            "Who orders: tuned or trained[:FILL_RATE], cover:DAYS, rule:EXPRESSION, a run, levels.",
        ),
    ] = "tuned",
    beside: Annotated[str, option("cover:DAYS", "A rule to compare with.")] = "cover:14",
    out: Annotated[Path | None, option("DIR", "For the order list (default: FOLDER/orders/DAY).")] = None,
) -> None:
    """Propose tomorrow's orders by supplier, each line with its reason, exceptions first; nothing is sent."""
    done = api.propose(folder, policy, beside=beside, out=out)
    show(done)
    say(f"{done.folder / 'propose.html'}")


def forecast(
    folder: FolderOf,
    days: Annotated[int, typer.Option(min=1, max=365, help="How many.")] = 28,
    out: Annotated[Path | None, option("DIR", "For csv files and the page (default: FOLDER/forecast).")] = None,
) -> None:
    """Forecast demand with intervals, and say how good such forecasts were on earlier days."""
    show(api.forecast(folder, days, out=out))
    say(f"{(folder / 'forecast' if out is None else out) / 'forecast.html'}")

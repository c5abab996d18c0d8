"""`firmwide import`: exports in, a firm folder out, with a report of what was found and done, and a first feed file."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from rich.console import Group, RenderableType
from rich.text import Text

from coordinator.planning.demand import classes
from coordinator.planning.import_page import import_page
from coordinator.planning.layout import KINDS, WORDS, layout_of
from coordinator.planning.master import calendar_of, joined, master_of, receipts_of
from coordinator.planning.reading import read_table
from coordinator.planning.sales import How, Sales, sales_of
from coordinator.shown import Shown
from coordinator.storage.files import write_atomically
from environment.calendars import period_of
from environment.names import fault
from environment.parts import RESERVED
from environment.tables import CALENDAR, Tables, blocks_of, read_tables

_CLASSES = (*"ABC", *"XYZ", *(worth + change for worth in "ABC" for change in "XYZ"))
FIRM, DEMAND, SERIES, REPORT = "firm.yaml", "demand.parquet", "series.csv", "import.html"


@dataclass(frozen=True)
class ImportRequest:
    """What to import, and how what the files leave open is understood."""

    files: Sequence[Path]
    out: Path
    name: str | None = None
    columns: Sequence[str] = ()  # ROLE=NAME
    kinds: Sequence[str] = ()  # FILE=KIND
    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    first_day: str | None = None
    missing: Literal["zero", "days", "unknown"] = "zero"
    returns: Literal["net", "drop"] = "net"
    doubled: Literal["sum", "once"] | None = None
    until: str | None = None  # days from then on are left out
    lead_time: int = 1  # days, where none is told
    holding_rate: float = 0.25  # of what an item costs, a year
    fill_rate: float | None = 0.98
    fill_rates: Sequence[str] = ()  # CLASS=RATE of ABC, XYZ or both, where an item has none of its own
    unmet: Literal["lost", "backorder"] = "lost"


@dataclass(frozen=True, repr=False)
class Imported(Shown):
    """What was imported, and what was found on the way."""

    folder: Path
    said: Sequence[str]
    tables: Tables = field(repr=False)

    def __rich__(self) -> RenderableType:
        """Every finding a line, the folder last."""
        return Group(*map(Text, self.said), Text(f"{self.folder}: {summary(self.tables)}", style="bold"))


def summary(tables: Tables) -> str:
    """One line."""
    sells, items = len(tables.selling), len(tables.items)
    return (
        f"{items} items at {sells} locations that sell, {len(tables.points)} stock points, {len(tables.days)} days, "
        f"{np.nanmean(tables.demand[:, tables.sold].sum(1)):,.6g} units a day"
    )


def import_firm(asked: ImportRequest) -> Imported:
    """Read exports and write the folder of a firm.

    Raises:
        ValueError: one line; nothing has been written then.
    """
    if asked.out.exists() and (not asked.out.is_dir() or any(asked.out.iterdir())):
        raise ValueError(f"--out must be a new or empty folder, got {str(asked.out)!r}")
    how = How(
        asked.decimal,
        asked.date_format,
        _day("--first-day", asked.first_day),
        asked.missing,
        asked.returns,
        asked.doubled,
    )
    columns, kinds = _pairs("--column", asked.columns, WORDS), _pairs("--kind", asked.kinds, None)
    if wrong := [kind for kind in kinds.values() if kind not in KINDS]:
        raise ValueError(f"--kind FILE=KIND takes {', '.join(KINDS)}, got {wrong[0]!r}")
    read = [read_table(path, separator=asked.separator, encoding=asked.encoding) for path in asked.files]
    if unused := [f"{role}={name}" for role, name in columns.items() if not any(name in table.cells for table in read)]:
        raise ValueError(f"--column {unused[0]}: no file has a column of that name")
    laid = [(table, layout_of(table, columns, kinds.get(table.name))) for table in read]
    sold = [(table, layout) for table, layout in laid if layout.kind == "sales"]
    if len(sold) != 1:
        taken = ", ".join(f"{table.name} for {layout.kind}" for table, layout in laid)
        raise ValueError(
            f"one of the files must hold the sales by day (date, item, quantity), got {len(sold)} that do, taking "
            f"{taken}: name its columns (--column date=NAME --column quantity=NAME), or say --kind FILE=sales"
        )
    sales = _before(sales_of(*sold[0], how), _day("--until", asked.until))
    said = [line for table, _ in laid if table is sold[0][0] for line in table.said]
    parts: dict[str, list[pd.DataFrame]] = {kind: [] for kind in KINDS if kind != "sales"}
    for table, layout in laid:
        if layout.kind != "sales":
            of = {"receipts": receipts_of, "calendar": calendar_of}.get(layout.kind, master_of)
            parts[layout.kind].append(of(table, layout, how))
            said += table.said
    for name in dict.fromkeys([*sales.locations, *sales.items]):
        if why := fault(name) or ("a firm file means something else by it" if name in RESERVED else ""):
            raise ValueError(f"{sold[0][0].name}: {name!r}: {why}")
    pairs = pd.DataFrame({"location": sales.locations, "item": sales.items})
    items, supply, stock = joined(parts, pairs, asked.lead_time, said)
    calendar = _calendar(parts["calendar"], {*supply["from"], *supply["to"], *sales.locations}, said)
    items["unit"] = _units(items, sales, said)
    said.append(
        f"holding costs {asked.holding_rate:g} of an item's cost a year (--holding-rate); unmet demand is {asked.unmet}"
    )
    return _written(asked, sales, {"items": items, "supply": supply, "stock": stock} | calendar, said)


def _calendar(found: list[pd.DataFrame], known: set[str], said: list[str]) -> dict[str, pd.DataFrame]:
    """When locations and suppliers are closed, of all tables; nothing where none tells."""
    if not found:
        return {}
    calendar = pd.concat(found, ignore_index=True).drop_duplicates()
    if strange := sorted(set(calendar["location"]) - known - {""}):
        said.append(f"closed days of {strange[0]!r} are left out: it neither sells nor supplies")
    return {CALENDAR: calendar[calendar["location"].isin({*known, ""})]}


def _pairs(option: str, given: Sequence[str], known: Any, form: str = "ROLE=NAME") -> dict[str, str]:  # noqa: ANN401
    found: dict[str, str] = {}
    for text in given:
        key, equals, name = text.partition("=")
        if not equals or (known is not None and key not in known):
            kind = form.partition("=")[0].lower()
            allowed = f"{form} with a {kind} of {', '.join(known)}" if known is not None else "FILE=KIND"
            raise ValueError(f"{option} takes {allowed}, got {text!r}")
        if key in found:
            raise ValueError(f"{option} {key} is given twice, {found[key]!r} and {name!r}: remove one of them")
        found[key] = name
    return found


def _day(option: str, text: str | None) -> Any:  # noqa: ANN401
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        raise ValueError(f"{option} must be a day such as 2011-10-01, got {text!r}")
    try:
        return np.datetime64(text)
    except ValueError:
        raise ValueError(f"{option} must be a day such as 2011-10-01, got {text!r}") from None


def _before(sales: Sales, until: Any) -> Sales:  # noqa: ANN401
    if until is None:
        return sales
    kept = sales.days < until
    if not kept.any():
        raise ValueError(f"--until {until}: the sales begin on {sales.days[0]}")
    sales.said.append(f"days from {until} on are left out: {kept.sum()} of {len(kept)} days stay")
    return Sales(
        sales.days[kept], sales.locations, sales.items, sales.sales[kept], sales.demand[kept], sales.series, sales.said
    )


def _units(items: pd.DataFrame, sales: Sales, said: list[str]) -> list[float]:
    """What one unit of each item is: 1, or the step in which it is sold."""
    given = items["unit"] if "unit" in items else pd.Series(np.nan, index=items.index)
    place: dict[str, list[int]] = {item: [] for item in items["item"]}
    for series, item in enumerate(sales.items):
        place[item].append(series)
    found = []
    for item, unit in zip(items["item"], given, strict=True):
        amounts = sales.sales[:, place[item]]
        amounts = amounts[~np.isnan(amounts)]
        if unit > 0 or not (amounts % 1).any():
            size = float(unit) if unit > 0 else 1.0
        else:
            thousandths = np.rint(amounts * 1000).astype(np.int64)
            size = float(np.gcd.reduce(thousandths)) / 1000 or 1.0
            said.append(
                f"{item!r} is sold in steps of {size:g}: that is a unit of the firm (a column `unit` says another)"
            )
        if (np.abs(amounts / size - np.rint(amounts / size)) > 1e-4).any():
            raise ValueError(f"{item!r} is sold in parts of its unit {size:g}: give a smaller one in a column `unit`")
        found.append(size)
    return found


def _written(
    asked: ImportRequest,
    sales: Sales,
    master: dict[str, pd.DataFrame],
    said: list[str],
) -> Imported:
    """Write the folder beside its place and move it there as a whole."""
    slug = re.sub(r"[^a-z0-9]+", "-", (asked.name or asked.out.resolve().name).lower()).strip("-") or "firm"
    firm: dict[str, Any] = {"name": slug[:40], "unmet": asked.unmet}
    firm["tables"] = {"demand": DEMAND, **{name: f"{name}.csv" for name in master}}
    firm["holding_rate"] = asked.holding_rate
    if blocks_of(sales.days) is not None:
        firm["history"] = "blocks"
    if asked.fill_rate is not None:
        firm["service"] = {"fill_rate": asked.fill_rate}
    items = master["items"]
    listed = items.reindex(columns=["item", "unit", "cost", "price", *(["fill_rate"] if "fill_rate" in items else [])])
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{asked.out.name}.", dir=asked.out.parent))
    try:
        folder.chmod(0o755)
        _write_demand(folder / DEMAND, sales)
        for name, table in (master | {"items": listed}).items():
            write_atomically(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.10g"))
        text = yaml.safe_dump(firm, sort_keys=False, allow_unicode=True, default_flow_style=None)
        write_atomically(folder / FIRM, text)
        tables = read_tables(firm, folder)
        said += [*tables.notes, *_weekday_note(tables)]
        known = _classes(tables, said)
        if asked.fill_rates:
            listed = _with_rates(listed, known, _rates(asked), said)
            write_atomically(folder / "items.csv", listed.to_csv(index=False, float_format="%.10g"))
            tables = read_tables(firm, folder)
        series = sales.series.join(known, on="item")
        write_atomically(folder / SERIES, series.to_csv(index=False, float_format="%.10g"))
        write_atomically(folder / "feed" / "in" / "period-0.csv", _first_feed(tables))
        write_atomically(folder / REPORT, import_page(asked.out, said, series, tables).html())
        if asked.out.exists():
            asked.out.rmdir()  # it is empty
        folder.rename(asked.out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Imported(asked.out, said, tables)


def _weekday_note(tables: Tables) -> list[str]:
    """What to mind where weekdays count and a firm goes into operation on another day than a Monday."""
    day = tables.days[-1] + 1
    if period_of(day) % 7 == 0 or not any(rhythm.review_days or rhythm.closed.days for rhythm in tables.rhythms()):
        return []
    return [f"in operation period 0 counts as a Monday, and {day} is none: begin on one, or its weekdays are others"]


def _classes(tables: Tables, said: list[str]) -> pd.DataFrame:
    """ABC and XYZ class of each item."""
    demand = np.nan_to_num(tables.demand).sum(1)
    priced = bool((tables.cost > 0).any())
    worth, change = classes(demand, demand.mean(0) * (np.nan_to_num(tables.cost) if priced else 1.0))
    count = Counter(worth)
    by = "cost" if priced else "units"
    said.append(f"ABC by {by}: " + ", ".join(f"{count[name]} items {name}" for name in "ABC" if count[name]))
    return pd.DataFrame({"abc": worth, "xyz": change}, index=list(tables.items))


def _rates(asked: ImportRequest) -> dict[str, float]:
    """Fill rates by class.

    Raises:
        ValueError: one line; there is no such class, or none that a rate could be.
    """
    found = {}
    for name, text in _pairs("--fill-rate-of", asked.fill_rates, _CLASSES, "CLASS=RATE").items():
        rate = float(text) if re.fullmatch(r"0?\.[0-9]+", text, re.ASCII) else 0.0
        if not 0.5 <= rate < 1:
            raise ValueError(f"--fill-rate-of {name} must be from 0.5 to below 1, such as {name}=0.99, got {text!r}")
        found[name] = rate
    if asked.fill_rate is None:
        raise ValueError("--fill-rate-of needs a fill_rate for all other items")
    return found


def _with_rates(items: pd.DataFrame, known: pd.DataFrame, rates: dict[str, float], said: list[str]) -> pd.DataFrame:
    """The items with the fill rate of their class, both letters before ABC before XYZ; their own comes first (ours)."""
    given = dict.fromkeys(rates, 0)
    own = items["fill_rate"].to_list() if "fill_rate" in items else [np.nan] * len(items)
    for place, item in enumerate(items["item"]):
        names = known.loc[item, "abc"] + known.loc[item, "xyz"], *known.loc[item, ["abc", "xyz"]]
        if np.isnan(own[place]) and (named := [name for name in names if name in rates]):
            own[place] = rates[named[0]]
            given[named[0]] += 1
    said.append("fill rates by class: " + ", ".join(f"{n} items {name} {rates[name]:g}" for name, n in given.items()))
    return items.assign(fill_rate=own)


def _write_demand(path: Path, sales: Sales) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    days, series = sales.sales.shape
    codes = np.repeat(np.arange(series, dtype=np.int32), days)

    def names(of: list[str]) -> Any:  # noqa: ANN401
        place, known = pd.factorize(pd.Series(of, dtype=object))
        return pa.DictionaryArray.from_arrays(pa.array(place[codes], pa.int32()), pa.array(known.tolist(), pa.string()))

    table = pa.table(
        {
            "date": pa.array(np.tile(sales.days.astype("datetime64[s]"), series)),
            "location": names(sales.locations),
            "item": names(sales.items),
            "sales": pa.array(sales.sales.T.ravel()),
            "demand": pa.array(sales.demand.T.ravel()),
        }
    )
    parquet.write_table(table, path, compression="zstd")


def _first_feed(tables: Tables) -> str:
    """What a fed firm is told before its first period: stock; what is on order arrives after its whole lead time."""
    several, slots = len(tables.items) > 1, min(max(1, tables.longest_lead_time()), 6)
    arriving = [f"arriving_{number + 1}" for number in range(slots)]
    header = ["stock_point", *["product"][:several], "on_hand", "inventory_position", *arriving]
    lines = [",".join([*header, "backlog", "asked", "handed", "demand", "sales"])]
    waits = tables.waits(tables.days[-1] + 1)
    for n, point in enumerate(tables.points):
        for k, item in enumerate(tables.items):
            due = int(min(waits[n, k], slots)) - 1  # -1: there is no way to be on
            under_way = [f"{tables.on_order[n, k]:g}" if slot == due else "0" for slot in range(slots)]
            on_hand = max(tables.on_hand[n, k], 0.0) + (tables.on_order[n, k] if due < 0 else 0.0)
            amounts = [f"{on_hand:g}", f"{tables.on_hand[n, k] + tables.on_order[n, k]:g}", *under_way, *["0"] * 5]
            lines.append(",".join([*(_quoted(name) for name in [point, *[item][:several]]), *amounts]))
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    return f'"{name.replace(chr(34), chr(34) * 2)}"' if any(sign in name for sign in ',"\n') else name

"""A firm file that points to tables instead of naming every product: `tables:` with demand, items, supply and stock.

    name: shop
    unmet: lost
    tables: {demand: demand.parquet, items: items.csv, supply: supply.csv, stock: stock.csv}
    holding_rate: 0.25            # of what an item costs, a year
    service: {fill_rate: 0.98}    # what stock is for, or {cycle_service: 0.95}; without it, prices say so
    history: blocks               # how it is played: four weeks at a time, or independent, the default

demand: date, location, item, sales, demand; items: item, unit, cost, price, perhaps fill_rate or cycle_service; supply:
item, from, to, lead_time, law, order_multiple, min_order, perhaps review_days (`Mon Thu`), review_period (days),
closed_days (`Sat Sun`, of the supplier), load (units of all items that come to the location in a day), order_cost
(money per order of the item) and joint_order_cost (money per order of any items); stock: location, item, on_hand,
on_order, perhaps capacity, closed_days and shelf_life (days; of the location), and waste_cost (money per unit of the
table that expired); and perhaps calendar: location (or supplier; nobody: all), date, when they are closed. `firmwide
import` writes them.
Amounts are in the measure of the tables; the firm counts in units of `unit`. A period is a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from environment.blocks import Blocks, weekdays_of
from environment.calendars import Closed, Rhythm, period_of, weekdays
from environment.fields import shown
from environment.parts import TARGETS

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

FILES = ("demand", "items", "supply", "stock")
CALENDAR = "calendar"  # one more, which may be left out
LIMITS = ("order_multiple", "min_order", "review_period", "review_days", "capacity")  # of a stock point's orders
OWN = ("tables", "holding_rate", "service", "history")  # what a firm file with tables says beside what all say
DAYS_A_YEAR = 365.0
_WEEK = range(7)
HISTORIES = ("independent", "blocks")  # how episodes of the firm play history


@dataclass(frozen=True)
class Tables:
    """A firm's tables, checked against each other. N stock points, upstream first; C that sell; K items; T days."""

    points: tuple[str, ...]  # [N]
    selling: tuple[int, ...]  # [C] of them
    items: tuple[str, ...]  # [K]
    days: NDArray[np.datetime64]  # [T]
    demand: Array  # [T, C, K] units a day; NaN where nothing is known
    sales: Array  # [T, C, K]
    sold: NDArray[np.bool_]  # [C, K] whether there is a series
    supplier: tuple[int, ...]  # [N] the stock point that delivers, -1: from outside
    supplier_names: tuple[tuple[str, ...], ...]  # [N][K] who delivers, as the table calls it
    lead_time: Array  # [N, K] mean days
    laws: tuple[tuple[str, ...], ...]  # [N][K] `days:count ...`, '' where the lead time is fixed
    multiple: Array  # [N, K] units
    minimum: Array  # [N, K] units
    review_days: tuple[
        tuple[tuple[int, ...], ...], ...
    ]  # [N][K] weekdays, Monday 0, on which orders are taken; (): any
    review_period: Array  # [N, K] days from one order to the next, where no weekdays are told
    closed: tuple[tuple[Closed, ...], ...]  # [N][K] when supplier or location are
    capacity: tuple[int | None, ...]  # [N] units of all items that there is room for
    load: tuple[int | None, ...]  # [N] units of all items that come there in a day
    order_cost: Array  # [N, K] money per order
    joint_order_cost: tuple[float, ...]  # [N] money per order of any items
    shelf_life: tuple[int | None, ...]  # [N] days that a unit can be sold in after it arrived
    waste_cost: Array  # [N, K] money per unit that expired
    on_hand: Array  # [N, K] units
    on_order: Array  # [N, K] units
    unit: Array  # [K] what one unit is in the tables
    cost: Array  # [K] money per unit, NaN where it is not told
    price: Array  # [K]
    holding_rate: float
    fill_rate: Array | None  # [K] share of demand to be served at once, or
    cycle_service: (
        Array | None
    )  # [K] of replenishment cycles without a stock-out; both None: prices and penalties decide
    unmet: str  # lost or backorder
    blocks: Blocks | None  # in which episodes play history; None: days are drawn independently of each other
    notes: tuple[str, ...]

    @property
    def holding_cost(self) -> Array:
        """Money per unit and day, [K]; where no cost is told, that of the median item."""
        known = self.cost[self.cost > 0]
        cost = np.where(self.cost > 0, self.cost, np.median(known) if len(known) else 1.0)
        return np.asarray(self.holding_rate / DAYS_A_YEAR * cost)

    def rhythms(self) -> dict[Rhythm, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """When series are ordered, and which points and items they are: each rhythm once."""
        days = np.ceil(self.lead_time).astype(int).tolist()
        found: dict[Rhythm, list[tuple[int, int]]] = {}
        for n, k in np.ndindex(self.lead_time.shape):
            reviews = self.review_days[n][k]
            every = 1 if reviews else int(self.review_period[n, k])
            found.setdefault(Rhythm(days[n][k], reviews, every, self.closed[n][k]), []).append((n, k))
        return {rhythm: (np.array(at)[:, 0], np.array(at)[:, 1]) for rhythm, at in found.items()}

    def intervals(self, first: np.datetime64, periods: int) -> NDArray[np.int64]:
        """Days that orders of each morning last for, see `Rhythm.interval`, [T or, if all are alike, 1, N, K]."""
        rhythms = self.rhythms()
        rows = 1 if all(rhythm.steady for rhythm in rhythms) else periods
        found = np.empty((rows, *self.lead_time.shape), dtype=np.int64)
        for rhythm, (n, k) in rhythms.items():
            found[:, n, k] = rhythm.interval(period_of(first), rows)[:, None]
        return found

    def waits(self, day: np.datetime64) -> Array:
        """Days from a morning until what is ordered then, or at the next review, is there, [N, K]."""
        found = self.lead_time.copy()
        for rhythm, at in self.rhythms().items():
            if not rhythm.steady:
                found[at] = rhythm.wait(period_of(day), 1)[0]
        return found

    def longest_lead_time(self) -> int:
        """Days that a lead time can take at most, from any day of a week."""
        kinds = set[tuple[int, Closed]]()
        for n, k in np.ndindex(self.lead_time.shape):
            days = [int(part.split(":")[0]) for part in self.laws[n][k].split()] or [whole_days(self, n, k)]
            kinds.add((max(days), self.closed[n][k]))
        weeks = (Rhythm(days, closed=closed._replace(dates=())).wait(0, len(_WEEK)) for days, closed in kinds)
        return int(max(week.max() for week in weeks))

    def flow(self, per_series: Array) -> Array:
        """What passes through each point if [.., C, K] is asked of those that sell, [.., N, K]."""
        total = np.zeros((*per_series.shape[:-2], len(self.points), len(self.items)))
        total[..., list(self.selling), :] = per_series
        for point in reversed(range(len(self.points))):
            if self.supplier[point] >= 0:
                total[..., self.supplier[point], :] += total[..., point, :]
        return total


def has_tables(content: object) -> bool:
    """Whether a firm file points to tables."""
    return isinstance(content, Mapping) and "tables" in content


def read_tables(content: Mapping[str, Any], folder: Path) -> Tables:
    """Read the tables that a firm file points to.

    Raises:
        ValueError: one line; a table or column is missing, or a name is unknown.
    """
    named = content["tables"]
    if not isinstance(named, Mapping) or set(named) - {CALENDAR} != set(FILES):
        raise ValueError(f"tables must be a mapping with {', '.join(FILES)}, got {shown(named)}")
    frames = _Frames({name: _frame(folder / str(file), name) for name, file in named.items()})
    items, unit, (names, laws) = frames.items, frames.unit, frames.edges()
    service, holding, known = _service(content), _holding_rate(content), frames.history()
    return Tables(
        frames.points,
        tuple(map(frames.points.index, frames.sells)),
        tuple(items["item"]),
        **known,
        supplier=tuple(-1 if name is None else frames.points.index(name) for name in frames.supplier),
        supplier_names=names,
        lead_time=frames.lead_times(),
        laws=laws,
        multiple=np.maximum(np.ceil(frames.amounts("supply", "order_multiple", 1.0) / unit - 1e-9), 1.0),
        minimum=np.ceil(frames.amounts("supply", "min_order", 0.0) / unit - 1e-9),
        review_days=frames.review_days(),
        review_period=np.maximum(frames.amounts("supply", "review_period", 1.0), 1.0),
        closed=frames.closed(names),
        capacity=_rooms(frames.stock, "capacity", "location", frames.points),
        load=_rooms(frames.supply, "load", "to", frames.points),
        order_cost=_money(frames, "supply", "order_cost"),
        joint_order_cost=frames.joint_order_costs(),
        **_shelf_lives(frames),
        on_hand=np.rint(frames.amounts("stock", "on_hand", 0.0) / unit),
        on_order=np.rint(frames.amounts("stock", "on_order", 0.0) / unit),
        unit=unit,
        cost=items["cost"].to_numpy(dtype=float) * unit,
        price=items["price"].to_numpy(dtype=float) * unit,
        holding_rate=holding,
        fill_rate=_targets(items, "fill_rate", service),
        cycle_service=_targets(items, "cycle_service", service),
        unmet=str(content.get("unmet", "backorder")),
        blocks=_blocks(content, known["days"]),
        notes=tuple(frames.notes),
    )


def _service(content: Mapping[str, Any]) -> dict[str, float]:
    """What is to be served of all items, by one of the firm's measures; {} where costs decide."""
    service = content.get("service") or {}
    known = isinstance(service, Mapping) and len(service) <= 1 and set(service) <= set(TARGETS)
    if known and all(isinstance(rate, float) and 0.5 <= rate < 1 for rate in service.values()):
        return dict(service)
    allowed = "a mapping such as {fill_rate: 0.98} or {cycle_service: 0.95}, from 0.5 to below 1"
    raise ValueError(f"service of a firm with tables must be {allowed}, got {shown(service)}")


def _holding_rate(content: Mapping[str, Any]) -> float:
    holding = content.get("holding_rate", 0.25)
    if isinstance(holding, bool) or not isinstance(holding, (int, float)) or not 0 < holding <= 10:
        raise ValueError(f"holding_rate must be a number above 0 and at most 10, a year, got {shown(holding)}")
    return float(holding)


def blocks_of(days: NDArray[np.datetime64]) -> Blocks | None:
    """Blocks of a history of days, with the season if there is more than a year; None: it is too short."""
    blocks = Blocks(first=int(weekdays_of(days[:1])[0]))
    yearly = blocks.model_copy(update={"season": int(DAYS_A_YEAR)})
    return yearly if len(days) >= yearly.least else blocks if len(days) >= blocks.least else None


def _blocks(content: Mapping[str, Any], days: NDArray[np.datetime64]) -> Blocks | None:
    played = content.get("history", HISTORIES[0])
    if played not in HISTORIES:
        raise ValueError(f"history must be one of {', '.join(HISTORIES)}, got {shown(played)}")
    if played == "independent":
        return None
    if (blocks := blocks_of(days)) is None:
        raise ValueError(
            f"history: blocks needs at least {Blocks().least} days, and the tables hold {len(days)}: remove it"
        )
    return blocks


class _Frames:
    """The tables as they were read, and where each of their rows belongs."""

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        self._of = frames
        self.demand, self.items, self.supply, self.stock = (frames[name] for name in FILES)
        self.sells, self.notes = list(self.demand["location"].cat.categories), list[str]()
        self.points, self.supplier = _network(self.supply, self.sells, self.notes)
        self.unit: Array = self.items["unit"].fillna(1.0).to_numpy(dtype=float)  # [K]
        self._point_of = {name: n for n, name in enumerate(self.points)}
        self._item_of = {item: k for k, item in enumerate(self.items["item"])}
        self._shape = len(self.points), len(self.items)

    def _place(self, name: str) -> tuple[Any, Any]:
        """Stock point and item of each row."""
        frame, point = self._of[name], "to" if name == "supply" else "location"
        rows, columns = frame[point].map(self._point_of), frame["item"].map(self._item_of)
        if (lost := rows.isna() | columns.isna()).any():
            raise ValueError(f"tables: {' '.join(map(str, frame.loc[lost, [point, 'item']].iloc[0]))} is not known")
        return rows.to_numpy(dtype=int), columns.to_numpy(dtype=int)

    def amounts(self, name: str, column: str, otherwise: float) -> Array:
        """A column of a table, [N, K]."""
        found = np.full(self._shape, otherwise)
        if column in self._of[name]:
            found[self._place(name)] = self._of[name][column].to_numpy(dtype=float)
        return found

    def _texts(self, column: str) -> list[list[str]]:
        """A column of `supply`, [N][K]."""
        found = [[""] * self._shape[1] for _ in self.points]
        if column in self.supply:
            for n, k, text in zip(*self._place("supply"), self.supply[column].fillna(""), strict=True):
                found[n][k] = str(text)
        return found

    def edges(self) -> list[tuple[tuple[str, ...], ...]]:
        """Names of suppliers and laws of lead times as they are written, [N][K] each."""
        return [tuple(map(tuple, self._texts(column))) for column in ("from", "law")]

    def review_days(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Weekdays on which orders are taken, [N][K]."""
        return tuple(tuple(map(weekdays, row)) for row in self._texts("review_days"))

    def closed(self, suppliers: tuple[tuple[str, ...], ...]) -> tuple[tuple[Closed, ...], ...]:
        """When supplier [N][K] or location are closed, [N][K]."""
        own = {str(name): weekdays(text) for name, text in _of_locations(self.stock, "closed_days").items()}
        calendar, dates = self._of.get(CALENDAR), dict[str, set[int]]()
        if calendar is not None:
            for name, day in zip(calendar["location"].fillna(""), calendar["date"], strict=True):
                dates.setdefault(str(name), set()).add(period_of(np.datetime64(day, "D")))

        @cache
        def of(point: str, supplier: str, text: str) -> Closed:
            days = set(weekdays(text)).union(*(own.get(name, ()) for name in (point, supplier)))
            if len(days) == len(_WEEK):
                raise ValueError(f"tables: {supplier or 'its supplier'} and {point} are open on no day together")
            shut = set[int]().union(*(dates.get(name, ()) for name in ("", point, supplier)))
            return Closed(tuple(sorted(days)), tuple(sorted(shut)))

        rows = zip(self.points, suppliers, self._texts("closed_days"), self._texts("law"), strict=True)
        return tuple(  # a law is of receipts, which tell days of the calendar: closed ones are in it
            tuple(Closed() if law else of(point, *each) for *each, law in zip(names, texts, laws, strict=True))
            for point, names, texts, laws in rows
        )

    def joint_order_costs(self) -> tuple[float, ...]:
        """Money per order of any items, [N]."""
        found = _of_locations(self.supply, "joint_order_cost", "to")
        if wrong := [name for name, cost in found.items() if cost < 0]:
            raise ValueError(f"tables.supply: joint_order_cost must be at least 0, got {found[wrong[0]]:g}")
        return tuple(float(found.get(name, 0.0)) for name in self.points)

    def lead_times(self) -> Array:
        """Days, [N, K]; of an item that names none, what is usual at its point."""
        last = self.amounts("supply", "lead_time", np.nan)
        usual = np.nanmedian(np.where(np.isnan(last).all(1, keepdims=True), 1.0, last), axis=1)
        return np.where(np.isnan(last), usual[:, None], last)

    def history(self) -> dict[str, Any]:
        """Days, and by day, selling point and item what was sold and asked for; which series there are."""
        point, item = self.demand["location"].cat.codes.to_numpy(), self._place("demand")[1]
        day = self.demand["date"].to_numpy().astype("datetime64[D]")
        days = np.arange(day.min(), day.max() + 1)
        where, shape = ((day - days[0]).astype(int), point, item), (len(days), len(self.sells), self._shape[1])
        sold = np.zeros(shape[1:], dtype=bool)
        sold[point, item] = True
        found = {name: _filled(shape, where, self.demand[name] / self.unit[item]) for name in ("sales", "demand")}
        return {"days": days, "sold": sold, **found}


def _money(frames: _Frames, name: str, column: str) -> Array:
    """Amounts of money of a column, [N, K]; 0 where none is told."""
    found = np.nan_to_num(frames.amounts(name, column, 0.0))
    if (found < 0).any():
        raise ValueError(f"tables.{name}: {column} must be at least 0, got {found.min():g}")
    return found


def _shelf_lives(frames: _Frames) -> dict[str, Any]:
    """Days that stock keeps at each location, and what it costs when it does not."""
    lives = _rooms(frames.stock, "shelf_life", "location", frames.points)
    waste = _money(frames, "stock", "waste_cost")
    bare = waste.any(1) & np.array([life is None for life in lives])
    if bare.any():
        raise ValueError(f"tables.stock: waste_cost at {frames.points[int(bare.argmax())]!r} needs a shelf_life there")
    return {"shelf_life": lives, "waste_cost": waste * frames.unit}


def _rooms(frame: pd.DataFrame, column: str, by: str, points: tuple[str, ...]) -> tuple[int | None, ...]:
    """Units of all items that a column says of each point, [N]."""
    found = _of_locations(frame, column, by)
    for name, units in found.items():
        if units != int(units) or units < 1:
            raise ValueError(f"tables: {column} must be a whole number of at least 1, got {units:g} at {name!r}")
    return tuple(int(found[name]) if name in found else None for name in points)


def _of_locations(frame: pd.DataFrame, column: str, by: str = "location") -> dict[str, Any]:
    """What a column says of locations: the same in all of their rows that tell it."""
    if column not in frame:
        return {}
    told = frame.dropna(subset=[column]).groupby(by)[column].unique()
    for name, values in told.items():
        if len(values) > 1:
            some = " and ".join(repr(value) if isinstance(value, str) else f"{value:g}" for value in values[:2])
            raise ValueError(f"tables: {column} must be the same in all rows of a location, got {some} at {name!r}")
    return {str(name): values[0] for name, values in told.items()}


def _targets(items: pd.DataFrame, field: str, service: Mapping[str, float]) -> Array | None:
    """The service of each item: its own in a column of that name, or that of all."""
    if field not in service:
        if field in items and service and items[field].notna().any():
            cure = f"service says {next(iter(service))}: remove the column, or let it say {field}"
            raise ValueError(f"tables.items: {field} is another measure than the firm's, whose {cure}")
        return None
    if field not in items:
        return np.full(len(items), service[field])
    own = items[field].fillna(service[field]).to_numpy(dtype=float)
    if (wrong := (own < 0.5) | (own >= 1)).any():
        place = int(wrong.argmax())
        raise ValueError(
            f"tables.items: {field} of {items['item'][place]} must be from 0.5 to below 1, got {own[place]:g}"
        )
    return np.asarray(own)


def _frame(path: Path, kind: str) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            found = pd.read_parquet(path)
        else:
            names = dict.fromkeys(("item", "location", "from", "to", "law", "review_days", "closed_days"), str)
            found = pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise ValueError(f"tables.{kind} must be a table that can be read: {' '.join(str(error).split())}") from None
    needed = {
        "demand": ("date", "location", "item", "sales", "demand"),
        "items": ("item", "unit", "cost", "price"),
        "supply": ("item", "from", "to", "lead_time", "law", "order_multiple", "min_order"),
        "stock": ("location", "item", "on_hand", "on_order"),
        CALENDAR: ("location", "date"),
    }.get(kind, ())
    if missing := [column for column in needed if column not in found]:
        raise ValueError(f"tables.{kind}: {path.name} has no column {missing[0]!r}")
    if kind == "demand":
        found["location"] = found["location"].astype("category")
        found["item"] = found["item"].astype(str) if found["item"].dtype != "category" else found["item"]
    return found


def _filled(shape: tuple[int, ...], where: tuple[Any, ...], values: pd.Series) -> Array:
    found = np.full(shape, np.nan)
    found[where] = np.rint(values.to_numpy(dtype=float) * 1000) / 1000
    return found


def _network(supply: pd.DataFrame, sells: list[str], notes: list[str]) -> tuple[tuple[str, ...], list[str | None]]:
    """Stock points, upstream first, and who supplies each; None: from outside."""
    inside = set(supply["to"]) | set(sells)
    source: dict[str, str | None] = {}
    for name, group in supply.groupby("to", sort=False):
        counts = Counter(one if one in inside else None for one in group["from"])
        source[str(name)] = counts.most_common(1)[0][0]
        if len(counts) > 1:
            notes.append(
                f"{name} buys some items outside and some inside; the firm takes {source[str(name)] or 'outside'}"
            )
    names = list(dict.fromkeys([*supply["to"], *sells]))

    def depth(name: str, seen: tuple[str, ...] = ()) -> int:
        if name in seen:
            raise ValueError(f"tables.supply goes in a circle: {' -> '.join([*seen, name])}")
        above = source.get(name)
        return 0 if above is None else 1 + depth(above, (*seen, name))

    points = tuple(sorted(names, key=lambda name: (depth(name), names.index(name))))
    return points, [source.get(name) for name in points]


def whole_days(tables: Tables, point: int, item: int) -> int:
    """A lead time without a law; what comes in 0 days serves the same day."""
    return round(float(tables.lead_time[point, item]))

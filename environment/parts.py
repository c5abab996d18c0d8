"""The parts of a firm: stock points, supply edges, periods, targets; each is sound in itself."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator

from environment.customers import per_product
from environment.fields import (
    Checked,
    by_product,
    is_whole,
    label,
    listed,
    must_be,
    number,
    one_of,
    per_name,
    refusal,
    shown,
    text,
    whole,
)
from environment.laws import AnyLaw, Fixed, Law, parse_law
from environment.seasons import parse_demand

OUTSIDE = "outside"
MAX_AMOUNT = 1e9
MAX_WHOLE = 1_000_000
MAX_LEAD_TIME = 1000
MAX_CYCLE = 1000  # periods from one review to the next
RESERVED = ("law", OUTSIDE)
TARGETS = ("fill_rate", "cycle_service")  # of service: fields of stock points and of `service`


def _laws(value: object, info: ValidationInfo) -> object:
    """One law for all products, or a mapping product -> law; nothing where the field is absent."""
    folder = Path((info.context or {}).get("folder", "."))
    lasts = info.field_name == "lead_time"

    def parsed(law: object) -> Law:
        return parse_law(law, folder, 0, MAX_LEAD_TIME) if lasts else parse_demand(law, folder)

    if value is None or (isinstance(value, Mapping) and "law" in value):
        return None if value is None else parsed(value)
    if value == {}:
        raise ValueError(" must be a law or a mapping product -> law, got an empty mapping: remove it")
    return per_name(parsed, value)


_allocation = one_of("position", "priority", "proportional", "shortage", "inventory-level", "learned", optional=True)
_start = must_be(
    f"a whole number from 0 to {MAX_WHOLE}",
    lambda value: is_whole(value, 0, MAX_WHOLE),
    int,
    lambda value: (
        f": units owed to customers are initial_backlog: {-value:g}" if is_whole(value, -MAX_WHOLE, -1) else ""
    ),
)
_under_way = must_be(
    f"a whole number from 0 to {MAX_WHOLE}, or a list of them by period",
    lambda value: all(
        is_whole(each, 0, MAX_WHOLE) for each in (value if isinstance(value, (list, tuple)) else [value])
    ),
    lambda value: tuple(map(int, value)) if isinstance(value, (list, tuple)) else int(value),
)
Amounts: TypeAlias = Annotated[Any, by_product(number(0, MAX_AMOUNT))]
WholeAmounts: TypeAlias = Annotated[Any, by_product(whole(0, MAX_WHOLE))]
Shares: TypeAlias = Annotated[Any, by_product(number(0, 0.9999, above=True, optional=True))]
StartAmounts: TypeAlias = Annotated[Any, by_product(_start)]
Pipeline: TypeAlias = Annotated[Any, by_product(_under_way)]
OrderLimits: TypeAlias = Annotated[Any, by_product(whole(1, MAX_WHOLE))]
Cycles: TypeAlias = Annotated[Any, by_product(whole(1, MAX_CYCLE))]
Laws: TypeAlias = Annotated[Any, BeforeValidator(_laws)]
Text: TypeAlias = Annotated[str, text()]


Allocation: TypeAlias = Literal["position", "priority", "proportional", "shortage", "inventory-level", "learned"]
Sequence: TypeAlias = Literal["standard", "geevers"]


SupplierChoice: TypeAlias = Literal["random", "preferred", "cheapest", "in-stock", "split", "ordered"]
_CHOICES = get_args(SupplierChoice)
choice_of_supplier = must_be(  # `priority`, too, means the preferred one
    "one of " + ", ".join(_CHOICES),
    lambda value: value in (*_CHOICES, "priority"),
    lambda value: "preferred" if value == "priority" else value,
)


class Periods(Checked):
    """Lengths in periods."""

    train: Annotated[int, whole(2, 100_000)] = 128  # of a training episode, cut off by time
    evaluate: Annotated[int, whole(2, 100_000)] = 75  # of an evaluation episode
    warm_up: Annotated[int, whole(0, 100_000)] = 25  # first periods of an evaluation episode that are not counted

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if self.warm_up >= self.evaluate:
            raise ValueError(f".warm_up must be below evaluate ({self.evaluate}), got {self.warm_up}")
        return self


class ReviewDays(Checked):
    """Days of a cycle of periods on which orders are taken: period t is day t mod `cycle`."""

    cycle: Annotated[int, whole(1, MAX_CYCLE)] = 7
    days: Annotated[tuple[int, ...], listed("days, such as [0, 3]")]

    @field_validator("days", mode="before")
    @classmethod
    def _whole_days(cls, value: Any) -> Any:  # noqa: ANN401
        for day in value if isinstance(value, (list, tuple)) else ():
            if isinstance(day, bool) or not isinstance(day, int):
                raise ValueError(f" must be whole numbers, 0 for the first period of a cycle, got {shown(day)}")
        return value

    @model_validator(mode="after")
    def _some_and_within(self) -> Self:
        if not self.days:
            raise ValueError(".days must hold at least one day, got an empty list")
        self._check_days()
        return self

    def _check_days(self) -> None:
        if wrong := [day for day in self.days if not 0 <= day < self.cycle]:
            raise ValueError(f".days must be from 0 to {self.cycle - 1} in a cycle of {self.cycle}, got {wrong[0]}")
        if len(set(self.days)) < len(self.days):
            raise ValueError(f".days must be different, got {shown(list(self.days))}")


def _review_days(value: object) -> object:
    """Days of a cycle, or of a week, for all products; or a mapping product -> days."""
    return _days_of(ReviewDays, value)


def _days_of(record: type[ReviewDays | ClosedDays], value: object) -> object:
    if value is None or isinstance(value, record):
        return value
    if isinstance(value, Mapping) and not set(record.model_fields) & set(value):
        return per_name(lambda own: _days_of(record, own), value)
    try:
        return record.model_validate({"days": value} if isinstance(value, (list, tuple)) else value)
    except ValidationError as error:
        raise ValueError(refusal(error)) from None


class ClosedDays(ReviewDays):
    """Days on which a place is closed: period t if t mod `cycle` is one of `days`, or t one of `periods`."""

    days: Annotated[tuple[int, ...], listed("days, such as [5, 6]")] = ()
    periods: Annotated[tuple[int, ...], listed("periods, such as [12, 13]")] = ()  # that do not return: holidays

    @field_validator("periods", mode="before")
    @classmethod
    def _whole_periods(cls, value: Any) -> Any:  # noqa: ANN401
        for period in value if isinstance(value, (list, tuple)) else ():
            if not is_whole(period, 0, MAX_WHOLE):
                raise ValueError(f" must be whole numbers from 0 to {MAX_WHOLE}, got {shown(period)}")
        return value

    @model_validator(mode="after")
    def _some_and_within(self) -> Self:
        if not self.days and not self.periods:
            raise ValueError(" must hold days, such as [5, 6], or periods, got neither: remove it")
        self._check_days()
        if len(self.days) == self.cycle:
            raise ValueError(f".days must leave a day of the cycle of {self.cycle} open, got all of them")
        return self


def _closed_days(value: object, info: ValidationInfo) -> object:
    """The same; a mapping may name a table of dates, which become periods."""
    if isinstance(value, Mapping) and "file" in value:
        value = _with_dates(value, Path((info.context or {}).get("folder", ".")))
    return _days_of(ClosedDays, value)


def _with_dates(given: Mapping[Any, Any], folder: Path) -> dict[Any, Any]:
    """Closed days whose periods stand as dates in a table, counted from `begins`; those before it are over."""
    rest = {key: value for key, value in given.items() if key not in ("file", "begins")}
    if not isinstance(given["file"], str) or "begins" not in given:
        example = "{file: holidays.csv, begins: 2026-01-01}, the date of period 0"
        raise ValueError(f" with a table must be such as {example}, got {shown(dict(given))}")
    try:
        begins = date.fromisoformat(str(given["begins"]))
        with (folder / given["file"]).open(encoding="utf-8-sig", newline="") as file:
            dates = [date.fromisoformat(row["date"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        why = "it has no column date" if isinstance(error, KeyError) else error
        raise ValueError(f".file must be a csv table with a date such as 2026-12-25 a line: {why}") from None
    after = {(day - begins).days for day in dates if day >= begins}
    return rest | {"periods": sorted(after | set(rest.get("periods", ())))}


class StockPoint(Checked):
    """A place that holds stock; amounts are per unit (and period), one for all products or by product."""

    absent: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("needs", "components", "bill_of_materials", "bom"),
        "is not modelled: nothing is assembled of other products; give each part its own demand, units of it a period",
    )

    holding_cost: Amounts  # money per unit on hand and period
    max_order: OrderLimits  # units per order
    backorder_cost: Amounts = 0.0  # money per unit of external backlog and period, or per lost unit
    demand: Laws = None  # external demand a period; None where no customer buys
    price: Amounts = 0.0  # income per unit sold
    unit_cost: Amounts = 0.0  # money per unit ordered
    fixed_order_cost: Amounts = 0.0  # money per order above zero
    initial_on_hand: StartAmounts = None  # units; None: the benchmark's base-stock level
    initial_backlog: WholeAmounts = 0  # units owed to external customers at the start
    order_lead_time: Annotated[int, whole(0, 100)] = 0  # periods until an order has reached the supplier outside
    salvage_value: Amounts = 0.0  # money per unit on hand or on its way here when an episode ends
    unmet: Annotated[Literal["backorder", "lost"] | None, one_of("backorder", "lost", optional=True)] = (
        None  # the firm's
    )
    lost_share: Annotated[float | None, number(0, 1, optional=True)] = (
        None  # of demand that is not met at once; the rest waits
    )
    shelf_life: Annotated[int | None, whole(1, 1000, optional=True)] = (
        None  # periods that a unit can be sold in after it arrived
    )
    waste_cost: Amounts = 0.0  # money per unit that expired
    allocation: Annotated[Allocation | None, _allocation] = None  # of scarce stock
    fill_rate: Shares = None  # share of demand to be served at once: a target, beside the costs
    cycle_service: Shares = None  # or share of replenishment cycles without a stock-out (`Network.cycle_ends`)
    order_multiple: OrderLimits = 1  # units a pack: orders are whole packs
    min_order: WholeAmounts = 0  # units: an order is 0 or at least that
    review_period: Cycles = 1  # orders are placed in periods t with (t - review_offset) mod review_period = 0
    review_offset: WholeAmounts = 0  # periods
    review_days: Annotated[Any, BeforeValidator(_review_days)] = None  # instead: days of a cycle, a `ReviewDays`
    closed_days: Annotated[Any, BeforeValidator(_closed_days)] = None  # on edges from and to here nothing gets on
    capacity: Annotated[int | None, whole(1, int(MAX_AMOUNT), optional=True)] = (
        None  # units of all products: orders must fit in
    )
    region: Annotated[str | None, label("north")] = None  # whose service is told together

    def initial_on_hand_per(self, products: tuple[str, ...]) -> list[float | None]:
        """Given stock at the start per product, [K]; None where the benchmark's level is meant."""
        return per_product(self.initial_on_hand, products, None)


class Disruption(Checked):
    """A supplier that is shut by chance, period by period, and serves nobody on this edge meanwhile."""

    start: Annotated[float, number(0, 1)]  # chance that an open one is shut in the next period
    end: Annotated[float, number(0, 1, above=True)]  # chance that a shut one is open again


class Congestion(Checked):
    """What is under way on an edge slows down what comes after it."""

    units: Annotated[int, whole(1, MAX_WHOLE)]  # under way there, of all products, for one more period of lead time
    most: Annotated[int, whole(1, 100)]  # periods more than the lead time


class Emissions(Checked):
    """What all shipments of a firm emit, by the factors of its supply edges, in whatever unit these are."""

    price: Annotated[float, number(0, MAX_AMOUNT)] = 0.0  # money per unit of emission, a cost of who receives
    cap: Annotated[float | None, number(0, MAX_AMOUNT, above=True, optional=True)] = (
        None  # most that is emitted a period, on average: a target of departments that learn
    )


class Supply(Checked):
    """An edge of the network: `source` ships to `target` in `lead_time` periods; in 0 it serves the same demand."""

    source: Text = Field(alias="from")
    target: Text = Field(alias="to")
    lead_time: Laws = Fixed(value=1)
    initial_pipeline: Pipeline = 0  # units that arrive in each period of the longest lead time, or in the listed ones
    priority: Annotated[int | None, whole(1, 1000, optional=True)] = (
        None  # of the customer at its supplier; 1 is served first
    )
    share: Annotated[float | None, number(0, 1, optional=True)] = (
        None  # of the customer's orders; None: all suppliers alike
    )
    preference: Annotated[int | None, whole(1, 1000, optional=True)] = (
        None  # of the supplier; 1 is preferred, then the file's order
    )
    unit_cost: Amounts = 0.0  # money per unit ordered here, beside the stock point's own
    disruption: Disruption | None = None
    congestion: Congestion | None = None
    emergency: Annotated[float, number(0, 1)] = 0.0  # chance that what the customer is short of comes at once from here
    closed_days: Annotated[Any, BeforeValidator(_closed_days)] = None  # of the supplier, or of who carries it
    fixed_order_cost: Annotated[float, number(0, MAX_AMOUNT)] = 0.0  # money per order of any products together
    capacity: Annotated[int | None, whole(1, int(MAX_AMOUNT), optional=True)] = (
        None  # units of all products that leave in a period
    )
    emissions: Amounts = 0.0  # per unit that leaves
    shipment_emissions: Annotated[float, number(0, MAX_AMOUNT)] = 0.0  # per period in which anything leaves

    @field_validator("lead_time")
    @classmethod
    def _not_too_long(cls, value: AnyLaw | dict[str, AnyLaw]) -> AnyLaw | dict[str, AnyLaw]:
        for law in value.values() if isinstance(value, dict) else [value]:
            if law is None:
                raise ValueError(" must be a whole number or a law, got nothing: remove it for 1 period")
            if law.rows() is not None:
                raise ValueError(" must be a number or a law that is drawn, got a sequence: remove `order`")
            mass = law.mass()
            if len(mass) > MAX_LEAD_TIME + 1:
                raise ValueError(f" must be at most {MAX_LEAD_TIME} periods, got up to {len(mass) - 1}")
        return value


class Target(Checked):
    """What stock is for."""

    fill_rate: Annotated[float | None, number(0, 0.9999, above=True, optional=True)] = (
        None  # share of demand to be served at once
    )
    cycle_service: Annotated[float | None, number(0, 0.9999, above=True, optional=True)] = (
        None  # share of replenishment cycles without a stock-out
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.fill_rate is None) == (self.cycle_service is None):
            raise ValueError(" must be fill_rate or cycle_service, such as {fill_rate: 0.98}, one of the two")
        return self

"""A whole firm, checked: stock points, supply, products, laws and horizon. Everything behind it may trust a `Firm`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from environment.customers import Clientele, Segment, check_customers, per_product
from environment.fields import (
    Checked,
    by_product,
    is_whole,
    label,
    listed,
    mapped,
    must_be,
    number,
    one_of,
    per_name,
    refusal,
    shown,
    text,
    whole,
)
from environment.laws import AnyLaw, Fixed, History, Law, MassFunction, parse_law
from environment.names import MAX_NAME, fault
from environment.seasons import Correlations, Seasonal, parse_demand

OUTSIDE = "outside"
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")  # of the firm itself
MAX_AMOUNT = 1e9
MAX_WHOLE = 1_000_000
MAX_LEAD_TIME = 1000
MAX_CYCLE = 1000  # periods from one review to the next
RESERVED = ("law", OUTSIDE)
_ORDERS = ("order_multiple", "min_order", "review_period", "review_offset", "review_days")
_MAY_LEAVE_OUT = (
    "fill_rate",
    "demand",
    "price",
    "initial_on_hand",
    "initial_backlog",
    "preference",
    "uplift",
    "exposure",
    *_ORDERS,
)  # some products


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


def _named(value: Mapping[object, object]) -> Mapping[object, object]:
    for name in value:
        _check_name("", name)
    return value


def _check_name(field: str, name: object) -> None:
    if not isinstance(name, str):
        raise ValueError(f"{field}: names must be text, got {shown(name)}: put it in quotes")
    if wrong := fault(name):
        raise ValueError(f"{field}: {wrong}, got {shown(name)}")
    if name in RESERVED:
        meaning = "the external supplier" if name == OUTSIDE else "a key of laws"
        raise ValueError(f"{field}: {name!r} is {meaning}; choose another name")


_allocation = one_of("position", "priority", "proportional", optional=True)
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
FillRates: TypeAlias = Annotated[Any, by_product(number(0, 0.9999, above=True, optional=True))]
StartAmounts: TypeAlias = Annotated[Any, by_product(_start)]
Pipeline: TypeAlias = Annotated[Any, by_product(_under_way)]
OrderLimits: TypeAlias = Annotated[Any, by_product(whole(1, MAX_WHOLE))]
Cycles: TypeAlias = Annotated[Any, by_product(whole(1, MAX_CYCLE))]
Laws: TypeAlias = Annotated[Any, BeforeValidator(_laws)]
Text: TypeAlias = Annotated[str, text()]


Allocation: TypeAlias = Literal["position", "priority", "proportional"]


SupplierChoice: TypeAlias = Literal["random", "preferred", "cheapest", "in-stock", "split"]
_CHOICES = get_args(SupplierChoice)
_supplier_choice = must_be(  # `priority`, too, means the preferred one
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
        if wrong := [day for day in self.days if not 0 <= day < self.cycle]:
            raise ValueError(f".days must be from 0 to {self.cycle - 1} in a cycle of {self.cycle}, got {wrong[0]}")
        if len(set(self.days)) < len(self.days):
            raise ValueError(f".days must be different, got {shown(list(self.days))}")
        return self


def _review_days(value: object) -> object:
    """Days of a cycle, or of a week, for all products; or a mapping product -> days."""
    if value is None or isinstance(value, ReviewDays):
        return value
    if isinstance(value, Mapping) and not {"cycle", "days"} & set(value):
        return per_name(_review_days, value)
    try:
        return ReviewDays.model_validate({"days": value} if isinstance(value, (list, tuple)) else value)
    except ValidationError as error:
        raise ValueError(refusal(error)) from None


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
    fill_rate: FillRates = None  # share of demand to be served at once: a target of levels, beside the costs
    order_multiple: OrderLimits = 1  # units a pack: orders are whole packs
    min_order: WholeAmounts = 0  # units: an order is 0 or at least that
    review_period: Cycles = 1  # orders are placed in periods t with (t - review_offset) mod review_period = 0
    review_offset: WholeAmounts = 0  # periods
    review_days: Annotated[Any, BeforeValidator(_review_days)] = None  # instead: days of a cycle, a `ReviewDays`
    capacity: Annotated[int | None, whole(1, int(MAX_AMOUNT), optional=True)] = (
        None  # units of all products: orders must fit in
    )

    def initial_on_hand_per(self, products: tuple[str, ...]) -> list[float | None]:
        """Given stock at the start per product, [K]; None where the benchmark's level is meant."""
        return per_product(self.initial_on_hand, products, None)


class Disruption(Checked):
    """A supplier that is shut by chance, period by period, and serves nobody on this edge meanwhile."""

    start: Annotated[float, number(0, 1)]  # chance that an open one is shut in the next period
    end: Annotated[float, number(0, 1, above=True)]  # chance that a shut one is open again


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
    fixed_order_cost: Annotated[float, number(0, MAX_AMOUNT)] = 0.0  # money per order of any products together
    capacity: Annotated[int | None, whole(1, int(MAX_AMOUNT), optional=True)] = (
        None  # units of all products that leave in a period
    )

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

    fill_rate: Annotated[float, number(0, 0.9999, above=True)]  # share of demand to be served at once


class Firm(Checked):
    """A whole firm. The order of `stock_points` is that of the axis N everywhere, that of `products` of the axis K."""

    name: Text
    description: Text = ""
    currency: Annotated[str | None, label("EUR")] = None  # of all money, for whoever reads pages; None: not said
    unit: Annotated[str | None, label("kg")] = None  # what is counted, for whoever reads pages; None: units
    unmet: Annotated[Literal["backorder", "lost"], one_of("backorder", "lost")] = "backorder"
    supplier_choice: Annotated[SupplierChoice, _supplier_choice] = "random"
    cost_spread: Annotated[float, number(0, 0.999)] = 0.0  # h and b redrawn every period, uniform +- this share
    service: Target | None = None  # of all points that sell and name none of their own
    correlation: Correlations = None  # of demands in a period; None: they are independent
    periods: Periods = Periods()
    products: Annotated[tuple[Text, ...], listed("names")] = ("unit",)
    stock_points: Annotated[
        dict[str, StockPoint], BeforeValidator(_named), mapped("name -> stock point with at least one entry")
    ]
    customers: Annotated[dict[str, Clientele], mapped("stock point -> its customers", empty=True)] = Field({})
    supply: Annotated[tuple[Supply, ...], listed("edges such as {from: outside, to: shop, lead_time: 1}")] = ()

    @model_validator(mode="after")
    def _whole_is_sound(self) -> Self:
        self._check_names()
        self._check_products()
        self._check_customers()
        self._check_unmet()
        self._check_supply()
        self._check_allocation()
        self._check_choice()
        self._check_shelf_life()
        self._check_times()
        self._check_reach()
        self._check_orders()
        self._check_correlation()
        self._check_targets()
        return self

    def _check_names(self) -> None:
        if not NAME.fullmatch(self.name) or len(self.name) > MAX_NAME:
            allowed = f"at most {MAX_NAME} lower-case letters, digits and '-', such as 'my-firm'"
            raise ValueError(f"name: the firm's own name has {allowed}, got {shown(self.name)}")
        for product in self.products:
            _check_name("products", product)
        twice = [name for name, count in Counter(self.products).items() if count > 1]
        if twice:
            raise ValueError(f"products must be different names, got {twice[0]!r} twice: remove one")
        if not self.products:
            raise ValueError("products must hold at least one name, got an empty list: remove it for one product")

    def _check_products(self) -> None:
        known = set(self.products)
        values = [(f"stock_points.{n}.{f}", v) for n, p in self.stock_points.items() for f, v in p]
        values += [(f"supply[{i}].{f}", v) for i, e in enumerate(self.supply) for f, v in e]
        for name, clientele in self.customers.items():
            values += [(f"customers.{name}.segments.{n}.{f}", v) for n, s in clientele.segments.items() for f, v in s]
        for field, value in values:
            if not isinstance(value, dict):
                continue
            if unknown := sorted(set(value) - known):
                raise ValueError(f"{field}.{unknown[0]}: unknown product; products are {', '.join(self.products)}")
            if (missing := sorted(known - set(value))) and field.rpartition(".")[2] not in _MAY_LEAVE_OUT:
                raise ValueError(f"{field}.{missing[0]} is missing: give one number for all products or one for each")

    def _check_unmet(self) -> None:
        for name, point in self.stock_points.items():
            if name not in self.customer_facing and (point.unmet or point.lost_share is not None):
                field = "unmet" if point.unmet else "lost_share"
                raise ValueError(f"stock_points.{name}.{field}: no customer buys here; remove it or give a demand")
            backlog = any(per_product(point.initial_backlog, self.products))
            if backlog and (name not in self.customer_facing or self.lost_shares()[self.names.index(name)] == 1):
                raise ValueError(f"stock_points.{name}.initial_backlog: nobody waits here; remove it")
            if point.unmet and point.lost_share is not None:
                raise ValueError(f"stock_points.{name}: unmet and lost_share say the same; remove one of the two")

    def _check_allocation(self) -> None:
        ranked = {edge.source for edge in self.supply if edge.priority is not None}
        for i, edge in enumerate(self.supply):
            ranks = self.supplier_choice in ("preferred", "in-stock")  # the supplier, too, where none has a preference
            if edge.priority is not None and edge.source == OUTSIDE and not ranks:
                raise ValueError(f"supply[{i}].priority is a customer's at its supplier, and outside never runs out")
        for name, point in self.stock_points.items():
            field, rule = f"stock_points.{name}.allocation", point.allocation
            if rule and all(edge.source != name for edge in self.supply):
                raise ValueError(f"{field}: no stock point buys here, and external customers are one; remove it")
            if rule == "priority" and name not in ranked:
                raise ValueError(f"{field} needs a priority on supply edges from here, such as priority: 1")
            if rule in ("position", "proportional") and name in ranked:
                raise ValueError(f"{field} is {rule}, but supply edges from here have a priority: remove one of them")

    def _check_times(self) -> None:
        """What leaves for other points and is there at once has to be known before these serve."""
        for i, edge in enumerate(self.supply):
            laws = self.lead_time_laws(edge)
            if self.stock_points[edge.target].order_lead_time and edge.source != OUTSIDE:
                cure = f"orders reach a stock point at once: add it to supply[{i}].lead_time"
                raise ValueError(f"stock_points.{edge.target}.order_lead_time is for suppliers outside; {cure}")
            for units, law in zip(self.initial_pipeline(edge), laws, strict=True):
                if units and not isinstance(units, tuple) and len(law.mass()) == 1:
                    cure = "say when it arrives, such as initial_pipeline: [5]"
                    raise ValueError(
                        f"supply[{i}].initial_pipeline has no period to arrive in, as lead_time is 0: {cure}"
                    )
        inside = [edge for edge in self.supply if edge.source != OUTSIDE]
        laws = [law for edge in inside for law in self.lead_time_laws(edge)]
        if any(edge.capacity for edge in inside) and any(law.mass()[0] > 0 for law in laws):
            cure = "give the capacity to an edge from outside or to a stock point, or a lead time of 1"
            raise ValueError(f"supply: capacity and lead_time 0 between stock points do not go together: {cure}")

    def _check_shelf_life(self) -> None:
        for name, point in self.stock_points.items():
            if point.waste_cost and point.shelf_life is None:
                raise ValueError(f"stock_points.{name}.waste_cost needs a shelf_life, such as shelf_life: 3")

    def _check_choice(self) -> None:
        rule = self.supplier_choice
        for i, edge in enumerate(self.supply):
            if edge.share is not None and rule not in ("random", "split"):
                raise ValueError(f"supply[{i}].share is for supplier_choice random or split, got {rule}: remove it")
            if edge.preference is not None and rule not in ("preferred", "in-stock"):
                cure = f"is for supplier_choice preferred or in-stock, got {rule}: remove it"
                raise ValueError(f"supply[{i}].preference {cure}")
        if rule == "cheapest" and not any(edge.unit_cost for edge in self.supply):
            raise ValueError("supplier_choice cheapest needs a unit_cost on supply edges")
        for name, edges in self._suppliers().items():
            shares = [edge.share for edge in edges if edge.share is not None]
            if shares and (len(shares) < len(edges) or abs(sum(shares) - 1.0) > 1e-6):
                told = f"got {sum(shares):g} of {len(shares)} of {len(edges)}"
                raise ValueError(f"supply: the shares of all suppliers of {name} must sum to 1, {told}")
            costs = [edge.unit_cost for edge in edges]
            if rule not in ("preferred", "cheapest") and any(cost != costs[0] for cost in costs):
                cure = f"as supplier_choice is {rule}: take cheapest or preferred"
                raise ValueError(f"supply: the suppliers of {name} must have the same unit_cost, {cure}")

    def _suppliers(self) -> dict[str, list[Supply]]:
        """The edges to each stock point that has some, the preferred one first."""
        found: dict[str, list[Supply]] = {}
        for edge in self.supply:
            found.setdefault(edge.target, []).append(edge)
        for edges in found.values():
            if self.supplier_choice == "cheapest":
                edges.sort(key=lambda edge: sum(per_product(edge.unit_cost, self.products)))
            else:
                edges.sort(key=lambda edge: edge.preference or edge.priority or 1001)
        return found

    def supplier_shares(self) -> dict[tuple[str, str], float] | None:
        """Of a point's orders by (supplier, point), in the long run; None where all suppliers are alike.

        With `in-stock` all count as the preferred one's.
        """
        drawn = self.supplier_choice in ("random", "split")
        if self.supplier_choice == "random" and all(edge.share is None for edge in self.supply):
            return None
        shares = {}
        for name, edges in self._suppliers().items():
            for place, edge in enumerate(edges):
                even = 1.0 / len(edges) if drawn else float(place == 0)
                shares[edge.source, name] = even if edge.share is None else edge.share
        return shares

    def preferences(self) -> dict[tuple[str, str], int]:
        """Place of each supplier among those of a point, by (supplier, point); 0 is preferred."""
        found = self._suppliers().items()
        return {(edge.source, name): place for name, edges in found for place, edge in enumerate(edges)}

    def _check_customers(self) -> None:
        for name, clientele in self.customers.items():
            if name not in self.stock_points:
                known = ", ".join(self.names)
                raise ValueError(f"customers.{name}: unknown stock point; stock points are {known}")
            if self.stock_points[name].demand is not None:
                raise ValueError(f"customers.{name}: stock_points.{name} has a demand as well; remove one of the two")
            for segment in clientele.segments:
                _check_name(f"customers.{name}.segments", segment)
            if parted := [each for each in (name, *clientele.segments, *self.products) if "/" in each]:
                raise ValueError(f"customers.{name}: '/' parts points, segments and products, got {shown(parted[0])}")
        check_customers(self.customers, self.products)

    def _check_supply(self) -> None:
        seen: set[tuple[str, str]] = set()
        known = ", ".join([*self.names[:8], *(["..."] if len(self.names) > 8 else [])])
        for i, edge in enumerate(self.supply):
            if edge.source not in self.stock_points and edge.source != OUTSIDE:
                raise ValueError(
                    f"supply[{i}].from must be 'outside' or one of {known}, got unknown {shown(edge.source)}"
                )
            if edge.target not in self.stock_points:
                came = "'outside', which only supplies" if edge.target == OUTSIDE else f"unknown {shown(edge.target)}"
                raise ValueError(f"supply[{i}].to must be one of {known}, got {came}")
            if (edge.source, edge.target) in seen:
                raise ValueError(f"supply[{i}]: {edge.source} -> {edge.target} is there already; remove the duplicate")
            seen.add((edge.source, edge.target))
        try:
            TopologicalSorter(self._direct_suppliers()).prepare()
        except CycleError as error:
            cycle = error.args[1]
            walk = cycle if len(cycle) <= 12 else [*cycle[:6], "...", *cycle[-2:]]
            raise ValueError(
                f"supply has a cycle: {' -> '.join(walk)}; remove one of these edges: points that help each other "
                "(transshipment) are not modelled, a warehouse above them is the nearest"
            ) from None

    def _check_reach(self) -> None:
        suppliers = self._direct_suppliers()
        frontier = list(self.customer_facing)
        if not frontier:
            raise ValueError(
                "stock_points: no stock point has a demand; give at least one of them a demand law or customers"
            )
        reaches = set(frontier)
        while frontier:
            above = set(suppliers[frontier.pop()]) - reaches
            reaches |= above
            frontier.extend(above)
        for name in self.stock_points:
            if name not in reaches:
                cure = "give it a demand or a supply edge to a point that sells"
                raise ValueError(f"stock_points.{name} reaches no customer: {cure}")

    def _check_orders(self) -> None:
        """Refuse limits under which a point could never order a product."""
        packs, most = self.amounts("order_multiple", 1.0), self.amounts("max_order")
        cycle, offset, least = self.amounts("review_period", 1.0), self.amounts("review_offset"), self.least_orders()
        for n, k in np.ndindex(least.shape):
            where, of = f"stock_points.{self.names[n]}", f" of {self.products[k]}" * (len(self.products) > 1)
            limit, smallest, room = (
                f"max_order{of} ({most[n, k]:g})",
                least[n, k],
                self.stock_points[self.names[n]].capacity,
            )
            if packs[n, k] > most[n, k]:
                raise ValueError(f"{where}.order_multiple{of} must be at most {limit}, got {packs[n, k]:g}")
            if smallest > most[n, k]:
                what = f"{where}.min_order{of} is {smallest:g} in whole packs of {packs[n, k]:g}"
                raise ValueError(f"{what}, above {limit}: raise max_order, or lower one of the two")
            if room is not None and smallest > room:
                raise ValueError(f"{where}.capacity ({room}) is below the smallest order{of} ({smallest:g}): raise it")
            days = per_product(self.stock_points[self.names[n]].review_days, self.products, None)[k]
            if days is not None and (cycle[n, k] > 1 or offset[n, k] > 0):
                raise ValueError(f"{where}.review_days and review_period{of} say the same: remove one of the two")
            if offset[n, k] >= cycle[n, k]:
                what = f"{where}.review_offset{of} must be below review_period ({cycle[n, k]:g})"
                raise ValueError(f"{what}, got {offset[n, k]:g}")
        self._check_loads(least)
        self._check_joint_costs()

    def _check_loads(self, least: NDArray[np.float64]) -> None:
        """Refuse edges from outside that can carry no order, or whose order may go another way."""
        for i, edge in enumerate(self.supply):
            if edge.capacity is None or edge.source != OUTSIDE:
                continue
            if sum(other.target == edge.target for other in self.supply) > 1:
                raise ValueError(
                    f"supply[{i}].capacity: {edge.target} has several suppliers, and what comes from outside is cut "
                    "when it is ordered, before one of them is drawn: leave it one, or limit max_order"
                )
            if edge.capacity < (smallest := least[self.names.index(edge.target)].max()):
                what = f"supply[{i}].capacity ({edge.capacity}) is below the smallest order of {edge.target}"
                raise ValueError(f"{what} ({smallest:g}): raise it")

    def _check_joint_costs(self) -> None:
        """Refuse a cost of joint orders where products may go to different suppliers."""
        for i, edge in enumerate(self.supply):
            if edge.fixed_order_cost and sum(other.target == edge.target for other in self.supply) > 1:
                raise ValueError(
                    f"supply[{i}].fixed_order_cost: {edge.target} has several suppliers, to which its products may go "
                    f"apart: leave it one, or give the cost to stock_points.{edge.target}"
                )

    def joint_costs(self) -> NDArray[np.float64]:
        """What an order of each point costs beside all products' own, whatever it holds, [N] money."""
        cost = {edge.target: edge.fixed_order_cost for edge in self.supply}
        return np.array([cost.get(name, 0.0) for name in self.names])

    def fixed_costs(self) -> NDArray[np.float64]:
        """A product's own fixed cost of an order and an equal part of that of joint orders, [N, K] money."""
        return self.amounts("fixed_order_cost") + self.joint_costs()[:, None] / len(self.products)

    def least_orders(self) -> NDArray[np.float64]:
        """The smallest order of each point and product: at least the minimum, in whole packs, [N, K] units."""
        packs = self.amounts("order_multiple", 1.0)
        return np.asarray(np.maximum(np.ceil(self.amounts("min_order") / packs), 1.0) * packs)

    def _check_targets(self) -> None:
        """Refuse fill rates of nothing, of some alone, and of what levels of one product cannot meet by themselves."""
        rates, facing = self.fill_rates(), self.customer_facing
        if np.isnan(rates).all():
            return
        for n, name in enumerate(self.names):
            if self.stock_points[name].fill_rate is not None and name not in facing:
                raise ValueError(f"stock_points.{name}.fill_rate: it has no demand, remove it")
            if name in facing and np.isnan(rates[n]).any():
                cure = "give one to all that is sold, such as by `service: {fill_rate: 0.98}`, or to nothing"
                raise ValueError(f"stock_points.{name}.fill_rate is missing, and others have one: {cure}")
        if self.customers:
            raise ValueError("fill_rate is of laws of demand, and customers choose here: remove it")
        if self.couples:
            raise ValueError("fill_rate is met product by product, and products share a capacity here: remove one")

    def fill_rates(self) -> NDArray[np.float64]:
        """Targets, [N, K]; nan where there is none."""
        given = self.service.fill_rate if self.service else None
        rows = [
            [
                given if rate is None and name in self.customer_facing else rate
                for rate in per_product(point.fill_rate, self.products, None)
            ]
            for name, point in self.stock_points.items()
        ]
        return np.array(rows, dtype=float)

    @property
    def has_targets(self) -> bool:
        """Whether fill rates are to be met."""
        return not bool(np.isnan(self.fill_rates()).all())

    def _check_correlation(self) -> None:
        if self.correlation is None:
            return
        laws = [law for row in self.demand_laws() for law in row]
        if self.customers:
            name = next(iter(self.customers))
            raise ValueError(f"correlation is of laws of demand, and the customers of {name} choose: remove it")
        if len(laws) < 2:
            raise ValueError("correlation is of several demands, and the firm has one: remove it")
        if any(law.rows() is not None for law in laws):
            raise ValueError("correlation: a sequence happens as it happened, remove one of the two")

    def _direct_suppliers(self) -> dict[str, list[str]]:
        suppliers: dict[str, list[str]] = {name: [] for name in self.stock_points}
        for edge in self.supply:
            if edge.source != OUTSIDE:
                suppliers[edge.target].append(edge.source)
        return suppliers

    @property
    def names(self) -> tuple[str, ...]:
        """Stock points in the order of the axis N."""
        return tuple(self.stock_points)

    @property
    def customer_facing(self) -> tuple[str, ...]:
        """Stock points with external demand or customers, in the order of the axis C."""
        selling = self._selling
        return tuple(name for name in self.stock_points if name in selling)

    @property
    def _selling(self) -> set[str]:
        return {name for name, point in self.stock_points.items() if point.demand is not None} | set(self.customers)

    @property
    def earns(self) -> bool:
        """Whether prices are set, so that results are profits instead of costs."""
        return bool((self.amounts("price") > 0).any())

    def amounts(self, field: str, otherwise: float = 0.0) -> NDArray[np.float64]:
        """A field of all stock points, [N, K]; a product that a mapping leaves out counts `otherwise`.

        What a unit costs holds what its supplier takes.
        """
        amounts = np.array(
            [per_product(getattr(point, field), self.products, otherwise) for point in self.stock_points.values()],
            dtype=float,
        )
        if field == "unit_cost" and any(edge.unit_cost for edge in self.supply):
            for name, (edge, *_) in self._suppliers().items():  # what the chosen one costs; else all cost the same
                amounts[self.names.index(name)] += per_product(edge.unit_cost, self.products)
        return amounts

    def lost_shares(self) -> NDArray[np.float64]:
        """Share of unmet demand that is lost at each stock point, [N]; what is not lost waits."""

        def share(point: StockPoint) -> float:
            if point.lost_share is not None:
                return point.lost_share
            return float((point.unmet or self.unmet) == "lost")

        return np.array([share(point) for point in self.stock_points.values()])

    @property
    def unmet_demand(self) -> Literal["backorder", "lost", "mixed"]:
        """What becomes of unmet demand where customers buy."""
        selling = self._selling
        shares = {share for share, name in zip(self.lost_shares(), self.names, strict=True) if name in selling}
        return "backorder" if shares == {0.0} else "lost" if shares == {1.0} else "mixed"

    @property
    def order_limits(self) -> list[str]:
        """Fields by which orders are limited beside `max_order`."""
        points = self.stock_points.values()
        none = {"order_multiple": 1.0, "min_order": 0.0, "review_period": 1.0}
        found = [field for field, value in none.items() if (self.amounts(field, value) > value).any()]
        found += ["review_days"] * any(point.review_days is not None for point in points)
        return found + ["capacity"] * any(each.capacity is not None for of in (points, self.supply) for each in of)

    @property
    def couples(self) -> bool:
        """Whether products have something to share: storage, what an edge carries, or the cost of an order."""
        return len(self.products) > 1 and ("capacity" in self.order_limits or bool(self.joint_costs().any()))

    def demand_laws(self) -> list[list[AnyLaw]]:
        """External demand per customer-facing point and product, [C][K]; products not sold there are fixed at 0.

        Of customers who choose it is the law in the long run.
        """
        return [
            [*self.customers[name].demand_laws(self.products)]
            if name in self.customers
            else per_product(self.stock_points[name].demand, self.products, Fixed(value=0))
            for name in self.customer_facing
        ]

    def segments(self, point: str) -> Mapping[str, Segment]:
        """The segments of a stock point's customers, in the order of the axis S; none where demand is a law."""
        return self.customers[point].segments if point in self.customers else {}

    def lead_time_laws(self, supply: Supply) -> list[AnyLaw]:
        """Time from order to arrival on one edge per product, [K]: with what an order takes to the supplier outside."""
        laws = per_product(supply.lead_time, self.products, None)
        before = self.stock_points[supply.target].order_lead_time
        return [MassFunction.of(np.concatenate((np.zeros(before), law.mass()))) for law in laws] if before else laws

    def initial_pipeline(self, supply: Supply) -> list[float | tuple[int, ...]]:
        """Units under way on one edge at the start in each slot of the pipeline that is in use, by product, [K]."""
        return per_product(supply.initial_pipeline, self.products)

    def of_product(self, product: str) -> Firm:
        """The same network with one product alone; what it does not sell it sells nothing of."""

        def own(record: BaseModel, default: Mapping[str, object]) -> dict[str, object]:
            return {
                field: value.get(product, default.get(field, 0.0)) if isinstance(value, dict) else value
                for field, value in record
            }

        nothing: dict[str, object] = {"demand": Fixed(value=0), "initial_on_hand": None, "review_days": None}
        nothing |= {"order_multiple": 1, "review_period": 1, "fill_rate": None}
        points = {name: point.model_copy(update=own(point, nothing)) for name, point in self.stock_points.items()}
        supply = tuple(edge.model_copy(update=own(edge, {})) for edge in self.supply)
        return self.model_copy(update={"products": (product,), "stock_points": points, "supply": supply})

    def to_yaml(self) -> str:
        """The firm as a file that stands by itself: histories become mass functions."""
        return yaml.safe_dump(_plain(self), sort_keys=False, width=120)


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Seasonal):
        return _plain(value.base) | {"season": _plain(value.season)}
    if isinstance(value, History):
        value = value.resolved()
    if isinstance(value, Fixed):
        return value.value
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        shown = {
            fields[key].alias or key: inner for key, inner in value if key == "law" or inner != fields[key].default
        }
        return {key: _plain(shown[key]) for key in sorted(shown, key=lambda key: key != "law")}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

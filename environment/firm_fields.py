"""What a firm file says of a whole firm, and the arrays that follow from it; `Firm` is one that is sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, Field

from environment.closures import Calendar
from environment.customers import Clientele, Segment, per_product
from environment.fields import Checked, label, listed, mapped, number, one_of, shown
from environment.laws import AnyLaw, Fixed, History, MassFunction
from environment.names import fault
from environment.parts import (
    OUTSIDE,
    RESERVED,
    TARGETS,
    Emissions,
    Periods,
    Sequence,
    StockPoint,
    SupplierChoice,
    Supply,
    Target,
    Text,
    choice_of_supplier,
)
from environment.regimes import Regime
from environment.seasons import PERIODIC, Correlations, Seasonal


def _named(value: Mapping[object, object]) -> Mapping[object, object]:
    for name in value:
        check_name("", name)
    return value


def check_name(field: str, name: object) -> None:
    """Refuse what cannot be the name of a point, a product or a segment."""
    if not isinstance(name, str):
        raise ValueError(f"{field}: names must be text, got {shown(name)}: put it in quotes")
    if wrong := fault(name):
        raise ValueError(f"{field}: {wrong}, got {shown(name)}")
    if name in RESERVED:
        meaning = "the external supplier" if name == OUTSIDE else "a key of laws"
        raise ValueError(f"{field}: {name!r} is {meaning}; choose another name")


class FirmFields(Checked):
    """A whole firm. The order of `stock_points` is that of the axis N everywhere, that of `products` of the axis K."""

    name: Text
    description: Text = ""
    currency: Annotated[str | None, label("EUR")] = None  # of all money, for whoever reads pages; None: not said
    unit: Annotated[str | None, label("kg")] = None  # what is counted, for whoever reads pages; None: units
    unmet: Annotated[Literal["backorder", "lost"], one_of("backorder", "lost")] = "backorder"
    supplier_choice: Annotated[SupplierChoice, choice_of_supplier] = "random"
    sequence: Annotated[Sequence, one_of("standard", "geevers")] = (
        "standard"  # of events; geevers: who supplies others ships first
    )
    cost_spread: Annotated[float, number(0, 0.999)] = 0.0  # h and b redrawn every period, uniform +- this share
    service: Target | None = None  # of all points that sell and name none of their own
    correlation: Correlations = None  # of demands in a period; None: they are independent
    regimes: Annotated[dict[str, Regime], mapped("name -> regime", empty=True)] = Field({})  # the first one at first
    periods: Periods = Periods()
    products: Annotated[tuple[Text, ...], listed("names")] = ("unit",)
    stock_points: Annotated[
        dict[str, StockPoint], BeforeValidator(_named), mapped("name -> stock point with at least one entry")
    ]
    emissions: Emissions | None = None  # of all shipments: their price and cap
    suppliers: Annotated[tuple[Text, ...], listed("names")] = ()  # outside, beside `outside` itself
    customers: Annotated[dict[str, Clientele], mapped("stock point -> its customers", empty=True)] = Field({})
    supply: Annotated[tuple[Supply, ...], listed("edges such as {from: outside, to: shop, lead_time: 1}")] = ()

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

        With `in-stock` all count as the preferred one's; with `ordered` they are of the wishes of rules that name one
        number for a point.
        """
        drawn = self.supplier_choice in ("random", "split", "ordered")
        if self.supplier_choice == "random" and all(edge.share is None for edge in self.supply):
            return None
        shares = {}
        for name, edges in self._suppliers().items():
            for place, edge in enumerate(edges):
                even = 1.0 / len(edges) if drawn else float(place == 0)
                shares[edge.source, name] = even if edge.share is None else edge.share
        return shares

    def must_order_by_point(self, who: str) -> None:
        """Refuse `supplier_choice: ordered` for those who know one order a stock point, such as "live departments"."""
        if self.supplier_choice == "ordered":
            raise ValueError(f"supplier_choice ordered: {who} one order a stock point here; take split or preferred")

    def must_leave_allocation(self, who: str) -> None:
        """Refuse `allocation: learned` for those who decide orders alone, such as "an action is"."""
        if decided := [name for name, point in self.stock_points.items() if point.allocation == "learned"]:
            raise ValueError(
                f"stock_points.{decided[0]}.allocation learned: {who} orders alone here; take another, such as shortage"
            )

    def preferences(self) -> dict[tuple[str, str], int]:
        """Place of each supplier among those of a point, by (supplier, point); 0 is preferred."""
        found = self._suppliers().items()
        return {(edge.source, name): place for name, edges in found for place, edge in enumerate(edges)}

    def joint_costs(self) -> NDArray[np.float64]:
        """What the orders of each point, one to each supplier, cost beside all products' own, [N] money."""
        cost = dict.fromkeys(self.names, 0.0)
        for edge in self.supply:
            cost[edge.target] += edge.fixed_order_cost
        return np.array(list(cost.values()))

    def fixed_costs(self) -> NDArray[np.float64]:
        """A product's own fixed cost of an order and an equal part of that of joint orders, [N, K] money.

        An order is a shipment, too, of whose emissions each product bears an equal part.
        """
        joint, price = self.joint_costs(), self.emission_price
        for name, edges in self._suppliers().items() if price else ():
            parts = self.supplier_shares() or dict.fromkeys(((e.source, name) for e in edges), 1.0 / len(edges))
            emitted = sum(parts[edge.source, name] * edge.shipment_emissions for edge in edges)
            joint[self.names.index(name)] += price * emitted
        return np.asarray(self.amounts("fixed_order_cost") + joint[:, None] / len(self.products))

    @property
    def emission_price(self) -> float:
        """Money per unit of emission."""
        return 0.0 if self.emissions is None else self.emissions.price

    @property
    def emission_cap(self) -> float | None:
        """Most that is emitted a period, on average; None: any."""
        return None if self.emissions is None else self.emissions.cap

    @property
    def emits(self) -> bool:
        """Whether any edge has emissions."""
        return any(edge.shipment_emissions or any(per_product(edge.emissions, self.products)) for edge in self.supply)

    def least_orders(self) -> NDArray[np.float64]:
        """The smallest order of each point and product: at least the minimum, in whole packs, [N, K] units."""
        packs = self.amounts("order_multiple", 1.0)
        return np.asarray(np.maximum(np.ceil(self.amounts("min_order") / packs), 1.0) * packs)

    def targets(self, field: str) -> NDArray[np.float64]:
        """Of `TARGETS` one, [N, K]: a point's own, or the firm's where it sells and has none; else nan."""
        given = None if self.service is None else getattr(self.service, field)
        own = self._own_targets(field)
        if given is None:
            return own
        none = np.isnan([self._own_targets(other) for other in TARGETS]).all(0)
        sells = np.array([name in self.customer_facing for name in self.names])
        return np.where(none & sells[:, None], given, own)

    def newsvendor_costs(self) -> NDArray[np.float64]:
        """What a unit short would cost where a target F is the newsvendor's ratio, [N, K] money; nan where none is.

        That is h F / (1 - F) of the holding cost h: where the costs of levels that meet the target are looked for.
        """
        rate = np.fmax(*(self.targets(field) for field in TARGETS))
        return np.asarray(np.maximum(self.amounts("holding_cost"), 1e-6) * rate / (1.0 - rate))

    def _own_targets(self, field: str) -> NDArray[np.float64]:
        rows = [per_product(getattr(point, field), self.products, None) for point in self.stock_points.values()]
        return np.array(rows, dtype=float)

    @property
    def has_targets(self) -> list[str]:
        """Of `TARGETS` those that are to be met somewhere."""
        return [field for field in TARGETS if not np.isnan(self.targets(field)).all()]

    @property
    def constrained(self) -> str | None:
        """A target that departments are to meet while they learn: of service, or a cap on emissions."""
        return next(iter(self.has_targets), None if self.emission_cap is None else "emissions.cap")

    def _direct_suppliers(self) -> dict[str, list[str]]:
        suppliers: dict[str, list[str]] = {name: [] for name in self.stock_points}
        for edge in self.supply:
            if edge.source in self.stock_points:
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

        What a unit costs holds what its supplier takes, or its suppliers take by their shares.
        """
        amounts = np.array(
            [per_product(getattr(point, field), self.products, otherwise) for point in self.stock_points.values()],
            dtype=float,
        )
        if field == "unit_cost" and any(edge.unit_cost for edge in self.supply):
            shares = self.supplier_shares() if self.supplier_choice == "ordered" else None
            for name, edges in self._suppliers().items():  # what the chosen one costs; else all cost the same
                for edge in edges[:1] if shares is None else edges:
                    part = 1.0 if shares is None else shares[edge.source, name]
                    amounts[self.names.index(name)] += part * np.array(per_product(edge.unit_cost, self.products))
        return amounts

    def edge_costs(self, supplier: str, point: str) -> tuple[list[float], float]:
        """What a unit ordered there costs with what it costs its point, [K]; and what an order of any products costs.

        Of the one edge that a point without suppliers has, too.
        """
        edges = [edge for edge in self.supply if (edge.source, edge.target) == (supplier, point)]
        own = self.stock_points[point].unit_cost
        rows = [per_product(cost, self.products) for cost in (own, *(edge.unit_cost for edge in edges))]
        return [sum(row) for row in zip(*rows, strict=True)], sum(edge.fixed_order_cost for edge in edges)

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
    def disrupted(self) -> bool:
        """Whether an edge is ever shut."""
        return any(edge.disruption is not None and edge.disruption.start > 0 for edge in self.supply)

    @property
    def couples(self) -> bool:
        """Whether products have something to share: storage, what an edge carries, or the cost of an order."""
        shared = self.emissions is not None and any(edge.shipment_emissions for edge in self.supply)
        shared |= "capacity" in self.order_limits or bool(self.joint_costs().any())
        return len(self.products) > 1 and shared

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

    def calendars(self, supply: Supply) -> list[Calendar]:
        """Closed days of one edge, of its supplier and of its customer, by product, [K]."""
        own = per_product(supply.closed_days, self.products, None)
        points = [self.stock_points[name] for name in (supply.source, supply.target) if name in self.stock_points]
        places = [point.closed_days for point in points if point.closed_days is not None]
        return [tuple(dict.fromkeys([*places, *([] if days is None else [days])])) for days in own]

    def initial_pipeline(self, supply: Supply) -> list[float | tuple[int, ...]]:
        """Units under way on one edge at the start in each slot of the pipeline that is in use, by product, [K]."""
        return per_product(supply.initial_pipeline, self.products)

    def of_product(self, product: str) -> Self:
        """The same network with one product alone; what it does not sell it sells nothing of."""

        def own(record: BaseModel, default: Mapping[str, object]) -> dict[str, object]:
            return {
                field: value.get(product, default.get(field, 0.0)) if isinstance(value, dict) else value
                for field, value in record
            }

        nothing: dict[str, object] = {"demand": Fixed(value=0), "initial_on_hand": None, "review_days": None}
        nothing |= {"order_multiple": 1, "review_period": 1, **dict.fromkeys(TARGETS)}
        points = {name: point.model_copy(update=own(point, nothing)) for name, point in self.stock_points.items()}
        supply = tuple(edge.model_copy(update=own(edge, {"closed_days": None})) for edge in self.supply)
        return self.model_copy(update={"products": (product,), "stock_points": points, "supply": supply})

    def to_yaml(self) -> str:
        """The firm as a file that stands by itself: histories become mass functions."""
        return yaml.safe_dump(_plain(self), sort_keys=False, width=120)


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Seasonal):
        return _plain(value.base) | {key: _plain(own) for key in PERIODIC if (own := getattr(value, key))}
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

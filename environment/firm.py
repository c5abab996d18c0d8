"""A whole firm, checked: stock points, supply, products, laws and horizon. Everything behind it may trust a `Firm`."""

from __future__ import annotations

import re
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from environment.closures import Closures
from environment.customers import check_customers, per_product
from environment.fields import shown
from environment.firm_fields import FirmFields, check_name
from environment.names import MAX_NAME
from environment.parts import MAX_CYCLE, MAX_LEAD_TIME, OUTSIDE, TARGETS
from environment.regimes import check_regimes

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")  # of the firm itself
_ORDERS = ("order_multiple", "min_order", "review_period", "review_offset", "review_days", "closed_days")
_MAY_LEAVE_OUT = (
    *TARGETS,
    "demand",
    "price",
    "initial_on_hand",
    "initial_backlog",
    "preference",
    "uplift",
    "exposure",
    *_ORDERS,
)  # some products


class Firm(FirmFields):
    """A whole firm. The order of `stock_points` is that of the axis N everywhere, that of `products` of the axis K."""

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
        self._check_emergencies()
        self._check_times()
        self._check_closed_days()
        self._check_sequence()
        self._check_reach()
        self._check_orders()
        self._check_correlation()
        self._check_targets()
        self._check_emissions()
        self._check_regimes()
        return self

    def _check_names(self) -> None:
        if not NAME.fullmatch(self.name) or len(self.name) > MAX_NAME:
            allowed = f"at most {MAX_NAME} lower-case letters, digits and '-', such as 'my-firm'"
            raise ValueError(f"name: the firm's own name has {allowed}, got {shown(self.name)}")
        for product in self.products:
            check_name("products", product)
        twice = [name for name, count in Counter(self.products).items() if count > 1]
        if twice:
            raise ValueError(f"products must be different names, got {twice[0]!r} twice: remove one")
        for supplier in self.suppliers:
            check_name("suppliers", supplier)
            if supplier in self.stock_points or self.suppliers.count(supplier) > 1:
                raise ValueError(f"suppliers: {supplier!r} is there already; give it another name")
            if all(edge.source != supplier for edge in self.supply):
                raise ValueError(f"suppliers: {supplier!r} delivers to nobody: remove it, or give it a supply edge")
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
            if edge.priority is not None and edge.source not in self.stock_points and not ranks:
                raise ValueError(f"supply[{i}].priority is a customer's at its supplier, and outside never runs out")
        for name, point in self.stock_points.items():
            field, rule = f"stock_points.{name}.allocation", point.allocation
            if rule and all(edge.source != name for edge in self.supply):
                raise ValueError(f"{field}: no stock point buys here, and external customers are one; remove it")
            if rule == "priority" and name not in ranked:
                raise ValueError(f"{field} needs a priority on supply edges from here, such as priority: 1")
            if rule == "inventory-level" and name in self.customer_facing:
                raise ValueError(
                    f"{field} is inventory-level, and external customers of {name} have none: remove one of them"
                )
            if rule not in (None, "priority") and name in ranked:
                raise ValueError(f"{field} is {rule}, but supply edges from here have a priority: remove one of them")
            if rule == "learned":
                self._check_learned_allocation(name, field)

    def _check_learned_allocation(self, name: str, field: str) -> None:
        """Refuse a decision where there is nothing to decide, and where departments decide by other means."""
        if self.customers:
            chosen = next(iter(self.customers))
            raise ValueError(f"{field} learned is for laws of demand, and customers of {chosen} choose: take another")
        if sum(edge.source == name for edge in self.supply) + (name in self.customer_facing) < 2:
            raise ValueError(f"{field} is learned, and {name} has one customer alone: remove it")

    def _check_times(self) -> None:
        """What leaves for other points and is there at once has to be known before these serve."""
        for i, edge in enumerate(self.supply):
            laws = self.lead_time_laws(edge)
            if self.stock_points[edge.target].order_lead_time and edge.source in self.stock_points:
                cure = f"orders reach a stock point at once: add it to supply[{i}].lead_time"
                raise ValueError(f"stock_points.{edge.target}.order_lead_time is for suppliers outside; {cure}")
            for units, law in zip(self.initial_pipeline(edge), laws, strict=True):
                if units and not isinstance(units, tuple) and len(law.mass()) == 1:
                    cure = "say when it arrives, such as initial_pipeline: [5]"
                    raise ValueError(
                        f"supply[{i}].initial_pipeline has no period to arrive in, as lead_time is 0: {cure}"
                    )
        for i, edge in enumerate(self.supply):
            if edge.congestion and any(law.mass()[0] > 0 for law in self.lead_time_laws(edge)):
                raise ValueError(f"supply[{i}].congestion is of what is under way, and lead_time may be 0: make it 1")
        inside = [edge for edge in self.supply if edge.source in self.stock_points]
        laws = [law for edge in inside for law in self.lead_time_laws(edge)]
        if any(edge.capacity for edge in inside) and any(law.mass()[0] > 0 for law in laws):
            cure = "give the capacity to an edge from outside or to a stock point, or a lead time of 1"
            raise ValueError(f"supply: capacity and lead_time 0 between stock points do not go together: {cure}")

    def _check_closed_days(self) -> None:
        """Refuse places that are never open together, and what would bring goods on a closed day."""
        for name, point in self.stock_points.items():
            if isinstance(point.closed_days, dict):
                raise ValueError(f"stock_points.{name}.closed_days are of all products: give those to supply edges")
        for i, edge in enumerate(self.supply):
            calendars = self.calendars(edge)
            if not any(calendars):
                continue
            if edge.congestion:
                raise ValueError(
                    f"supply[{i}].congestion makes lead times longer by periods, and closed_days by open ones: "
                    "remove one of the two"
                )
            if any(regime.lead_time for regime in self.regimes.values()):
                raise ValueError(
                    f"supply[{i}]: regimes make lead times longer by periods, and closed_days by open ones: "
                    "remove one of the two"
                )
            closures = Closures([list(calendars)])
            if closures.cycle > MAX_CYCLE:
                raise ValueError(
                    f"supply[{i}]: closed_days begin again after {closures.cycle} periods, at most {MAX_CYCLE}: "
                    "give them cycles that go into each other"
                )
            laws = self.lead_time_laws(edge)
            try:
                most = int(closures.times(max(len(law.mass()) for law in laws) - 1).max())
            except ValueError:
                where = f"{edge.source}, {edge.target} and the edge between them"
                raise ValueError(f"supply[{i}]: on no day are {where} all open: lessen their closed_days") from None
            if most > MAX_LEAD_TIME:
                raise ValueError(
                    f"supply[{i}]: with closed_days lead times are up to {most} periods, at most {MAX_LEAD_TIME}"
                )

    def _check_sequence(self) -> None:
        """Refuse `geevers` where nobody ships first, or where that would not say enough."""
        if self.sequence == "standard":
            return
        inside = [edge for edge in self.supply if edge.source in self.stock_points]
        wrong = [f"{edge.source} has customers of both kinds" for edge in inside if edge.source in self.customer_facing]
        wrong += [f"{name} has a shelf_life" for name, point in self.stock_points.items() if point.shelf_life]
        wrong += [f"{edge.source} -> {edge.target} has a capacity" for edge in inside if edge.capacity]
        at_once = [edge for edge in self.supply if any(law.mass()[0] > 0 for law in self.lead_time_laws(edge))]
        wrong += [f"{edge.source} -> {edge.target} has lead_time 0" for edge in at_once]
        wrong += ["no stock point supplies another"] * (not inside)
        if wrong:
            raise ValueError(f"sequence geevers: {wrong[0]}; take that away, or the sequence")

    def _check_shelf_life(self) -> None:
        for name, point in self.stock_points.items():
            if point.waste_cost and point.shelf_life is None:
                raise ValueError(f"stock_points.{name}.waste_cost needs a shelf_life, such as shelf_life: 3")

    def _check_emergencies(self) -> None:
        """Refuse emergency shipments to who has no customers that go away, or for whom other chance decides, too."""
        given = [(i, edge) for i, edge in enumerate(self.supply) if edge.emergency]
        times = Counter(edge.target for _, edge in given)
        for i, edge in given:
            point = edge.target
            wrong = "customers who choose do not go with it: remove it" if self.customers else ""
            if edge.source not in self.stock_points:
                wrong = "it comes from what a stock point has left, and outside is none: remove it"
            elif point not in self.customer_facing:
                wrong = f"it goes to external customers, and {point} has none: remove it"
            elif self.lost_shares()[self.names.index(point)] < 1.0:
                wrong = f"it is of what {point} would lose, and customers wait there: set its unmet to lost"
            elif edge.disruption is not None:
                wrong = "the edge may be shut: remove one of the two"
            elif edge.emissions or edge.shipment_emissions:
                wrong = "what comes so would not count as emissions of the edge: remove one of the two"
            elif times[point] > 1:
                wrong = f"{point} has another one: remove one of the two"
            if wrong:
                raise ValueError(f"supply[{i}].emergency: {wrong}")

    def _check_choice(self) -> None:
        rule = self.supplier_choice
        for i, edge in enumerate(self.supply):
            if edge.share is not None and rule not in ("random", "split", "ordered"):
                cure = f"is for supplier_choice random, split or ordered, got {rule}: remove it"
                raise ValueError(f"supply[{i}].share {cure}")
            if edge.preference is not None and rule not in ("preferred", "in-stock"):
                cure = f"is for supplier_choice preferred or in-stock, got {rule}: remove it"
                raise ValueError(f"supply[{i}].preference {cure}")
        if rule == "cheapest" and not any(edge.unit_cost for edge in self.supply):
            raise ValueError("supplier_choice cheapest needs a unit_cost on supply edges")
        self._check_ordered()
        for name, edges in self._suppliers().items():
            shares = [edge.share for edge in edges if edge.share is not None]
            if shares and (len(shares) < len(edges) or abs(sum(shares) - 1.0) > 1e-6):
                told = f"got {sum(shares):g} of {len(shares)} of {len(edges)}"
                raise ValueError(f"supply: the shares of all suppliers of {name} must sum to 1, {told}")
            costs = [edge.unit_cost for edge in edges]
            if rule not in ("preferred", "cheapest", "ordered") and any(cost != costs[0] for cost in costs):
                cure = f"as supplier_choice is {rule}: take cheapest, preferred or ordered"
                raise ValueError(f"supply: the suppliers of {name} must have the same unit_cost, {cure}")

    def _check_ordered(self) -> None:
        """Refuse orders by edge where there is nothing to part, or what orders of a point have to share."""
        if self.supplier_choice != "ordered":
            return
        several = [name for name, edges in self._suppliers().items() if len(edges) > 1]
        if not several:
            raise ValueError("supplier_choice ordered needs a stock point with several suppliers: remove it")
        if self.customers:
            name = next(iter(self.customers))
            raise ValueError(
                f"supplier_choice ordered is for laws of demand, and customers of {name} choose: remove it"
            )
        if stored := [name for name in several if self.stock_points[name].capacity is not None]:
            cure = "its orders would have to share it: remove it, or limit max_order"
            raise ValueError(
                f"stock_points.{stored[0]}.capacity and supplier_choice ordered do not go together: {cure}"
            )

    def _check_customers(self) -> None:
        for name, clientele in self.customers.items():
            if name not in self.stock_points:
                known = ", ".join(self.names)
                raise ValueError(f"customers.{name}: unknown stock point; stock points are {known}")
            if self.stock_points[name].demand is not None:
                raise ValueError(f"customers.{name}: stock_points.{name} has a demand as well; remove one of the two")
            for segment in clientele.segments:
                check_name(f"customers.{name}.segments", segment)
            if parted := [each for each in (name, *clientele.segments, *self.products) if "/" in each]:
                raise ValueError(f"customers.{name}: '/' parts points, segments and products, got {shown(parted[0])}")
        check_customers(self.customers, self.products)

    def _check_supply(self) -> None:
        seen: set[tuple[str, str]] = set()
        known = ", ".join([*self.suppliers, *self.names[:8], *(["..."] if len(self.names) > 8 else [])])
        for i, edge in enumerate(self.supply):
            if edge.source not in (*self.stock_points, *self.suppliers, OUTSIDE):
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
        named = [per_product(point.review_days, self.products, None) for point in self.stock_points.values()]
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
            if named[n][k] is not None and (cycle[n, k] > 1 or offset[n, k] > 0):
                raise ValueError(f"{where}.review_days and review_period{of} say the same: remove one of the two")
            if offset[n, k] >= cycle[n, k]:
                what = f"{where}.review_offset{of} must be below review_period ({cycle[n, k]:g})"
                raise ValueError(f"{what}, got {offset[n, k]:g}")
        self._check_loads(least)
        self._check_joint_costs()

    def _check_loads(self, least: NDArray[np.float64]) -> None:
        """Refuse edges from outside that can carry no order, or whose order may go another way."""
        for i, edge in enumerate(self.supply):
            if edge.capacity is None or edge.source in self.stock_points:
                continue
            several = sum(other.target == edge.target for other in self.supply) > 1
            if several and self.supplier_choice != "ordered":
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
            several = sum(other.target == edge.target for other in self.supply) > 1
            if edge.fixed_order_cost and several and self.supplier_choice != "ordered":
                raise ValueError(
                    f"supply[{i}].fixed_order_cost: {edge.target} has several suppliers, to which its products may go "
                    f"apart: leave it one, or give the cost to stock_points.{edge.target}"
                )

    def _check_targets(self) -> None:
        """Refuse targets of nothing, of some alone, and those that levels of one product cannot meet by themselves."""
        if not self.has_targets:
            return
        field, own = self.has_targets[0], np.stack([self._own_targets(field) for field in TARGETS])
        aimed = np.any([~np.isnan(self.targets(field)) for field in TARGETS], axis=0)
        for n, name in enumerate(self.names):
            if not np.isnan(own[:, n]).all() and name not in self.customer_facing:
                raise ValueError(f"stock_points.{name}.{field}: it has no demand, remove it")
            if (~np.isnan(own[:, n])).all(0).any():
                raise ValueError(f"stock_points.{name} has a fill_rate and a cycle_service: remove one of the two")
            if name in self.customer_facing and not aimed[n].all():
                cure = f"give one to all that is sold, such as by `service: {{{field}: 0.98}}`, or to nothing"
                raise ValueError(f"stock_points.{name}.{field} is missing, and others have one: {cure}")
        if self.customers:
            raise ValueError(f"{field} is of laws of demand, and customers choose here: remove it")
        if self.couples:
            raise ValueError(f"{field} is met product by product, and products share a capacity here: remove one")

    def _check_emissions(self) -> None:
        if self.emissions is None:
            return
        if not self.emits:
            raise ValueError("emissions: no supply edge has any; give edges emissions or shipment_emissions")
        if self.emissions.cap is not None and self.customers:
            raise ValueError("emissions.cap is of firms with laws of demand, and customers choose here: give a price")

    def _check_regimes(self) -> None:
        if not self.regimes:
            return
        for name in self.regimes:
            check_name("regimes", name)
        suppliers = {*self.stock_points, *self.suppliers, OUTSIDE}
        check_regimes(self.regimes, self.customer_facing, suppliers)
        for name, regime in self.regimes.items():
            if all(regime.demand_at(point) == 1.0 for point in self.customer_facing):
                continue
            if self.customers:
                raise ValueError(f"regimes.{name}.demand is of laws of demand, and customers choose here: remove it")
            if any(law.rows() is not None for laws in self.demand_laws() for law in laws):
                raise ValueError(f"regimes.{name}.demand: a sequence happens as it happened, remove one of the two")

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

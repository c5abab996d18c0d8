"""Slow, literal, obviously right: the world, one copy, plain whole numbers, one event after another."""

from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from math import exp

OUTSIDE = "outside"


@dataclass
class Chain:
    """What a firm is, in names. Amounts are keyed by (stock point, product)."""

    points: list
    products: list
    supply: list  # (supplier, customer), in any order
    customer_facing: list
    unmet: str = "backorder"
    allocation: dict = field(default_factory=dict)  # by point, where it is not by position
    priority: dict = field(default_factory=dict)  # by (supplier, customer); who has none comes last
    initial_backlog: dict = field(default_factory=dict)
    disruption: dict = field(default_factory=dict)  # by (supplier, customer), chances in parts of 65,536
    congestion: dict = field(default_factory=dict)  # by (supplier, customer): units for a period more, most periods
    shelf_life: dict = field(default_factory=dict)  # by point, periods
    emergency: dict = field(default_factory=dict)  # by (supplier, customer), in parts of 65,536
    choice: str = "random"  # of suppliers
    preferred: dict = field(default_factory=dict)  # by point, its suppliers in that order
    parts: dict = field(default_factory=dict)  # by point, (supplier, parts of 65,536 of it and those before), in order
    lost_share: dict = field(default_factory=dict)  # by point, in parts of 65,536; others are as `unmet` says
    holding_cost: dict = field(default_factory=dict)
    backorder_cost: dict = field(default_factory=dict)
    price: dict = field(default_factory=dict)
    unit_cost: dict = field(default_factory=dict)
    fixed_order_cost: dict = field(default_factory=dict)
    max_order: dict = field(default_factory=dict)
    order_multiple: dict = field(default_factory=dict)
    min_order: dict = field(default_factory=dict)
    review: dict = field(default_factory=dict)  # (cycle, days of it on which orders are taken)
    storage: dict = field(default_factory=dict)  # by point, where there is a limit
    carried: dict = field(default_factory=dict)  # by (supplier, customer), where there is a limit
    joint_cost: dict = field(default_factory=dict)  # by point; by (supplier, customer) where every edge has an order
    edge_cost: dict = field(default_factory=dict)  # of a unit, by (supplier, customer, product), beside the point's
    waste_cost: dict = field(default_factory=dict)
    emitted: dict = field(default_factory=dict)  # money of a unit that leaves, by (supplier, customer, product)
    dispatched: dict = field(default_factory=dict)  # money of a period in which any does, by (supplier, customer)
    ships_first: bool = False  # who supplies others ships before it receives
    closed: dict = field(default_factory=dict)  # by (supplier, customer, product): a function of the day

    @property
    def suppliers(self):
        return {supplier for supplier, _ in self.supply}


@dataclass
class Period:
    """The state after event 2 of a period and what the period brought; keyed by (stock point, product)."""

    on_hand: dict
    in_transit: dict
    inventory_position: dict
    backlog: dict
    sales: dict
    lost: dict
    waste: dict
    cost: dict
    shipped: int  # units that left any stock point or external supplier
    order: dict  # what was accepted of the wishes at its end; by (supplier, stock point, product) of every edge's own


def chain_of(firm):
    """The plain facts of a checked firm; a stock point that nobody supplies buys from outside."""
    points, products = list(firm.names), list(firm.products)
    supply = [(edge.source, edge.target) for edge in firm.supply]
    supply += [(OUTSIDE, point) for point in points if point not in {target for _, target in supply}]
    amounts = {}
    for name in ("holding_cost", "backorder_cost", "price", "unit_cost", "fixed_order_cost", "waste_cost"):
        given = {point: getattr(firm.stock_points[point], name) for point in points}
        amounts[name] = {
            (point, product): value.get(product, 0.0) if isinstance(value, dict) else value
            for point, value in given.items()
            for product in products
        }
    amounts |= {"review": {}}
    for point in points:
        own = firm.stock_points[point]
        for product in products:

            def of(name, otherwise):
                value = getattr(own, name)  # noqa: B023
                return value.get(product, otherwise) if isinstance(value, dict) else value  # noqa: B023

            fields = ("max_order", None), ("order_multiple", 1), ("min_order", 0)
            for name, otherwise in fields:
                amounts.setdefault(name, {})[point, product] = of(name, otherwise)
            cycle, days = of("review_period", 1), [of("review_offset", 0)]
            if (named := of("review_days", None)) is not None:
                cycle, days = named.cycle, named.days
            amounts["review"][point, product] = cycle, days
    storage = {point: firm.stock_points[point].capacity for point in points if firm.stock_points[point].capacity}
    carried = {(edge.source, edge.target): edge.capacity for edge in firm.supply if edge.capacity}
    disruption = {
        (edge.source, edge.target): (round(edge.disruption.start * 65_536), round(edge.disruption.end * 65_536))
        for edge in firm.supply
        if edge.disruption
    }
    lives = {name: point.shelf_life for name, point in firm.stock_points.items() if point.shelf_life}
    preferred, parts = {}, {}
    for point in points:
        edges = [edge for edge in firm.supply if edge.target == point]
        if firm.supplier_choice == "cheapest":
            edges.sort(key=lambda edge: sum(_each(edge.unit_cost, products)))
        else:
            edges.sort(key=lambda edge: edge.preference or edge.priority or 1001)
        preferred[point] = [edge.source for edge in edges]
        for product, cost in zip(products, _of_one(firm, edges, products), strict=True):
            amounts["unit_cost"][point, product] += cost
        edges.sort(key=lambda edge: [*points, *firm.suppliers, OUTSIDE].index(edge.source))
        shares = [1 / len(edges) if edge.share is None else edge.share for edge in edges]
        parts[point] = [(edge.source, round(65_536 * sum(shares[: i + 1]))) for i, edge in enumerate(edges)]
    choice = (firm.supplier_choice, preferred, parts)
    allocation = {point: firm.stock_points[point].allocation for point in points if firm.stock_points[point].allocation}
    priority = {(edge.source, edge.target): edge.priority for edge in firm.supply if edge.priority}
    shares = {
        point: round(firm.stock_points[point].lost_share * 65_536)
        for point in points
        if firm.stock_points[point].lost_share is not None
    }
    shares |= {
        point: 65_536 * (firm.stock_points[point].unmet == "lost") for point in points if firm.stock_points[point].unmet
    }
    return Chain(
        points,
        products,
        supply,
        list(firm.customer_facing),
        firm.unmet,
        allocation,
        priority,
        {
            (name, k): own
            for name in points
            for k, own in zip(products, _each(firm.stock_points[name].initial_backlog, products), strict=True)
        },
        disruption,
        {(e.source, e.target): (e.congestion.units, e.congestion.most) for e in firm.supply if e.congestion},
        lives,
        {(e.source, e.target): round(e.emergency * 65_536) for e in firm.supply if e.emergency},
        *choice,
        shares,
        **amounts,
        storage=storage,
        carried=carried,
        **_of_emissions(firm, products),
        ships_first=firm.sequence == "geevers",
        closed=_closed(firm, supply, products),
        **_of_edges(firm, products),
    )


def _closed(firm, supply, products):
    """On which days who has to be open for a supply edge is not."""
    own = {(edge.source, edge.target): edge.closed_days for edge in firm.supply}
    found = {}
    for edge in supply:
        places = [firm.stock_points[name].closed_days for name in edge if name in firm.stock_points]
        for k in products:
            days = own.get(edge)
            every = [*places, days.get(k) if isinstance(days, dict) else days]
            known = [(days.cycle, set(days.days), set(days.periods)) for days in every if days is not None]
            if known:
                found[(*edge, k)] = lambda day, known=known: any(
                    day % cycle in days or day in periods for cycle, days, periods in known
                )
    return found


def _of_one(firm, edges, products):
    """What a unit costs at the one supplier that counts, or nothing where every edge has an order."""
    return _each(edges[0].unit_cost, products) if edges and firm.supplier_choice != "ordered" else [0.0] * len(products)


def _of_emissions(firm, products):
    price = firm.emissions.price if firm.emissions else 0
    return {
        "emitted": {
            (e.source, e.target, k): price * factor
            for e in firm.supply
            for k, factor in zip(products, _each(e.emissions, products), strict=True)
        },
        "dispatched": {(e.source, e.target): price * e.shipment_emissions for e in firm.supply},
    }


def _of_edges(firm, products):
    """What orders cost beside what they cost their point; the costs of units only where every edge has an order."""
    if firm.supplier_choice != "ordered":
        return {"joint_cost": {(edge.target,): edge.fixed_order_cost for edge in firm.supply}}
    units = [
        ((e.source, e.target, k), c)
        for e in firm.supply
        for k, c in zip(products, _each(e.unit_cost, products), strict=True)
    ]
    return {"joint_cost": {(e.source, e.target): e.fixed_order_cost for e in firm.supply}, "edge_cost": dict(units)}


def _each(value, products):
    return [value.get(product, 0.0) if isinstance(value, dict) else value for product in products]


def arrival(day, days, closed):
    """The day on which what leaves on a day arrives, where only days that are not closed count."""
    while closed(day):
        day += 1
    for _ in range(days):
        day += 1
        while closed(day):
            day += 1
    return day


def replay(
    chain,
    initial,
    wishes,
    suppliers,
    demand,
    lead_times,
    cost_factors=None,
    numbers=None,
    purchases=None,
    precedence=None,
):
    """One copy of the world, period by period.

    `wishes[t][point, product]` (by [supplier, point, product] where every edge has an order), `suppliers[t][point,
    product]` and `demand[t][point, product]` are event 4 of t; `lead_times[t][supplier, customer, product]` hold for
    shipments of event 2 of t; `cost_factors[t]` holds a pair (on holding cost, on backorder cost) per (point, product)
    for event 3 of t; `purchases[t]` is a factor on the cost of units ordered in t; `numbers[t]` are from 0 to 65,535,
    what decides in period t: `lost` of a part of a unit by (point, product). `precedence[t]` is wished in event 4 of t,
    by (supplier, customer, product) where a supplier's allocation is learned; external customers are None.
    """
    world = SlowWorld(chain, initial)
    periods, orders = [], []
    for t in range(len(wishes)):
        world.remember()
        if not chain.ships_first or t == 0:
            world.receive(t)
        if t > 0:
            world.stand_in_line(orders[t - 1], suppliers[t - 1], demand[t - 1])
            world.disrupt(numbers[t].get("breaks", {}) if numbers else {})
            world.favour(precedence[t - 1] if precedence else {})
        nothing = dict.fromkeys(world.keys, 0)  # who waits at the start is served in the first period
        sales, lost, shipped = (
            world.fulfil(t, lead_times[t], numbers[t] if numbers else None) if t else (nothing, nothing, 0)
        )
        waste = world.expire(t)
        ordered = orders[t - 1] if t > 0 else dict.fromkeys(world.asks, 0)
        dear = purchases[t - 1] if purchases and t else 1
        cost = world.account(ordered, sales, lost, waste, cost_factors[t] if cost_factors else None, dear)
        orders.append(world.accept(t, wishes[t]))
        periods.append(
            Period(
                dict(world.on_hand),
                {key: world.in_transit(*key) for key in world.keys},
                {key: world.position(*key) for key in world.keys},
                dict(world.backlog),
                sales,
                lost,
                waste,
                cost,
                shipped,
                orders[t],
            )
        )
    return periods


class SlowWorld:
    """All numbers by (point, product) or, of an edge, by (supplier, customer, product)."""

    def __init__(self, chain, initial):
        self.chain = chain
        self.keys = [(point, product) for point in chain.points for product in chain.products]
        above = {point: [s for s, c in chain.supply if c == point and s in chain.points] for point in chain.points}
        order = TopologicalSorter(above).static_order()
        self.downwards = [(point, product) for point in order for product in chain.products]  # suppliers first
        self.on_hand = {key: initial[key] for key in self.keys}
        self.arrived = {}  # in this period
        self.on_edges = []  # (period of arrival, (supplier, customer), units)
        self.due = {}  # (period, customer, product) -> units that arrive at event 1 of that period
        self.backorders = {(s, c, k): 0 for s, c in chain.supply for k in chain.products}
        self.new = dict.fromkeys(self.backorders, 0)  # ordered in the last period
        self.asks = list(self.backorders if chain.choice == "ordered" else self.keys)  # who has an order
        self.backlog = dict.fromkeys(self.keys, 0) | chain.initial_backlog
        self.wanted = dict.fromkeys(self.keys, 0)  # external demand of the last period
        self.left = {}  # (supplier, customer, product) -> units in the last period
        self.shut = set()  # edges
        self.batches = {}  # (point, product) -> [last period of sale, units], of stock that expires
        for (point, product), units in initial.items():
            if point in chain.shelf_life:
                self.batches[point, product] = [[chain.shelf_life[point], units]]

    def favour(self, precedence):
        """Whose missing units count as more: whole ones, no more than a customer may order, either way."""
        self.precedence = {}
        for (supplier, customer, product), units in precedence.items():
            most = self.chain.max_order[customer or supplier, product]
            self.precedence[supplier, customer, product] = round(max(min(units, most), -most))

    def remember(self):
        self.told, self.told_shut = dict(self.on_hand), set(self.shut)  # when the orders were placed

    def receive(self, t):
        for point, product in self.keys:
            self._put(point, product, self.due.pop((t, point, product), 0))

    def _put(self, point, product, units):
        """What arrives is as old as new."""
        self.on_hand[point, product] += units
        self.arrived[point, product] = self.arrived.get((point, product), 0) + units

    def disrupt(self, numbers):
        for edge, (start, end) in self.chain.disruption.items():
            if edge not in self.shut and numbers[edge] < start:
                self.shut.add(edge)
            elif edge in self.shut and numbers[edge] >= end:
                pass
            else:
                self.shut.discard(edge)

    def expire(self, t):
        """First expired, first out: what was used came from the oldest."""
        waste = dict.fromkeys(self.keys, 0)
        for (point, product), batches in self.batches.items():
            batches.append([t + self.chain.shelf_life[point] - 1, self.arrived.get((point, product), 0)])
            batches.sort()
            used = sum(units for _, units in batches) - self.on_hand[point, product]
            for batch in batches:
                taken = min(batch[1], used)
                batch[1] -= taken
                used -= taken
                if batch[0] <= t:
                    waste[point, product] += batch[1]
                    batch[1] = 0
            self.on_hand[point, product] -= waste[point, product]
        self.arrived = {}
        return waste

    def stand_in_line(self, orders, suppliers, demand):
        if self.chain.choice == "ordered":
            self.new |= orders
            self.wanted |= demand
            return
        for point, product in self.keys:
            order, sources = orders[point, product], self.chain.preferred.get(point, [])
            if self.chain.choice == "split" and sources:
                before = 0
                for supplier, parts in self.chain.parts[point]:
                    upto = (order * parts + 32_768) // 65_536
                    self.new[supplier, point, product], before = upto - before, upto
            elif self.chain.choice == "in-stock" and sources:
                able = [s for s in sources if s not in self.chain.points or self.told[s, product] >= order]
                able = [s for s in able if (s, point) not in self.told_shut]
                self.new[(able or sources)[0], point, product] = order
            elif self.chain.choice in ("preferred", "cheapest") and sources:
                self.new[sources[0], point, product] = order
            else:
                self.new[suppliers[point, product], point, product] = order
            self.wanted[point, product] = demand.get((point, product), 0)

    def in_transit(self, point, product):
        return sum(units for (_, customer, k), units in self.due.items() if (customer, k) == (point, product))

    def position(self, point, product):
        unserved = [(edge, self.backorders[edge] + self.new[edge]) for edge in self.backorders if edge[2] == product]
        own = sum(units for edge, units in unserved if edge[1] == point)
        owes = sum(units for edge, units in unserved if edge[0] == point)
        owes += self.backlog[point, product] + self.wanted[point, product]
        return self.on_hand[point, product] + self.in_transit(point, product) + own - owes

    def level(self, point, product):
        """On hand less what is owed from earlier periods."""
        owes = sum(units for (s, _, k), units in self.backorders.items() if (s, k) == (point, product))
        return self.on_hand[point, product] - owes - self.backlog[point, product]

    def fulfil(self, t, lead_times, numbers=None):
        positions = {key: self.position(*key) for key in self.keys}  # after event 1, for all points at once
        levels = {key: self.level(*key) for key in self.keys}
        lead_times = {edge: self._periods(t, edge, days) for edge, days in lead_times.items()}
        sales, shipments = dict.fromkeys(self.keys, 0), dict.fromkeys(self.backorders, 0)
        self.taken = {}  # (edge, whether it was new) -> units
        for supplier, customer, product in self.backorders:
            edge = (supplier, customer, product)
            if supplier not in self.chain.points and lead_times.get(edge) == 0 and edge[:2] not in self.shut:
                self._put(customer, product, self.new[edge] + self.backorders[edge])  # in time for what is next
        for supplier, product in self._in_turn(t):
            customers = [c for c in self.chain.points if (supplier, c, product) in self.backorders]  # in index order
            customers = [c for c in customers if (supplier, c) not in self.shut]
            newest = self.chain.allocation.get(supplier) == "inventory-level"
            customers.sort(
                key=lambda c: (levels if newest else positions)[c, product]
            )  # stable: ties stay in index order
            customers.sort(key=lambda c: self.chain.priority.get((supplier, c), 10_000))
            ways = {"proportional": self._share_out, "shortage": self._level_out, "learned": self._level_out}
            how = ways.get(self.chain.allocation.get(supplier))
            if how is not None:
                how(supplier, product, sales, shipments, lead_times)
            else:
                self._serve(supplier, product, customers, sales, shipments, lead_times)
        self._load(shipments)
        self.on_edges = [each for each in self.on_edges if each[0] > t]
        late = {  # what had left in earlier periods and is not there yet
            pair: min(sum(units for _, own, units in self.on_edges if own == pair) // size, most)
            for pair, (size, most) in self.chain.congestion.items()
        }
        for edge in self.backorders:
            if edge[0] not in self.chain.points:  # unlimited stock
                self.backorders[edge] += self.new[edge]
                self.new[edge] = 0
                if edge[:2] not in self.shut:
                    shipments[edge], self.backorders[edge] = self.backorders[edge], 0
            if shipments[edge] and lead_times[edge] > 0:
                arrives = t + lead_times[edge] + late.get(edge[:2], 0)
                self.due[arrives, edge[1], edge[2]] = self.due.get((arrives, edge[1], edge[2]), 0) + shipments[edge]
                self.on_edges.append((arrives, edge[:2], shipments[edge]))
            self.backorders[edge] += self.new[edge]
            self.new[edge] = 0
        self.left = shipments
        self._rescue(sales, (numbers or {}).get("emergency", {}))
        lost = self._left_unserved((numbers or {}).get("lost", {}))
        return sales, lost, sum(shipments.values()) + sum(sales.values())

    def _periods(self, t, edge, days):
        """Until what leaves in period t, on day t - 1, arrives after so many days on which all are open."""
        return arrival(t - 1, days, self.chain.closed.get(edge, lambda day: False)) - (t - 1)

    def _in_turn(self, t):
        """Who serves, one after the other; if need be suppliers of others do before anything arrives."""
        if not self.chain.ships_first:
            yield from self.downwards
            return
        yield from [key for key in self.downwards if key[0] in self.chain.suppliers]
        self.receive(t)
        yield from [key for key in self.downwards if key[0] not in self.chain.suppliers]

    def _serve(self, supplier, product, customers, sales, shipments, lead_times):
        classes = ((self.backlog, self.backorders), (self.wanted, self.new))
        newest = self.chain.allocation.get(supplier) == "inventory-level"
        for external, internal in reversed(classes) if newest else classes:
            served = min(external[supplier, product], self.on_hand[supplier, product])
            external[supplier, product] -= served
            self.on_hand[supplier, product] -= served
            sales[supplier, product] += served
            for customer in customers:
                edge = (supplier, customer, product)
                served = min(internal[edge], self.on_hand[supplier, product])
                internal[edge] -= served
                self.on_hand[supplier, product] -= served
                shipments[edge] += served
                self.taken[edge, internal is self.new] = served
                if lead_times.get(edge) == 0:
                    self._put(customer, product, served)

    def _share_out(self, supplier, product, sales, shipments, lead_times):
        """Each class in proportion to what is wanted, customers in index order and the external ones last."""
        customers = [c for c in self.chain.points if (supplier, c, product) in self.backorders]
        customers = [c for c in customers if (supplier, c) not in self.shut]
        for external, internal in ((self.backlog, self.backorders), (self.wanted, self.new)):
            wants = [internal[supplier, c, product] for c in customers] + [external[supplier, product]]
            stock, total, got = self.on_hand[supplier, product], sum(wants), 0
            for place, customer in enumerate([*customers, None]):
                together = sum(wants[: place + 1])
                together = together if stock >= total else stock * together // total
                served, got = together - got, together
                self.on_hand[supplier, product] -= served
                if customer is None:
                    external[supplier, product] -= served
                    sales[supplier, product] += served
                else:
                    internal[supplier, customer, product] -= served
                    shipments[supplier, customer, product] += served
                    self.taken[(supplier, customer, product), internal is self.new] = served
                    if lead_times.get((supplier, customer, product)) == 0:
                        self._put(customer, product, served)

    def _level_out(self, supplier, product, sales, shipments, lead_times):
        """Each class unit by unit to whom most is missing, customers in index order and the external ones last."""
        customers = [c for c in self.chain.points if (supplier, c, product) in self.backorders]
        customers = [c for c in customers if (supplier, c) not in self.shut]
        for external, internal in ((self.backlog, self.backorders), (self.wanted, self.new)):
            edges = [(supplier, customer, product) for customer in customers]
            missing = [internal[edge] for edge in edges] + [external[supplier, product]]
            more = [self.precedence.get((supplier, customer, product), 0) for customer in [*customers, None]]
            while max(missing) > 0 and self.on_hand[supplier, product] > 0:
                place = max((m for m in range(len(missing)) if missing[m] > 0), key=lambda m: missing[m] + more[m])
                missing[place] -= 1
                self.on_hand[supplier, product] -= 1
            for edge, left in zip(edges, missing, strict=False):
                self.taken[edge, internal is self.new] = internal[edge] - left
                shipments[edge] += internal[edge] - left
                if lead_times.get(edge) == 0:
                    self._put(edge[1], product, internal[edge] - left)
                internal[edge] = left
            sales[supplier, product] += external[supplier, product] - missing[-1]
            external[supplier, product] = missing[-1]

    def _load(self, shipments):
        """Units that an edge does not carry go back on the shelf, new orders first, and stay owed."""
        for (supplier, customer), most in self.chain.carried.items():
            if supplier not in self.chain.points:
                continue  # was cut when it was ordered
            edges = [(supplier, customer, product) for product in self.chain.products]
            fits = shared([shipments[edge] for edge in edges], [0] * len(edges), most, lambda k, units: units)
            for edge, units in zip(edges, fits, strict=True):
                back = shipments[edge] - units
                new = min(back, self.taken.get((edge, True), 0))
                self.new[edge] += new
                self.backorders[edge] += back - new
                self.on_hand[supplier, edge[2]] += back
                shipments[edge] = units

    def accept(self, t, wishes):
        """What is ordered at the end of period t."""
        chain, orders = self.chain, {}
        for ask in self.asks:
            key = ask[-2:]
            multiple, (cycle, days) = chain.order_multiple.get(key, 1), chain.review.get(key, (1, [0]))
            units = round(min(max(wishes[ask], 0), chain.max_order.get(key, 10**9) // multiple * multiple))
            if t % cycle not in days:
                units = 0
            if units:
                units = -(-max(units, chain.min_order.get(key, 0)) // multiple) * multiple
            orders[ask] = units
        for who in dict.fromkeys(ask[:-1] for ask in self.asks):
            point, keys = who[-1], [(*who, product) for product in chain.products]

            def packs(k, units):
                multiple = chain.order_multiple[keys[k][-2:]]  # noqa: B023
                units = units // multiple * multiple
                return units if units >= chain.min_order[keys[k][-2:]] else 0  # noqa: B023

            positions = [self.position(*key[-2:]) for key in keys]
            loads = {edge: most for edge, most in chain.carried.items() if edge[0] not in chain.points}
            of_point = next((most for edge, most in loads.items() if edge[1] == point), None)
            load = of_point if len(who) == 1 else loads.get(who)
            limits = (load, [0] * len(keys)), (chain.storage.get(point), positions)
            for most, held in limits:
                if most is not None:
                    room = max(most - sum(max(units, 0) for units in held), 0)
                    free = [max(-units, 0) for units in held]
                    orders |= zip(keys, shared([orders[key] for key in keys], free, room, packs), strict=True)
        return orders

    def _rescue(self, sales, numbers):
        """Customers who were not served get all there is from the supplier, shop by shop, if it is their day."""
        for customer in self.chain.points:
            for product in self.chain.products:
                for supplier in self.chain.points:
                    edge = (supplier, customer)
                    if edge in self.chain.emergency and numbers[*edge, product] < self.chain.emergency[edge]:
                        units = min(self.wanted[customer, product], self.on_hand[supplier, product])
                        self.on_hand[supplier, product] -= units
                        self.wanted[customer, product] -= units
                        sales[customer, product] += units

    def _left_unserved(self, numbers):
        lost = dict.fromkeys(self.keys, 0)
        for key in self.keys:
            parts = self.chain.lost_share.get(key[0], 65_536 * (self.chain.unmet == "lost"))
            lost[key] = (self.wanted[key] * parts + numbers.get(key, 0)) // 65_536
            self.backlog[key] += self.wanted[key] - lost[key]
            self.wanted[key] = 0
        return lost

    def account(self, ordered, sales, lost, waste, factors=None, dear=1):
        chain, cost = self.chain, {}
        for key in self.keys:
            holding, penalty = factors[key] if factors else (1.0, 1.0)
            own = [ask for ask in self.asks if ask[-2:] == key]
            cost[key] = (
                holding * chain.holding_cost[key] * self.on_hand[key]
                + penalty * chain.backorder_cost[key] * (self.backlog[key] + lost[key])
                - chain.price[key] * sales[key]
                + dear * sum((chain.unit_cost[key] + chain.edge_cost.get(ask, 0)) * ordered[ask] for ask in own)
                + sum(chain.fixed_order_cost[key] * (ordered[ask] > 0) for ask in own)
                + chain.waste_cost.get(key, 0) * (waste[key] if waste else 0)
            )
        for (*edge, product), money in chain.emitted.items():
            cost[edge[1], product] += money * self.left.get((*edge, product), 0)
        for edge, money in chain.dispatched.items():
            if any(self.left.get((*edge, product), 0) for product in chain.products):
                cost[edge[1], chain.products[0]] += money
        for who, joint in chain.joint_cost.items():  # by convention it stands with the first product
            if any(ordered[(*who, product)] for product in chain.products):
                cost[who[-1], chain.products[0]] += joint
        return cost


def shared(wishes, free, room, packs):
    """Wishes cut to one share of the room, then filled up in their order; `free` units of each take no room."""
    takes = [max(wish - own, 0) for wish, own in zip(wishes, free, strict=True)]
    if sum(takes) <= room:
        return wishes
    given = [packs(k, min(wishes[k], free[k] + takes[k] * room // sum(takes))) for k in range(len(wishes))]
    for k in range(len(wishes)):
        others = sum(max(given[j] - free[j], 0) for j in range(len(wishes)) if j != k)
        given[k] = packs(k, min(wishes[k], free[k] + room - others))
    return given


def graph_attention(features, neighbours, weights, slope=0.2):
    """Velickovic et al. (2018), eq. 1-5, head by head and node by node; heads side by side, no activation.

    `features` [N][inputs], `neighbours` the nodes that each node attends to, `weights` a list of
    (weight [units][inputs], target [units], source [units], bias [units]), one per head.
    """
    result = [[] for _ in features]
    for weight, target, source, bias in weights:
        message = [[sum(w * x for w, x in zip(row, node, strict=True)) for row in weight] for node in features]
        for i, others in enumerate(neighbours):
            score = {}
            for j in others:
                raw = sum(a * m for a, m in zip([*target, *source], [*message[i], *message[j]], strict=True))
                score[j] = exp(raw if raw > 0 else slope * raw)
            for unit in range(len(weight)):
                mixed = sum(score[j] * message[j][unit] for j in others) / sum(score.values())
                result[i].append(mixed + bias[unit])
    return result

"""Slow, literal, obviously right: the world, one copy, plain whole numbers, one event after another."""

from dataclasses import dataclass, field
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


@dataclass
class Period:
    """The state after event 2 of a period and what the period brought; keyed by (stock point, product)."""

    on_hand: dict
    in_transit: dict
    inventory_position: dict
    backlog: dict
    sales: dict
    lost: dict
    cost: dict
    shipped: int  # units that left any stock point or external supplier
    order: dict  # what was accepted of the wishes at its end


def chain_of(firm):
    """The plain facts of a checked firm; a stock point that nobody supplies buys from outside."""
    points, products = list(firm.names), list(firm.products)
    supply = [(edge.source, edge.target) for edge in firm.supply]
    supply += [(OUTSIDE, point) for point in points if point not in {target for _, target in supply}]
    amounts = {}
    for name in ("holding_cost", "backorder_cost", "price", "unit_cost", "fixed_order_cost"):
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
    facing = list(firm.customer_facing)
    return Chain(points, products, supply, facing, firm.unmet, **amounts, storage=storage, carried=carried)


def replay(chain, initial, wishes, suppliers, demand, lead_times, cost_factors=None):
    """One copy of the world, period by period.

    `wishes[t][point, product]`, `suppliers[t][point, product]` and `demand[t][point, product]` are event 4 of t;
    `lead_times[t][supplier, customer, product]` hold for shipments of event 2 of t; `cost_factors[t]` holds a pair
    (on holding cost, on backorder cost) per (point, product) for event 3 of t.
    """
    world = SlowWorld(chain, initial)
    periods, orders = [], []
    for t in range(len(wishes)):
        world.receive(t)
        if t > 0:
            world.stand_in_line(orders[t - 1], suppliers[t - 1], demand[t - 1])
        sales, lost, shipped = world.fulfil(t, lead_times[t])
        ordered = orders[t - 1] if t > 0 else dict.fromkeys(world.keys, 0)
        cost = world.account(ordered, sales, lost, cost_factors[t] if cost_factors else None)
        orders.append(world.accept(t, wishes[t]))
        periods.append(
            Period(
                dict(world.on_hand),
                {key: world.in_transit(*key) for key in world.keys},
                {key: world.position(*key) for key in world.keys},
                dict(world.backlog),
                sales,
                lost,
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
        self.on_hand = {key: initial[key] for key in self.keys}
        self.due = {}  # (period, customer, product) -> units that arrive at event 1 of that period
        self.backorders = {(s, c, k): 0 for s, c in chain.supply for k in chain.products}
        self.new = dict.fromkeys(self.backorders, 0)  # ordered in the last period
        self.backlog = dict.fromkeys(self.keys, 0)
        self.wanted = dict.fromkeys(self.keys, 0)  # external demand of the last period

    def receive(self, t):
        for point, product in self.keys:
            self.on_hand[point, product] += self.due.pop((t, point, product), 0)

    def stand_in_line(self, orders, suppliers, demand):
        for point, product in self.keys:
            self.new[suppliers[point, product], point, product] = orders[point, product]
            self.wanted[point, product] = demand.get((point, product), 0)

    def in_transit(self, point, product):
        return sum(units for (_, customer, k), units in self.due.items() if (customer, k) == (point, product))

    def position(self, point, product):
        unserved = [(edge, self.backorders[edge] + self.new[edge]) for edge in self.backorders if edge[2] == product]
        own = sum(units for edge, units in unserved if edge[1] == point)
        owes = sum(units for edge, units in unserved if edge[0] == point)
        owes += self.backlog[point, product] + self.wanted[point, product]
        return self.on_hand[point, product] + self.in_transit(point, product) + own - owes

    def fulfil(self, t, lead_times):
        positions = {key: self.position(*key) for key in self.keys}  # after event 1, for all points at once
        sales, shipments = dict.fromkeys(self.keys, 0), dict.fromkeys(self.backorders, 0)
        self.taken = {}  # (edge, whether it was new) -> units
        for supplier, product in self.keys:
            customers = [c for c in self.chain.points if (supplier, c, product) in self.backorders]  # in index order
            customers.sort(key=lambda c: positions[c, product])  # stable: ties stay in index order
            for external, internal in ((self.backlog, self.backorders), (self.wanted, self.new)):
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
        self._load(shipments)
        for edge in self.backorders:
            if edge[0] == OUTSIDE:  # unlimited stock
                shipments[edge] = self.new[edge]
                self.new[edge] = 0
            if shipments[edge]:
                arrival = (t + lead_times[edge], edge[1], edge[2])
                self.due[arrival] = self.due.get(arrival, 0) + shipments[edge]
            self.backorders[edge] += self.new[edge]
            self.new[edge] = 0
        return sales, self._left_unserved(), sum(shipments.values()) + sum(sales.values())

    def _load(self, shipments):
        """Units that an edge does not carry go back on the shelf, new orders first, and stay owed."""
        for (supplier, customer), most in self.chain.carried.items():
            if supplier == OUTSIDE:
                continue  # was cut when it was ordered
            edges = [(supplier, customer, product) for product in self.chain.products]
            fits = shared([shipments[edge] for edge in edges], [0] * len(edges), most, lambda k, units: units)
            for edge, units in zip(edges, fits, strict=True):
                back = shipments[edge] - units
                new = min(back, self.taken[edge, True])
                self.new[edge] += new
                self.backorders[edge] += back - new
                self.on_hand[supplier, edge[2]] += back
                shipments[edge] = units

    def accept(self, t, wishes):
        """What is ordered at the end of period t."""
        chain, orders = self.chain, {}
        for key in self.keys:
            multiple, (cycle, days) = chain.order_multiple.get(key, 1), chain.review.get(key, (1, [0]))
            units = round(min(max(wishes[key], 0), chain.max_order.get(key, 10**9) // multiple * multiple))
            if t % cycle not in days:
                units = 0
            if units:
                units = -(-max(units, chain.min_order.get(key, 0)) // multiple) * multiple
            orders[key] = units
        for point in chain.points:
            keys = [(point, product) for product in chain.products]

            def packs(k, units):
                multiple = chain.order_multiple[keys[k]]  # noqa: B023
                units = units // multiple * multiple
                return units if units >= chain.min_order[keys[k]] else 0  # noqa: B023

            positions = [self.position(*key) for key in keys]
            limits = (chain.carried.get((OUTSIDE, point)), [0] * len(keys)), (chain.storage.get(point), positions)
            for most, held in limits:
                if most is not None:
                    room = max(most - sum(max(units, 0) for units in held), 0)
                    free = [max(-units, 0) for units in held]
                    orders |= zip(keys, shared([orders[key] for key in keys], free, room, packs), strict=True)
        return orders

    def _left_unserved(self):
        lost = dict.fromkeys(self.keys, 0)
        for key in self.keys:
            (lost if self.chain.unmet == "lost" else self.backlog)[key] += self.wanted[key]
            self.wanted[key] = 0
        return lost

    def account(self, ordered, sales, lost, factors):
        chain, cost = self.chain, {}
        for key in self.keys:
            holding, penalty = factors[key] if factors else (1.0, 1.0)
            cost[key] = (
                holding * chain.holding_cost[key] * self.on_hand[key]
                + penalty * chain.backorder_cost[key] * (self.backlog[key] + lost[key])
                - chain.price[key] * sales[key]
                + chain.unit_cost[key] * ordered[key]
                + chain.fixed_order_cost[key] * (ordered[key] > 0)
            )
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

"""Random firms and episodes for property tests, and what the slow world says about them.

`FIRMWIDE_EXAMPLES=10` tries ten times as many; `make nightly` does.
"""

import os
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st

from environment import Exogenous, Outcome, State, World, parse_firm
from environment.network import CUSTOMERS
from environment.streams import Stream, torch_stream
from tests.oracles import OUTSIDE, arrival, chain_of, replay

_MORE = int(os.environ.get("FIRMWIDE_EXAMPLES", "1"))
WIDTH = 65_536  # what chances are multiples of one part of


def examples(count):
    """So many random firms, or more at night."""
    return settings(max_examples=count * _MORE, deadline=None)


@st.composite
def clienteles(draw, products, slots=1):
    """Segments of customers who choose, with at least so many slots; not every product is for everybody."""
    segments, slots = {}, draw(st.integers(slots, len(products)))
    for j in range(draw(st.integers(1, 2))):
        sold = draw(st.lists(st.sampled_from(products), min_size=1, unique=True))
        segments[f"segment-{j}"] = {
            "traffic": draw(st.sampled_from([0.5, 6, 40])),
            "persistence": 0.8,
            "volatility": draw(st.sampled_from([0, 0.3])),
            "preference": {product: draw(st.floats(-2, 2)) for product in sold},
            "uplift": draw(st.sampled_from([0, 1.5])),
            "exposure": {sold[0]: draw(st.sampled_from([0, 0.5])) if slots else 0},
            "impatience": draw(st.sampled_from([0, 0, 0.5, 4])),
        }
    return {"segments": segments, "slots": slots, "season": {"amplitude": 0.3, "period": 7}}


@st.composite
def order_limits(draw, products):
    """Packs, minima, review days and storage of a stock point, some of them; the smallest order is 12 at most."""
    packs, minima, cycles = st.sampled_from([1, 2, 3, 6]), st.sampled_from([0, 1, 7]), st.sampled_from([1, 2, 3])

    def of_each(values):
        return draw(st.one_of(values, st.fixed_dictionaries({product: values for product in products})))

    limits = {"order_multiple": of_each(packs), "min_order": of_each(minima), "review_period": of_each(cycles)}
    limits["capacity"] = draw(st.integers(12, 30))
    chosen = draw(st.lists(st.sampled_from(sorted(limits)), unique=True))
    if "review_period" not in chosen and draw(st.booleans()):
        limits["review_days"] = {"cycle": 4, "days": draw(st.sampled_from([[0], [1, 2], [3, 0]]))}
        chosen.append("review_days")
    return {field: limits[field] for field in chosen}


@st.composite
def ranked(draw, points, supply, money, customers):
    """Who serves whom first, and who buys where: written into points and edges; the rule of choice comes back."""
    several = len({edge["to"] for edge in supply}) < len(supply)
    for edge in supply:
        rule = points.get(edge["from"], {}).get("allocation")
        if edge["from"] in points and rule is None:
            rules = ["position", "priority", "proportional", "shortage"]
            lines = sum(other["from"] == edge["from"] for other in supply) + ("demand" in points[edge["from"]])
            rules += ["learned"] * 3 * (lines > 1 and not customers)
            rules += ["inventory-level"] * 3 * ("demand" not in points[edge["from"]] and edge["from"] not in customers)
            points[edge["from"]]["allocation"] = rule = draw(st.sampled_from(rules))
            if rule == "priority":
                edge["priority"] = 2
        elif rule == "priority" and draw(st.booleans()):
            edge["priority"] = draw(st.integers(1, 3))
    rules = ["random", "random", "preferred", "cheapest", "in-stock", "split"]
    rules += ["ordered"] * 2 * (several and not customers)
    choice = draw(st.sampled_from(rules)) if supply else "random"
    for name in points:
        to = [edge for edge in supply if edge["to"] == name]
        weights = draw(st.lists(st.integers(1, 5), min_size=len(to), max_size=len(to)))
        own, shared = draw(money), draw(st.booleans())
        for edge, weight in zip(to, weights, strict=True):
            edge["unit_cost"] = 1 + draw(money) if choice in ("preferred", "cheapest", "ordered") else own
            if choice in ("random", "split", "ordered") and shared:
                edge["share"] = weight / sum(weights)
            if choice in ("preferred", "in-stock") and shared:
                edge["preference"] = weight
    return choice


@st.composite
def limited(draw, points, supply, products, soonest, apart):
    """Limits of orders and of what edges carry, written into points and edges; `apart`: every edge has an order."""
    targets = [edge["to"] for edge in supply]
    for name, point in points.items():
        point |= draw(order_limits(products))
        if apart and targets.count(name) > 1:
            point.pop("capacity", None)
    for edge in supply:
        alone = apart or targets.count(edge["to"]) == 1
        if draw(st.booleans()) and (soonest if edge["from"] in points else alone):
            edge["capacity"] = draw(st.integers(12, 25))
        if alone and draw(st.booleans()):
            edge["fixed_order_cost"] = draw(st.sampled_from([0.5, 3.25]))


@st.composite
def misfortunes(draw, points, supply, money):
    """Edges that are shut or crowded and stock that expires."""
    for edge in supply:
        soonest = edge["lead_time"] if isinstance(edge["lead_time"], int) else edge["lead_time"]["low"]
        if soonest and draw(st.integers(0, 2)) == 0:
            edge["congestion"] = {"units": draw(st.sampled_from([1, 4, 20])), "most": draw(st.integers(1, 3))}
        if draw(st.integers(0, 4)) == 0:
            edge["disruption"] = {"start": 0.3, "end": 0.5}
    for point in points.values():
        if draw(st.integers(0, 3)) == 0:
            point |= {"shelf_life": draw(st.integers(1, 3)), "waste_cost": draw(money)}


@st.composite
def footprints(draw, supply, money, amount):
    """What shipments emit, written into edges; what it costs comes back, a field of the firm or none."""
    for edge in supply if draw(st.booleans()) and not any("emergency" in edge for edge in supply) else ():
        edge |= {"emissions": draw(amount), "shipment_emissions": draw(money)}
    emits = any(edge.get("shipment_emissions") for edge in supply)
    return {"emissions": {"price": draw(money)}} if emits else {}


@st.composite
def regimes(draw, points, supply, chosen):
    """None, or two or three regimes, of which one may begin by itself and one may be hidden."""
    if draw(st.booleans()):
        return {}
    laws = {name: point["demand"] for name, point in points.items() if "demand" in point}
    closed = any("closed_days" in place for place in (*points.values(), *supply))
    played = any(isinstance(law, dict) and law["law"] == "sequence" for law in laws.values())
    more = (
        st.just({}) if chosen or played else st.sampled_from([{}, {"demand": 1.5}, {"demand": dict.fromkeys(laws, 0)}])
    )
    return {
        "calm": {"next": {"rush": 0.3}},
        "rush": draw(more)
        | {
            "lead_time": 0 if closed else draw(st.sampled_from([0, 2, {"outside": 1}])),
            "unit_cost": draw(st.sampled_from([1, 1.5])),
            "holding_cost": draw(st.sampled_from([1, 0.5])),
            "next": {"calm": 0.25, **({"dear": 0.5} if draw(st.booleans()) else {})},
            "known": draw(st.booleans()),
        },
        "dear": {"begins": 4, "backorder_cost": 2, "unit_cost": draw(st.sampled_from([1, 0.25]))},
    }


@st.composite
def emergencies(draw, points, supply, chosen):
    """What a point loses otherwise may come at once from one of its suppliers."""
    for edge in supply:
        to = points[edge["to"]]
        first = all("emergency" not in other for other in supply if other["to"] == edge["to"])
        apart = edge["from"] in points and "disruption" not in edge and first and not chosen
        if apart and "demand" in to and draw(st.booleans()):
            to.pop("lost_share", None)
            to["unmet"], edge["emergency"] = "lost", draw(st.sampled_from([0.3, 1]))


@st.composite
def closures(draw, points, supply, products):
    """Days on which points, suppliers and carriers are closed, each on some of its own."""
    free = [edge for edge in supply if "congestion" not in edge]
    places = [name for name in points if all(edge in free for edge in supply if name in (edge["from"], edge["to"]))]
    days = st.sampled_from([[1], {"cycle": 3, "days": [2]}, {"cycle": 4, "days": [0, 1]}, {"periods": [0, 3, 4]}])
    for name in places:
        if draw(st.integers(0, 4)) == 0:
            points[name]["closed_days"] = draw(days)
    for edge in free:
        if draw(st.integers(0, 4)) == 0:
            edge["closed_days"] = draw(st.one_of(days, st.just({products[0]: {"days": [0], "periods": [2]}})))


@st.composite
def sequences(draw, points, chosen, supply, soonest):
    """Who supplies others may ship first where nothing arrives at once, expires or is limited on its way."""
    inside = [edge for edge in supply if edge["from"] in points]
    facing = {name for name, point in points.items() if "demand" in point} | set(chosen)
    sold = [edge for edge in inside if edge["from"] in facing or "capacity" in edge]
    if not inside or sold or not soonest or any("shelf_life" in point for point in points.values()):
        return "standard"
    return draw(st.sampled_from(["standard", "geevers", "geevers"]))


@st.composite
def firms(draw, customers=False):
    """General networks of up to five points in shuffled order, one or two products, all that a firm file can say.

    With `customers` those of a point may be ones who choose, among up to three products.
    """
    count = draw(st.integers(1, 5))
    products = draw(st.sampled_from([["unit"], ["tea", "rice"], *[["tea", "rice", "oats"]] * customers]))
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    outside = [(OUTSIDE, i) for i in draw(st.lists(st.integers(0, count - 1), unique=True))]
    outside += [("mill", i) for i in draw(st.lists(st.integers(0, count - 1), unique=True, max_size=2))]
    sells = {i for i in range(count) if all(source != i for source, _ in edges)}
    sells |= set(draw(st.lists(st.integers(0, count - 1), unique=True)))
    money = st.sampled_from([0, 0.5, 1, 3.25])
    amount = st.one_of(money, st.fixed_dictionaries({product: money for product in products}))
    uniform = {"law": "uniform", "low": 0, "high": 12}
    seasonal = uniform | {"season": {"period": 3, "profile": [1, 0, 0.5]}}
    calendar = seasonal | {"trend": {"growth": -0.1, "periods": 3}, "events": [{"period": 1, "factor": 2.5}]}
    laws = [uniform, seasonal, calendar, {"law": "sequence", "values": [3, 0, 12]}]
    law = st.one_of(st.integers(0, 9), st.sampled_from(laws))
    soonest = draw(st.sampled_from([0, 1]))
    lead_time = st.one_of(st.integers(soonest, 3), st.just({"law": "uniform", "low": soonest, "high": 4}))
    names = [f"p-{i}" for i in range(count)]
    points, chosen = {}, {}
    for i in draw(st.permutations(range(count))):
        points[names[i]] = {"holding_cost": draw(amount), "backorder_cost": draw(amount), "max_order": 20}
        if draw(st.booleans()):
            points[names[i]] |= {field: draw(amount) for field in ("price", "unit_cost", "fixed_order_cost")}
        if i in sells and customers and draw(st.booleans()):
            chosen[names[i]] = draw(clienteles(products))
        elif i in sells:
            points[names[i]]["demand"] = draw(law)
        if i in sells and draw(st.booleans()):
            points[names[i]] |= draw(st.sampled_from([{"unmet": "lost"}, {"unmet": "backorder"}, {"lost_share": 0.3}]))
    supply = [{"from": source, "to": names[i], "lead_time": draw(lead_time)} for source, i in outside]
    supply += [{"from": names[i], "to": names[j], "lead_time": draw(lead_time)} for i, j in edges]
    choice = draw(ranked(points, supply, money, chosen))
    draw(misfortunes(points, supply, money))
    draw(emergencies(points, supply, chosen))
    draw(closures(points, supply, products))
    for name, point in points.items():
        waits = point.get("unmet") == "backorder" or "lost_share" in point
        if waits and name not in chosen and draw(st.booleans()):
            point["initial_backlog"] = draw(st.integers(0, 5))
        bought = [edge["from"] for edge in supply if edge["to"] == name]
        if set(bought) <= {OUTSIDE, "mill"} and draw(st.booleans()):
            point["order_lead_time"] = 1
    if draw(st.booleans()):
        draw(limited(points, supply, products, soonest, choice == "ordered"))
    return parse_firm(
        {
            "name": "random",
            "sequence": draw(sequences(points, chosen, supply, soonest)),
            "supplier_choice": choice,
            "suppliers": ["mill"] if any(source == "mill" for source, _ in outside) else [],
            "unmet": draw(st.sampled_from(["backorder", "lost"])),
            "cost_spread": draw(st.sampled_from([0.0, 0.5])),
            "products": products,
            **draw(footprints(supply, money, amount)),
            "regimes": draw(regimes(points, supply, chosen)),
            "stock_points": points,
            "customers": chosen,
            "supply": draw(st.permutations(supply)) if supply else [],
        }
    )


@dataclass
class Episode:
    """A world that was run, with everything that went in."""

    world: World
    states: list[State]  # [T]
    outcomes: list[Outcome | None]  # [T], None in period 0
    orders: torch.Tensor  # [T, O + A, K, E]
    chance: Exogenous  # with a leading axis T
    exposures: torch.Tensor | None  # [T, S, K, E] where customers choose
    wishes: torch.Tensor  # [T, O + A, K, E] what was ordered before the world accepted it


def run(firm, copies, seed, periods=9, dtype=torch.float64):
    """Random orders and exposures, random stock at the start, chance drawn by the world."""
    world = World(firm, np.zeros((len(firm.names), len(firm.products))), dtype=dtype)
    rng = np.random.default_rng(seed)
    shape = (len(firm.names), len(firm.products), copies)
    wide = (periods, world.decisions, *shape[1:])
    wishes = rng.integers(-5, 45, wide) / 2 * rng.integers(0, 2, wide)
    wishes[:, world.orders :] -= 8  # precedence may be below 0
    wishes = torch.tensor(wishes, dtype=dtype)
    chance = world.draw(periods, copies, torch_stream("cpu", Stream.SIMULATION, seed))
    state = world.reset(copies, torch.tensor(rng.integers(0, 20, shape), dtype=dtype))
    exposures = None
    if world.choice is not None:
        wished = rng.uniform(-0.5, 1.5, (periods, len(world.choice.names), len(firm.products), copies))
        exposures = torch.stack([world.choice.feasible(torch.tensor(wish, dtype=dtype)) for wish in wished])
    return follow(world, state, None, chance, exposures, wishes)


def follow(world, state, orders, chance, exposures=None, wishes=None):
    """Step through given orders, or what the world accepts of wishes, exposures and chance."""
    states, outcomes, accepted = [state], [None], []
    for t in range(len(chance.demand)):
        order = orders[t] if wishes is None else world.feasible(wishes[t], state.inventory_position, t)
        accepted.append(order)
        if t + 1 == len(chance.demand):
            break
        state, outcome = world.step(state, order, chance.at(t), None if exposures is None else exposures[t])
        states.append(state)
        outcomes.append(outcome)
    return Episode(
        world, states, outcomes, torch.stack(accepted), chance, exposures, orders if wishes is None else wishes
    )


def slow_wait(world, state, copy):
    """Periods until there is more at a point than its customers are owed already, by customer-facing point, product."""
    waits = np.zeros((len(world.network.customer_facing), len(world.firm.products)))
    for c, point in enumerate(world.network.customer_facing):
        for k in range(len(world.firm.products)):
            free = int(state.on_hand[point, k, copy]) - int(world.backlog(state)[c, k, copy])
            for slot in state.pipeline[: world.network.longest_lead_time(), :, k, copy]:
                edges = zip(world.network.edge_target, slot, strict=True)
                free += sum(int(units) for target, units in edges if target == point)
                waits[c, k] += free <= 0
    return waits


def slow_purchases(world, exposure, customers, traffic, copy, wait=None):
    """What one copy's customers buy, one customer after the other; and how many leave."""
    choice = world.choice
    bought = np.zeros(exposure.shape[:2], dtype=int)
    leave = 0
    for s in range(len(choice.names)):
        utility = choice.preference[s, :, 0] + choice.uplift[s, :, 0] * exposure[s, :, copy]
        if wait is not None and choice.impatience is not None:
            utility = utility - choice.impatience[s, 0, 0] * torch.tensor(wait[int(choice.facing[s])])
        utility = utility.exp()
        edges = (WIDTH * (utility / (1 + utility.sum())).cumsum(0)).round().clamp_max(WIDTH - 1).tolist()
        for j in range(int(traffic[s, copy])):
            number = int(customers[j, s, copy]) + WIDTH // 2
            product = next((k for k, edge in enumerate(edges) if number < edge), None)
            if product is None:
                leave += 1
            else:
                bought[s, product] += 1
    return bought, leave


def _numbers(episode, copy):
    """What is drawn with period t - 1 decides in period t, period by period."""
    world, chance = episode.world, episode.chance
    network, products, facing = world.network, list(world.firm.products), list(world.firm.customer_facing)
    numbers = [{} for _ in chance.demand]
    periods = range(1, len(numbers))
    if chance.lost is not None:
        for t in periods:
            numbers[t]["lost"] = {
                (p, k): int(chance.lost[t - 1, n, i, copy]) + WIDTH // 2
                for n, p in enumerate(facing)
                for i, k in enumerate(products)
            }
    if chance.emergency is not None:
        edges = [edge for edge, odds in zip(network.edge_names, network.emergency, strict=True) if odds]
        for t in periods:
            numbers[t]["emergency"] = {
                (*edge, k): int(chance.emergency[t - 1, m, i, copy]) + WIDTH // 2
                for m, edge in enumerate(edges)
                for i, k in enumerate(products)
            }
    if chance.breaks is not None:
        edges = [edge for edge, odds in zip(network.edge_names, network.disruption, strict=True) if odds[1]]
        for t in periods:
            drawn = chance.breaks[t - 1, :, copy].tolist()
            numbers[t]["breaks"] = {edge: number + WIDTH // 2 for edge, number in zip(edges, drawn, strict=True)}
    return numbers


def in_open_days(chain, lead_times):
    """Lead times as the slow world takes them: it counts by itself what leaves in period t, on day t - 1."""
    for edge, closed in chain.closed.items():
        for t, row in enumerate(lead_times[1:]):
            lasts = row[edge]
            row[edge] = next(days for days in range(lasts + 1) if arrival(t, days, closed) == t + lasts)


def slow_replay(episode, copy):
    """The same copy in the slow world."""
    world, chance, orders = episode.world, episode.chance, episode.orders
    firm, network = world.firm, world.network
    points, products, facing = list(firm.names), list(firm.products), list(firm.customer_facing)
    suppliers_of = {point: [s for s, target in network.edge_names if target == point] for point in points}
    periods = range(len(orders))
    initial = {
        (p, k): int(episode.states[0].on_hand[n, i, copy]) for n, p in enumerate(points) for i, k in enumerate(products)
    }

    def by_key(values, names, kind=int):
        return [
            {(p, k): kind(values[t, n, i, copy]) for n, p in enumerate(names) for i, k in enumerate(products)}
            for t in periods
        ]

    ranks = torch.zeros_like(orders) if chance.supplier is None else chance.supplier
    suppliers = [{(p, k): suppliers_of[p][rank] for (p, k), rank in row.items()} for row in by_key(ranks, points)]
    fixed = [[int(law.mass().argmax()) for law in laws] for laws in network.lead_time_laws]
    lead_times = [{}]
    for t in periods[1:]:  # what is drawn with period t - 1 holds for the shipments of period t
        lead_times.append(
            {
                (*edge, k): fixed[e][i] if chance.lead_time is None else int(chance.lead_time[t - 1, e, i, copy])
                for e, edge in enumerate(network.edge_names)
                for i, k in enumerate(products)
            }
        )
    chain = chain_of(firm)
    in_open_days(chain, lead_times)
    factors = None
    if chance.cost_factor is not None:
        ones = {key: (1.0, 1.0) for key in initial}
        factors = [ones] + [
            {
                (p, k): tuple(float(f) for f in chance.cost_factor[t - 1, :, n, i, copy])
                for n, p in enumerate(points)
                for i, k in enumerate(products)
            }
            for t in periods[1:]
        ]
    numbers = _numbers(episode, copy)
    asked = chance.demand.clone()
    for t in periods if world.choice is not None else ():
        wait = slow_wait(world, episode.states[t], copy)
        bought, _ = slow_purchases(world, episode.exposures[t], chance.customers[t], chance.traffic[t], copy, wait)
        for own, point in zip(bought, world.choice.facing.tolist(), strict=True):
            asked[t, point, :, copy] += torch.tensor(own)
    demand = by_key(asked, facing)
    names = [(point,) for point in points] if world.orders == len(points) else network.edge_names
    wishes = [
        {(*who, k): float(episode.wishes[t, o, i, copy]) for o, who in enumerate(names) for i, k in enumerate(products)}
        for t in periods
    ]
    dear = None if chance.purchase_factor is None else chance.purchase_factor[:, 0, copy].tolist()
    lines = [(network.names[n], who) for n in range(len(points)) for who in network.customers_of(n)]
    precedence = [
        {
            (supplier, None if who == CUSTOMERS else who, k): float(episode.wishes[t, world.orders + a, i, copy])
            for a, (supplier, who) in enumerate(lines)
            for i, k in enumerate(products)
        }
        for t in periods
    ]
    return replay(chain, initial, wishes, suppliers, demand, lead_times, factors, numbers, dear, precedence)

"""What `firmwide check` says of a firm: its network as a tree, and the numbers a planner asks for first."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

from coordinator.shown import Shown
from departments.play.service import meet_targets
from departments.rules.ordering import baseline_levels, shortage_cost
from environment import Firm, Network
from environment.laws import History, Sequence
from environment.parts import TARGETS


@dataclass(frozen=True, repr=False)
class Check(Shown):
    """What there is to know of a checked firm before anybody decides anything."""

    facts: dict[str, Any]

    def __rich__(self) -> RenderableType:
        """The network as a tree, then a table."""
        return drawn(self.facts)

    def to_json(self) -> dict[str, Any]:
        """The object that `check --json` prints."""
        return self.facts


def facts(firm: Firm) -> dict[str, Any]:
    """All that is shown, as plain values.

    A protection interval is the lead time + 1 period, or + those from review to review: what an order must last for.
    Its mean takes the suppliers of a point by their shares, its range covers all of them.
    """
    network, levels = Network.of(firm), baseline_levels(firm)
    flow, echelons = network.mean_flow(), network.echelons()
    holding, backorder, max_order = (firm.amounts(f) for f in ("holding_cost", "backorder_cost", "max_order"))
    points: list[dict[str, Any]] = [
        {
            "stock_point": name,
            "product": product,
            "echelon": echelons[n],
            "faces_customers": name in firm.customer_facing,
            "mean_demand": _tidy(flow[n, k]),
            "protection_interval": _protection_interval(network, n, k),
            "base_stock_level": int(levels[n, k]),
            "holding_cost": _tidy(holding[n, k]),
            "backorder_cost": _tidy(backorder[n, k]),
            "max_order": int(max_order[n, k]),
        }
        for n, name in enumerate(firm.names)
        for k, product in enumerate(firm.products)
    ]
    if firm.has_targets:
        _add_service(points, firm)
    return {
        "firm": firm.name,
        "description": firm.description,
        "unmet": firm.unmet_demand,
        "products": list(firm.products),
        "periods": firm.periods.model_dump(),
        "points": points,
        "supply": [{"from": source, "to": target} for source, target in network.edge_names],
        "warnings": warnings_of(firm),
    }


def _add_service(points: list[dict[str, Any]], firm: Firm) -> None:
    """Targets, the levels that meet them with the least holding cost, and what a unit short is worth by these."""
    met, facing = meet_targets(firm), list(firm.customer_facing)
    targets = {field: firm.targets(field) for field in TARGETS}
    for place, point in enumerate(points):
        n, k = divmod(place, len(firm.products))
        point["service_level"] = int(met.levels[n, k])
        if firm.names[n] in facing:
            c = facing.index(firm.names[n])
            for field, rates in targets.items():
                if not np.isnan(rates[n, k]):
                    point[field], point[f"{field}_reached"] = _tidy(rates[n, k]), _tidy(met.reached[c, k])
            worth = met.backorder_cost[c, k]
            point["implied_backorder_cost"] = None if np.isnan(worth) else round(float(worth), 4)


def warnings_of(firm: Firm) -> list[str]:
    """What is allowed and yet hardly meant: orders that cannot keep up, stock without a use, too short a warm-up."""
    network, found = Network.of(firm), []
    flow, most, periods = network.mean_flow(), firm.amounts("max_order"), firm.periods
    gap = np.array([[network.reviews.between(n, k) for k in range(flow.shape[1])] for n in range(flow.shape[0])])
    for n, k in np.argwhere(flow * gap > most):
        until = " between reviews" if gap[n, k] > 1 else ""
        units = f"mean demand {_tidy(flow[n, k] * gap[n, k])} of {firm.products[k]}{until}"
        found.append(f"{firm.names[n]}: {units} is above max_order {int(most[n, k])}, so it can never keep up")
    found += _rooms(firm, network)
    notes = dict.fromkeys(law.note for laws in network.demand_laws for law in laws if isinstance(law, History))
    found += [note for note in notes if note]
    if firm.has_targets:
        found.append(
            f"{' and '.join(firm.has_targets)}: tuned-base-stock meets it, and so do departments that learn; other "
            "rules go by backorder_cost, so set that to what `firmwide check` says a target implies"
        )
    if firm.regimes:
        first = next(iter(firm.regimes))
        found.append(f"regimes: rules reckon with {first} alone; tuned levels and departments that learn do not")
    if firm.emission_cap is not None:
        found.append(
            "emissions.cap: departments that learn keep to it; rules go by emissions.price, so set that to the "
            "multiplier that a run ends with"
        )
    if firm.correlation is not None and max(map(len, map(network.successors, range(len(firm.names))))) > 1:
        found.append(
            "demands are correlated, which decomposition-aggregation does not know: its levels of points that supply "
            "several are too low, so use levels tuned by simulation"
        )
    if any(isinstance(law, History | Sequence) and law.blocks for laws in network.demand_laws for law in laws):
        found.append(
            "history is played in blocks, whose days and demands hang together, and decomposition-aggregation takes "
            "them as independent: use levels tuned by simulation"
        )
    for n, laws in zip(network.customer_facing, network.demand_laws, strict=True):
        if not shortage_cost(firm)[n][[law.mass()[0] < 1 for law in laws]].all():
            cure = "set backorder_cost" + ", or a price above the cost" * (firm.unmet_demand != "backorder")
            found.append(f"{firm.names[n]}: a unit short costs nothing, so nothing makes stock worth while: {cure}")
    way = ceil(network.time_through())
    if 0 < periods.warm_up < way or periods.evaluate <= way:
        found.append(
            f"the way through the network takes {way} periods, and costs count from period {periods.warm_up} to "
            f"{periods.evaluate}, so the stock at the start falsifies them: set periods.warm_up to {way} or more and "
            f"periods.evaluate to {way + 50}"
        )
    return found


def _rooms(firm: Firm, network: Network) -> list[str]:
    """Storage and edges that hold or carry less than what passes through them on average."""
    flow, found = network.mean_flow(), []
    for n, (name, point) in enumerate(firm.stock_points.items()):
        held = sum(flow[n, k] * _protection_interval(network, n, k)["mean"] for k in range(flow.shape[1]))
        if point.capacity is not None and point.capacity < held:
            what = f"capacity {point.capacity} is below the mean demand of its protection interval ({_tidy(held)})"
            found.append(f"{name}: {what}, so it is short of stock most of the time")
    for edge in firm.supply:
        n = firm.names.index(edge.target)
        carries = float(flow[n].sum()) / float(network.supplier_count[n])
        if edge.capacity is not None and edge.capacity < carries:
            what = (
                f"capacity {edge.capacity} from {edge.source} is below the mean demand {_tidy(carries)} that comes so"
            )
            found.append(f"{edge.target}: {what}, so it can never keep up")
    return found


def _protection_interval(network: Network, point: int, product: int) -> dict[str, float]:
    edges = np.flatnonzero(network.edge_target == point)
    masses = [network.lead_time(int(edge), product) for edge in edges]
    possible = [np.flatnonzero(mass) for mass in masses]
    means, review = [float(np.arange(len(mass)) @ mass) for mass in masses], network.reviews.longest(point, product)
    mean = sum(network.part(own, int(network.edge_source[e]), point) for own, e in zip(means, edges, strict=True))
    low, high = min(int(p[0]) for p in possible), max(int(p[-1]) for p in possible)
    return {"mean": _tidy(mean + 1 + review), "low": low + 1 + review, "high": high + 1 + review}


def _tidy(value: float) -> float:
    rounded = round(float(value), 6)
    return int(rounded) if rounded.is_integer() else rounded


def drawn(found: dict[str, Any]) -> RenderableType:
    """The facts for the eye: the network as a tree, then a table."""
    lost = {"backorder": "backordered", "mixed": "lost at some points, or in part"}.get(found["unmet"], "lost")
    head = f"{found['firm']}: {found['description']}" if found["description"] else found["firm"]
    periods = found["periods"]
    horizon = f"unmet demand is {lost}; training {periods['train']} periods, evaluation {periods['evaluate']}"
    counted = f"{horizon}, of which the first {periods['warm_up']} are not counted"
    return Group(Text(head, style="bold"), Text(counted), tree(found), table(found), *drawn_warnings(found["warnings"]))


def drawn_warnings(lines: list[str]) -> list[Text]:
    """Warnings for the eye."""
    return [Text(f"warning: {line}", style="yellow") for line in lines]


def tree(found: dict[str, Any]) -> Tree:
    """The network from the outside down; a point with several suppliers is drawn out below the first of them only."""
    below: dict[str, list[str]] = {}
    for edge in found["supply"]:
        below.setdefault(edge["from"], []).append(edge["to"])
    selling = {point["stock_point"] for point in found["points"] if point["faces_customers"]}
    root, points = Tree("outside"), {point["stock_point"] for point in found["points"]}
    waiting = [(root, "outside"), *((root.add(Text(name)), name) for name in below if name not in {*points, "outside"})]
    drawn_out: set[str] = set()
    while waiting:
        branch, name = waiting.pop()
        if name in drawn_out:
            continue
        drawn_out.add(name)
        for customer in below.get(name, []):
            again = " (see above)" if customer in drawn_out and customer in below else ""
            label = f"{customer}{' -> customers' * (customer in selling)}{again}"
            waiting.append((branch.add(Text(label)), customer))
    return root


def table(found: dict[str, Any]) -> Table:
    """One row per stock point and product."""
    several = len(found["products"]) > 1
    names = ["stock point", *["product"][:several]]
    numbers: tuple[str, ...] = (
        "echelon",
        "mean demand",
        "protection interval",
        "base-stock",
        "holding",
        "backorder",
        "max order",
    )
    targets = any("service_level" in point for point in found["points"])
    kinds = [field for field in TARGETS if any(field in point for point in found["points"])]
    numbers += tuple(field.replace("_", " ") for field in kinds)
    numbers += ("level for it", "implied backorder")[: 2 * targets]
    shown = Table(*names, *(Column(name, justify="right") for name in numbers), show_edge=False, pad_edge=False)
    for point in found["points"]:
        interval = point["protection_interval"]
        spread = " ({low}..{high})".format(**interval) if interval["low"] < interval["high"] else ""
        shown.add_row(
            *(point["stock_point"], *[point["product"]][:several]),
            *(str(point["echelon"]), f"{point['mean_demand']:.4g}", f"{interval['mean']:g}{spread}"),
            *(str(point["base_stock_level"]), f"{point['holding_cost']:g}"),
            *(f"{point['backorder_cost']:g}", str(point["max_order"])),
            *(f"{point[field]:g}" if field in point else "" for field in kinds),
            *_service_cells(point)[: 2 * targets],
        )
    return shown


def _service_cells(point: dict[str, Any]) -> tuple[str, str]:
    """Level and what a unit short is worth, of one row."""
    worth = point.get("implied_backorder_cost")
    return str(point.get("service_level", "")), "" if worth is None else f"{worth:.3g}"

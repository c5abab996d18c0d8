"""What the core is told of a firm: the fields of `Firm` in `core/call.hpp`, index arrays of the network by rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from environment.events import FAR
from environment.laws import TABLE_SIZE
from environment.world import World

_NOT_SOLD = -700.0  # utility; its exponential is nothing beside 1


def firm_arrays(world: World) -> dict[str, Tensor | int | None]:
    """The fields of `Firm`: index arrays of the network by rows, an item and a product each, and amounts."""
    firm, network, products = world.firm, world.network, world.products

    def rows(item: NDArray[np.int64]) -> NDArray[np.int64]:
        return (item[:, None] * products + np.arange(products)).reshape(-1)

    def whole(index: NDArray[np.int64]) -> Tensor:
        return torch.as_tensor(index.astype(np.int32))

    def amounts(field: str) -> Tensor:
        return torch.as_tensor(firm.amounts(field), dtype=world.dtype).contiguous()

    def starts(counts: NDArray[np.int64]) -> Tensor:
        return whole(np.concatenate([[0], np.cumsum(counts)]))

    seller, target, facing = rows(network.line_supplier), rows(network.edge_target), rows(network.customer_facing)
    facing_line = np.full(world.points * products, -1)
    facing_line[facing] = np.arange(len(facing))
    _, first, group = np.unique(seller, return_index=True, return_inverse=True)
    turn = np.repeat(network.turns(), products)[seller]
    place = turn * len(seller) + first[group.reshape(-1)]  # suppliers in turn and as they first come, with their lines
    order, (_, served) = np.argsort(place, kind="stable"), np.unique(place, return_counts=True)
    preference = np.zeros(len(target)) if network.preference is None else network.preference.repeat(products)
    prefer = network.supplier_rank.repeat(products)[np.lexsort((preference, target))]
    standing = torch.as_tensor(FAR * network.standing)
    shared = network.split or network.by_edge
    parts = torch.as_tensor(np.rint(firm.lost_shares()[network.customer_facing] * TABLE_SIZE))
    return {
        **{"points": world.points, "products": products, "facing": len(network.customer_facing)},
        **{"edges": world.edges * products, "inside": network.internal * products, "slots": world.slots},
        **{"target": whole(target), "seller": whole(seller), "groups": len(first), "facing_line": whole(facing_line)},
        **{"in_start": starts(np.bincount(target, minlength=world.points * products))},
        **{"in_edge": whole(np.argsort(target, kind="stable"))},
        **{"group_start": starts(served), "group_line": whole(order)},
        "at_once": world.at_once,
        "fixed_lead_time": world.fixed_lead_time.reshape(-1).contiguous(),
        "holding_cost": amounts("holding_cost"),
        **_limits(world),
        "penalty": world.backorder_cost.flatten(),  # the world's own, see `World.reprice`
        "price": amounts("price") if firm.earns else None,
        "unit_cost": world.unit_cost.flatten().contiguous() if world.buys else None,
        "fixed_cost": world.fixed_cost.flatten().contiguous() if world.buys else None,
        "joint_cost": None if world.joint_cost is None else world.joint_cost.flatten().contiguous(),
        **_emissions(world),
        "blur": torch.as_tensor(network.blur().repeat(products)),
        "salvage": amounts("salvage_value") if firm.amounts("salvage_value").any() else None,
        "prefer": None if network.preference is None else whole(prefer),
        "upto": torch.as_tensor(network.parts()[1].repeat(products)).to(world.dtype) if shared else None,
        "by_edge": network.by_edge,
        "ranks": standing.repeat_interleave(products).to(world.dtype) if standing.any() else None,
        "rationing": whole(network.rationing.repeat(products)) if network.rationing.any() else None,
        **_precedence(world),
        "newest_first": whole(network.newest_first.repeat(products).astype(np.int64))
        if network.newest_first.any()
        else None,
        "ships_first": bool(network.ships_first.any()),
        "congestion": torch.as_tensor(network.congestion).contiguous() if network.congestion.any() else None,
        "lost": parts.repeat_interleave(products).to(world.dtype) if parts.any() else None,
        **_segments(world),
        **_aside(world),
    }


def _precedence(world: World) -> dict[str, Tensor | int]:
    """The fields of `Firm` about precedence of lines, where that is decided."""
    network, products = world.network, world.products
    if not len(network.preceding):
        return {}
    place = np.full((len(network.line_supplier), products), -1, dtype=np.int32)
    place[network.preceding] = np.arange(len(network.preceding) * products).reshape(-1, products)
    return {
        "precedences": len(network.preceding) * products,
        "precedence_row": torch.as_tensor(place.reshape(-1)),
        "most_precedence": world.limits.most_precedence.flatten().contiguous(),
    }


def _emissions(world: World) -> dict[str, Tensor]:
    """The fields of `Firm` about what shipments emit: the world's own, see `World.reprice`."""
    if world.emissions is None:
        return {}
    costs = world.emissions.unit_cost, world.emissions.shipment_cost
    return dict(zip(("unit_emissions", "shipment_emissions"), (cost.flatten() for cost in costs), strict=True))


def _limits(world: World) -> dict[str, Tensor | None]:
    """The fields of `Firm` about what orders may be; none where it has no such limits."""
    limits, packs = world.limits, world.limits.packs
    wide = {name: getattr(limits, name) for name in ("storage", "load", "carried")}
    return {
        "max_order": limits.most.flatten().contiguous(),
        "multiple": limits.multiple.flatten().contiguous() if packs else None,
        "least": limits.least.flatten().contiguous() if packs else None,
        **{name: torch.as_tensor(most) if (most >= 0).any() else None for name, most in wide.items()},
    }


def _aside(world: World) -> dict[str, Tensor | int | None]:
    """The fields of `Firm` about suppliers that are shut and stock that expires."""
    firm, network, products = world.firm, world.network, world.products
    fields: dict[str, Tensor | int | None] = dict(
        zip(("shut", "waiting"), (rows * products for rows in world.aside), strict=False)
    )
    if network.regimes is not None:
        fields |= {"switching": world.aside[3], "told": network.regimes.known}

    def rows(item: NDArray[np.int64]) -> NDArray[np.int64]:
        return (item[:, None] * products + np.arange(products)).reshape(-1)

    def whole(values: NDArray[Any]) -> Tensor:
        return torch.as_tensor(values.astype(np.int32))

    edges = np.flatnonzero(network.disruption[:, 0] + network.disruption[:, 1])
    if len(edges):
        place, waits = np.full(world.edges * products, -1), edges >= network.internal
        place[rows(edges)] = np.arange(len(edges) * products)
        waiting = np.where(waits, len(edges) + np.cumsum(waits) - 1, -1)
        number = np.rint(network.disruption[edges] * TABLE_SIZE) - TABLE_SIZE // 2
        fields |= {"shut_edge": whole(rows(edges)), "shut_row": whole(place)}
        fields["waiting_row"] = whole(np.where(waits.repeat(products), rows(waiting), -1))
        fields |= dict(zip(("break_start", "break_end"), map(whole, number.repeat(products, 0).T), strict=True))
    lives = np.array([point.shelf_life or 0 for point in firm.stock_points.values()])
    if lives.any():
        own = np.flatnonzero(lives)
        fields |= {"perishing": whole(rows(own)), "life": whole(lives[own].repeat(products)), "ages": int(lives.max())}
        fields |= {"perishable": len(own) * products}
        cost = firm.amounts("waste_cost")
        fields["waste_cost"] = torch.as_tensor(cost, dtype=world.dtype).contiguous() if cost.any() else None
    if world.network.emergency.any():
        edges = np.flatnonzero(network.emergency)
        number = np.rint(network.emergency[edges] * TABLE_SIZE) - TABLE_SIZE // 2
        fields |= {"emergencies": len(edges) * products, "emergency_seller": whole(rows(network.edge_source[edges]))}
        fields |= {"emergency_target": whole(rows(network.edge_target[edges]))}
        fields |= {"emergency_below": whole(number.repeat(products))}
    return fields


def _segments(world: World) -> dict[str, Tensor | int | None]:
    """The fields of `Firm` about customers who choose."""
    if world.choice is None:
        return {}
    choice = world.choice
    fields = {"uplift": choice.uplift, "preference": choice.preference.clamp_min(_NOT_SOLD)}
    amounts = {**fields, "standing": choice.standing}
    return {
        "segments": len(choice.names),
        "segment_facing": choice.facing.to(torch.int32),
        "longest": world.longest,
        "impatience": None if choice.impatience is None else choice.impatience.flatten().contiguous(),
        **{name: amount.flatten().contiguous() for name, amount in amounts.items()},
    }

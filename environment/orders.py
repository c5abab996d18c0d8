"""What the world accepts of wished orders: bounds, packs and minima, review days, storage and trucks.

A wish is cut off at 0 and at `max_order` and rounded to whole units. What is left of it, if anything, is raised to
`min_order` and rounded up to whole packs of `order_multiple`. So a base-stock rule of level S is the (R, nQ) rule of
R = S - 1 under packs of Q (Veinott 1965, The optimal inventory policy for batch ordering, Operations Research 13(3)),
and the (R, S, Qmin) rule under a minimum (Kiesmüller, de Kok & Dabia 2011, Single item inventory control under periodic
review and a minimum order quantity, International Journal of Production Economics 133(1)).

Where every edge has an order of its own (`supplier_choice: ordered`) all of this is of each order by itself.

Precedence of a line of demand (`allocation: learned`) is whole units, and no more than what its customer may order,
either way (ours).

Then what all products of a point share is shared out (ours), first what an edge from outside carries, then storage:
the inventory position after ordering, of products where it is above 0, may not exceed the capacity. If the wishes do,
each is cut to the same share of the room that it asks for, to whole packs, and what is left over goes to the products
in their order, as far as they wished.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from environment.firm import Firm
from environment.network import Network


class Limits:
    """A firm's limits of orders on a device; without any but `max_order` it costs what that costs."""

    def __init__(self, firm: Firm, network: Network, device: torch.device, dtype: torch.dtype) -> None:
        """Prepare."""

        def tensor(value: NDArray[Any]) -> Tensor:
            return torch.as_tensor(value, device=device, dtype=dtype)[:, :, None]

        of, units = network.order_point, network.decision_unit
        self.most_precedence = tensor(firm.amounts("max_order")[units[len(of) :]])  # [A, K, 1] units, either way
        self._point = torch.as_tensor(of, device=device) if network.by_edge else None  # [O]
        multiple = firm.amounts("order_multiple", 1.0)[of]
        self.multiple = tensor(multiple)  # [O, K, 1] units a pack
        self.least = tensor(
            np.ceil(firm.amounts("min_order")[of] / multiple) * multiple
        )  # [O, K, 1] units, whole packs
        self.most = tensor(np.floor(firm.amounts("max_order")[of] / multiple) * multiple)  # likewise
        self.packs = bool((multiple > 1).any() or firm.amounts("min_order").any())
        self.storage = np.array([_or_none(point.capacity) for point in firm.stock_points.values()])  # [N], -1: no limit
        self._room = self.storage[of]  # [O]
        self.load = np.full(len(of), -1.0)  # [O] units a period that come from outside, -1: no limit
        self.carried = np.full(network.internal, -1.0)  # [I] units a period on internal edges, -1: no limit
        given = {(edge.source, edge.target): _or_none(edge.capacity) for edge in firm.supply}
        for place, edge in enumerate(network.edge_names):
            if place >= network.internal:
                self.load[place if network.by_edge else network.edge_target[place]] = given.get(edge, -1.0)
            else:
                self.carried[place] = given[edge]
        self._shares = bool((self.storage >= 0).any() or (self.load >= 0).any())
        self._device, self._dtype = device, dtype
        self.reviews = network.reviews

    def facts(self) -> dict[str, list[Any]]:
        """The same in lists, as `departments.numerics.actions.OrderLimits` takes them."""
        arrays = {"most": self.most, "multiple": self.multiple, "least": self.least}
        plain = {name: value[..., 0].cpu().numpy() for name, value in arrays.items()}
        days = {"cycle": self.reviews.cycle, "days": self.reviews.days}
        return {
            name: value.tolist()
            for name, value in (plain | days | {"storage": self.storage, "load": self.load}).items()
        }

    def open(self, period: int) -> Tensor | None:
        """1 where orders are taken in a period, else 0, [O, K, 1]; None: everywhere and always."""
        if self.reviews.always:
            return None
        days = torch.as_tensor(self.reviews.at(period), device=self._device, dtype=self._dtype)[:, :, None]
        return days if self._point is None else days[self._point]

    def feasible(self, order: Tensor, position: Tensor, period: int) -> Tensor:
        """Orders as the world accepts them, [O, K, E]; gradients pass straight through rounding, not through cuts."""
        accepted = self._whole(order)
        if (taken := self.open(period)) is not None:
            accepted = accepted * taken
        if not self._shares:
            return accepted
        with torch.no_grad():
            held = position.double() if self._point is None else position.double()[self._point]
            cut = self._shared_out(accepted.double(), held).to(accepted.dtype)
        return torch.where(cut < accepted, cut, accepted)

    def precedence(self, wish: Tensor) -> Tensor:
        """Precedence as the world accepts it, [A, K, E] whole units; gradients as of orders."""
        within = wish.clamp(-self.most_precedence, self.most_precedence)
        if wish.requires_grad:
            return _StraightThrough.apply(within, None)  # type: ignore[no-any-return, no-untyped-call]
        return within.round_()

    def _whole(self, order: Tensor) -> Tensor:
        """Within bounds, in whole packs and at least the minimum."""
        if order.requires_grad:  # at a bound the gradient passes; `torch.minimum` would give half of it to each
            if self._point is not None:
                order = _Inward.apply(order, self.most)  # type: ignore[no-untyped-call]
            clipped = order.clamp(torch.zeros_like(self.most), self.most)
            return _StraightThrough.apply(clipped, self)  # type: ignore[no-any-return, no-untyped-call]
        return self.packed(torch.minimum(order.clamp_min(0.0), self.most).round_())

    def packed(self, units: Tensor) -> Tensor:
        """Whole units within bounds as packs of at least the minimum; nothing stays nothing."""
        if not self.packs:
            return units
        packs = (units / self.multiple).ceil_().mul_(self.multiple)
        return torch.where(units > 0.0, torch.maximum(packs, self.least), units)

    def _shared_out(self, order: Tensor, position: Tensor) -> Tensor:
        """Orders cut to what edges from outside carry, then to storage, in double precision."""
        for limit, held in ((self.load, torch.zeros_like(position)), (self._room, position)):
            for n in np.flatnonzero(limit >= 0):
                room = (limit[n] - held[n].clamp_min(0.0).sum(0)).clamp_min(0.0)
                units = self.multiple[n].double(), self.least[n].double()
                cut = share_out(order[n], (-held[n]).clamp_min(0.0), room, *units)
                order = torch.cat((order[:n], cut[None], order[n + 1 :]))
        return order

    def carry(self, shipped: Tensor, products: int) -> Tensor:
        """What leaves on the lines, [L, K E], where internal edges carry so much and no more."""
        if not (self.carried >= 0).any():
            return shipped
        with torch.no_grad():
            left = shipped.detach().double().view(len(shipped), products, -1).clone()
            one, none = left.new_ones(products, 1), left.new_zeros(products, 1)
            for edge in np.flatnonzero(self.carried >= 0):
                room = torch.full_like(left[edge, 0], self.carried[edge])
                left[edge] = share_out(left[edge], none.expand_as(left[edge]), room, one, none)
            cut = left.view_as(shipped).to(shipped.dtype)
        return torch.where(cut < shipped, cut, shipped)


def share_out(wished: Tensor, free: Tensor, room: Tensor, multiple: Tensor, least: Tensor) -> Tensor:
    """Wishes of products, cut so that they fit into a room that they share; see above.

    Args:
        wished: [K, E] units, whole packs.
        free: [K, E] units of each that take no room.
        room: [E] units.
        multiple: [K, 1] units a pack.
        least: [K, 1] units, the smallest order.
    """

    def takes(units: Tensor) -> Tensor:
        return (units - free).clamp_min(0.0)

    def down(units: Tensor) -> Tensor:
        packs = (units / multiple).floor() * multiple
        return torch.where(packs < least, torch.zeros_like(packs), packs)

    asked = takes(wished)
    total = asked.sum(0)
    share = (asked * room / total.clamp_min(1.0)).floor()
    given = down(torch.minimum(wished, free + share))
    left = room - takes(given).sum(0)
    rows = []
    for k in range(len(wished)):
        own = (units[k : k + 1] for units in (wished, free, given, multiple, least))
        wish, spare, have, pack, lowest = own
        fits = torch.minimum(wish, spare + (have - spare).clamp_min(0.0) + left)
        packs = (fits / pack).floor() * pack
        more = torch.where(packs < lowest, torch.zeros_like(packs), packs)
        left = left - (more - spare).clamp_min(0.0)[0] + (have - spare).clamp_min(0.0)[0]
        rows.append(more)
    return torch.where(total <= room, wished, torch.cat(rows))


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, value: Tensor, limits: Limits | None) -> Tensor:
        return value.round() if limits is None else limits.packed(value.round())

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Inward(torch.autograd.Function):
    """An order within 0 and the most, and beyond a bound its one-sided gradient there: that which leads back (ours).

    Of several orders of a point some are 0 most of the time, and would never be heard of again.
    """

    @staticmethod
    def forward(ctx: Any, order: Tensor, most: Tensor) -> Tensor:  # noqa: ANN401
        within = torch.minimum(order.clamp_min(0.0), most)
        ctx.save_for_backward(order - within)
        return within

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (beyond,) = ctx.saved_tensors
        return gradients[0] * (beyond * gradients[0] >= 0.0), None


def _or_none(capacity: int | None) -> float:
    return -1.0 if capacity is None else float(capacity)

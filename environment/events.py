"""The events of one period as pure functions on flat copies: [.., X] where X is products times copies.

Source: Ziegner et al., arXiv 2503.18201, table 2 (sequence of events). Details the paper leaves open are our reading: ties are
served lower index first, and at a point that has customers of both kinds the external ones come first within a class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from environment.network import Network


class Rows:
    """A fixed selection of rows: a free view where the rows are neighbours, a copy elsewhere."""

    def __init__(self, rows: Sequence[int], device: torch.device) -> None:
        """Select `rows` in their order."""
        self._index = torch.tensor(rows, device=device, dtype=torch.int64)
        start = rows[0] if len(rows) else 0
        neighbours = list(rows) == list(range(start, start + len(rows)))
        self._slice = slice(start, start + len(rows)) if neighbours else None

    def of(self, value: Tensor) -> Tensor:
        """The selected rows of `value`."""
        return value[self._slice] if self._slice is not None else value.index_select(0, self._index)

    def add_to(self, value: Tensor, addend: Tensor) -> Tensor:
        """Add `addend` to the selected rows of `value`, a tensor that nobody else holds."""
        if self._slice is None:
            return value.index_add_(0, self._index, addend)
        value[self._slice] += addend
        return value


class Incidence:
    """The network as small dense matrices, so that gathering over edges is one matrix product (exact for whole units)."""

    def __init__(self, network: Network, device: torch.device, dtype: torch.dtype) -> None:
        """Build the matrices of `network` on a device."""
        points, edges, lines = len(network.names), len(network.edge_target), len(network.line_supplier)
        inside = network.internal
        supplier = torch.as_tensor(network.line_supplier, device=device)
        targets = network.edge_target.tolist()
        self.line_supplier = Rows(network.line_supplier.tolist(), device)  # [L]
        self.internal_target, self.outside_target = Rows(targets[:inside], device), Rows(targets[inside:], device)
        self.facing = Rows(network.customer_facing.tolist(), device)  # [C]
        self.supplier_rank = torch.as_tensor(network.supplier_rank, device=device, dtype=dtype)[:, None]  # [Ed, 1]
        self.outgoing = torch.zeros(points, lines, device=device, dtype=dtype)  # [N, L] line -> its supplier
        self.outgoing[supplier, torch.arange(lines, device=device)] = 1.0
        self.incoming = torch.zeros(points, edges, device=device, dtype=dtype)  # [N, Ed] edge -> its target
        self.incoming[targets, torch.arange(edges, device=device)] = 1.0
        pairs = [
            (i, j)
            for i in range(inside)
            for j in range(i + 1, inside)
            if network.edge_source[i] == network.edge_source[j]
        ]
        self.shared = lines > len(set(network.line_supplier.tolist()))  # some point serves several lines
        first, second = [i for i, _ in pairs], [j for _, j in pairs]  # [P] lines; the first has the lower customer index
        self.first, self.second = Rows(first, device), Rows(second, device)
        self.first_customer = Rows([targets[i] for i in first], device)
        self.second_customer = Rows([targets[j] for j in second], device)
        self.before = torch.zeros(lines, 2 * len(pairs), device=device, dtype=dtype)  # [L, 2P] what stands before a line
        self.before[second, torch.arange(len(pairs), device=device)] = 1.0
        self.before[first, len(pairs) + torch.arange(len(pairs), device=device)] = 1.0
        same = supplier[:, None] == supplier[None, :]
        self.same_supplier = same.to(dtype)  # [L, L]
        external_first = same.clone()
        external_first[inside:] = False
        external_first[:, :inside] = False
        self.external_first = external_first.to(dtype) if bool(external_first.any()) else None  # [L, L]


def route(order: Tensor, supplier: Tensor | None, incidence: Incidence) -> tuple[Tensor, Tensor]:
    """Orders per edge, internal [I, X] and to the outside [Ed - I, X]: a whole order goes to the one supplier that was drawn.

    Args:
        order: [N, X] units.
        supplier: [N, X] place of the drawn supplier among the point's suppliers; None if every point has one.
        incidence: of the network.
    """
    internal, outside = incidence.internal_target.of(order), incidence.outside_target.of(order)
    if supplier is None:
        return internal, outside
    inside = len(internal)
    return (
        internal * (incidence.internal_target.of(supplier) == incidence.supplier_rank[:inside]),
        outside * (incidence.outside_target.of(supplier) == incidence.supplier_rank[inside:]),
    )


def fulfil(on_hand: Tensor, owed: Tensor, ordered: Tensor, position: Tensor, incidence: Incidence) -> Tensor:
    """Event 2: units shipped on each line, [L, X].

    Backorders come first, then new orders; within a class customers in ascending order of inventory position, ties lower
    index first, until stock is gone. A line that has `ahead` units before it and wants w gets min(ahead + w, stock) - min(ahead, stock).

    Args:
        on_hand: [N, X] units after event 1.
        owed: [L, X] backorders.
        ordered: [L, X] last period's orders and external demand.
        position: [N, X] inventory positions after event 1.
        incidence: of the network.
    """
    stock = incidence.line_supplier.of(on_hand)
    if not incidence.shared:
        return torch.minimum(stock, owed + ordered)
    lines, copies = owed.shape
    want = torch.stack((owed, ordered), 1)  # [L, 2, X]
    keeps = (incidence.first_customer.of(position) <= incidence.second_customer.of(position)).to(want.dtype).unsqueeze(1)
    first, second = incidence.first.of(want), incidence.second.of(want)  # [P, 2, X]
    earlier = torch.cat((first * keeps, torch.addcmul(second, second, keeps, value=-1.0)))
    ahead = torch.mm(incidence.before, earlier.view(-1, 2 * copies))
    if incidence.external_first is not None:
        ahead = torch.addmm(ahead, incidence.external_first, want.view(lines, 2 * copies))
    ahead[:, copies:] += incidence.same_supplier @ owed  # all backorders stand before any new order
    ahead, stock = ahead.view(lines, 2, copies), stock.unsqueeze(1)
    served = torch.minimum(ahead + want, stock) - torch.minimum(ahead, stock)
    return served[:, 0] + served[:, 1]


def dispatch(pipeline: Tensor, shipped: Tensor, lead_time: Tensor) -> Tensor:
    """The pipeline one period on, [slots, Ed, X]: what arrived is gone, what is shipped on each edge joins its slot.

    Args:
        pipeline: [slots, Ed, X] units; slot 0 has just been received.
        shipped: [Ed, X] units that leave now.
        lead_time: [Ed, X] periods, int64, 1..slots.
    """
    if len(pipeline) == 1:
        return shipped.unsqueeze(0)
    moved = torch.cat((pipeline[1:], torch.zeros_like(pipeline[:1])))
    return moved.scatter_add(0, (lead_time - 1).unsqueeze(0), shipped.unsqueeze(0))


class _StraightThroughRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:  # noqa: ARG004
        return value.round()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        return gradients[0]


def feasible(order: Tensor, max_order: Tensor) -> Tensor:
    """Orders as the world accepts them: clipped to [0, max_order], rounded to whole units; the gradient passes straight through the rounding."""
    clipped = torch.minimum(order.clamp_min(0.0), max_order)
    if clipped.requires_grad:
        return _StraightThroughRound.apply(clipped)  # type: ignore[no-any-return, no-untyped-call]
    return clipped.round_()

"""The events of one period as pure functions on flat copies: [.., X] where X is products times copies.

Source: Ziegner et al., arXiv 2503.18201, table 2 (sequence of events). Details the paper leaves open are our reading:
ties are served lower index first, and at a point that has customers of both kinds the external ones come first within
a class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from environment.network import Network

_FEW = 32  # customers of a supplier that are compared pair by pair; more are sorted
_DENSE = 2**16  # entries of a matrix up to which it is dense, which is as fast and needs no index


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
        value[self._slice].add_(addend)
        return value


class Incidence:
    """The network as matrices of zeros and ones: gathering over edges is one product, exact for whole units.

    They hold as many ones as there are edges and lines; large ones are kept sparse, so memory grows with the network.
    """

    def __init__(self, network: Network, device: torch.device, dtype: torch.dtype) -> None:
        """Build the matrices of `network` on a device."""
        points, edges, lines = len(network.names), len(network.edge_target), len(network.line_supplier)
        inside, supplier = network.internal, network.line_supplier.tolist()
        self._matrix = partial(_ones, device=device, dtype=dtype)
        self.lines = lines
        self.line_supplier = Rows(supplier, device)  # [L]
        self.edge_target = torch.as_tensor(network.edge_target, device=device)
        self.facing = Rows(network.customer_facing.tolist(), device)  # [C]
        self.supplier_rank = torch.as_tensor(network.supplier_rank, device=device, dtype=dtype)[:, None]  # [Ed, 1]
        self.outgoing = self._matrix(supplier, range(lines), (points, lines))  # [N, L] line -> its supplier
        self.incoming = self._matrix(network.edge_target.tolist(), range(edges), (points, edges))  # edge -> its target
        served = Counter(supplier)
        self.sharing = (
            max((line for line in range(lines) if served[supplier[line]] > 1), default=-1) + 1
        )  # others alone
        self._blur = torch.as_tensor(network.blur(), device=device, dtype=dtype)[self.edge_target]
        self._customers: dict[int, list[int]] = {}  # internal lines by supplier
        for line in range(inside):
            self._customers.setdefault(supplier[line], []).append(line)
        large = [own for own in self._customers.values() if len(own) > _FEW]
        self.crowds = [torch.tensor(own, device=device) for own in large]  # lines of suppliers with many customers
        # what a supplier's lines are owed in all, [sharing, X] for each of them: all backorders before any new order
        shared = range(self.sharing)
        self.owed_by = self._matrix(supplier[: self.sharing], shared, (points, self.sharing))
        external = {supplier[line]: line for line in range(inside, self.sharing)}
        behind = [line for line in range(min(inside, self.sharing)) if supplier[line] in external]
        first = [external[supplier[line]] for line in behind]
        self.external_first = self._matrix(behind, first, (self.sharing, self.sharing)) if behind else None

    @cached_property
    def pairs(self) -> Pairs:
        """All pairs of customers of one supplier, where order of service is to have a gradient."""
        return self._pairs(self._customers.values())

    @cached_property
    def few(self) -> Pairs:
        """The same without the crowds, which are put in order one by one."""
        return self._pairs([own for own in self._customers.values() if len(own) <= _FEW])

    def _pairs(self, groups: Iterable[list[int]]) -> Pairs:
        pairs = sorted(pair for own in groups for pair in combinations(own, 2))
        first, second = [i for i, _ in pairs], [j for _, j in pairs]
        lines = torch.tensor(first + second, device=self.edge_target.device, dtype=torch.int64)
        before = self._matrix(second + first, range(2 * len(pairs)), (self.sharing, 2 * len(pairs)))
        reach = self._blur[lines].view(2, -1).sum(0)[:, None]
        return Pairs(lines, self.edge_target[lines], reach, before)


class Pairs(NamedTuple):
    """P pairs of internal lines of one supplier: the first of all, then the second of all."""

    lines: Tensor  # [2P], lower customers first
    customers: Tensor  # [2P] stock points
    reach: Tensor  # [P, 1] see `fulfil`
    before: Tensor  # [., 2P] who stands before whom


def _ones(
    rows: Sequence[int], columns: Sequence[int], size: tuple[int, int], device: torch.device, dtype: torch.dtype
) -> Tensor:
    """A matrix with a one in each of those places, sparse if it is large."""
    place = torch.tensor([list(rows), list(columns)], device=device, dtype=torch.int64)
    ones = torch.ones(len(rows), device=device, dtype=dtype)
    if size[0] * size[1] <= _DENSE:
        return torch.zeros(size, device=device, dtype=dtype).index_put_(tuple(place), ones)
    return torch.sparse_coo_tensor(place, ones, size, check_invariants=False).coalesce()


def route(order: Tensor, supplier: Tensor | None, incidence: Incidence) -> Tensor:
    """Orders per edge, [Ed, X]: a whole order goes to the one supplier that was drawn.

    Args:
        order: [N, X] units.
        supplier: [N, X] place of the drawn supplier among the point's suppliers; None if every point has one.
        incidence: of the network.
    """
    per_edge = order.index_select(0, incidence.edge_target)
    if supplier is None:
        return per_edge
    return per_edge * supplier.index_select(0, incidence.edge_target).to(order.dtype).eq_(incidence.supplier_rank)


def fulfil(on_hand: Tensor, owed: Tensor, ordered: Tensor, position: Tensor, incidence: Incidence) -> Tensor:
    """Event 2: units shipped on each line, [L, X].

    Backorders come first, then new orders; within a class customers in ascending order of inventory position, ties
    lower index first, until stock is gone. A line gets what those before it leave, but no more than it wants.

    Who stands before whom is a step in the difference of two positions, which has no gradient. Backwards it is a ramp,
    as if the difference were smeared evenly over the `Network.blur` of both (ours): so a department learns what it is
    worth to be served first.

    Args:
        on_hand: [N, X] units after event 1.
        owed: [L, X] backorders.
        ordered: [L, X] last period's orders and external demand.
        position: [N, X] inventory positions after event 1.
        incidence: of the network.
    """
    sharing = incidence.sharing
    stock = incidence.line_supplier.of(on_hand)
    alone = _served(stock[sharing:], owed[sharing:] + ordered[sharing:])
    if not sharing:
        return alone
    owed, copies = owed[:sharing], owed.shape[1]
    want = torch.stack((owed, ordered[:sharing]), 1)  # [sharing, 2, X]
    # 1 where the first of a pair is served first; comparing in place gives numbers, which are faster than truth values.
    pairs = incidence.pairs if position.requires_grad else incidence.few
    half = len(pairs.lines) // 2
    rank = position.index_select(0, pairs.customers)  # [2P, X]
    earlier = want.index_select(0, pairs.lines)  # [2P, 2, X]
    first, second = earlier[:half], earlier[half:]
    if rank.requires_grad:
        keeps = _Lower.apply(rank[:half] - rank[half:], pairs.reach).unsqueeze(1)  # type: ignore[no-untyped-call]
        earlier = torch.cat((first * keeps, second - second * keeps))
    else:
        keeps = rank[:half].le_(rank[half:]).unsqueeze(1)
        first.mul_(keeps)
        second.addcmul_(second, keeps, value=-1.0)
    ahead = torch.mm(pairs.before, earlier.view(-1, 2 * copies))
    for lines in incidence.crowds if pairs is incidence.few else ():
        order = position.index_select(0, incidence.edge_target[lines]).argsort(stable=True, dim=0).unsqueeze(1)
        queue = (mine := want.index_select(0, lines)).gather(0, order.expand_as(mine))
        waits = torch.empty_like(mine).scatter_(0, order.expand_as(mine), queue.cumsum(0) - queue)
        ahead.index_copy_(0, lines, waits.view(len(lines), -1))
    if incidence.external_first is not None:
        ahead.addmm_(incidence.external_first, want.view(sharing, -1))
    all_owed = incidence.line_supplier.of(incidence.owed_by @ owed)[:sharing]
    ahead[:, copies:].add_(all_owed)  # all backorders stand before any new order
    served = _served(stock[:sharing].unsqueeze(1) - ahead.view(want.shape), want, in_turn=True)
    return torch.cat((served[:, 0] + served[:, 1], alone))


class _Lower(torch.autograd.Function):
    """1 where a difference of positions is at most 0, else 0; backwards a ramp from 1 at -reach to 0 at reach."""

    @staticmethod
    def forward(ctx: Any, difference: Tensor, reach: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(difference, reach)
        return (difference <= 0.0).to(difference.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        difference, reach = ctx.saved_tensors
        return gradient * (difference.abs() < reach) * (-0.5 / reach), None


def _served(left: Tensor, want: Tensor, in_turn: bool = False) -> Tensor:
    """What is left, but no more than is wanted; `in_turn`: those before may have left less than nothing.

    Where both are the same, most often 0, a unit more in stock serves nobody: the gradient is that of what is wanted.
    (`torch.minimum` would give half of it to each.) Where less than nothing is left, it is neither's.
    """
    if left.requires_grad or want.requires_grad:
        return torch.where(left < want, left.clamp_min(0.0) if in_turn else left, want)
    return torch.minimum(left.clamp_min_(0.0) if in_turn else left, want)


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

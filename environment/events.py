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

import numpy as np
import torch
from torch import Tensor

from environment.network import LEARNED, SHORTAGE, Indices, Network

_FEW = 32  # customers of a supplier that are compared pair by pair; more are sorted
_WHOLE = 65_536  # parts of a chance
FAR = 2.0**30  # units between positions of customers whose priorities differ
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
        self.lines, self.inside = lines, inside
        self.line_supplier = Rows(supplier, device)  # [L]
        self.edge_target = torch.as_tensor(network.edge_target, device=device)
        self.facing = Rows(network.customer_facing.tolist(), device)  # [C]
        self.supplier_rank = torch.as_tensor(network.supplier_rank, device=device, dtype=dtype)[:, None]  # [Ed, 1]
        parts = torch.as_tensor(network.parts(), device=device, dtype=torch.float64)
        self.parts = parts[..., None]  # [2, Ed, 1] of 65,536, see `Network.parts`
        self.by_preference = [] if network.preference is None else self._levels(network, network.preference)
        self.outgoing = self._matrix(supplier, range(lines), (points, lines))  # [N, L] line -> its supplier
        self.incoming = self._matrix(network.edge_target.tolist(), range(edges), (points, edges))  # edge -> its target
        turn = torch.tensor(network.turns(), device=device)[network.line_supplier]
        self.turns = [(turn == now).to(dtype)[:, None] for now in range(int(turn.max()) + 1)]  # [L, 1] each: who serves
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
        far = torch.as_tensor(FAR * network.standing, device=device, dtype=dtype)[:, None]
        self.standing = far if bool(network.standing.any()) else None  # [I, 1] added to positions where they rank
        portions = [line for line in range(self.sharing) if network.rationing[supplier[line]]]
        level, decided = (
            [each in (SHORTAGE, LEARNED) for each in network.rationing.tolist()],
            network.preceding.tolist(),
        )
        self.portions = Portions(portions, supplier, level, device, decided) if portions else None
        newest = torch.as_tensor(network.newest_first, device=device)[network.line_supplier]  # [L]
        # [Ed] rows of positions, and of inventory levels behind them, by which each internal line is ranked
        self.rank = self.edge_target.clone()
        self.rank[:inside] += points * newest[:inside]
        self.newest_first = newest[: self.sharing, None] if bool(newest.any()) else None
        early = torch.as_tensor(network.ships_first, device=device)[:, None]
        self.ships_first = early if bool(early.any()) else None  # [N, 1]
        external = {supplier[line]: line for line in range(inside, self.sharing)}
        behind = [line for line in range(min(inside, self.sharing)) if supplier[line] in external]
        first = [external[supplier[line]] for line in behind]
        self.external_first = self._matrix(behind, first, (self.sharing, self.sharing)) if behind else None

    def _levels(self, network: Network, preference: Indices) -> list[tuple[Tensor, Tensor]]:
        """The edges that points prefer first, second, .., [N] (no edge: the one after the last), and places [N, 1]."""
        levels, device = [], self.edge_target.device
        for level in range(int(preference.max()) + 1):
            own = np.flatnonzero(preference == level)
            edge, rank = np.full(len(network.names), len(preference)), np.zeros(len(network.names))
            edge[network.edge_target[own]], rank[network.edge_target[own]] = own, network.supplier_rank[own]
            levels.append((torch.tensor(edge, device=device), torch.tensor(rank, device=device)[:, None]))
        return levels

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
        ahead = None if self.standing is None else self.standing[lines].view(2, -1)
        ahead = None if ahead is None else (ahead[0] - ahead[1])[:, None]
        return Pairs(lines, self.rank[lines], reach, before, ahead)


class Pairs(NamedTuple):
    """P pairs of internal lines of one supplier: the first of all, then the second of all."""

    lines: Tensor  # [2P], lower customers first
    customers: Tensor  # [2P] rows of what they are ranked by
    reach: Tensor  # [P, 1] see `fulfil`
    before: Tensor  # [., 2P] who stands before whom
    ahead: Tensor | None  # [P, 1] units added to the difference of their positions, where priorities say who is first


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


def split(order: Tensor, incidence: Incidence) -> Tensor:
    """Orders per edge, [Ed, X], where every order is shared out: whole units, rounded supplier by supplier (ours).

    Of wishes [N, X] likewise, which may be negative and are rounded in all.
    """
    own, (before, upto) = order.index_select(0, incidence.edge_target), incidence.parts
    return share_of(own, upto) - share_of(own, before)


def in_stock(order: Tensor, on_hand: Tensor, incidence: Incidence, shut: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Place of the first supplier who has the whole order on hand, by preference; else of the preferred one, [N, X].

    Args:
        order: [N, X] units.
        on_hand: [N, X] units when it is placed; outside there is always enough.
        incidence: of the network.
        shut: edges [D], and [D, X] 1 where one is shut, so that nothing can be had there; None: none ever is.
    """
    outside = len(incidence.edge_target) - incidence.inside
    stock = torch.cat(
        (
            incidence.line_supplier.of(on_hand)[: incidence.inside],
            on_hand.new_full((outside, 1), torch.inf).expand(-1, on_hand.shape[1]),
        )
    )
    if shut is not None:
        stock = stock.index_copy(0, shut[0], torch.where(shut[1] > 0, -torch.inf, stock[shut[0]]))
    able = torch.cat(
        (stock >= order.index_select(0, incidence.edge_target), torch.zeros_like(order[:1], dtype=torch.bool))
    )
    place = torch.zeros_like(order) + incidence.by_preference[0][1]
    for edge, rank in reversed(incidence.by_preference):
        place = torch.where(able[edge], rank, place)
    return place


def fulfil(
    on_hand: Tensor,
    owed: Tensor,
    ordered: Tensor,
    position: Tensor,
    incidence: Incidence,
    precedence: Tensor | None = None,
) -> Tensor:
    """Event 2: units shipped on each line, [L, X].

    Backorders come first, then new orders; within a class customers in ascending order of inventory position, ties
    lower index first, until stock is gone. A line gets what those before it leave, but no more than it wants. Where
    edges have priorities these decide first, and `Portions` where scarce stock is shared out among all at once. Who
    serves by inventory level does so instead of by position, and new orders first.

    Who stands before whom is a step in the difference of two positions, which has no gradient. Backwards it is a ramp,
    as if the difference were smeared evenly over the `Network.blur` of both (ours): so a department learns what it is
    worth to be served first.

    Args:
        on_hand: [N, X] units after event 1.
        owed: [L, X] backorders.
        ordered: [L, X] last period's orders and external demand.
        position: [N, X] inventory positions after event 1; behind them inventory levels where somebody serves by those.
        incidence: of the network.
        precedence: [A, X] units by which what is missing to a line counts as more, where that is decided; None: 0.
    """
    sharing = incidence.sharing
    stock = incidence.line_supplier.of(on_hand)
    alone = at_most(stock[sharing:], owed[sharing:] + ordered[sharing:])
    if not sharing:
        return alone
    owed, ordered, copies = owed[:sharing], ordered[:sharing], owed.shape[1]
    if (newest := incidence.newest_first) is not None:
        owed, ordered = torch.where(newest, ordered, owed), torch.where(newest, owed, ordered)
    want = torch.stack((owed, ordered), 1)  # [sharing, 2, X]
    # 1 where the first of a pair is served first; comparing in place gives numbers, which are faster than truth values.
    pairs = incidence.pairs if position.requires_grad else incidence.few
    half = len(pairs.lines) // 2
    rank = position.index_select(0, pairs.customers)  # [2P, X]
    earlier = want.index_select(0, pairs.lines)  # [2P, 2, X]
    first, second = earlier[:half], earlier[half:]
    if rank.requires_grad:
        gap = rank[:half] - rank[half:] + (0.0 if pairs.ahead is None else pairs.ahead)
        keeps = _Lower.apply(gap, pairs.reach).unsqueeze(1)  # type: ignore[no-untyped-call]
        earlier = torch.cat((first * keeps, second - second * keeps))
    else:
        lower = rank[:half] if pairs.ahead is None else rank[:half] + pairs.ahead
        keeps = lower.le_(rank[half:]).unsqueeze(1)
        first.mul_(keeps)
        second.addcmul_(second, keeps, value=-1.0)
    ahead = torch.mm(pairs.before, earlier.view(-1, 2 * copies))
    for lines in incidence.crowds if pairs is incidence.few else ():
        order = position.index_select(0, incidence.rank[lines]).argsort(stable=True, dim=0)
        if incidence.standing is not None:
            order = order.gather(
                0, incidence.standing[lines].expand_as(order).gather(0, order).argsort(dim=0, stable=True)
            )
        order = order.unsqueeze(1)
        queue = (mine := want.index_select(0, lines)).gather(0, order.expand_as(mine))
        waits = torch.empty_like(mine).scatter_(0, order.expand_as(mine), queue.cumsum(0) - queue)
        ahead.index_copy_(0, lines, waits.view(len(lines), -1))
    if incidence.external_first is not None:
        ahead.addmm_(incidence.external_first, want.view(sharing, -1))
    all_owed = incidence.line_supplier.of(incidence.owed_by @ owed)[:sharing]
    ahead[:, copies:].add_(all_owed)  # all backorders stand before any new order
    served = at_most(stock[:sharing].unsqueeze(1) - ahead.view(want.shape), want, in_turn=True)
    shipped = served[:, 0] + served[:, 1]
    if incidence.portions is not None:
        lines = incidence.portions.lines
        portions = incidence.portions.served(stock[lines], want.index_select(0, lines), precedence)
        shipped = shipped.index_copy(0, lines, portions)
    return torch.cat((shipped, alone))


class Portions:
    """Lines of suppliers that share out scarce stock among all their lines at once, external ones alike.

    In proportion to what each line wants: within a class the first lines together get the whole units of their part,
    so what is rounded evens out line by line: stock is used up and no line gets more than it wants (ours). Or unit by
    unit to the line to which most is missing, ties lower index first, until stock is gone: what stays missing is level.
    Where precedence is decided, what is missing to a line counts as so many units more.
    """

    def __init__(
        self,
        lines: Sequence[int],
        supplier: Sequence[int],
        shortage: Sequence[bool],
        device: torch.device,
        decided: Sequence[int] = (),
    ) -> None:
        """Prepare `lines`, which have a supplier each, of whom some serve by `shortage` [N].

        Of lines that are `decided` precedence is told, in their order.
        """
        own = sorted(lines, key=lambda line: (supplier[line], line))
        of = [supplier[line] for line in own]
        self.lines = torch.tensor(own, device=device)  # [R] supplier by supplier
        self._first = torch.tensor([of.index(point) for point in of], device=device)
        self._last = torch.tensor([len(of) - 1 - of[::-1].index(point) for point in of], device=device)
        level = torch.tensor([shortage[point] for point in of], device=device)[:, None]
        self._level = level if bool(level.any()) else None  # [R, 1] whether what is missing is levelled
        places = [own.index(line) for line in decided]
        self._decided = torch.tensor(places, device=device) if places else None  # [A]

    def served(self, stock: Tensor, want: Tensor, precedence: Tensor | None = None) -> Tensor:
        """Units for each line, [R, X], of its supplier's stock [R, X]; backorders and new orders wanted, [R, 2, X].

        Precedence [A, X] is of the lines for which it is decided; None: 0.
        """
        more = torch.zeros_like(stock, dtype=torch.float64)
        if self._decided is not None and precedence is not None:
            more = more.index_copy(0, self._decided, precedence.double())
        backorders, left = self._portion(stock.double(), want[:, 0].double(), more)
        return (backorders + self._portion(left, want[:, 1].double(), more)[0]).to(stock.dtype)

    def _before(self, units: Tensor) -> Tensor:
        """Units of a supplier's lines before each."""
        before = units.cumsum(0) - units
        return before - before[self._first]

    def _total(self, units: Tensor) -> Tensor:
        """Units of all lines of each one's supplier."""
        return (self._before(units) + units)[self._last]

    def _portion(self, stock: Tensor, want: Tensor, more: Tensor) -> tuple[Tensor, Tensor]:
        """What one class gets, and what it leaves; what is missing to a line counts as so much `more`."""
        before, total = self._before(want), self._total(want)
        short, least = stock < total, total.clamp_min(1.0)

        def whole(wanted: Tensor) -> Tensor:
            return torch.where(short, (stock * wanted / least).floor(), wanted)

        with torch.no_grad():
            exact = whole(before + want) - whole(before)
        even = want * torch.where(short, stock / least, 1.0)
        if self._level is not None:
            with torch.no_grad():
                level, full = self._levelled(stock, want, more)
            exact = torch.where(self._level, level, exact)
            whole_of = full.to(want.dtype)  # of the others who get something each bears the same of what is missing
            part = (level > 0).to(want.dtype) * (1.0 - whole_of)
            borne = self._total((want + more) * part + want * whole_of) - stock
            borne = borne / self._total(part).clamp_min(1.0)
            shared = part * (want + more - borne) + whole_of * want
            even = torch.where(self._level, torch.where(short, shared, want), even)
        served = _Instead.apply(even, exact) if even.requires_grad else exact  # type: ignore[no-untyped-call]
        return served, (stock - total).clamp_min(0.0)

    def _levelled(self, stock: Tensor, want: Tensor, more: Tensor) -> tuple[Tensor, Tensor]:
        """What lines get where what stays missing is level, and of whom nothing is missing above that, [R, X]."""
        counts, nothing = want + more, torch.zeros_like(want)

        def above(level: Tensor) -> Tensor:
            return torch.minimum((counts - level).clamp_min(0.0), want)

        few, missing = more.min() - 1.0 + nothing, counts.max() + nothing
        while bool((missing - few > 1.0).any()):  # so much stays missing; less would take more than there is
            half = torch.where(missing - few > 1.0, ((few + missing) / 2.0).floor(), missing)
            enough = self._total(above(half)) <= stock
            few, missing = torch.where(enough, few, half), torch.where(enough, half, missing)
        given, full = above(missing), more >= missing
        next_in_line = ((counts >= missing) & ~full).to(want.dtype)
        return given + next_in_line * (self._before(next_in_line) < stock - self._total(given)), full


def fulfil_in_turn(
    on_hand: Tensor,
    owed: Tensor,
    ordered: Tensor,
    position: Tensor,
    at_once: Tensor,
    incidence: Incidence,
    precedence: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`fulfil` where what is shipped may arrive at once: suppliers before those whom they serve in no time.

    Args:
        on_hand: [N, X] units after event 1, and what arrived at once from outside.
        owed: [L, X] backorders.
        ordered: [L, X] last period's orders and external demand.
        position: [N, X] inventory positions after event 1.
        at_once: [Ed, X] 1 where the lead time is 0, else 0.
        incidence: of the network.
        precedence: as in `fulfil`.

    Returns:
        Units shipped on each line, [L, X], and on hand with what arrived at once, [N, X].
    """
    shipped, outside = torch.zeros_like(owed), at_once.new_zeros(len(at_once) - incidence.inside, owed.shape[1])
    for turn in incidence.turns:
        now = fulfil(on_hand, owed, ordered, position, incidence, precedence) * turn
        arrived = at_once * torch.cat((now[: incidence.inside], outside))
        shipped, on_hand = shipped + now, torch.addmm(on_hand, incidence.incoming, arrived)
    return shipped, on_hand


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


def at_most(left: Tensor, want: Tensor, in_turn: bool = False) -> Tensor:
    """What is left, but no more than is wanted; `in_turn`: those before may have left less than nothing.

    Where both are the same, most often 0, a unit more in stock serves nobody: the gradient is that of what is wanted.
    (`torch.minimum` would give half of it to each.) Where less than nothing is left, it is neither's.
    """
    if left.requires_grad or want.requires_grad:
        return torch.where(left < want, left.clamp_min(0.0) if in_turn else left, want)
    return torch.minimum(left.clamp_min_(0.0) if in_turn else left, want)


class LostShare:
    """Which part of unmet demand is lost."""

    def __init__(self, parts: Tensor) -> None:
        """Prepare; `parts` [C, 1] of 65,536 are lost of what is asked for and not met at once."""
        self._parts = parts
        self.mixed = bool(((parts > 0) & (parts < _WHOLE)).any())

    def of(self, unserved: Tensor, wanted: Tensor, drawn: Tensor | None) -> Tensor:
        """Units lost, [C, X].

        A part of a unit is rounded up with the probability that it is, so that the share is kept on average (ours).

        Args:
            unserved: [C, X] units that stay unserved; of these
            wanted: [C, X] units, at most, were asked for in the last period.
            drawn: [C, X] int16, what decides the rounding; None: no point has a mix.
        """
        if drawn is None:
            return unserved * (self._parts / _WHOLE).to(unserved.dtype)
        new = torch.where(wanted < unserved, wanted, unserved)  # a unit more in stock would leave one less of either
        return share_of(new, self._parts, drawn)


def share_of(units: Tensor, parts: Tensor, drawn: Tensor | None = None) -> Tensor:
    """So many parts of 65,536 of whole units, rounded: up from a half on, or as what was drawn says (int16).

    The gradient passes straight through the rounding.
    """
    number = _WHOLE / 2 if drawn is None else drawn.double() + _WHOLE / 2
    whole = torch.floor((units.double() * parts + number) / _WHOLE).to(units.dtype)
    return _Instead.apply(units * (parts / _WHOLE).to(units.dtype), whole)  # type: ignore[no-any-return, no-untyped-call]


class _Instead(torch.autograd.Function):
    """Another value, with the gradient of the first."""

    @staticmethod
    def forward(ctx: object, value: Tensor, other: Tensor) -> Tensor:
        return other

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


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


class Congested:
    """Edges on which what is under way slows down what comes after it (ours)."""

    def __init__(self, network: Network, device: torch.device, dtype: torch.dtype) -> None:
        """Prepare those of `network`; no edge needs more periods than one that is full."""
        units, most = torch.as_tensor(network.congestion, device=device).to(dtype).T[..., None, None]  # [Ed, 1, 1]
        self._units, self._most = units.clamp_min(1.0), most

    def periods(self, under_way: Tensor, products: int) -> Tensor:
        """Periods that what leaves now takes longer, [Ed, X] int64; no gradient goes through it.

        Args:
            under_way: [slots, Ed, X] units of each product that left before.
            products: K, of X.
        """
        total = under_way.detach().sum(0).view(len(self._units), products, -1).sum(1, keepdim=True)  # [Ed, 1, E]
        more = torch.minimum((total / self._units).floor(), self._most)
        return more.expand(-1, products, -1).reshape(len(more), -1).to(torch.int64)

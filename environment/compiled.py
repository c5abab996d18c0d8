"""The world in C++ (`environment/core`): many periods of any firm in one call, on the processor.

Sixteen copies, eight in double precision, go through all periods before the next ones start, so that their state never
leaves the processor's cache. One library serves all firms: it loops over the index arrays of the network.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from environment.boundary import Declared
from environment.cores import cores
from environment.firm_arrays import firm_arrays
from environment.state import Exogenous, State
from environment.toolchain import NotCompiledError, compile_cached
from environment.world import World

CORE = Path(__file__).with_name("core")
FLAGS = (
    *("-O2", "-pthread"),
    "-Wno-psabi",  # nothing but `play` is called from outside
    "-ffp-contract=off",  # a product and a sum rounded once would not be the world's money to the bit
    *("-ffinite-math-only", "-fno-signed-zeros", "-fno-trapping-math"),
)
_CHANCE = (
    *("demand", "lead_time", "supplier", "cost_factor", "customers", "traffic"),
    *("breaks", "flags", "purchase_factor", "lost", "emergency"),
)
# What an output does: unit x (output + 1) replaces what is wished, unit x output is added to it, or it says whether
# anything is ordered: 1 or 0, and where gradients are taken a logit.
REPLACES, ADDS, PLACES = range(3)
_REAL = {torch.float32: "float", torch.float64: "double"}


@dataclass(frozen=True)
class OrderUpTo:
    """A rule for all points: order up to a level where the position is at or below the reorder point.

    M rules may be played side by side, each by E / M neighbouring copies.
    """

    level: Tensor  # [N, K, M] units
    reorder_point: Tensor | None = None  # like level; None: order every period
    weights: Tensor | None = None  # [N, N] of all points' positions, which are compared; None: each its own


@dataclass(frozen=True)
class ForecastUpTo:
    """A rule for all points from the first period on: order up to levels that follow what is asked of each.

    Levels are those of `heuristics.forecast`, in double precision.
    """

    forecast: Tensor  # [N, K] units a period of season 1, the first one
    safety: Tensor  # [N, K]
    factor_before: Tensor  # [T, N] seasonal factor of the period before each
    covered: Tensor  # [T, N, K] seasonal factors summed over the protection interval
    smoothing: float


@dataclass(frozen=True)
class BestOffer:
    """A rule for all segments: the offer of the best score is shown, as `heuristics.recommendation` has it."""

    offered: Tensor  # [S, C, K] exposures, feasible
    bought: Tensor  # [S, C, K] chance that a customer buys
    margin: Tensor  # [N, K] money a unit
    stake: Tensor  # [T, N, K] money: price times the demand expected
    scarcity: float  # weight of the shadow price

    def fields(self) -> dict[str, Any]:
        """As `Call` has them."""
        return {**vars(self), "offers": self.offered.shape[1]}


OrderRule: TypeAlias = OrderUpTo | ForecastUpTo


class Played(NamedTuple):
    """What some periods brought."""

    state: State
    cost: Tensor  # [N, E] money per stock point over the counted periods, float64
    measures: dict[str, NDArray[np.float64]] | None  # means over counted periods and copies, see `_measures`


@dataclass(frozen=True)
class NetworkControl:
    """Networks that decide on features, [G] of them as `Observer` counts them, and what their J outputs decide.

    Behind the features they may see what rules say: wished orders in units of `spread`, and of each segment the scores
    of offers, less the last one's. The first outputs are orders; then come, segment by segment, the products that are
    shown in each slot, numbers from K on being none.
    """

    rule: OrderRule  # what is wished before outputs come to it
    spread: Tensor | None  # [N, K] units; None: what rules say is not seen
    offers: BestOffer | None  # whose scores are seen; none is shown by itself
    score_unit: float  # money a customer
    centre: Tensor  # [G, 1], and
    factor: Tensor  # [G, 1]: features are (units - centre) factor
    phase: Tensor  # [T + 1, P] of seasons, the last features
    arrivals: int  # periods of arrival among the features
    cut: int  # how many features, from the first one on, are cut off at
    limit: float  # this and its negative
    noise: Tensor | None  # [T, Z, E] as the networks take it
    place: Tensor  # [orders] row of (O + A) K that an output decides
    unit: Tensor  # [orders] units
    kind: Tensor  # [orders] `REPLACES`, `ADDS` or `PLACES`
    outputs: int  # J
    shown: int  # products for each segment; 0: what is shown is not theirs
    alternatives: Tensor | None  # [C, K] exposures that places stand for; None: a product each, and nothing
    deciders: int  # D networks
    remembered: int  # M rows of their memories
    chunk: int  # memory is recorded every so many periods
    actors: int  # address of the networks, and of the functions that `call.hpp` declares
    begin: int
    decide: int
    remember: int
    act: int
    back: int

    def fields(self) -> dict[str, Any]:
        """As `Call` has them, but for the rule."""
        scored = {} if self.offers is None else self.offers.fields() | {"offered": None}
        sizes = {"features": len(self.centre), "phases": self.phase.shape[1], "ordering": len(self.place)}
        sizes["choices"] = 0 if self.alternatives is None else len(self.alternatives)
        noises = 0 if self.noise is None else self.noise.shape[1]
        own = {name: value for name, value in vars(self).items() if name not in ("rule", "offers")}
        return own | scored | sizes | {"noises": noises}


class Brought(NamedTuple):
    """What T periods brought, as far as departments are paid by it; all but the cost only where customers choose."""

    cost: Tensor  # [T, N, K, E] money per stock point and product
    on_hand: Tensor  # [T, N, K, E] units after each period
    held: (
        Tensor  # [T + 1, N, K, E] units on hand and on their way to each point, before the first period and after each
    )
    unserved: Tensor  # [T, C, K, E] units of external backlog, or lost
    demand: Tensor  # [T, C, K, E] units that external customers asked for


class Recording(NamedTuple):
    """What `look` recorded."""

    features: Tensor  # [T + 1, G and what else was asked for, E]
    hints: Tensor  # [T, H, E] what rules said
    actions: Tensor  # [T, J, E] outputs with their noise, and places that were chosen
    log_prob: Tensor  # [T, D, E] of choices
    memory: Tensor  # [T / chunk, M, E] before every chunk of periods
    brought: Brought


class CompiledWorld:
    """A world, all of whose periods run in compiled code: the same states and costs as `World.step` to the bit.

    Two things are rounded differently: money of several products, which `World` may add up in another order, and
    weighted positions whose weights are not halves, quarters and so on.
    """

    def __init__(self, world: World) -> None:
        """Prepare `world`.

        Raises:
            NotCompiledError: it is not on the processor, or no compiler does it.
        """
        if world.device.type != "cpu":
            raise NotCompiledError(f"the compiled world runs on the processor, not on {world.device}")
        self._play = library("plain", world.dtype)
        self._firm = _declared("Firm", world.dtype)(**firm_arrays(world))
        self.world, self._measures = world, _measures(world)
        world.draw_in_core()

    def play(
        self,
        state: State,
        decide: OrderRule | NetworkControl | Tensor,
        chance: Exogenous,
        recommend: BestOffer | Tensor | None = None,
        *,
        counted_from: int = 0,
        measured: bool = False,
        first: int = 0,
        spend: bool = False,
    ) -> Played:
        """Run the periods of `chance`.

        Args:
            state: after event 2 of the period before the first; it stays as it is unless it may be spent.
            decide: rules, networks, or orders [T, O + A, K, E] as `World.feasible` gives them.
            chance: [T] periods of `World.draw`, of E copies, or of fewer that all rules meet alike: a multiple of 64.
            recommend: a rule, or exposures [T, S, K, E], feasible, where customers choose; None: the firm file's.
            counted_from: the first step, 0 to T - 1 if `measured` else T, whose cost and measures count.
            measured: whether to tell measures.
            first: number of the first period, which decides on which days orders are taken.
            spend: whether the end may be written over the beginning.
        """
        sums = torch.zeros(self._measures[-1].end, dtype=torch.float64) if measured else None
        who = self._who(decide)
        if measured:
            who["cycle_ends"] = self._cycle_ends(first, len(chance.demand))
        if isinstance(recommend, Tensor):
            who["exposure"] = recommend.contiguous()
        elif recommend is not None:
            who |= recommend.fields()
        played = self._run(self._play, _own(state, spend), chance, first, counted=counted_from, sums=sums, **who)
        if sums is None:
            return played
        means = sums.numpy() / ((len(chance.demand) - counted_from) * played.cost.shape[-1])
        return played._replace(measures={of.name: means[of.start : of.end].reshape(of.shape) for of in self._measures})

    def look(
        self,
        state: State,
        decide: NetworkControl,
        chance: Exogenous,
        recommend: Tensor | None = None,
        *,
        beside: int = 0,
        first: int = 0,
    ) -> Recording:
        """Run the periods of `chance` with networks that decide, and record what they saw and did.

        `beside` so many rows are left behind the features for others to fill; `recommend` and `first` are as in `play`.
        """
        world, new = self.world, state.on_hand.new_empty
        periods, copies = len(chance.demand), chance.demand.shape[-1]
        rows, outside = (world.points, world.products, copies), (len(chance.demand[0]), world.products, copies)
        hints = 0 if decide.spread is None else world.points * world.products
        hints += 0 if decide.offers is None else decide.offers.bought.shape[:2].numel()
        paid = periods if world.choice is not None else 0
        recorded = Recording(
            new(periods + 1, len(decide.centre) + beside, copies),
            new(periods, hints, copies),
            new(periods, decide.outputs, copies),
            new(periods, decide.deciders, copies),
            new(-(-periods // decide.chunk), decide.remembered, copies),
            Brought(
                new(periods, *rows),
                new(paid, *rows),
                new(paid + 1, *rows),
                new(paid, *outside),
                new(paid, *outside),
            ),
        )
        features, hinted, did, log_prob, memory, brought = recorded
        fields: dict[str, Any] = {
            "seen": features,
            "hinted": hinted,
            "did": did,
            "log_prob": log_prob,
            "memory": memory,
        }
        fields |= {"spent": brought.cost, "seen_rows": features.shape[1]}
        if paid:
            fields |= {"on_hand_after": brought.on_hand, "held": brought.held}
            fields |= {"unserved": brought.unserved, "demanded": brought.demand}
        self._run(self._play, _own(state), chance, first, **self._who(decide), **fields, exposure=recommend)
        return recorded

    def descend(
        self,
        state: State,
        decide: NetworkControl,
        chance: Exogenous,
        bound: float,
        *,
        first: int = 0,
        counted_from: int = 0,
        episode: bool = False,
        may: Tensor | None = None,
        sways: bool = False,
    ) -> Played:
        """Run the periods of `chance` with networks that decide, and let them know the gradient of the mean cost.

        Args:
            state: where the periods begin; it counts as given.
            decide: who decides; of the noise only what draws recommendations. Gradients are added up by the networks,
                `NetworkControl.back`; their `outputs` count logits.
            chance: [T] periods of `World.draw`.
            bound: what a unit in an order may be worth at most, in the mean cost a period and copy.
            first: as in `play`.
            counted_from: likewise.
            episode: whether it ends then, and what is left is salvaged.
            may: [S, C] 1 where an offer may be shown, if networks recommend, one to a segment.
            sways: whether what they recommend counts as a choice of theirs.

        Raises:
            NotCompiledError: the compiler failed.
        """
        share = 1.0 / ((len(chance.demand) - counted_from) * chance.demand.shape[-1])
        play = library("taped", self.world.dtype)
        ends = {"counted": counted_from, "episode": episode, "may": may, "sways": sways}
        return self._run(play, _own(state), chance, first, **self._who(decide), bound=bound, share=share, **ends)

    def _run(self, play: Any, state: State, chance: Exogenous, first: int, **fields: Any) -> Played:  # noqa: ANN401
        """Call the library, which writes over the state; `fields` of `Call` say who decides and what is kept."""
        given = {name: getattr(chance, name) for name in _CHANCE}
        given = {name: None if field is None else field.contiguous() for name, field in given.items()}
        periods, copies = len(chance.demand), state.on_hand.shape[-1]
        drawn = chance.demand.shape[-1]
        if drawn != copies and drawn % 64:
            raise ValueError(f"{drawn} copies of chance cannot be shared out to {copies}: draw a multiple of 64")
        cost = torch.zeros(self.world.points, copies, dtype=torch.float64)
        crowd = 0 if chance.customers is None else chance.customers.shape[1]
        sizes = {"copies": copies, "drawn": drawn, "periods": periods, "crowd": crowd, "threads": cores()}
        call = _declared("Call", self.world.dtype)(
            firm=self._firm, **sizes, **state._asdict(), **given, cost=cost, taken=self._taken(first, periods), **fields
        )
        play(ctypes.byref(call))
        return Played(state, cost, None)

    def _taken(self, first: int, periods: int) -> Tensor | None:
        """1 in periods and rows where orders are taken, else 0, [T, O, K]; None: everywhere and always."""
        if self.world.limits.reviews.always:
            return None
        of = self.world.network.order_point
        days = [self.world.limits.reviews.at(first + t)[of] for t in range(periods)]
        return torch.as_tensor(np.stack(days), dtype=self.world.dtype)

    def _cycle_ends(self, first: int, periods: int) -> Tensor | None:
        """1 in periods and rows where a replenishment cycle ends, else 0, [T, C, K]; None: everywhere and always."""
        network = self.world.network
        if network.cycles_are_periods:
            return None
        ends = np.stack([network.cycle_ends(first + t)[network.customer_facing] for t in range(periods)])
        return torch.as_tensor(ends, dtype=self.world.dtype)

    def _who(self, decides: OrderRule | NetworkControl | Tensor) -> dict[str, Any]:
        """The fields of `Call` that say who decides orders."""
        if isinstance(decides, Tensor):
            return {"orders": decides.contiguous()}
        if isinstance(decides, NetworkControl):
            return self._who(decides.rule) | decides.fields() | {"told": self.world.choice is not None}
        if isinstance(decides, ForecastUpTo):
            return dict(vars(decides))
        return self._order_up_to(decides)

    def _order_up_to(self, rule: OrderUpTo) -> dict[str, Any]:

        def own(amount: Tensor | None) -> Tensor | None:
            return None if amount is None else amount.to(self.world.dtype).contiguous()

        levels = {"level": own(rule.level), "reorder_point": own(rule.reorder_point)}
        fields = {**levels, "rules": rule.level.shape[-1]}
        if rule.weights is None:
            return fields
        products, product = self.world.products, torch.arange(self.world.products)
        weights = rule.weights.repeat_interleave(products, 0)  # [N K, N]
        row, point = weights.nonzero(as_tuple=True)
        starts = torch.searchsorted(row, torch.arange(len(weights) + 1)).to(torch.int32)
        compared = (point * products + product.repeat(self.world.points)[row]).to(torch.int32)
        return {**fields, "weight_start": starts, "weight_row": compared, "weight": own(weights[row, point])}


def _own(state: State, spend: bool = False) -> State:
    """A state without gaps that may be written over."""
    return State(*(part.contiguous() if spend else part.clone(memory_format=torch.contiguous_format) for part in state))


class _Measure(NamedTuple):
    """Where the sums of a measure stand in the core."""

    name: str
    shape: tuple[int, ...]
    start: int
    end: int


def _measures(world: World) -> list[_Measure]:
    """The measures of `Episodes` that are added up, in the order of the core."""
    points, facing, products = world.points, len(world.network.customer_facing), world.products
    own = ("order_quantity", "order_square", "received", "received_square", "waste")
    shapes = {
        "product_on_hand": (points, products),
        **dict.fromkeys(own, (points,)),
        **dict.fromkeys(("product_demand", "product_served_at_once", "full_cycles"), (facing, products)),
        **dict.fromkeys(("unserved", "full_service"), (facing,)),
        "product_shipped": (world.edges, products),
        "shipments": (world.edges,),
        "segment_demand": (0 if world.choice is None else len(world.choice.names), products),
        **dict.fromkeys(("outages", "recovering"), ()),
    }
    ends = list(accumulate(map(math.prod, shapes.values())))
    return list(map(_Measure, shapes, shapes.values(), [0, *ends], ends))


@cache
def _declared(name: str, dtype: torch.dtype) -> Declared:
    return Declared((CORE / "call.hpp").read_text(), name, real=_REAL[dtype])


@cache
def library(name: str, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """The function `play` of a file of the core.

    Raises:
        NotCompiledError: there is no compiler, or it failed.
    """
    function = compile_cached(CORE / f"{name}.cpp", (*FLAGS, f"-DREAL={_REAL[dtype]}")).play
    function.argtypes, function.restype = [ctypes.c_void_p], None
    return function

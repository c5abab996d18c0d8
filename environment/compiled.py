"""The world compiled for one firm: many periods of it in one call of a C++ function, on the processor.

Who decides the orders is part of the code: a rule that orders up to levels, or orders as given.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from environment.state import Exogenous, State
from environment.straight_line import MEASURES, SERVICE, Form, StraightLine
from environment.toolchain import NotCompiledError, compile_cached, compile_source
from environment.world import World

_FLAGS = (  # -O2 takes three times as long and brings nothing: the code has no branches and knows its vectors
    "-O1",
    "-ffp-contract=off",  # a product and a sum rounded once would not be the world's money to the bit
    *("-ffinite-math-only", "-fno-signed-zeros", "-fno-trapping-math"),
)
LONGEST = 2_000  # a minute of compiling


@dataclass(frozen=True)
class OrderUpTo:
    """A rule for all points: order up to a level where the position is at or below the reorder point."""

    level: Tensor  # [N, K, 1 or E] units
    reorder_point: Tensor | None = None  # like level; None: order every period
    weights: Tensor | None = None  # [N, N] of all points' positions, which are compared; None: each its own


class Played(NamedTuple):
    """What some periods brought."""

    state: State
    cost: Tensor  # [N, E] money per stock point over the counted periods, float64
    measures: dict[str, Tensor] | None  # sums over counted periods and copies, [N] or [C], float64


@dataclass(frozen=True)
class NetworkControl:
    """Networks that decide on features, [G] of them as `Observer` counts them, and what each of J outputs decides."""

    level: Tensor  # [N, K, 1] units; what is wished is level - position before the outputs come to it
    centre: Tensor  # [G, 1], and
    factor: Tensor  # [G, 1]: features are (units - centre) factor
    arrivals: int  # periods of arrival among the features
    cut: bool  # features are cut off at -1 and 1
    noise: Tensor  # [T, J, E] added to the outputs
    place: Tensor  # [J] row of N K that an output decides
    unit: Tensor  # [J] units
    residual: Tensor  # [J] 1: unit x output is added to what is wished; 0: unit x (output + 1) replaces it
    actors: int  # address of the networks, and
    act: int  # of the function that lets them act: (actors, features [G][16], outputs [J][16])
    back: int  # and of the one that takes gradients back: (actors, features, by outputs [J][16], by features [G][16])


class Recording(NamedTuple):
    """What `look` recorded."""

    state: State
    features: Tensor  # [T + 1, G, E]
    actions: Tensor  # [T, J, E] outputs with their noise
    cost: Tensor  # [T, N, E] money per stock point


class CompiledWorld:
    """A world, all of whose periods run in compiled code: the same states and costs as `World.step` to the bit.

    Two things are rounded differently: money of several products, which `World` may add up in another order, and
    weighted positions whose weights are not halves, quarters and so on.
    """

    def __init__(self, world: World, longest: int = LONGEST) -> None:
        """Prepare `world`; `longest`: stock points, lines, edges and pairs of customers that its code may have.

        Raises:
            NotCompiledError: it has customers who choose, is not on the processor, or has too large a network.
        """
        firm = world.firm
        if world.choice is not None:
            raise NotCompiledError(f"{firm.name} has customers who choose")
        if world.device.type != "cpu":
            raise NotCompiledError(f"the compiled world runs on the processor, not on {world.device}")
        self.world = world
        self.seconds = 0.0  # spent compiling
        self._functions: dict[Form, tuple[Any, StraightLine]] = {}
        code = self._code(Form(True, world.slots, False))
        length = sum(code.rows.values()) + code.comparisons
        if length > longest:
            raise NotCompiledError(f"the network of {firm.name} is too large: its code would take minutes to compile")

    def _code(self, form: Form) -> StraightLine:
        world = self.world
        return StraightLine(world.firm, world.network, form, world.fixed_lead_time[..., 0].numpy())

    def play(
        self,
        state: State,
        decide: OrderUpTo | Tensor,
        chance: Exogenous,
        *,
        counted_from: int = 0,
        measured: bool = False,
    ) -> Played:
        """Run the periods of `chance`.

        Args:
            state: after event 2 of the period before the first; it stays as it is.
            decide: a rule, or orders [T, N, K, E] within [0, max_order] in whole units.
            chance: [T] periods of `World.draw`.
            counted_from: the first step, 0 to T, whose cost and measures count.
            measured: whether to add up measures.

        Raises:
            NotCompiledError: there is no compiler, or it failed.
        """
        periods, copies = len(chance.demand), chance.demand.shape[-1]
        function, code = self._function(self._form(decide, chance))
        held = [field.clone(memory_format=torch.contiguous_format) for field in state]
        orders = self._levels(decide) if isinstance(decide, OrderUpTo) else decide
        given = [chance.demand, chance.supplier, chance.lead_time, chance.cost_factor, orders]
        inputs = [None if field is None else field.contiguous() for field in given]
        cost = torch.zeros(self.world.points, copies, dtype=torch.float64)
        sums = torch.zeros(code.tally, dtype=torch.float64) if measured else None
        everything = [*held, *inputs, cost, sums]
        places = (ctypes.c_void_p * len(everything))(*(None if x is None else x.data_ptr() for x in everything))
        shared = int(isinstance(decide, OrderUpTo) and orders.shape[-1] == 1)
        function(copies, periods, counted_from, shared, places)
        return Played(State(*held), cost, None if sums is None else self._measures(sums))

    def look(self, state: State, decide: NetworkControl, chance: Exogenous) -> Recording:
        """Run the periods of `chance` with networks that decide, and record what they saw and did.

        Raises:
            NotCompiledError: there is no compiler, or it failed.
        """
        if self.world.dtype != torch.float32:
            raise NotCompiledError(f"networks act in single precision, not in {self.world.dtype}")
        periods, copies = len(chance.demand), chance.demand.shape[-1]
        features = state.on_hand.new_empty(periods + 1, len(decide.centre), copies)
        cost, actions = state.on_hand.new_empty(periods, self.world.points, copies), torch.empty_like(decide.noise)
        recorded = features, cost, decide.noise.contiguous(), actions
        return Recording(self._decided(state, decide, chance, recorded).state, features, actions, cost)

    def descend(self, state: State, decide: NetworkControl, chance: Exogenous, bound: float) -> Played:
        """Run the periods of `chance` with networks that decide, and let them know the gradient of the mean cost.

        Args:
            state: where the periods begin; it counts as given.
            decide: who decides; the noise is not used. Gradients are added up by the networks, `NetworkControl.back`.
            chance: [T] periods of `World.draw`.
            bound: what a unit in an order may be worth at most, in the mean cost a period and copy.

        Raises:
            NotCompiledError: there is no compiler, or it failed.
        """
        share = 1.0 / (len(chance.demand) * chance.demand.shape[-1])
        return self._decided(state, decide, chance, None, torch.tensor([bound, share]))

    def _decided(
        self,
        state: State,
        decide: NetworkControl,
        chance: Exogenous,
        recorded: tuple[Tensor, ...] | None,
        bounds: Tensor | None = None,
    ) -> Played:
        """Networks decide; `recorded`: features, cost, noise, actions; `bounds`: on a unit, share of a copy."""
        periods, copies = len(chance.demand), chance.demand.shape[-1]
        own = replace(self._form(decide.level, chance), looks=True, arrivals=decide.arrivals, cut=decide.cut)
        function, _ = self._function(replace(own, differentiates=bounds is not None))
        held = [field.clone(memory_format=torch.contiguous_format) for field in state]
        given = [chance.demand, chance.supplier, chance.lead_time, chance.cost_factor, decide.level]
        total = torch.zeros(self.world.points, copies, dtype=torch.float64)
        count = torch.tensor([len(decide.place)])
        tensors = [
            *(*held, *(None if field is None else field.contiguous() for field in given), total, None),
            *(decide.centre.contiguous(), decide.factor.contiguous(), *(recorded or (None,) * 4)),
            *(count, decide.place, decide.unit, decide.residual),
        ]
        addresses = [None if x is None else x.data_ptr() for x in tensors]
        addresses += [decide.actors, decide.act, decide.back, None if bounds is None else bounds.data_ptr()]
        function(copies, periods, 0, 1, (ctypes.c_void_p * len(addresses))(*addresses))
        return Played(State(*held), total, None)

    def _form(self, decide: OrderUpTo | Tensor, chance: Exogenous) -> Form:
        follows, world = isinstance(decide, OrderUpTo), self.world
        weights = decide.weights if isinstance(decide, OrderUpTo) else None
        return Form(
            world.dtype == torch.float32,
            world.slots,
            follows,
            isinstance(decide, OrderUpTo) and decide.reorder_point is not None,
            None if weights is None else tuple(map(tuple, weights.tolist())),
            chance.lead_time is not None,
            chance.cost_factor is not None,
            chance.supplier is not None,
        )

    def _levels(self, rule: OrderUpTo) -> Tensor:
        levels = rule.level if rule.reorder_point is None else torch.cat((rule.level, rule.reorder_point))
        return levels.to(self.world.dtype)

    def _measures(self, sums: Tensor) -> dict[str, Tensor]:
        facing = len(self.world.network.customer_facing)
        parts = torch.split(sums, [self.world.points] * len(MEASURES) + [facing] * len(SERVICE))
        return dict(zip((*MEASURES, *SERVICE), parts, strict=True))

    def _function(self, form: Form) -> tuple[Any, StraightLine]:
        if form not in self._functions:
            code = self._code(form)
            start = time.perf_counter()
            self._functions[form] = (
                _function(code.source(), compile_cached if form.looks or form.follows else compile_source),
                code,
            )
            self.seconds += time.perf_counter() - start
        return self._functions[form]


def _function(source: str, build: Callable[[str, Sequence[str]], ctypes.CDLL]) -> Any:  # noqa: ANN401
    """The function `play` of a C++ text; what every run of a firm needs is kept.

    Raises:
        NotCompiledError: there is no compiler, or it failed.
    """
    function = build(source, _FLAGS).play
    function.argtypes = [ctypes.c_long] * 4 + [ctypes.POINTER(ctypes.c_void_p)]
    function.restype = None
    return function

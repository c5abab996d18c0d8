"""Rollouts, evaluations and gradients in the compiled world: networks and world in C++, all periods in one call.

The same as `rollout` period by period, to the bit where `native.Loops` gives the networks' outputs; PyTorch
rounds them otherwise, which now and then sets an order apart by a unit. Gradients are those of `gradients`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from departments.learning.ppo import Slice
from departments.numerics.actions import SCORE
from departments.numerics.native import Actors, actors
from departments.play.episode import Vector, first_cost, less_salvage
from departments.play.gradients import Descent, worth_of_a_unit
from departments.policies.policy import PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.forecast import ForecastBaseStock
from departments.rules.recommendation import DEFAULT_WEIGHT, best_offer, learned_offers
from environment import (
    BestOffer,
    CompiledWorld,
    Exogenous,
    ForecastUpTo,
    NotCompiledError,
    OrderUpTo,
    State,
    World,
)
from environment.compiled import ADDS, PLACES, REPLACES, Brought, NetworkControl
from environment.observation import Observer
from heuristics.recommendation import Offers


class CompiledRollouts:
    """Whole rollouts of one world in one call."""

    def __init__(self, world: World, observer: Observer) -> None:
        """Prepare; whatever goes wrong goes wrong here.

        Raises:
            NotCompiledError: the firm, the device or the machine is not one for it.
        """
        if world.dtype != torch.float32:
            raise NotCompiledError(f"networks act in single precision, not in {world.dtype}")
        self._world, self._observer, self._compiled = world, observer, CompiledWorld(world)
        self._rules = functools.lru_cache(maxsize=8)(self._say)
        self._specs = functools.cache(functools.partial(DepartmentSpec.of, world, observer))
        self._member = functools.cache(self._joined)
        actors()

    def fits(self, snapshots: Sequence[Snapshot]) -> bool:
        """Whether all these departments can act here."""
        return all(self.spec(snapshot).native for snapshot in snapshots)

    def spec(self, snapshot: Snapshot) -> DepartmentSpec:
        """What such a department is."""
        return self._specs(snapshot.department, snapshot.config)

    def record(
        self,
        snapshots: Sequence[Snapshot],
        noise: Mapping[str, Tensor],
        chance: Exogenous,
        chunk: int,
        beside: int = 0,
        start: State | None = None,
        first: int = 0,
    ) -> tuple[Tensor, Brought, dict[str, Slice]]:
        """The periods of `chance`.

        Args:
            snapshots: of all departments.
            noise: [T, noise, E] of those that explore.
            chance: periods and copies.
            chunk: memories are wanted every so many periods.
            beside: rows left behind the features.
            start: the state they begin in; None: where episodes start.
            first: number of the first of them.

        Returns:
            Features [T + 1, G + beside, E], what departments are paid by, and of those that explore what they saw and
            did; log probabilities are those of choices alone.
        """
        team = self._team(snapshots, noise, chance, chunk=chunk, first=first)
        start = self._world.reset(chance.demand.shape[-1]) if start is None else start
        recording = self._compiled.look(start, team.control, chance, team.shown, beside=beside, first=first)
        features, hints, did, log_prob, memory, brought = recording
        slices, size = dict[str, Slice](), self._observer.size
        for number, member in enumerate(team.members):
            spec = member.spec
            if spec.name in noise:
                rows, columns = member.rows, spec.clones * features.shape[-1]
                seen = features[:-1, rows[rows < size]]
                if spec.hints:
                    seen = torch.cat((seen, hints[:, rows[rows >= size] - size]), 1)
                seen = spec.columns(seen)
                seen = _stacked(seen, spec.recorded // seen.shape[1])
                own = (
                    part.reshape(len(part), -1, columns) for part in (did[:, member.actions], memory[:, member.memory])
                )
                action, before = own
                slices[spec.name] = Slice(seen, action, log_prob[:, number].repeat(1, spec.clones), before)
        return features, brought, slices

    def descend(
        self,
        snapshots: Sequence[Snapshot],
        start: State,
        chance: Exogenous,
        unit_bound: float = math.inf,
        others: Sequence[Snapshot] = (),
        *,
        noise: Mapping[str, Tensor] = MappingProxyType({}),
        first: int = 0,
        counted_from: int = 0,
    ) -> Descent:
        """See `departments.play.gradients.descend`, whose gradients these are up to rounding.

        Raises:
            ValueError: a department follows demand or remembers, which is not differentiated here.
        """
        if loops := [s.department for s in (*snapshots, *others) if self.spec(s).closed_loop]:
            raise ValueError(f"{', '.join(loops)}: gradients come through departments that add to base-stock levels")
        team = self._team([*snapshots, *others], noise, chance, tuple(s.department for s in snapshots), first=first)
        periods, copies = chance.demand.shape[0] - counted_from, chance.demand.shape[-1]
        bound = worth_of_a_unit(self._world, unit_bound) / (periods * copies)
        played = self._compiled.descend(start, team.control, chance, bound, first=first, counted_from=counted_from)
        gradients = [
            gradient if spec.over_points is None else spec.over_points.of_all(gradient)
            for spec, gradient in zip(map(self.spec, snapshots), team.actors.gradients(), strict=False)
        ]
        return Descent(gradients, float(played.cost.sum()) / (periods * copies), played.state)

    def why_not_descending(self, snapshots: Sequence[Snapshot]) -> str | None:
        """Why gradients do not go through an episode of theirs here, a few words; None: they do."""
        for spec in map(self.spec, snapshots):
            if not spec.native:
                return "tanh is not compiled"
            if spec.remembered:
                return f"{spec.name} remembers (policy.memory: {spec.policy.memory})"
            if spec.head.slots > 1:
                return f"{spec.name} fills {spec.head.slots} slots of a segment"
        return None

    def descend_episode(
        self,
        snapshots: Sequence[Snapshot],
        chance: Exogenous,
        noise: Tensor | None,
        unit_bound: float = math.inf,
        others: Sequence[Snapshot] = (),
    ) -> Descent:
        """See `departments.play.gradients.descend_episode`, whose gradients these are up to rounding."""
        world, learn = self._world, tuple(snapshot.department for snapshot in snapshots)
        recommender = next((spec for spec in map(self.spec, (*snapshots, *others)) if spec.recommends), None)
        sways = recommender is not None and recommender.name in learn
        drawn = {recommender.name: noise} if sways and recommender is not None and noise is not None else {}
        team = self._team([*snapshots, *others], drawn, chance, learn)
        outputs = sum(member.spec.head.outputs * member.spec.clones for member in team.members)
        control, may = dataclasses.replace(team.control, outputs=outputs), None
        if recommender is not None and recommender.mask is not None:
            segments, none = recommender.head.segments, recommender.head.products
            shown = recommender.mask.squeeze(-1).expand(segments, none).to(world.dtype)
            may = torch.nn.functional.pad(shown, (0, 1), value=1.0).contiguous()
        periods, copies = chance.demand.shape[0], chance.demand.shape[-1]
        bound, start = worth_of_a_unit(world, unit_bound) / (periods * copies), world.reset(copies)
        played = self._compiled.descend(start, control, chance, bound, episode=True, may=may, sways=sways)
        cost = less_salvage(world, played.state, first_cost(world, start, torch.float64) + played.cost)
        numbers = {member.spec.name: number for number, member in enumerate(team.members)}
        gradients = team.actors.gradients()
        return Descent([gradients[numbers[name]] for name in learn], float(cost.sum()) / (periods * copies), start)

    def costs(self, snapshots: Sequence[Snapshot], chance: Exogenous) -> Tensor:
        """See `departments.play.episode.run_costs`: [N, E] money, in double precision."""
        return self.played(snapshots, chance)[0]

    def played(
        self, snapshots: Sequence[Snapshot], chance: Exogenous, *, measured: bool = False
    ) -> tuple[Tensor, Mapping[str, Vector]]:
        """The same, and means of measures if they are wanted."""
        world, team = self._world, self._team(snapshots, {}, chance)
        start, counted = world.reset(chance.demand.shape[-1]), max(world.firm.periods.warm_up - 1, 0)
        first = first_cost(world, start, torch.float64)
        played = self._compiled.play(
            start, team.control, chance, team.shown, counted_from=counted, measured=measured, spend=True
        )
        cost = less_salvage(world, played.state, first + played.cost)
        return cost, played.measures or {}

    def _team(
        self,
        snapshots: Sequence[Snapshot],
        noise: Mapping[str, Tensor],
        chance: Exogenous,
        learn: Sequence[str] = (),
        chunk: int = 1,
        first: int = 0,
    ) -> _Team:
        """Who decides, which rows are whose, and the networks; if some learn, gradients go back through all.

        Whoever recommends comes last.
        """
        world, observer, together = self._world, self._observer, actors()
        periods, copies = len(chance.demand), chance.demand.shape[-1]
        pairs = [(self.spec(snapshot), snapshot) for snapshot in snapshots]
        members = self._members(pairs, {*noise, *learn}, bool(learn), together)
        units = [member.unit for member in members]
        closed_loop = any(spec.closed_loop for spec, _ in pairs)
        recommender = next((member.spec for member in members if member.spec.recommends), None)
        parts = 1 if recommender is None else recommender.policy.parts
        rules = self._rules(
            periods,
            recommender is None or recommender.aware,
            parts,
            first if world.choice is not None or observer.timed else 0,
        )
        hinted, shown = any(member.spec.hints for member in members), None
        if closed_loop and recommender is None:
            shown = torch.zeros(periods, len(world.chosen().names), world.products, copies)
        control = NetworkControl(
            rule=(rules.forecast if closed_loop else None)
            or OrderUpTo(observer.level.view(world.points, world.products, 1)),
            spread=observer.spread if hinted else None,
            offers=rules.offers if recommender is not None and (recommender.hints or learn) else None,
            score_unit=SCORE,
            centre=observer.centre,
            factor=observer.factor,
            phase=rules.phase,
            arrivals=observer.arrivals,
            cut=observer.cut,
            limit=observer.limit,
            noise=torch.cat([_noise_of(m, noise, periods, copies) for m in members], 1) if noise else None,
            place=torch.tensor([row for member in members for row in member.decided], dtype=torch.int64),
            unit=torch.cat(units) if units else torch.zeros(0),
            kind=torch.tensor([kind for member in members for kind in member.kinds], dtype=torch.int64),
            outputs=members[-1].actions.stop if members else 0,
            shown=0 if recommender is None else recommender.head.slots,
            alternatives=None if recommender is None else recommender.alternatives,
            deciders=len(members),
            remembered=members[-1].memory.stop if members else 0,
            chunk=chunk,
            actors=together.place,
            begin=together.begin,
            decide=together.decide,
            remember=together.memory,
            act=together.act,
            back=together.back,
        )
        return _Team(control, shown, members, together)

    def _members(
        self, pairs: Sequence[tuple[DepartmentSpec, Snapshot]], active: Set[str], learn: bool, together: Actors
    ) -> list[_Member]:
        """Departments that explore or learn or follow more than a rule, whose networks join the others."""
        members = list[_Member]()
        for spec, snapshot in sorted(pairs, key=lambda pair: pair[0].recommends):
            if spec.name in active or not spec.is_rule(snapshot):
                last = members[-1] if members else None
                ends = (last.actions.stop, last.memory.stop) if last else (0, 0)
                members.append(self._member(spec.name, snapshot.config, *ends))
                parameters = spec.own(torch.tensor(snapshot.parameters))
                together.add(spec.network, spec.meaning, parameters, members[-1].rows, learn, spec.traits)
        return members

    def _joined(self, name: str, config: PolicyConfig, did: int, remembered: int) -> _Member:
        """A department that joins others, who do and remember so much."""
        world, observer = self._world, self._observer
        spec, residual = self._specs(name, config), config.form == "residual"
        own = [place * world.products + k for place in spec.places for k in range(world.products)]
        rows = [*spec.rows]
        if spec.hints:
            rows += [observer.size + row for row in own]
            rows += [observer.size + observer.positions + i for i in range(spec.hints - len(own))]
        places = (
            slice(did, did + spec.head.actions * spec.clones),
            slice(remembered, remembered + spec.remembered * spec.clones),
        )
        reach = observer.reach.view(world.max_order.shape) if residual else world.max_order / 2.0
        unit = reach[world.network.decision_unit].reshape(-1)[own]
        kinds = [ADDS if residual else REPLACES] * len(own)
        if spec.head.hybrid:
            own, unit, kinds = own * 2, unit.repeat(2), kinds + [PLACES] * len(own)
        return _Member(spec, torch.tensor(rows), *places, own, unit, kinds)

    def _say(self, periods: int, aware: bool, parts: int, first: int) -> _Rules:
        world, observer = self._world, self._observer
        until = observer.until(first + periods)
        phase = torch.stack([until.phases(first + period) for period in range(periods + 1)])
        if world.choice is None:
            return _Rules(phase, None, None)
        weight = DEFAULT_WEIGHT if aware else 0.0
        offers = best_offer(world, Offers(learned_offers(world, weight, parts)), periods)
        return _Rules(phase, ForecastBaseStock("forecast-base-stock", world.firm).on(periods), offers)


class _Rules(NamedTuple):
    """What rules and seasons say in each of some periods."""

    phase: Tensor  # [T + 1, P]
    forecast: ForecastUpTo | None
    offers: BestOffer | None


class _Member(NamedTuple):
    """A department whose network acts."""

    spec: DepartmentSpec
    rows: Tensor  # that it sees, of the features and of what rules say behind them
    actions: slice
    memory: slice
    decided: list[int]  # rows of orders that its first outputs are about
    unit: Tensor  # units, of each of these
    kinds: list[int]  # what each of them does to what is wished there


class _Team(NamedTuple):
    """Departments that act together."""

    control: NetworkControl
    shown: Tensor | None  # [T, S, K, E] to customers, unless they decide it
    members: list[_Member]
    actors: Actors


def _noise_of(member: _Member, noise: Mapping[str, Tensor], periods: int, copies: int) -> Tensor:
    """With which it explores, [T, noise, E]; zeros where it does not."""
    if member.spec.name in noise:
        return noise[member.spec.name].view(periods, -1, copies)
    return torch.zeros(periods, member.spec.head.noises * member.spec.clones, copies)


def _stacked(seen: Tensor, periods: int) -> Tensor:
    """Observations [T, F, E] beside those of the periods before, [T, periods F, E]; zeros before the first."""
    if periods == 1:
        return seen
    before = torch.cat((seen.new_zeros(periods - 1, *seen.shape[1:]), seen))
    return torch.cat([before[periods - 1 - age : len(before) - age] for age in range(periods)], 1)

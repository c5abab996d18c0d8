"""Rollouts, evaluations and gradients in the compiled world: networks and world in C++, all periods in one call.

The same as `rollout` period by period, to the bit where `native.Loops` gives the networks' outputs; PyTorch
rounds them otherwise, which now and then sets an order apart by a unit. Gradients are those of `gradients`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from departments.numerics.memory import MemoryNetwork
from departments.numerics.native import Actors, actors
from departments.play.gradients import Descent, worth_of_a_unit
from departments.policies.policy import Snapshot
from departments.policies.spec import DepartmentSpec
from environment import CompiledWorld, Exogenous, NotCompiledError, State, World
from environment.compiled import NetworkControl, Recording
from environment.observation import Observer


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
        actors()

    def fits(self, snapshots: Sequence[Snapshot]) -> bool:
        """Whether all these departments can act here."""
        return self._world.choice is None and all(self._spec(snapshot).native for snapshot in snapshots)

    def _spec(self, snapshot: Snapshot) -> DepartmentSpec:
        return DepartmentSpec.of(self._world, self._observer, snapshot.department, snapshot.config)

    def record(
        self, snapshots: Sequence[Snapshot], noise: Mapping[str, Tensor], chance: Exogenous
    ) -> tuple[Recording, dict[str, Tensor]]:
        """The periods of `chance`, from where episodes start.

        Args:
            snapshots: of all departments.
            noise: [T, K, E] of those that explore.
            chance: periods and copies.

        Returns:
            What was seen, and the actions [T, K, E] of those that explore.
        """
        looking, where, _ = self._looking(snapshots, noise, chance)
        seen = self._compiled.look(self._world.reset(chance.demand.shape[-1]), looking, chance)
        return seen, {name: seen.actions[:, where[name]] for name in noise}

    def descend(
        self,
        snapshots: Sequence[Snapshot],
        start: State,
        chance: Exogenous,
        unit_bound: float = math.inf,
        others: Sequence[Snapshot] = (),
    ) -> Descent:
        """See `departments.play.gradients.descend`, whose gradients these are up to rounding."""
        looking, _, together = self._looking([*snapshots, *others], {}, chance, tuple(s.department for s in snapshots))
        periods, copies = chance.demand.shape[0], chance.demand.shape[-1]
        bound = worth_of_a_unit(self._world, unit_bound) / (periods * copies)
        played = self._compiled.descend(start, looking, chance, bound)
        return Descent(
            together.gradients()[: len(snapshots)], float(played.cost.sum()) / (periods * copies), played.state
        )

    def costs(self, snapshots: Sequence[Snapshot], chance: Exogenous) -> Tensor:
        """See `departments.play.episode.run_costs`: [N, E] money, in double precision."""
        world = self._world
        looking, _, _ = self._looking(snapshots, {}, chance)
        seen = self._compiled.look(world.reset(chance.demand.shape[-1]), looking, chance)
        warm_up = world.firm.periods.warm_up
        cost = seen.cost[max(warm_up - 1, 0) :].sum(0, dtype=torch.float64)
        if warm_up == 0:
            cost += world.holding(world.reset(chance.demand.shape[-1]))
        salvage = world.salvage(seen.state)
        return cost if salvage is None else cost - salvage

    def _looking(
        self, snapshots: Sequence[Snapshot], noise: Mapping[str, Tensor], chance: Exogenous, learn: Sequence[str] = ()
    ) -> tuple[NetworkControl, dict[str, slice], Actors]:
        """Who decides, which actions are whose, and the networks; if some learn, gradients go back through all."""
        world, observer = self._world, self._observer
        periods, copies = len(chance.demand), chance.demand.shape[-1]
        together, place, unit, residual, added = actors(), list[int](), list[Tensor](), list[bool](), list[Tensor]()
        where: dict[str, slice] = {}
        for snapshot in snapshots:
            name, spec = snapshot.department, self._spec(snapshot)
            network, matters = spec.network, name in noise or name in learn
            if not isinstance(network, MemoryNetwork) or (not matters and spec.is_rule(snapshot)):
                continue
            together.add(network, spec.meaning, torch.tensor(snapshot.parameters), spec.rows, bool(learn))
            first = spec.points[0] * world.products
            own = range(first, first + network.outputs)
            where[name] = slice(len(place), len(place) + len(own))
            place += own
            added.append(noise.get(name, torch.zeros(periods, len(own), copies)))
            keeps = snapshot.config.form == "residual"
            reach = observer.spread if keeps else world.max_order / 2.0
            unit.append(reach.reshape(-1)[own.start : own.stop])
            residual += [keeps] * len(own)
        looking = NetworkControl(
            level=observer.level.view(world.points, world.products, 1),
            centre=observer.centre,
            factor=observer.factor,
            arrivals=observer.arrivals,
            cut=observer.bounded,
            noise=torch.cat(added, 1) if added else torch.zeros(periods, 0, copies),
            place=torch.tensor(place, dtype=torch.int64),
            unit=torch.cat(unit) if unit else torch.zeros(0),
            residual=torch.tensor(residual, dtype=torch.int64),
            actors=together.place,
            act=together.act,
            back=together.back,
        )
        return looking, where, together

"""Evaluation episodes by rules in the compiled world; whatever cannot be compiled is played by the eager one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from departments.decisions import Policy
from departments.play.episode import Episodes, run_costs, run_episodes
from departments.rules.ordering import BaseStock
from environment import CompiledWorld, Exogenous, NotCompiledError, OrderUpTo, World


class CompiledEpisodes:
    """Plays episodes like `run_episodes` and `run_costs`; says once why something is not compiled."""

    def __init__(self, world: World, note: Callable[[str], None]) -> None:
        """Prepare `world`; `note` gets a line for each reason not to compile."""
        self._eager, self._note, self._refused = world, note, False
        self._compiled: CompiledWorld | None = None
        try:
            self._compiled = CompiledWorld(world)
        except NotCompiledError as reason:
            note(f"not compiled: {reason}")

    @property
    def able(self) -> bool:
        """Whether base-stock and reorder rules are compiled."""
        return self._compiled is not None

    @torch.inference_mode()
    def episodes(self, policy: Policy, chance: Exogenous) -> Episodes:
        """See `run_episodes`: the same costs; measures agree up to the rounding of sums."""
        played = self._play(policy, chance, measured=True)
        if played is None:
            return run_episodes(self._eager, policy, chance)
        cost, sums = played
        periods = len(chance.demand) - self._first_counted()
        means = {name: (total / (periods * cost.shape[-1])).numpy() for name, total in sums.items()}
        return Episodes(cost=cost.sum(0).numpy(), point_cost=cost.mean(1).numpy(), **means)

    @torch.inference_mode()
    def costs(self, policy: Policy, chance: Exogenous) -> Tensor:
        """See `run_costs`; in double precision. Several base-stock rules at once, if `able`, one after the other."""
        played = self._play(policy, chance, measured=False)
        return run_costs(self._eager, policy, chance) if played is None else played[0]

    def _first_counted(self) -> int:
        return max(self._eager.firm.periods.warm_up - 1, 0)

    def _play(self, policy: Policy, chance: Exogenous, *, measured: bool) -> tuple[Tensor, dict[str, Tensor]] | None:
        """Cost per stock point and episode, and sums of measures; None: it cannot be compiled."""
        if self._compiled is None:
            return None
        rule = order_up_to(policy, self._eager)
        if rule is None:
            if not self._refused:
                self._note("not compiled: policies that are neither base-stock nor reorder rules")
            self._refused = True
            return None
        world = self._eager
        start = world.reset(chance.demand.shape[-1] * rule.level.shape[-1])
        played = self._compiled.play(start, rule, chance, counted_from=self._first_counted(), measured=measured)
        cost = played.cost
        if world.firm.periods.warm_up == 0:
            cost = world.holding(start).to(cost.dtype) + cost
        salvage = world.salvage(played.state)
        return (cost if salvage is None else cost - salvage), played.measures or {}


def order_up_to(policy: object, world: World) -> OrderUpTo | None:
    """A policy as the compiled world knows it; None: it is no rule of that kind."""
    if isinstance(policy, BaseStock):
        return policy.on(world)
    return policy if isinstance(policy, OrderUpTo) else None

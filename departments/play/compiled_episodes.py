"""Evaluation episodes in the compiled world, by rules and by networks; the eager one plays what cannot be compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from departments.decisions import Policy
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.episode import Episodes, Vector, first_cost, less_salvage, run_costs, run_episodes, summed
from departments.policies.firm_policy import FirmPolicy
from departments.rules.forecast import ForecastBaseStock
from departments.rules.ordering import BaseStock
from departments.rules.recommendation import Pair
from environment import BestOffer, CompiledWorld, Exogenous, ForecastUpTo, NotCompiledError, OrderUpTo, World


class CompiledEpisodes:
    """Plays episodes like `run_episodes` and `run_costs`; says once why something is not compiled."""

    def __init__(self, world: World, note: Callable[[str], None]) -> None:
        """Prepare `world`; `note` gets a line for each reason not to compile."""
        self._eager, self._note, self._refused = world, note, False
        self._compiled: CompiledWorld | None = None
        self._acting = functools.cache(functools.partial(CompiledRollouts, world))
        try:
            self._compiled = CompiledWorld(world)
        except NotCompiledError as reason:
            note(f"not compiled: {reason}")

    @property
    def able(self) -> bool:
        """Whether rules are compiled."""
        return self._compiled is not None

    @torch.inference_mode()
    def episodes(self, policy: Policy, chance: Exogenous) -> Episodes:
        """See `run_episodes`: the same costs; measures agree up to the rounding of sums."""
        played = self._play(policy, chance, measured=True)
        if played is None:
            return run_episodes(self._eager, policy, chance)
        return summed(self._eager, *played, len(chance.demand))

    @torch.inference_mode()
    def costs(self, policy: Policy, chance: Exogenous) -> Tensor:
        """See `run_costs`; in double precision. Several base-stock rules at once, if `able`, one after the other."""
        played = self._play(policy, chance, measured=False)
        return run_costs(self._eager, policy, chance) if played is None else played[0]

    def _first_counted(self) -> int:
        return max(self._eager.firm.periods.warm_up - 1, 0)

    def _play(self, policy: Policy, chance: Exogenous, *, measured: bool) -> tuple[Tensor, Mapping[str, Vector]] | None:
        """Cost per stock point and episode, and means of measures; None: it cannot be compiled."""
        if self._compiled is None:
            return None
        if isinstance(policy, FirmPolicy) and policy.frozen is not None:
            rollouts = self._acting(policy.observer)
            if rollouts.fits(policy.frozen):
                return rollouts.played(policy.frozen, chance, measured=measured)
        rules = compiled_rules(policy, self._eager, len(chance.demand))
        if rules is None:
            if not self._refused:
                self._note("not compiled: policies that are no rules of ours")
            self._refused = True
            return None
        world, (orders, offers) = self._eager, rules
        candidates = orders.level.shape[-1] if isinstance(orders, OrderUpTo) else 1
        start = world.reset(chance.demand.shape[-1] * candidates)
        cost, counted = first_cost(world, start, torch.float64), self._first_counted()
        played = self._compiled.play(start, orders, chance, offers, counted_from=counted, measured=measured, spend=True)
        cost += played.cost
        return less_salvage(world, played.state, cost), played.measures or {}


def compiled_rules(
    policy: object, world: World, periods: int
) -> tuple[OrderUpTo | ForecastUpTo, BestOffer | None] | None:
    """Rules of orders and of recommendations as the compiled world knows them; None: it does not."""
    if isinstance(policy, Pair):
        orders = compiled_rules(policy.replenisher, world, periods)
        return None if orders is None else (orders[0], policy.recommender.on(world, periods))
    if isinstance(policy, BaseStock):
        policy = policy.on(world)
    elif isinstance(policy, ForecastBaseStock):
        policy = policy.on(periods)
    return (policy, None) if isinstance(policy, (OrderUpTo, ForecastUpTo)) else None

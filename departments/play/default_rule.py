"""The rule that orders where nobody names one: a good one that is had at once, and why it is that one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.episode import shards
from departments.play.tuning import quiet, tuned_base_stock
from departments.rules.ordering import BaseStock, baseline_levels, reorder_rule
from environment import Firm, World
from environment.streams import Stream

_CHEAP = 100  # levels, which are tuned in seconds in the compiled world
_EPISODES = 2048  # that neither the search nor a report sees


class DefaultRule(NamedTuple):
    """What orders, and why: one line that begins with its name."""

    rule: BaseStock
    why: str


def default_rule(firm: Firm, note: Callable[[str], None] = quiet) -> DefaultRule:
    """Decomposition-aggregation, which is made for backorders; where sales are lost, what is better than that.

    Levels tuned by simulation stand against it if the compiled world finds them in seconds, and (s, S) where orders
    have fixed costs; the best one orders, if it is better by three standard errors of the paired difference.

    Args:
        firm: a checked firm.
        note: told how far the search is.
    """
    levels = baseline_levels(firm)
    baseline, world = BaseStock("decomposition-aggregation", levels), World(firm, levels)
    if firm.customers or firm.unmet_demand == "backorder":
        made_for = "customers choose" if firm.customers else "unmet demand is backordered"
        return DefaultRule(baseline, f"{baseline.name}, the default where {made_for}")
    played = CompiledEpisodes(world, quiet)
    others = [reorder_rule(firm)] if firm.fixed_costs().any() else []
    if cheap := played.able and levels.size <= _CHEAP:
        others.append(tuned_base_stock(firm, note=note))
    left_out = "" if cheap else ", and tuned-base-stock, whose search takes a while here, was not tried"
    if not others:
        return DefaultRule(baseline, f"{baseline.name}{left_out}")
    chances = list(shards(world, _EPISODES, 0, Stream.ACCEPTANCE))
    costs = [np.concatenate([played.episodes(rule, c).cost for c in chances]) for rule in (baseline, *others)]
    saving, rule = max(((costs[0] - cost, rule) for cost, rule in zip(costs[1:], others, strict=True)), key=_mean)
    mean, error = saving.mean(), saving.std(ddof=1) / len(saving) ** 0.5
    if mean <= 3 * error:
        tried = " and ".join(other.name for other in others)
        return DefaultRule(baseline, f"{baseline.name}; by {tried} it would be no better{left_out}")
    share, less = mean / max(abs(costs[0].mean()), 1e-9), "more profit" if firm.earns else "less cost"
    gain = f"{mean:,.0f} ± {error:,.0f} ({share:.0%}) {less} an episode than by {baseline.name}"
    return DefaultRule(rule, f"{rule.name}: {gain}, which is made for backorders{left_out}")


def _mean(found: tuple[np.ndarray, BaseStock]) -> float:
    return float(found[0].mean())

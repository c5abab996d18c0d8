"""Levels that meet a fill rate, searched in episodes drawn from the history before, and what plays them.

The world says what it takes of wishes. Its periods are counted from a Monday on, so that review days are weekdays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coordinator.planning.demand import BLOCK, Forecaster, drawn_days, fitted
from departments.decisions import Decision, Memory, Policy
from departments.play.stepping import play
from environment import Exogenous, Feedback, Firm, State, World, parse_firm
from environment.blocks import filled
from environment.calendars import period_of
from environment.streams import Stream, numpy_stream, torch_stream
from environment.tabled_firm import firm_of
from environment.tables import Tables

Array = NDArray[np.float64]
Days = NDArray[np.datetime64]

EPISODE = 140  # days of an episode of tuning, the first of which settle the stock
WARM_UP = 42
_CELLS = 200_000  # stock points × products × copies at a time
_UPSTREAM = (-0.5, 0.75, 2.0, 3.5)  # safety factors of points that serve others, which are tried
_LOWEST, _HIGHEST, _HALVINGS = -3.0, 9.0, 9  # safety factors of points that sell


@dataclass(frozen=True)
class Past:
    """What was known on some morning."""

    tables: Tables
    demand: Array  # [T, C, K] units, all days known
    days: Days  # [T]

    @classmethod
    def of(cls, tables: Tables, until: int | None = None) -> Past:
        """The first `until` days."""
        return cls(tables, filled(tables.demand[:until], tables.days[:until]), tables.days[:until])

    @property
    def flow(self) -> Array:
        """What passes through all points, [T, N K]."""
        return self.tables.flow(self.demand).reshape(len(self.days), -1)

    @property
    def next_period(self) -> int:
        """The number of the day after the last one known, as a period."""
        return period_of(self.days[-1] + 1)

    def interval(self, first: np.datetime64, periods: int) -> NDArray[np.int64]:
        """Protection intervals of each morning from a day on, [T or, if all are alike, 1, N K] days."""
        found = self.tables.intervals(first, periods)
        return found.reshape(len(found), -1)


def plain_firm(tables: Tables) -> Firm:
    """The firm with orders without a limit, whose demand is given day by day."""
    rate = np.full(len(tables.items), 0.5)
    unsold = replace(tables, sold=np.zeros_like(tables.sold), fill_rate=rate, cycle_service=None, blocks=None)
    bare = firm_of(unsold, dated=True)
    for point in bare["stock_points"].values():
        point["max_order"] = 1_000_000
        point.pop("fill_rate", None)
        if "demand" in point:
            point["demand"] = 0
    return parse_firm({"name": "planned", "unmet": tables.unmet, "periods": {"evaluate": 100_000}} | bare)


@dataclass(frozen=True)
class UpTo:
    """Order up to levels that change from day to day."""

    levels: Tensor  # [T, N, K, E or 1] units, at the start of each period
    first: int = 0  # period

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Level less position."""
        return Decision(torch.round(self.levels[period - self.first]).to(world.dtype) - state.inventory_position)


@dataclass(frozen=True)
class Tuned:
    """Levels of a fill rate: forecast over the protection interval and a safety factor times its error."""

    forecaster: Forecaster  # of all stock points and products
    safety: Array  # [N, K]
    reached: Array  # [C, K] fill rates in the episodes that it was tuned on

    def levels(self, past: Past) -> Array:
        """Of the morning after each day of the past, and of its first, [T + 1, N, K] units."""
        ahead = self.forecaster.over_interval(past.flow, past.days)
        return self.of(ahead).reshape(len(ahead), *self.safety.shape)

    def of(self, ahead: Array) -> Array:
        """From forecasts, [T, N K(, E)]."""
        reserve = self.safety.ravel() * self.forecaster.spread
        return np.asarray(np.maximum(ahead + reserve[(...,) + (None,) * (ahead.ndim - 2)], 0.0))


@torch.inference_mode()
def fill_rates(
    world: World, policy: Policy, demand: Tensor, start: Tensor, warm_up: int, groups: int = 1, first: int = 0
) -> tuple[Array, Array]:
    """What policies reach after the first days, on the same chance in each group of copies.

    Args:
        world: of the firm.
        policy: decides in all copies.
        demand: [T, C, K, E] units, the same for each group.
        start: [N, K, groups E] units on hand.
        warm_up: days that do not count.
        groups: G, how often all copies are there, one group after the other.
        first: number of the first period.

    Returns:
        Share of demand that is served at once, [G, C, K], and mean stock on hand, [G, N, K].
    """
    asked, served, held = 0.0 * demand[0].repeat(1, 1, groups), 0.0 * demand[0].repeat(1, 1, groups), 0.0 * start
    other = other_chance(world, len(demand), demand.shape[-1], 0, first)
    repeated = [one if one is None else one.repeat(1, 1, 1, groups) for one in other]
    chance = Exogenous(demand.repeat(1, 1, 1, groups), *repeated)
    before = torch.zeros_like(asked)
    for step in play(world, policy, chance, world.reset(start.shape[-1], start), first=first):
        if step.period >= warm_up:
            asked, held = asked + step.outcome.demand, held + step.after.on_hand
            served = served + (step.outcome.sales - before).clamp_min(0.0)
        before = torch.zeros_like(before) if world.firm.unmet == "lost" else step.outcome.unserved
    grouped = [total.reshape(*total.shape[:2], groups, -1).double().movedim(-2, 0) for total in (asked, served, held)]
    wanted, given = (total.sum(-1) for total in grouped[:2])
    rate = torch.where(wanted > 0, given / wanted.clamp_min(1e-9), 1.0)
    return rate.numpy(), grouped[2].mean(-1).numpy() / (len(demand) - warm_up)


def other_chance(world: World, periods: int, copies: int, seed: int, first: int) -> tuple[Tensor | None, ...]:
    """Lead times and suppliers from a period on of a world whose demand is given."""
    if not world.tells_lead_times and not world._chooses:
        return None, None, None
    drawn = world.draw(periods, copies, torch_stream(world.device, Stream.HISTORY, seed), start=first)
    return drawn.lead_time, drawn.supplier, None


def drawn_episodes(
    past: Past, forecaster: Forecaster, periods: int, copies: int, rng: np.random.Generator, drift: float = 0.0
) -> tuple[Tensor, Array]:
    """Episodes in blocks of history, as if they began on the day after it.

    Args:
        past: what is known.
        forecaster: of what passes through all points.
        periods: T.
        copies: E.
        rng: draws the blocks.
        drift: standard deviation of what the logarithm of a product's demand changes by from block to block.

    Returns:
        Demand [T, C, K, E] units; what is forecast of it on each morning over the protection interval, [T, N K, E].
    """
    days = past.days[-1] + 1 + np.arange(periods)
    asked = past.demand[drawn_days(past.days, days[0], periods, copies, rng)]  # [T, E, C, K]
    if drift:
        walk = rng.normal(0.0, drift, (-(-periods // BLOCK), copies, 1, asked.shape[3])).cumsum(0)
        asked = np.rint(asked * np.exp(np.repeat(walk, BLOCK, 0)[:periods]))
    flow = np.moveaxis(past.tables.flow(asked), 1, -1)  # [T, N, K, E]
    ahead = forecaster.over_interval(flow.reshape(periods, -1, copies), days)[:-1]
    return torch.as_tensor(np.moveaxis(asked, 1, -1).copy(), dtype=torch.float32), ahead


def tuned_to(past: Past, world: World, fill_rate: float | Array, seed: int = 0) -> Tuned:
    """The cheapest levels that reach a fill rate, one for all or each product's, [K], in episodes drawn from the past.

    The safety factors of points that sell are halved in until each series reaches the rate; those of points that serve
    others are tried, and each product takes the one with the least stock in the whole firm.
    """
    tables, forecaster = past.tables, fitted(past.flow, past.days, past.interval)
    shape, selling = (len(tables.points), len(tables.items)), list(tables.selling)
    sells = np.isin(np.arange(shape[0]), selling)[:, None]
    upstream = _UPSTREAM if not sells.all() or max(tables.supplier) >= 0 else _UPSTREAM[:1]
    tried = np.array(upstream)[:, None, None]  # [G, 1, 1]
    copies = max(1, min(16, _CELLS // (shape[0] * shape[1] * len(tried))))
    given, ahead = drawn_episodes(past, forecaster, EPISODE, copies, numpy_stream(Stream.HISTORY, seed))
    first = past.next_period

    def reached(safety: Array) -> tuple[Array, Array]:
        """Of safety factors, [G, N, K]."""
        levels = [torch.as_tensor(Tuned(forecaster, own, own).of(ahead), dtype=world.dtype) for own in safety]
        whole = torch.cat(levels, -1).reshape(EPISODE, *shape, -1)
        return fill_rates(world, UpTo(whole, first), given, whole[0], WARM_UP, len(safety), first)

    low, high = (np.full((len(tried), *shape), bound) for bound in (_LOWEST, _HIGHEST))
    for _ in range(_HALVINGS):
        middle = np.where(sells, (low + high) / 2, tried)
        enough = np.zeros(middle.shape, dtype=bool)
        enough[:, selling] = reached(middle)[0] >= fill_rate
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    safety = np.where(sells, high, tried)
    found, held = reached(safety)
    short = np.maximum(fill_rate - found, 0.0).sum(1)  # [G, K]
    best = (held.sum(1) + 1e9 * np.where(short > 0.005, short, 0.0)).argmin(0)  # of each product
    return Tuned(forecaster, _chosen(safety, best), _chosen(found, best))


def _chosen(values: Array, best: NDArray[np.int64]) -> Array:
    """Of [G, .., K] the group that is best for each product, [.., K]."""
    return np.asarray(np.take_along_axis(values, best[None, None], 0)[0])

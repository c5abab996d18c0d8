"""Who orders in a planner's firm: days of cover, levels tuned to a fill rate, levels from a file, a trained run.

All act in the same world, period by period on what was known on that day; the world says what it takes of their
wishes. Its periods are counted from a Monday on, so that review days are weekdays.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coordinator.evaluation.evaluate import trained_policy
from coordinator.planning.demand import Forecaster, drawn_days, filled, fitted
from coordinator.runs.folder import RunFolder
from coordinator.runs.policy_text import name_and_policy
from departments.decisions import Decision, Memory, Policy
from departments.play.stepping import play
from environment import Exogenous, Feedback, Firm, State, World, parse_firm
from environment.episode_files import levels_of
from environment.streams import Stream, numpy_stream, torch_stream
from environment.tables import LIMITS, Tables, firm_of

Array = NDArray[np.float64]
Days = NDArray[np.datetime64]

COVER = 14.0  # days, of the rule that planners have where they say nothing else
_RECENT = 28  # days whose mean demand a rule of cover takes
_EPISODE = 140  # days of an episode of tuning, the first of which settle the stock
_WARM_UP = 42
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
    def interval(self) -> NDArray[np.int64]:
        """Protection interval, lead time and the days from one review to the next, [N K]."""
        return np.asarray(np.ceil(self.tables.lead_time).astype(np.int64) + self.tables.between_reviews).ravel()


def plain_firm(tables: Tables) -> Firm:
    """The firm with orders without a limit, whose demand is given day by day."""
    bare = firm_of(replace(tables, sold=np.zeros_like(tables.sold), fill_rate=np.full(len(tables.items), 0.5)))
    for point in bare["stock_points"].values():
        point["max_order"] = 1_000_000
        if "demand" in point:
            point["demand"] = 0
    return parse_firm({"name": "planned", "unmet": tables.unmet, "periods": {"evaluate": 100_000}} | bare)


def period_of(day: np.datetime64) -> int:
    """The number of a day as a period of the firm: those since a Monday."""
    return int((day - np.datetime64("1970-01-05", "D")).astype(int))


@dataclass(frozen=True)
class UpTo:
    """Order up to levels that change from day to day."""

    levels: Tensor  # [T, N, K, E or 1] units, at the start of each period
    first: int = 0  # period

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Level less position."""
        return Decision(torch.round(self.levels[period - self.first]).to(world.dtype) - state.inventory_position)


@dataclass(frozen=True)
class Scaled:
    """A policy learned at one demand that acts at another: stock is divided by their ratio, orders multiplied."""

    policy: Policy
    ratio: Tensor  # [T, K, 1] demand forecast on each morning over that of training
    first: int = 0  # period

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """As it would where demand is what it was trained on."""
        ratio = self.ratio[period - self.first].to(world.dtype)
        wished = self.policy.decide(world, State(*(part / ratio for part in state)), feedback, period, memory)
        return wished._replace(order=wished.order * ratio)


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
    other = other_chance(world, len(demand), demand.shape[-1], 0)
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


def other_chance(world: World, periods: int, copies: int, seed: int) -> tuple[Tensor | None, ...]:
    """Lead times and suppliers of a world whose demand is given."""
    if world._lead_time_table is None and not world._chooses:
        return None, None, None
    drawn = world.draw(periods, copies, torch_stream(world.device, Stream.HISTORY, seed))
    return drawn.lead_time, drawn.supplier, None


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
    days = past.days[-1] + 1 + np.arange(_EPISODE)
    rows = drawn_days(past.days, days[0], _EPISODE, copies, numpy_stream(Stream.HISTORY, seed))
    demand = np.moveaxis(past.demand[rows], 1, -1)  # [T, C, K, E]
    flow = np.moveaxis(tables.flow(past.demand[rows]), 1, -1)  # [T, N, K, E]
    ahead = forecaster.over_interval(flow.reshape(_EPISODE, -1, copies), days)[:-1]
    given = torch.as_tensor(demand, dtype=world.dtype)

    def reached(safety: Array) -> tuple[Array, Array]:
        """Of safety factors, [G, N, K]."""
        levels = [torch.as_tensor(Tuned(forecaster, own, own).of(ahead), dtype=world.dtype) for own in safety]
        whole = torch.cat(levels, -1).reshape(_EPISODE, *shape, -1)
        first = period_of(days[0])
        return fill_rates(world, UpTo(whole, first), given, whole[0], _WARM_UP, len(safety), first)

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


def target_of(argument: str, tables: Tables) -> Array:
    """The fill rate of each product, [K]: what is said, or the firm's service, or 98%."""
    if not argument and tables.fill_rate is not None:
        return tables.fill_rate
    return np.full(len(tables.items), float(argument or 0.98))


def cover_levels(past: Past, cover: float) -> Array:
    """Days of cover times the mean demand of the last four weeks, known each morning, [T + 1, N, K] units."""
    flow = past.flow
    total = np.concatenate([np.zeros((1, flow.shape[1])), np.cumsum(flow, 0)])
    ends = np.arange(len(flow) + 1)
    begins = np.maximum(ends - _RECENT, 0)
    mean = (total[ends] - total[begins]) / np.maximum(ends - begins, 1)[:, None]
    return np.asarray(cover * mean).reshape(-1, len(past.tables.points), len(past.tables.items))


def kind_of(text: str) -> tuple[str, str, str]:
    """Name, kind (`cover`, `tuned`, `levels` or `run`) and argument of what is written after --policy.

    Raises:
        ValueError: one line; it is none of them.
    """
    name, plain = name_and_policy(text)
    kind, _, argument = plain.partition(":")
    if kind in ("cover", "tuned"):
        try:
            number = float(argument or (COVER if kind == "cover" else 0.98))
        except ValueError:
            number = -1.0
        if not (0 < number <= 1000 if kind == "cover" else 0.5 <= number < 1):
            allowed = "cover:DAYS, such as cover:14" if kind == "cover" else "tuned:FILL_RATE, from 0.5 to below 1"
            raise ValueError(f"--policy is written as {allowed}, got {text!r}")
        return name or plain, kind, argument
    if plain.endswith(".csv"):
        return name or plain, "levels", plain
    if os.path.isdir(plain):
        return name or Path(plain).name, "run", plain
    raise ValueError(
        f"--policy must be cover:DAYS, tuned[:FILL_RATE], a csv file of levels or a run folder, got {text!r}"
    )


def world_for(kind: str, argument: str, tables: Tables) -> World:
    """The world that a policy acts in: a run's own firm, or the firm without laws; both on the given demand.

    Raises:
        ValueError: the run is of another firm.
    """
    firm = plain_firm(tables)
    if kind == "run":
        trained = RunFolder(Path(argument)).firm()
        if trained.names != tables.points or trained.products != tables.items:
            raise ValueError(f"--policy {argument!r} was trained for other stock points or products")
        limits = {name: {f: getattr(point, f) for f in LIMITS} for name, point in firm.stock_points.items()}
        now = {name: point.model_copy(update=limits[name]) for name, point in trained.stock_points.items()}
        firm = trained.model_copy(update={"stock_points": now})  # what is taken of orders is what the tables say today
    return World(firm, np.zeros((len(tables.points), len(tables.items))))


def _ratio(world: World, tables: Tables, first: int) -> Tensor:
    """Forecast demand of each product over what a run was trained on, from the morning of day `first` on, [T, K, 1]."""
    whole = Past.of(tables)
    flow = whole.demand.reshape(len(whole.days), -1)
    forecaster = fitted(flow[:first], whole.days[:first], np.ones(flow.shape[1], dtype=np.int64))
    ahead = forecaster.levels(flow, whole.days)[first:].reshape(-1, *whole.demand.shape[1:]).sum(1)
    trained = world.network.mean_flow()[list(tables.selling)].sum(0)
    ratio = np.divide(ahead, trained, out=np.ones_like(ahead), where=trained > 0)
    return torch.as_tensor(np.clip(ratio, 0.1, 10.0)).unsqueeze(-1)


def policy_of(
    kind: str,
    argument: str,
    world: World,
    tables: Tables,
    first: int,
    every: int,
    note: Callable[[str], None] = lambda _: None,
) -> Policy:
    """What decides from the morning of day `first` on; what it learns, it learns again every so many days.

    Args:
        kind: as `kind_of` has it.
        argument: likewise.
        world: of `world_for`.
        tables: of the firm.
        first: number of the first day that is decided.
        every: days between two tunings.
        note: told how far the tuning is.
    """
    begins = period_of(tables.days[0] + first)
    if kind == "run":
        learned = trained_policy(RunFolder(Path(argument)), world)
        return Scaled(learned, _ratio(world, tables, first), begins)
    if kind == "levels":
        levels = np.broadcast_to(
            levels_of(Path(argument), world.firm), (len(tables.days) + 1 - first, *world.max_order.shape[:2])
        )
    elif kind == "cover":
        levels = cover_levels(Past.of(tables), float(argument or COVER))[first:]
    else:
        rate, parts = target_of(argument, tables), []
        whole = Past.of(tables)
        for begin in range(first, len(tables.days) + 1, every):
            note(f"tuning on the days before {tables.days[0] + begin}")
            past = Past(tables, whole.demand[:begin], whole.days[:begin])
            tuned = tuned_to(past, world, rate)
            parts.append(tuned.levels(whole)[begin : begin + every])
        levels = np.concatenate(parts)
    return UpTo(torch.as_tensor(levels.copy()).unsqueeze(-1), begins)

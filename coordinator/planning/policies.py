"""Who orders in a planner's firm: days of cover, a rule of its own, levels that are tuned or given, what was learned.

All act in the same world, period by period on what was known on that day; the world says what it takes of their
wishes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coordinator.evaluation.evaluate import trained_policy
from coordinator.planning.demand import fitted, recent_mean
from coordinator.planning.expression import parsed, rule_levels
from coordinator.planning.learned import learn
from coordinator.planning.tuning import Past, UpTo, plain_firm, tuned_to
from coordinator.runs.folder import RunFolder
from coordinator.runs.policy_text import name_and_policy
from departments.decisions import Decision, Memory, Policy
from departments.rules.ordering import baseline_levels
from environment import Feedback, Firm, State, World
from environment.calendars import period_of
from environment.episode_files import levels_of
from environment.streams import Stream, torch_stream
from environment.tables import LIMITS, Tables

Array = NDArray[np.float64]

UNTOLD = {"flags": "regimes", "breaks": "disruption", "emergency": "emergency", "traffic": "customers"}  # as drawn
COVER = 14.0  # days, of the rule that planners have where they say nothing else


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


def target_of(argument: str, tables: Tables) -> Array:
    """The fill rate of each product, [K]: what is said, or the firm's service, or 98%.

    Raises:
        ValueError: the firm's service is another measure, and nothing is said.
    """
    if not argument and tables.cycle_service is not None:
        raise ValueError(
            "--policy tuned and trained meet a fill rate, and the firm's service is a cycle_service: say one, "
            "such as tuned:0.98"
        )
    if not argument and tables.fill_rate is not None:
        return tables.fill_rate
    return np.full(len(tables.items), float(argument or 0.98))


def cover_levels(past: Past, cover: float) -> Array:
    """Days of cover times the mean demand of the last four weeks, known each morning, [T + 1, N, K] units."""
    return np.asarray(cover * recent_mean(past.flow)).reshape(-1, len(past.tables.points), len(past.tables.items))


def kind_of(text: str) -> tuple[str, str, str]:
    """Name, kind (`cover`, `tuned`, `levels` or `run`) and argument of what is written after --policy.

    Raises:
        ValueError: one line; it is none of them.
    """
    name, plain = name_and_policy(text)
    kind, _, argument = plain.partition(":")
    if kind in ("cover", "tuned", "trained"):
        try:
            number = float(argument or (COVER if kind == "cover" else 0.98))
        except ValueError:
            number = -1.0
        if not (0 < number <= 1000 if kind == "cover" else 0.5 <= number < 1):
            allowed = "cover:DAYS, such as cover:14" if kind == "cover" else f"{kind}:FILL_RATE, from 0.5 to below 1"
            raise ValueError(f"--policy is written as {allowed}, got {text!r}")
        return name or plain, kind, argument
    if kind == "rule":
        parsed(argument)
        return name or plain, kind, argument
    if plain.endswith(".csv"):
        return name or plain, "levels", plain
    if os.path.isdir(plain):
        return name or Path(plain).name, "run", plain
    raise ValueError(
        "--policy must be cover:DAYS, rule:EXPRESSION, tuned[:FILL_RATE], trained[:FILL_RATE], a csv file of levels or "
        f"a run folder, got {text!r}"
    )


def world_for(kind: str, argument: str, tables: Tables) -> World:
    """The world that a policy acts in: a run's own firm, or the firm without laws; both on the given demand.

    Raises:
        ValueError: the run is of another firm, or decides more than orders.
    """
    firm = plain_firm(tables)
    if kind == "run":
        trained = RunFolder(Path(argument)).firm()
        _must_be_of(firm, trained, argument)
        trained.must_leave_allocation("backtest and propose tell")
        limits = {name: {f: getattr(point, f) for f in LIMITS} for name, point in firm.stock_points.items()}
        now = {name: point.model_copy(update=limits[name]) for name, point in trained.stock_points.items()}
        closed = {edge.target: edge.closed_days for edge in firm.supply}
        supply = tuple(edge.model_copy(update={"closed_days": closed[edge.target]}) for edge in trained.supply)
        # what is taken of orders, and when, is what the tables say today
        firm = trained.model_copy(update={"stock_points": now, "supply": supply})
        world = World(firm, baseline_levels(trained))  # scales of what is seen are measured there, as in training
        _must_be_told(world, argument)
        return world
    return World(firm, np.zeros((len(tables.points), len(tables.items))))


def _must_be_of(firm: Firm, trained: Firm, argument: str) -> None:
    """Refuse a run of another firm."""
    if trained.names != firm.names or trained.products != firm.products:
        raise ValueError(f"--policy {argument!r} was trained for other stock points or products")
    if trained.customer_facing != firm.customer_facing:
        raise ValueError(f"--policy {argument!r} was trained with customers at other stock points")
    if (trained.lost_shares() != firm.lost_shares()).any():
        raise ValueError(
            f"--policy {argument!r} was trained where unmet demand is not {firm.unmet}: train it with that"
        )


def _must_be_told(world: World, argument: str) -> None:
    """Refuse a world with chance of which days that happened do not tell, and which is not drawn beside them."""
    drawn = world.draw(1, 1, torch_stream(world.device, Stream.HISTORY, 0))
    if untold := [said for field, said in UNTOLD.items() if getattr(drawn, field) is not None]:
        raise ValueError(
            f"--policy {argument!r} was trained with {untold[0]}, of which days that happened do not tell: train it "
            f"without"
        )


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
    elif kind == "rule":
        levels = rule_levels(Past.of(tables), argument, first)
    elif kind == "trained":
        return _taught(world, tables, target_of(argument, tables), first, every, note)
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


@dataclass(frozen=True)
class InTurn:
    """Policies that follow each other, each for so many periods."""

    policies: tuple[Policy, ...]
    first: int  # period
    every: int  # periods

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """As the one whose turn it is."""
        turn = (period - self.first) // self.every
        return self.policies[turn].decide(world, state, feedback, period, memory)


def _taught(world: World, tables: Tables, rate: Array, first: int, every: int, note: Callable[[str], None]) -> Policy:
    """What has learned on the days before, and goes on learning every so many days."""
    whole, learned, turns = Past.of(tables), None, []
    for begin in range(first, len(tables.days) + 1, every):
        note(f"learning on the days before {tables.days[0] + begin}")
        past = Past(tables, whole.demand[:begin], whole.days[:begin])
        learned = learn(past, world, rate, learned, note)
        turns.append(learned.sight(whole.flow, whole.days))
    return InTurn(tuple(turns), period_of(tables.days[0] + first), every)

"""A policy that learns to meet a fill rate with the least stock, in episodes drawn from the history before.

Every stock point has a network, shared over its products: it sees what is missing to its level and below it, its stock,
what comes next and the forecast, and adds to the reserve of its order-up-to level. Stock, and what is not served at
once, are differentiated through the world; what a unit short is worth is a multiplier, which rises on the slowest
timescale as long as the rate is missed: one for all products that are to reach the same rate together.

Source: Alvo, Russo & Kanoria (2023), Neural inventory control in networks via hindsight differentiable policy
optimization; multipliers as in Borkar (2005), An actor-critic algorithm for constrained Markov decision processes. That
demand drifts in training, beyond what history holds, is ours: without it networks did worse than levels on later days.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coordinator.planning.demand import Forecaster, fitted
from coordinator.planning.tuning import (
    EPISODE,
    WARM_UP,
    Past,
    drawn_episodes,
    fill_rates,
    other_chance,
    tuned_to,
)
from departments.decisions import Decision, Memory
from departments.numerics.adam import Adam
from departments.play.stepping import play
from environment import Exogenous, Feedback, State, World
from environment.calendars import period_of
from environment.streams import Stream, numpy_stream

Array = NDArray[np.float64]
Days = NDArray[np.datetime64]

STEPS, AGAIN = 160, 24  # of learning from the beginning, and when more of history is known
_STRETCH = 28  # days that a gradient reaches back
_LENGTH = 6 * _STRETCH  # days of an episode; the first stretch settles the stock
_CELLS = 4_000  # stock points × products × copies at a time
_SEEN, _HIDDEN = 6, 16  # what a network sees, see `Sight.seen`, and its hidden units
_LEARNING_RATE = 0.01  # at the start; it falls to 0 by half a cosine
_DECAY = 0.02  # of the networks' parameters
_MOST = 1.0  # norm of a gradient
_SLOW = 0.05  # how fast the logarithm of a multiplier follows what is missed
_DRIFT = 0.15  # standard deviation of what the logarithm of demand drifts by from one block of history to the next
_HALVINGS, _WIDEST = 9, 3.0  # of the shift of reserves that makes up for what learning left


@dataclass(frozen=True)
class Learned:
    """What was learned: reserves of all stock points and products, and how networks add to them."""

    forecaster: Forecaster
    usual: Tensor  # [N, K, 1] units, mean demand over the protection interval
    spread: Tensor  # [N, K, 1] units, error of its forecast
    incoming: Tensor  # [N, Ed] 1 for each edge that leads to a point
    below: Tensor  # [N, N] 1 for each point that a point serves, directly or not
    parameters: Tensor  # flat, see `_parts`
    multiplier: Array  # [K] days that a unit is held for what one short is worth: the implied backorder cost
    reached: Array  # [K] fill rates in the episodes that it was set on

    def sight(self, flow: Array, days: Days) -> Sight:
        """The policy where what passes through all points, [T, N K(, E)] units, becomes known day by day."""
        return Sight.of(self, self.forecaster.over_interval(flow, days), period_of(days[0]))


@dataclass(frozen=True)
class Sight:
    """What was learned, on days whose forecasts are known; acts as a policy."""

    learned: Learned
    ahead: Tensor  # [T, N, K, E or 1] units, forecast over the protection interval on each morning
    first: int  # period
    parts: tuple[Tensor, ...]  # of the parameters

    @classmethod
    def of(cls, learned: Learned, ahead: Array, first: int) -> Sight:
        """Of forecasts [T, N K(, E)] from a period on."""
        points, products, _ = learned.usual.shape
        shaped = _tensor(ahead).reshape(len(ahead), points, products, -1)
        return cls(learned, shaped, first, _parts(learned.parameters, points, products))

    def level(self, period: int) -> Tensor:
        """Order-up-to levels without what the networks add, [N, K, E or 1] units."""
        return self.ahead[period - self.first] + self.learned.spread * self.parts[0]

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Order up to the forecast and its reserve, which the networks change."""
        _, into, shift, out, constant = self.parts
        level = self.level(period)
        hidden = torch.relu(torch.einsum("nhf,fnke->nhke", into, self.seen(state, level, period)) + shift)
        change = torch.einsum("nh,nhke->nke", out, hidden) + constant
        return Decision((level + self.learned.spread * change).clamp_min(0.0) - state.inventory_position)

    def seen(self, state: State, level: Tensor, period: int) -> Tensor:
        """What the networks see, [F, N, K, E], in the order of one."""
        learned, missing = self.learned, level - state.inventory_position
        spread, usual = learned.spread, learned.usual
        arriving = (learned.incoming @ state.pipeline[:4].flatten(2)).view(-1, *missing.shape)
        own = (
            missing / spread,
            (learned.below @ missing.flatten(1)).view(missing.shape) / spread,
            state.on_hand / spread - 1.0,
            arriving[0] / usual,
            arriving.sum(0) / usual,
            (torch.log((self.ahead[period - self.first] + 0.1 * usual) / (1.1 * usual))).expand(missing.shape),
        )
        return torch.stack([value.clamp(-8.0, 8.0) for value in own])


def learn(
    past: Past,
    world: World,
    fill_rate: Array,
    earlier: Learned | None = None,
    note: Callable[[str], None] = lambda _: None,
    seed: int = 0,
    steps: int | None = None,
) -> Learned:
    """Learn to serve a share of demand at once with the least stock.

    Args:
        past: all that is known.
        world: of `plain_firm`.
        fill_rate: [K] of each product; those with the same reach it together, in units of all points that sell them.
        earlier: what was learned when less was known, to go on from.
        note: told how far it is.
        seed: names the episodes.
        steps: of learning, a stretch of days each; default: `STEPS`, or `AGAIN` if there is something to go on from.
    """
    steps = steps or (STEPS if earlier is None else AGAIN)
    learned = _begun(past, world, fill_rate, seed) if earlier is None else _refitted(earlier, past)
    parameters, optimiser = learned.parameters.clone(), Adam.like(learned.parameters)
    multiplier, together = _tensor(learned.multiplier), _tensor(fill_rate == fill_rate[:, None])  # [K, K]
    share = _tensor(past.demand.mean((0, 1)) + 1e-9)
    share /= share.sum()
    allowed, reserves = share * _tensor(1.0 - fill_rate), learned.usual.numel()
    stretches = _stretches(past, world, learned, seed)
    next(stretches)
    for step in range(steps):
        parameters.requires_grad_(True)
        held, short = (share * value for value in stretches.send(replace(learned, parameters=parameters)))
        gradient = torch.autograd.grad((held + multiplier * short).sum(), parameters)[0]
        parameters = parameters.detach()
        gradient[reserves:] += _DECAY * parameters[reserves:]
        gradient *= min(1.0, _MOST / (float(gradient.norm()) + 1e-9))
        rate = _LEARNING_RATE * 0.5 * (1.0 + math.cos(math.pi * step / steps))
        optimiser.step(parameters, gradient, rate, eps=1e-8)
        held, short = held.detach(), short.detach()
        missed = together @ (short - allowed) / (together @ allowed)
        multiplier = multiplier * torch.exp(_SLOW * missed.clamp(-1.0, 1.0))
        if step % 20 == 0:
            note(f"step {step} of {steps}: {float(held.sum()):.2f} days of stock, {1 - float(short.sum()):.2%} at once")
    trained = replace(learned, parameters=parameters, multiplier=multiplier.double().numpy())
    return _settled(trained, past, world, fill_rate, seed)


def _tensor(value: Array | NDArray[np.bool_]) -> Tensor:
    return torch.as_tensor(np.asarray(value), dtype=torch.float32)


def _parts(parameters: Tensor, points: int, products: int) -> tuple[Tensor, ...]:
    """Safety factors [N, K, 1], then of each point's network what leads into hidden units, their shifts, and out."""
    shapes = (
        (points, products, 1),
        (points, _HIDDEN, _SEEN),
        (points, _HIDDEN, 1, 1),
        (points, _HIDDEN),
        (points, 1, 1),
    )
    pieces = torch.split(parameters, [math.prod(shape) for shape in shapes])
    return tuple(piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True))


def _begun(past: Past, world: World, fill_rate: Array, seed: int) -> Learned:
    """What tuned levels do: networks that add nothing yet."""
    tuned, network = tuned_to(past, world, fill_rate, seed), world.network
    points, products = tuned.safety.shape
    below = np.array([[other in network.descendants(point) for other in range(points)] for point in range(points)])
    into = numpy_stream(Stream.HISTORY, seed, 2).normal(0.0, math.sqrt(2.0 / _SEEN), points * _HIDDEN * _SEEN)
    rest = np.zeros(points * (2 * _HIDDEN + 1))
    begun = Learned(
        forecaster=tuned.forecaster,
        usual=torch.empty(0),
        spread=torch.empty(0),
        incoming=_tensor(network.edge_target == np.arange(points)[:, None]),
        below=_tensor(below),
        parameters=_tensor(np.concatenate([tuned.safety.ravel(), into, rest])),
        multiplier=2.0 / (1.0 - fill_rate),
        reached=np.zeros(products),
    )
    return _refitted(begun, past)


def _refitted(learned: Learned, past: Past) -> Learned:
    """The same with forecasts of what the past says now."""
    tables, forecaster = past.tables, fitted(past.flow, past.days, past.interval)
    shape = len(tables.points), len(tables.items), 1
    usual = np.maximum(past.flow.mean(0), 1e-3) * past.interval(past.days[-1] + 1, 7).max(0)
    spread = np.maximum(forecaster.spread, 0.1)
    return replace(
        learned, forecaster=forecaster, usual=_tensor(usual.reshape(shape)), spread=_tensor(spread.reshape(shape))
    )


def _stretches(
    past: Past, world: World, learned: Learned, seed: int
) -> Generator[tuple[Tensor, Tensor], Learned, None]:
    """Stretch after stretch, each played by what is sent.

    Yields:
        Days of stock, [K], and share of demand that is not served at once, [K], with gradients.
    """
    points, products, _ = learned.usual.shape
    copies, rng = max(2, min(48, _CELLS // (points * products))), numpy_stream(Stream.HISTORY, seed, 1)
    asked = _tensor(past.demand.mean(0).sum(0)).clamp_min(1e-3) * copies * _STRETCH  # [K]
    first = past.next_period
    nothing, lost = torch.zeros(products), world.firm.unmet == "lost"
    now = yield nothing, nothing
    while True:
        demand, ahead = drawn_episodes(past, learned.forecaster, _LENGTH, copies, rng, _DRIFT)
        other = other_chance(world, _LENGTH, copies, int(rng.integers(2**31)), first)
        state = world.reset(copies, Sight.of(now, ahead[:1], first).level(first).detach().clamp_min(0.0).round())
        before = torch.zeros_like(demand[0])
        for begin in range(0, _LENGTH, _STRETCH):
            rows = slice(begin, begin + _STRETCH)
            chance = Exogenous(demand[rows], *(None if field is None else field[rows] for field in other))
            held = short = nothing
            with torch.set_grad_enabled(begin > 0):
                sight = Sight.of(now, ahead[rows], first + begin)
                for step in play(world, sight, chance, state, first=sight.first):
                    served = (step.outcome.sales - before).clamp_min(0.0)
                    before = before if lost else step.outcome.unserved
                    held = held + step.after.on_hand.sum((0, 2))
                    short = short + (step.outcome.demand - served).sum((0, 2))
            state, before = State(*(part.detach() for part in step.after)), before.detach()
            if begin:
                now = yield held / asked, short / asked


def _settled(learned: Learned, past: Past, world: World, fill_rate: Array, seed: int) -> Learned:
    """The same with the reserves of points that sell shifted until products reach their rates in other episodes."""
    points, products, _ = learned.usual.shape
    copies, rng = max(2, min(48, 4 * _CELLS // (points * products))), numpy_stream(Stream.HISTORY, seed)
    demand, ahead = drawn_episodes(past, learned.forecaster, EPISODE, copies, rng)
    weight = demand[WARM_UP:].sum((0, 3)).double().numpy() + 1e-9  # [C, K]
    together = fill_rate == fill_rate[:, None]

    def shifted(shift: Array) -> Learned:
        parameters = learned.parameters.clone()
        reserve = parameters[: points * products].view(points, products)
        reserve[list(past.tables.selling)] += _tensor(shift)
        return replace(learned, parameters=parameters)

    def reached(shift: Array) -> Array:
        policy = Sight.of(shifted(shift), ahead, past.next_period)
        start = policy.level(policy.first).clamp_min(0.0).round()
        found = fill_rates(world, policy, demand, start, WARM_UP, first=policy.first)[0][0]
        return np.asarray(together @ (found * weight).sum(0) / (together @ weight.sum(0)))

    low, high = np.full(products, -_WIDEST), np.full(products, _WIDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = reached(middle) >= fill_rate
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return replace(shifted(high), reached=reached(high))

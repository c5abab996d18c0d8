"""The world of a running firm, one copy, endless: a pure step from arrays to arrays, chance named by seed and tick.

Nothing is kept between two calls, so a process that died and came back goes on with what it is given next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import yaml

from coordinator.live.crossing import Crossing
from coordinator.live.period_start import Arrays, PeriodStart
from departments.play.stepping import advance, before_the_first
from departments.rules.ordering import baseline_levels
from departments.serving.numpy_policy import Array
from environment import Exogenous, Feedback, State, World
from environment.firm_file import parse_firm
from environment.observation import Observer

LIVE = 11  # stream of chance: training and evaluation use others
PAIRS = 13  # of canaries: the first copy meets what the firm itself meets
_STATE, _REPORT = State._fields, Feedback._fields


class Simulated:
    """Steps the world of one firm, any number of copies (in operation one)."""

    def __init__(self, firm: str, seed: int, slots: int = 1) -> None:
        """Prepare `firm`, the text of a firm file that stands by itself; `slots`: see `Structure.slots`."""
        self.firm, self.seed = parse_firm(yaml.safe_load(firm)), seed
        levels = baseline_levels(self.firm)
        self.world = World(self.firm, levels, slots=slots)
        self.observer = Observer(self.world, levels)

    def begin(self) -> PeriodStart:
        """Before tick 0, as operation begins."""
        return self.start()

    @torch.inference_mode()
    def start(self, copies: int = 1) -> PeriodStart:
        """Before tick 0."""
        state = self.world.reset(copies)
        zeros = torch.zeros(len(self.world.network.customer_facing), self.world.products, copies)
        feedback = before_the_first(self.world, copies)
        regime = torch.zeros(len(self.world.choice.names), copies) if self.world.choice is not None else None
        cost = self.world.holding(state)
        return self._moment(0, state, feedback, regime, cost, zeros, zeros)

    @torch.inference_mode()
    def chance(self, tick: int, arrays: Arrays, stream: int = LIVE) -> Exogenous:
        """Chance of one tick: the same whoever asks, in whatever process."""
        regime = torch.as_tensor(arrays["regime"]) if "regime" in arrays and tick else None
        copies = arrays["on_hand"].shape[-1]
        generator = self.world.generator(self.seed, stream, tick)
        aside = torch.as_tensor(arrays["aside"]) if "aside" in arrays else None
        drawn = self.world.draw(1, copies, generator, start=tick, regime=regime, aside=aside).at(0)
        if stream != PAIRS:
            return drawn
        first = {key: value[..., :1] for key, value in arrays.items()}
        return _with_first(self.chance(tick, first), drawn)

    @torch.inference_mode()
    def step(self, tick: int, arrays: Arrays, order: Array, exposure: Array | None, stream: int = LIVE) -> PeriodStart:
        """From period `tick` to the next one.

        Args:
            tick: the period.
            arrays: of its moment.
            order: [N + A, K, E] whole units within bounds.
            exposure: [S, K, E] within bounds; None where nobody recommends.
            stream: of chance.
        """
        world = self.world
        state = self._state(arrays)
        now, placed = self.chance(tick, arrays, stream), torch.as_tensor(order, dtype=world.dtype)
        shown = None if exposure is None else torch.as_tensor(exposure, dtype=world.dtype)
        after, outcome, feedback = advance(world, state, placed, shown, now)
        served = (outcome.sales - world.backlog(state)).clamp_min(0.0)
        return self._moment(tick + 1, after, feedback, now.regime, outcome.cost, outcome.demand, served)

    def _moment(
        self,
        tick: int,
        state: State,
        feedback: Feedback | None,
        regime: torch.Tensor | None,
        cost: torch.Tensor,
        demand: torch.Tensor,
        served: torch.Tensor,
    ) -> PeriodStart:
        arrays = {field: value.numpy() for field, value in zip(_STATE, state, strict=True) if len(value)}
        if feedback is not None and regime is not None:
            arrays |= {f"told_{field}": value.numpy() for field, value in zip(_REPORT, feedback, strict=True)}
            arrays["regime"] = regime.numpy()
        arrays = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        features = self.observer.units(state, feedback, tick).double().numpy()
        account = {
            "cost": cost,
            "demand": demand,
            "served": served,
            "on_hand": state.on_hand,
            "inventory_position": state.inventory_position,
            "backlog": self.world.backlog(state),
        }
        return PeriodStart(arrays, features, {key: value.numpy() for key, value in account.items()})

    def cross(
        self, before: Simulated, tick: int, arrays: Arrays, account: Arrays, stock: Mapping[str, str]
    ) -> tuple[PeriodStart, dict[str, Any]]:
        """A period of the structure before as this one finds it, and what became of its units (`Crossing.told`).

        What stock points that stay have cost in it, and what was asked of them, stays theirs.

        Args:
            before: the firm as it was built.
            tick: the period.
            arrays: of its moment.
            account: of its moment.
            stock: see `Crossing`.

        Raises:
            ValueError: one line; something would be left of which nothing is said.
        """
        crossing = Crossing(before.world, self.world, arrays, stock)
        after = crossing.arrays()
        both = before.firm, self.firm
        accounts = {"cost": by_name(account["cost"], *(firm.names for firm in both))}
        for key in ("demand", "served"):
            accounts[key] = by_name(account[key], *(firm.customer_facing for firm in both))
        accounts |= {key: after[key] for key in ("on_hand", "inventory_position")}
        accounts["backlog"] = after["owed"][self.world.network.internal :]
        return PeriodStart(after, self.features(tick, after), accounts), crossing.told(after)

    def _state(self, arrays: Arrays) -> State:
        """The state in arrays, which hold no part that has no rows."""
        nothing = torch.as_tensor(arrays["on_hand"])[:0]
        return State(*(torch.as_tensor(arrays[field]) if field in arrays else nothing for field in _STATE))

    def features(self, tick: int, arrays: Arrays) -> Array:
        """What there is to see in arrays, [G, E] units."""
        state, feedback = self._state(arrays), None
        if self.world.choice is not None:
            feedback = Feedback(*(torch.as_tensor(arrays[f"told_{field}"]) for field in _REPORT))
        seen: Array = self.observer.units(state, feedback, tick).double().numpy()
        return seen


def by_name(values: Array, before: Sequence[str], after: Sequence[str]) -> Array:
    """Rows of names of before as those of after; of who is new all zero."""
    place = {name: row for row, name in enumerate(before)}
    rows = [values[place[name]] if name in place else np.zeros_like(values[0]) for name in after]
    return np.stack(rows)


def _with_first(own: Exogenous, drawn: Exogenous) -> Exogenous:
    """Chance of many copies, of which the first meets `own`; where that says less than is drawn, `drawn` alone."""
    if any((one is None) != (each is None) for one, each in zip(own, drawn, strict=True)):
        return drawn
    fields = [None if one is None or each is None else _joined(one, each) for one, each in zip(own, drawn, strict=True)]
    return Exogenous(*fields)  # type: ignore[arg-type]


def _joined(one: torch.Tensor, each: torch.Tensor) -> torch.Tensor:
    longest = max(one.shape[0], each.shape[0])  # customers: as many as came at most
    one, each = (torch.cat((x, x.new_zeros(longest - x.shape[0], *x.shape[1:]))) for x in (one, each[..., 1:]))
    return torch.cat((one, each), -1)

"""Demand, lead times and costs that switch between regimes by chance, or jump in a period, all over a firm at once.

A regime is in force in a period; which one comes next is a Markov chain (the state of the world of Song & Zipkin 1993,
Inventory control in a fluctuating demand environment, Operations Research 41(2)). Episodes begin in the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from environment.fields import Checked, by_product, mapped, must_be, number, whole
from environment.laws import TABLE_SIZE

MOST = 16  # regimes of a firm
Factor: TypeAlias = Annotated[float, number(0, 1000)]


class Regime(Checked):
    """What is otherwise while it is in force: factors on what the firm file says, and periods more."""

    demand: Annotated[Any, by_product(number(0, 1000))] = 1.0  # factor, or by stock point
    lead_time: Annotated[Any, by_product(whole(0, 100))] = 0  # periods more of what leaves, or by supplier
    holding_cost: Factor = 1.0
    backorder_cost: Factor = 1.0
    unit_cost: Factor = 1.0  # of what is ordered meanwhile
    next: Annotated[dict[str, Annotated[float, number(0, 1)]], mapped("regime -> chance", empty=True)] = Field(
        {}
    )  # that it is in force in the next period; else this one stays
    begins: Annotated[int | None, whole(1, 100_000, optional=True)] = None  # the period in which it is in any case
    known: Annotated[bool, must_be("true or false", lambda value: isinstance(value, bool))] = True  # to departments

    def demand_at(self, point: str) -> float:
        """The factor at a stock point."""
        return float(self.demand.get(point, 1.0) if isinstance(self.demand, dict) else self.demand)

    def lead_time_from(self, supplier: str) -> int:
        """Periods more from a supplier."""
        return int(self.lead_time.get(supplier, 0) if isinstance(self.lead_time, dict) else self.lead_time)


def check_regimes(regimes: Mapping[str, Regime], points: tuple[str, ...], suppliers: set[str]) -> None:
    """Refuse regimes that nothing leads to, or that name what is not there.

    Raises:
        ValueError: one line.
    """
    if len(regimes) == 1 or len(regimes) > MOST:
        raise ValueError(f"regimes must be 2 to {MOST}, the first one where episodes begin, got {len(regimes)}")
    for name, regime in regimes.items():
        for field, given, known in (
            ("demand", regime.demand, points),
            ("lead_time", regime.lead_time, suppliers),
            ("next", regime.next, regimes),
        ):
            if odd := [key for key in given if key not in known] if isinstance(given, dict) else []:
                raise ValueError(f"regimes.{name}.{field}.{odd[0]} is not there; known are {', '.join(sorted(known))}")
        if (total := sum(regime.next.values())) > 1.0 + 1e-9:
            raise ValueError(f"regimes.{name}.next must sum to at most 1, got {total:g}")
        reached = regime.begins is not None or any(name in other.next for key, other in regimes.items() if key != name)
        if not reached and name != next(iter(regimes)):
            raise ValueError(f"regimes.{name} is never in force: lead to it by next of another one, or by begins")
    begins = sorted(regime.begins for regime in regimes.values() if regime.begins is not None)
    if twice := [one for one, other in pairwise(begins) if one == other]:
        raise ValueError(f"regimes: two of them begin in period {twice[0]}; leave one of them")


class Regimes:
    """The M regimes of a firm as numbers, and the chain; known ones stand in the state before the others."""

    def __init__(self, regimes: Mapping[str, Regime], points: tuple[str, ...], suppliers: list[str]) -> None:
        """Prepare for customer-facing `points` [C], and the `suppliers` of edges [Ed]."""
        self.names, given = list(regimes), list(regimes.values())
        self.demand = np.array([[regime.demand_at(point) for point in points] for regime in given])  # [M, C]
        self.lead_time = np.array([[regime.lead_time_from(s) for s in suppliers] for regime in given])  # [M, Ed]
        self.costs = np.array([[regime.holding_cost, regime.backorder_cost] for regime in given])  # [M, 2]
        self.unit_cost = np.array([regime.unit_cost for regime in given])  # [M]
        self.begins = {r.begins: m for m, r in enumerate(given) if r.begins is not None}
        others = range(1, len(given))  # the first one is where no other is
        self.shown = sorted(others, key=lambda m: not given[m].known)  # the rows of `State.aside`, by regime
        self.known = sum(given[m].known for m in others)  # so many of these are told
        chances = np.array([[regime.next.get(name, 0.0) for name in self.names] for regime in given])
        stay = np.arange(len(given))
        chances[stay, stay] = 0.0
        chances[stay, stay] = np.maximum(1.0 - chances.sum(1), 0.0)
        self.chances = chances  # [M, M] from each to the next
        self._ends = np.rint(chances.cumsum(1) * TABLE_SIZE).astype(np.int64)[:, :-1]  # from which on it is a later one

    def path(self, number: Tensor, now: Tensor, first: int) -> Tensor:
        """Regimes of periods `first`, ..., `first` + T, [T + 1, E] int64.

        Args:
            number: [T, E] int16, what decides.
            now: [E] regime of the first period.
            first: its number.
        """
        ends, level = torch.as_tensor(self._ends, device=number.device), number.to(torch.int64) + TABLE_SIZE // 2
        path = [torch.full_like(now, self.begins[first]) if first in self.begins else now]
        for t, drawn in enumerate(level, first + 1):
            after = (drawn[:, None] >= ends[path[-1]]).sum(1)
            path.append(torch.full_like(now, self.begins[t]) if t in self.begins else after)
        return torch.stack(path)

    def flags(self, path: Tensor, dtype: torch.dtype) -> Tensor:
        """1 where a regime is in force, of all but the first one, [.., M - 1, E]."""
        rows = torch.tensor(self.shown, device=path.device)[:, None]
        return (path.unsqueeze(-2) == rows).to(dtype)

    def of_flags(self, flags: Tensor) -> Tensor:
        """Which is in force, [E] int64, from flags [M - 1, E]."""
        rows = torch.tensor(self.shown, device=flags.device)[:, None]
        return ((flags > 0) * rows).sum(0)

    @property
    def scarce(self) -> list[tuple[float, float]]:
        """Of each regime in which what leaves takes longer: so many periods, and how many it stays, 0 for ever."""
        leaves = 1.0 - self.chances.diagonal()
        stays = np.divide(1.0, leaves, out=np.zeros(len(leaves)), where=leaves > 0)
        return [
            (float(longer), float(stay)) for longer, stay in zip(self.lead_time.max(1), stays, strict=True) if longer
        ]

    @property
    def longest(self) -> NDArray[np.int64]:
        """Periods more at most, [Ed]."""
        return np.asarray(self.lead_time.max(0))

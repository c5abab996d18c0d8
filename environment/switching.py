"""Chance of a world whose regimes switch: what is drawn, as the regimes in force have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from environment.firm import Firm
from environment.laws import AnyLaw
from environment.network import Network
from environment.regimes import Regimes
from environment.sampling import LawTable, sixteen_bits
from environment.seasons import times
from environment.state import Exogenous


class Switching:
    """Laws of demand by regime, and what regimes make of lead times and costs."""

    def __init__(self, regimes: Regimes, tables: dict[int, LawTable], wide: tuple[int, int], *, buys: bool) -> None:
        """Prepare; `tables` draw demand in those regimes in which it is another one, `wide` are N and K."""
        self._regimes, self.tables = regimes, tables
        self._wide, self._buys = wide, buys

    @classmethod
    def of_firm(
        cls,
        firm: Firm,
        network: Network,
        laws: list[list[AnyLaw]],
        table: Callable[[list[list[AnyLaw]]], LawTable],
        buys: bool,
    ) -> Self | None:
        """Of a firm with regimes, whose demand follows `laws` in the first one; None: it has no regimes."""
        regimes = network.regimes
        if regimes is None:
            return None
        given = {m: factors for m, factors in enumerate(regimes.demand) if (factors != 1.0).any()}
        tables = {
            m: table([[times(law, f) for law in row] for row, f in zip(laws, factors, strict=True)])
            for m, factors in given.items()
        }
        return cls(regimes, tables, (len(firm.names), len(firm.products)), buys=buys)

    def of(
        self,
        drawn: Exogenous,
        begins: tuple[int | None, Tensor | None],
        lanes: Tensor | None,
        generator: Generator,
        fixed_lead_time: Tensor,
    ) -> Exogenous:
        """The same chance with regimes.

        Args:
            drawn: of T periods without them.
            begins: number of the first period, as of `World.draw`; flags [M - 1, E] of what is in force there.
            lanes: [T, C K, E] numbers by which demand was looked up.
            generator: of the device.
            fixed_lead_time: [Ed, K, 1] periods, where none are drawn.
        """
        regimes, (start, flags) = self._regimes, begins
        periods, copies = len(drawn.demand), drawn.demand.shape[-1]
        number = sixteen_bits(periods * copies, generator).view(periods, copies)
        now = number.new_zeros(copies, dtype=torch.int64) if flags is None else regimes.of_flags(flags)
        path = regimes.path(number, now, start or 0)
        demand, dtype = drawn.demand, drawn.demand.dtype
        for m, table in self.tables.items():
            other = table.draw(periods, copies, generator, start, lanes).view(demand.shape)
            demand = torch.where((path[:-1] == m)[:, None, None], other, demand)

        def in_force(values: NDArray[Any], path: Tensor) -> Tensor:
            return torch.as_tensor(values, device=path.device)[path].movedim(1, -1)  # [T, .., E]

        found: dict[str, Tensor] = {"demand": demand, "flags": regimes.flags(path[1:], dtype)}
        if regimes.lead_time.any():
            usual = fixed_lead_time if drawn.lead_time is None else drawn.lead_time
            longer = (usual + in_force(regimes.lead_time, path[1:])[:, :, None]).to(torch.int16)
            found["lead_time"] = longer.contiguous()
        if (regimes.costs != 1.0).any():
            factor = in_force(regimes.costs, path[1:])[:, :, None, None].to(dtype)
            wide = factor.expand(-1, -1, *self._wide, -1)
            found["cost_factor"] = wide.contiguous() if drawn.cost_factor is None else wide * drawn.cost_factor
        if (regimes.unit_cost != 1.0).any() and self._buys:
            found["purchase_factor"] = in_force(regimes.unit_cost[:, None], path[:-1]).to(dtype).contiguous()
        return drawn._replace(**found)

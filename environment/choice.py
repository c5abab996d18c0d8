"""Customers at work, batched over copies: who comes is drawn beforehand, what they buy follows from the exposure.

Every potential customer carries one number, drawn with the rest of chance, and buys the product into whose share of the
number line it falls. So demand is an exact multinomial draw given the traffic, common random numbers reach down to the
single customer, and another exposure changes only the choices of those whom it sways. S segments (those of the first
customer-facing point first), K products, J potential customers, E copies.

One number per customer takes 2 J bytes per segment, period and copy, and was measured to be the fastest exact way for
the tens of customers that a period brings: binomial quantiles from one uniform each took two to three times as long.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from environment.customers import per_product
from environment.firm import Firm
from environment.laws import TABLE_SIZE

_NEVER = TABLE_SIZE // 2 - 1  # the number of one who always leaves


class Crowd(NamedTuple):
    """Who comes, of many periods."""

    traffic: Tensor  # [T, S, E] customers
    customers: Tensor  # [T, J, S, E] int16, uniform; J is the largest traffic, and who is beyond it does not come
    regime: Tensor  # [T, S, E] hidden z


class Choice:
    """The segments of a firm on a device: traffic, choice and demand.

    P[s, k] = exp(u[s, k] + eta[s, k] alpha[s, k]) / (1 + sum_j exp(u[s, j] + eta[s, j] alpha[s, j])), where the
    impatient take a promised wait off u, and a segment's demand is Multinomial(M_s, P[s, .]); sums of them are rounded
    to multiples of 1/65,536, as those of all laws. They are reckoned in double precision whatever the world's own, so
    that the compiled world draws the same bounds.

    Source: Jiang et al., arXiv 2510.04272; equations our reading.
    """

    def __init__(self, firm: Firm, device: torch.device, dtype: torch.dtype) -> None:
        """Stack the segments of all customer-facing points of `firm`."""
        at = [
            (point, name, segment) for point in firm.customer_facing for name, segment in firm.segments(point).items()
        ]
        segments = [segment for _, _, segment in at]

        def column(values: list[list[float]] | list[float], dtype: torch.dtype = dtype) -> Tensor:
            return torch.tensor(values, device=device, dtype=dtype).unsqueeze(-1)

        def amounts(field: str, dtype: torch.dtype) -> Tensor:
            return column([per_product(getattr(segment, field), firm.products) for segment in segments], dtype)

        self.names = tuple((point, name) for point, name, _ in at)  # [S] (customer-facing point, segment)
        self.traffic = column([segment.traffic for segment in segments])  # [S, 1] customers a period
        utility = [segment.preference_per(firm.products) for segment in segments]
        self.preference, self.uplift = column(utility, torch.float64), amounts("uplift", torch.float64)  # [S, K, 1]
        self.standing = amounts("exposure", dtype)  # [S, K, 1] alpha
        self.slots = column([float(firm.customers[point].slots) for point, _, _ in at]).unsqueeze(-1)  # [S, 1, 1]
        self.sold = torch.isfinite(self.preference)  # [S, K, 1] which products a segment can buy
        self.facing = torch.tensor([firm.customer_facing.index(point) for point, _, _ in at], device=device)  # [S] of C
        seasons = [firm.customers[point].season for point, _, _ in at]
        self.amplitude = column([season.amplitude for season in seasons])  # [S, 1]
        self.frequency = column([2.0 * math.pi / season.period for season in seasons])  # [S, 1] radians a period
        self._persistence = column([segment.persistence for segment in segments])
        self._volatility = column([segment.volatility for segment in segments])
        impatience = torch.tensor([segment.impatience for segment in segments], device=device, dtype=torch.float64)
        self.impatience = impatience[:, None, None] if impatience.any() else None  # [S, 1, 1] utility a period
        self._gather = torch.zeros(len(firm.customer_facing), len(at), device=device, dtype=dtype)  # [C, S]
        self._gather[self.facing, torch.arange(len(at), device=device)] = 1.0

    def season(self, period: int | Tensor) -> Tensor:
        """Traffic's seasonal factor, [S, 1], or [S, T] for periods [T]."""
        time = torch.as_tensor(period, device=self.traffic.device, dtype=self.traffic.dtype)
        return 1.0 + self.amplitude * torch.sin(self.frequency * time)

    def draw(
        self, periods: int, copies: int, generator: Generator, start: int = 0, regime: Tensor | None = None
    ) -> Crowd:
        """Who comes in periods start .. start + T - 1; see `World.draw`.

        `regime` [S, E] is the hidden z of the period before; by default the first period starts at 0.
        """
        size = (periods, len(self.traffic), copies)
        noise = torch.randn(size, generator=generator, device=generator.device, dtype=self.traffic.dtype)
        path = torch.empty_like(noise)
        path[0] = 0.0 if regime is None else torch.addcmul(self._volatility * noise[0], self._persistence, regime)
        for t in range(1, periods):
            torch.addcmul(self._volatility * noise[t], self._persistence, path[t - 1], out=path[t])
        clock = torch.arange(start, start + periods, device=path.device)
        rate = path.exp().mul_((self.traffic * self.season(clock)).T.unsqueeze(-1))
        traffic = torch.poisson(rate, generator=generator)
        return Crowd(traffic, self._customers(traffic, generator), path)

    def _customers(self, traffic: Tensor, generator: Generator) -> Tensor:
        """The number of each potential customer, [T, J, S, E]; every period begins a word."""
        size = (max(int(traffic.max()), 1), *traffic.shape[1:])
        lanes = math.prod(size)
        words = torch.empty(len(traffic), -(-lanes // 4), dtype=torch.int64, device=traffic.device)
        words.random_(torch.iinfo(torch.int64).min, None, generator=generator)
        return words.view(torch.int16)[:, :lanes].view(-1, *size)

    def feasible(self, exposure: Tensor) -> Tensor:
        """Exposure as the world accepts it: in [0, 1], 0 where not sold, scaled down to the slots; [S, K, E]."""
        inside = exposure.clamp(0.0, 1.0) * self.sold
        return inside * (self.slots / inside.sum(1, keepdim=True).clamp_min(1e-9)).clamp_max(1.0)

    def probability(self, exposure: Tensor) -> Tensor:
        """Chance that one who need not wait buys each product, [S, K, E] in double precision; the rest leaves."""
        weight = self._weight(exposure)
        return weight / (1.0 + weight.sum(1, keepdim=True))

    def _weight(self, exposure: Tensor, wait: Tensor | None = None) -> Tensor:
        utility = self.preference + self.uplift * exposure.double()
        if self.impatience is not None and wait is not None:
            utility = utility - self.impatience * wait[self.facing].double()
        return torch.exp(utility)

    def purchases(self, exposure: Tensor, customers: Tensor, traffic: Tensor, wait: Tensor | None = None) -> Tensor:
        """Units that each segment asks for, [S, K, E].

        Args:
            exposure: [S, K, E] or [S, K, 1], feasible.
            customers: [J, S, E] of one period.
            traffic: [S, E] how many of them come.
            wait: [C, K, E] periods that they are told to wait; None: nobody waits, or minds.
        """
        most = len(customers)
        counted = torch.int16 if most < TABLE_SIZE // 2 else torch.int32
        place = torch.arange(most, device=traffic.device, dtype=counted)[:, None, None]
        customers = customers.masked_fill(place >= traffic.to(counted), _NEVER)
        upper = self._weight(exposure, wait).cumsum(1)
        upper = (upper / (1.0 + upper[:, -1:])).mul_(TABLE_SIZE).round_().clamp_max_(TABLE_SIZE - 1)
        edge = upper.sub_(TABLE_SIZE // 2).to(torch.int16)
        counts = torch.int8 if most < 128 else torch.int32
        below = [torch.lt(customers, edge[:, k]).view(torch.int8).sum(0, dtype=counts) for k in range(edge.shape[1])]
        bought = torch.stack(below, 1).to(self.standing.dtype)
        return torch.cat((bought[:, :1], bought[:, 1:] - bought[:, :-1]), 1)

    def demand(self, exposure: Tensor | None, customers: Tensor, traffic: Tensor, wait: Tensor | None = None) -> Tensor:
        """Units asked for at each customer-facing point, [C, K, E]. None: the segments' own exposure; nobody waits."""
        shown = self.standing if exposure is None else exposure
        return self.at_points(self.purchases(shown, customers, traffic, wait))

    def at_points(self, bought: Tensor) -> Tensor:
        """What segments [S, K, E] ask for at their customer-facing points, [C, K, E] units."""
        return (self._gather @ bought.reshape(len(bought), -1)).view(-1, *bought.shape[1:])

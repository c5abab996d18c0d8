"""What departments and the critic see: features of the state, scaled to the order of one.

A feature row is one number per copy. Positions come first, one row per stock point and product; then what only the
`pipeline` set and the critic see: stock on hand, units in transit to each point by period of arrival, units owed on
each line, and where edges may be shut, which of them are: everybody sees that of his own suppliers; and which known
regime is in force. A firm with
customers has more: what was asked of each point and handed over by it in the last period, units
in transit in all, and, of the customers, the last traffic, the last exposure and the phase of each season; and the
clock, how many periods are left until the episode ends. Where laws of demand have seasons, or orders are taken on some
days only, everybody sees the phases of those cycles. Where they have a trend, or events that are known, there is a row
for each stock point and product of what these make of the demand that an order has to last for.
"""

from __future__ import annotations

import copy
import math
from functools import cached_property
from itertools import accumulate
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from environment.coming import Coming
from environment.laws import History, Sequence
from environment.likeness import Likeness, likeness_of
from environment.network import Network
from environment.seasons import Seasonal
from environment.state import Feedback, State
from environment.streams import Stream, torch_stream
from environment.traits import traits_of
from environment.world import World

ObservationSet = Literal["own", "downstream", "everything", "pipeline", "replenishment", "recommendation", "customers"]
Scaling = Literal["standard", "benchmark", "bounds"]
_ARRIVALS = 6  # periods of arrival that are told apart; later ones are added up
_CLOCK = (5.0, 20.0)  # periods before the end at which the hands of the clock begin to move
_SAMPLE = (256, 60, 20)  # copies, periods and warm-up of the simulation that scaling `standard` measures
_FAR = 4.0  # standard deviations, beyond which a standardised position tells nothing more
_LEAST_SPREAD = 0.05  # of a standardised feature, mean demands: what hardly moves is not blown up


def _waves(network: Network) -> set[float]:
    """Periods of the waves that make up the cycle in which blocks of history keep their place: of a week 7, 3.5, 2.33.

    A profile of a week is a sum of them (a finite Fourier series).
    """
    drawn = {law.blocks for row in network.demand_laws for law in row if isinstance(law, Sequence | History)}
    cycles = {blocks.cycle for blocks in drawn if blocks is not None}
    return {cycle / wave for cycle in cycles for wave in range(1, min(cycle // 2, 3) + 1)}


class Observer:
    """Scaled features of a world, and which of them belong to which department's observation set.

    Scaling `benchmark` (ours): (position - base-stock level) / mean demand through the point. Scaling `standard`
    (ours), for firms whose demand follows laws: the same, less its mean and over its standard deviation while every
    point orders up to its base-stock level, and cut off at four of them: where next to nothing was learned, a network
    that adds to base-stock adds the same, so that what is missing is ordered unit by unit. Scaling `bounds` [I]:
    position mapped from [-2 max_order, base-stock level + max_order] to [-1, 1], the paper's table for its grid; what
    lies outside is cut off, and so is everything else the critic sees, in units of the bound that limits it (stock on
    hand and units owed) or of max_order (arrivals; ours).

    Three sets are for firms with customers [M]. `replenishment`: a stock point's own position, stock on hand, arrivals,
    what was asked of it and handed over by it in the last period, and the season; not the exposure. `recommendation`,
    of the one recommendation department: stock on hand, first arrivals and units in transit of all points, the last
    traffic, its last exposure, and the season; not the orders. `customers`, of a recommendation department that is
    blind to stock: the last traffic, its last exposure, and the season. Units are divided by the mean demand through
    the point without recommendation, traffic by the segment's own; exposure is as it is, a season is sine and cosine.
    The clock, `clock_rows`, is 1 until few periods are left and then falls to 0; in operation nothing ends.
    """

    def __init__(self, world: World, base_stock_level: NDArray[np.float64], scaling: Scaling = "benchmark") -> None:
        """Scale by base-stock levels, [N, K] units.

        Raises:
            ValueError: `standard` in a firm with customers, whose demand the departments steer.
        """
        network, products = world.network, world.products
        self.world = world
        flow = network.mean_flow()
        flow = np.where(flow > 1e-3, flow, 1.0)  # what no one asks for is counted in units
        self.spread = self._column(flow)  # [N * K, 1] units: mean demand through each point, and
        self.reach = self._column(flow * network.reviews.gaps())  # from one review to the next, a residual action of 1
        self.level = self._column(base_stock_level)  # [N * K, 1] units
        self.cut, self.limit = 0, 1.0  # so many features, from the first one on, are cut off at -limit and limit
        self.arrivals = min(world.slots, _ARRIVALS)  # periods of arrival that are told apart
        self.positions = world.points * products
        asked = np.concatenate([network.edge_target[: network.internal], network.customer_facing])  # who asks, by line
        seasons = [clientele.season for clientele in world.firm.customers.values()]
        lengths = {season.period for season in seasons if season.amplitude}
        laws = [law for row in network.demand_laws for law in row if isinstance(law, Seasonal)]
        lengths |= {law.season.period for law in laws if law.season}
        lengths |= _waves(network)
        self._coming = Coming.of(network) if world.choice is None else None
        cycle = network.reviews.cycle
        lengths |= set(map(int, cycle[cycle > 1])) | {length for length in network.closures.lengths() if length > 1}
        self._frequencies = sorted(2.0 * math.pi / length for length in lengths)
        self._ends: int | None = None
        self._by_point = ("inventory_position", "on_hand", *(f"arriving_{slot + 1}" for slot in range(self.arrivals)))
        sizes = dict.fromkeys(self._by_point, self.positions) | {"owed": len(asked) * products}
        self._edges = np.flatnonzero(network.disruption[:, 1])  # [D] that may be shut
        sizes |= {"shut": len(self._edges) * products} if len(self._edges) else {}
        regimes = network.regimes
        known = [] if regimes is None else [regimes.names[m] for m in regimes.shown[: regimes.known]]
        self._regimes = known  # of these everybody hears
        sizes |= {"regime": len(known)} if known else {}
        of_state = sum(sizes.values())
        if world.choice is not None:
            segments = len(world.choice.names)
            sizes |= dict.fromkeys(("asked", "handed", "in_transit"), self.positions)
            sizes |= {"traffic": segments, "exposure": segments * products, "season": 2 * len(self._frequencies)}
            sizes["clock"] = len(_CLOCK)
        else:
            sizes |= {"coming": self.positions} if self._coming else {}
            sizes |= {"season": 2 * len(self._frequencies)} if self._frequencies else {}
        ends = accumulate(sizes.values())
        self._blocks = {what: range(end - size, end) for (what, size), end in zip(sizes.items(), ends, strict=True)}
        self.size = sum(sizes.values())  # all features
        per_position = self._column(1.0 / flow)
        told = per_position.new_ones(self.size - of_state, 1)
        if world.choice is not None:
            scaled = torch.cat((*[per_position] * 3, 1.0 / world.choice.traffic))
            told[: len(scaled)] = scaled
        self.centre = per_position.new_zeros(self.size, 1)
        whether = per_position.new_ones(sizes.get("shut", 0) + sizes.get("regime", 0), 1)
        own = *[per_position] * (2 + self.arrivals), self._column(1.0 / flow[asked]), whether
        self.factor = torch.cat((*own, told))  # [G, 1]: features are (units - centre) factor
        self.centre[: self.positions] = self.level
        if scaling == "bounds":
            max_order = world.firm.amounts("max_order")
            low, high = -2.0 * max_order, base_stock_level + max_order
            self.centre[: self.positions] = self._column((low + high) / 2.0)
            own = (
                self._column(2.0 / (high - low)),
                self._column(1.0 / high),
                *[self._column(1.0 / max_order)] * self.arrivals,
                self._column(-1.0 / low[asked]),
                whether,
            )
            self.factor = torch.cat((*own, told))
            self.cut = of_state
        elif scaling == "standard":
            self._standardise()

    def _column(self, value: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(value, device=self.world.device, dtype=self.world.dtype).reshape(-1, 1)

    @torch.no_grad()
    def _standardise(self) -> None:
        """Measure every feature while all points order up to their levels."""
        world = self.world
        if world.choice is not None:
            raise ValueError(f"scaling standard is for firms without customers, and {world.firm.name} has some")
        copies, periods, warm_up = _SAMPLE
        chance = world.draw(periods, copies, torch_stream(world.device, Stream.SCALES))
        state, level = world.reset(copies), self.level.view(world.points, world.products, 1)
        seen = []
        for t in range(periods):
            position = state.inventory_position
            state, _ = world.step(state, world.feasible(level - position, position, t), chance.at(t))
            if t >= warm_up:
                seen.append(self.all_features(state, period=t + 1))
        every = torch.stack(seen)
        mean, spread = every.mean((0, 2)), every.std((0, 2)).clamp_min(_LEAST_SPREAD)
        self.centre += mean.unsqueeze(-1) / self.factor
        self.factor /= spread.unsqueeze(-1)
        self.cut, self.limit = self.positions, _FAR

    def features(self, state: State) -> Tensor:
        """Scaled positions, [N * K, E]."""
        position = state.inventory_position.view(self.positions, -1)
        features = (position - self.centre[: self.positions]) * self.factor[: self.positions]
        return features.clamp(-self.limit, self.limit) if self.cut else features

    def units(self, state: State, feedback: Feedback | None = None, period: int = 0) -> Tensor:
        """Everything there is to see before it is scaled, [features, E]: units, customers, exposures, phases."""
        seen = self._of_state_units(state)
        if self.world.choice is not None:
            return torch.cat((seen, *self._told(state, feedback, period)))
        return torch.cat((seen, self._phases(period, state))) if self.timed else seen

    def scales(self) -> Tensor:
        """Centre, factor and limit of each feature, [3, features]: `all_features` is (`units` - centre) factor, cut."""
        limit = torch.full_like(self.centre, 1e30)
        limit[: self.cut] = self.limit
        return torch.cat((self.centre, self.factor, limit), 1).T

    @property
    def lines(self) -> range:
        """The rows of what is owed on each line."""
        return self._blocks["owed"]

    def told_at(self, what: Literal["asked", "handed", "in_transit", "traffic", "exposure"]) -> int:
        """The first row of something that only a firm with customers has to see."""
        self.world.chosen()
        return self._blocks[what].start

    def all_features(self, state: State, feedback: Feedback | None = None, period: int = 0) -> Tensor:
        """Everything there is to see, [features, E].

        Args:
            state: after event 2 of period t.
            feedback: of the step that led there; None before the first. Only firms with customers need it.
            period: t, for the season.
        """
        seen = self.units(state, feedback, period).sub_(self.centre).mul_(self.factor)
        if self.cut:
            seen[: self.cut].clamp_(-self.limit, self.limit)
        return seen

    def _of_state_units(self, state: State) -> Tensor:
        """What the state tells, [., E] units."""
        copies, shape = state.on_hand.shape[-1], (self.positions, -1)
        near = list(state.pipeline[: self.arrivals])
        if self.world.slots > self.arrivals:
            near[-1] = state.pipeline[self.arrivals - 1 :].sum(0)
        incoming = self.world.incidence.incoming
        arrivals = [(incoming @ slot.view(len(slot), -1)).view(shape) for slot in near]
        units = (
            state.inventory_position.view(shape),
            state.on_hand.view(shape),
            *arrivals,
            state.owed.view(-1, copies),
            state.aside[: len(self._edges)].reshape(-1, copies),
            *self._in_force(state),
        )
        return torch.cat(units)

    def _in_force(self, state: State) -> list[Tensor]:
        """1 where a regime is in force, [., E]; of those that are told."""
        first = len(state.aside) - self.world.aside[3]
        return [state.aside[first : first + len(self._regimes), 0]] if self._regimes else []

    def until(self, period: int) -> Self:
        """The same, in episodes of which that period is the first that nobody decides on."""
        other = copy.copy(self)
        other._ends = period
        return other

    @cached_property
    def traits(self) -> Tensor:
        """What does not change about the products of each point, [N, 8, K]; see `traits_of`."""
        return torch.as_tensor(traits_of(self.world.firm), device=self.world.device, dtype=self.world.dtype)

    @cached_property
    def likeness(self) -> Likeness:
        """What one network for all stock points is told of each; see `likeness_of`."""
        return likeness_of(self.world.firm, self.level[:, 0].double().cpu().numpy())

    def for_each_product(self, rows: list[int]) -> list[int]:
        """The rows of a department again, feature by feature one for each product: what is of none stands K times."""
        of_none = {*self._blocks.get("traffic", ()), *self.regime_rows, *self.season_rows, *self.clock_rows}
        return [row for row in rows for _ in range(self.world.products if row in of_none else 1)]

    def phases(self, period: int) -> Tensor:
        """What time tells in a period, [P]: what is coming, sine and cosine of seasons, with customers the clock."""
        coming = [] if self._coming is None else self._coming.at(period).ravel().tolist()
        phases = [turn(frequency * period) for frequency in self._frequencies for turn in (math.sin, math.cos)]
        if self.world.choice is None:
            return self.centre.new_tensor([*coming, *phases])
        left = math.inf if self._ends is None else max(self._ends - period, 0)
        return self.centre.new_tensor([*phases, *(min(left / reach, 1.0) for reach in _CLOCK)])

    def _told(self, state: State, feedback: Feedback | None, period: int) -> tuple[Tensor, ...]:
        """What only a firm with customers has to see."""
        copies = state.on_hand.shape[-1]
        feedback = self.world.no_feedback(copies) if feedback is None else feedback
        return (
            *(value.view(-1, copies) for value in (feedback.asked, feedback.handed, self.world.in_transit(state))),
            feedback.traffic,
            feedback.exposure.reshape(-1, copies),
            self._phases(period, state),
        )

    def _phases(self, period: int, state: State) -> Tensor:
        """`phases` of all copies, [P, E]."""
        return self.phases(period).view(-1, 1).expand(-1, state.on_hand.shape[-1])

    def labels(self) -> list[str]:
        """What each feature is, as WHAT/WHERE[/PRODUCT]; the phases of seasons as WHAT/PERIODS.

        WHAT is `inventory_position`, `on_hand`, `arriving_1` (in the next period), `owed` and `shut` (place:
        SUPPLIER>POINT), `regime`, and `coming` of trend and known events; with customers also `asked`, `handed`,
        `in_transit`, `traffic`, `exposure`, `sine`, `cosine` and `clock`.
        """
        world, firm = self.world, self.world.firm
        products = [f"/{product}" if len(firm.products) > 1 else "" for product in firm.products]
        points = [name + product for name in firm.names for product in products]
        network, facing = world.network, [firm.names[n] for n in world.network.customer_facing]
        lines = [f"{a}>{b}" for a, b in network.edge_names[: network.internal]] + [
            f"{name}>customers" for name in facing
        ]
        labels = [f"{kind}/{point}" for kind in self._by_point for point in points]
        labels += [f"owed/{line}{product}" for line in lines for product in products]
        shut = [network.edge_names[edge] for edge in self._edges]
        labels += [f"shut/{source}>{target}{product}" for source, target in shut for product in products]
        labels += [f"regime/{name}" for name in self._regimes]
        periods = [2.0 * math.pi / frequency for frequency in self._frequencies]
        seasons = [f"{turn}/{period:g}" for period in periods for turn in ("sine", "cosine")]
        if world.choice is None:
            return labels + [f"coming/{point}" for point in points if self._coming] + seasons
        segments = ["/".join(name) for name in world.choice.names]
        labels += [f"{kind}/{point}" for kind in ("asked", "handed", "in_transit") for point in points]
        labels += [f"traffic/{segment}" for segment in segments]
        labels += [f"exposure/{segment}/{product}" for segment in segments for product in firm.products]
        return labels + seasons + [f"clock/{reach:g}" for reach in _CLOCK]

    def rows(self, kind: ObservationSet, point: int) -> list[int]:
        """Which feature rows the department of a stock point sees, its own position first.

        The department of the whole firm has the number after the last point: it has no position of its own.
        For `recommendation` and `customers`, which have no position of their own, the point does not matter.
        """
        products, network = self.world.products, self.world.network
        if kind in ("replenishment", "recommendation", "customers"):
            self.world.chosen()
            if kind == "replenishment":
                own = self._of(point, *self._by_point, "asked", "handed")
                return [*own, *self._shut([point]), *self.regime_rows, *self._blocks["season"]]
            stock = ("on_hand", "arriving_1", "in_transit") if kind == "recommendation" else ()
            return [row for what in (*stock, "traffic", "exposure", "season") for row in self._blocks[what]]
        if kind == "pipeline":
            own = [point * products + k for k in range(products) if point < self.world.points]
            return own + [row for row in range(self.size) if row not in own + self.clock_rows]
        if kind == "own":
            points = [point]
        elif kind == "downstream":
            points = [point, *network.descendants(point)]
        else:
            points = sorted(range(self.world.points), key=point.__ne__)
        seen = [other * products + k for other in points for k in range(products)]
        coming = [self._blocks["coming"].start + row for row in seen] if self._coming else []
        return seen + self._shut(points) + self.regime_rows + coming + self.season_rows

    def _shut(self, points: list[int]) -> list[int]:
        """The rows that tell whether edges to these stock points are shut."""
        own = np.flatnonzero(np.isin(self.world.network.edge_target[self._edges], points)).tolist()
        products = self.world.products
        return [self._blocks["shut"].start + d * products + k for d in own for k in range(products)]

    @property
    def timed(self) -> bool:
        """Whether what is seen of a firm without customers depends on the period."""
        return bool(self._frequencies or self._coming)

    @property
    def calendar(self) -> bool:
        """Whether episodes have periods that never return: trend and known events, and regimes that begin by date."""
        regimes = self.world.network.regimes
        return self._coming is not None or (regimes is not None and bool(regimes.begins))

    @property
    def regime_rows(self) -> list[int]:
        """The feature rows that tell which regime is in force; none where nothing switches."""
        return list(self._blocks.get("regime", ()))

    @property
    def season_rows(self) -> list[int]:
        """The feature rows that tell the phase of each season; none where nothing has one."""
        return list(self._blocks.get("season", ()))

    @property
    def clock_rows(self) -> list[int]:
        """The feature rows that tell how many periods are left; none in a firm without customers."""
        return list(self._blocks.get("clock", ()))

    def node_rows(self, point: int) -> list[int]:
        """The feature rows of the state that belong to a stock point: position, on hand, arrivals, what it owes."""
        lines, products = np.flatnonzero(self.world.network.line_supplier == point), self.world.products
        owed = [self.lines[line * products + k] for line in lines for k in range(products)]
        return self._of(point, *self._by_point) + owed + self._shut([point])

    def _of(self, point: int, *blocks: str) -> list[int]:
        """The rows of a stock point in blocks that have one for each and product."""
        products = self.world.products
        return [row for what in blocks for row in self._blocks[what][point * products : (point + 1) * products]]

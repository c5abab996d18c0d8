"""The world: E independent copies of a firm, stepped together. States are values; nothing here remembers a period.

`draw` decides chance for many periods at once, `step` is a pure function of state, decisions and one period of that
chance, so common random numbers, replayed traces and gradients through the simulator are the same call.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from environment.aside import Disruptions, ShelfLife
from environment.choice import Choice
from environment.draws import choose, prepare
from environment.emergencies import Emergencies
from environment.emissions import Emissions
from environment.events import Congested, Incidence, LostShare, dispatch, fulfil, fulfil_in_turn, in_stock, route, split
from environment.firm import Firm
from environment.laws import TABLE_SIZE, AnyLaw, Fixed
from environment.network import Network
from environment.orders import Limits
from environment.sampling import LawTable, seeded_generator, sixteen_bits
from environment.state import Exogenous, Feedback, Outcome, State
from environment.switching import Switching


class World:
    """A firm ready to be stepped on a device.

    Orders are `[N, K, E]` units; a step runs event 4 of one period (orders, demand) and events 1 to 3 of the next.
    Where a stock point's `allocation` is `learned`, orders are followed by the precedence of A lines of demand: units
    by which what is missing to each counts as more when scarce stock is shared out. Who leaves it out says 0, which is
    `shortage`.
    """

    def __init__(
        self,
        firm: Firm,
        initial_on_hand: NDArray[np.float64],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        slots: int = 1,
    ) -> None:
        """Prepare `firm`.

        Args:
            firm: a checked firm.
            initial_on_hand: [N, K] units at the start of an episode where the firm names none (the benchmark's levels).
            device: where all tensors live.
            dtype: float32 is exact for whole units up to 2^24; float64 for exact money too.
            slots: least number of pipeline slots, for given lead times beyond the longest of the firm's laws.
        """
        self.firm, self.network = firm, Network.of(firm)
        self.device, self.dtype = torch.device(device), dtype
        self.products = len(firm.products)
        self.points, self.edges = len(firm.names), len(self.network.edge_target)
        self.longest = self.network.longest_lead_time()  # periods; a pipeline may have more slots
        self.slots = max(slots, self.longest)
        self.incidence = Incidence(self.network, self.device, dtype)
        of = self.network.order_point
        self.orders = len(of)  # O, one of every stock point, or with `supplier_choice: ordered` one of every edge
        self.decisions = self.orders + len(
            self.network.preceding
        )  # O + A: behind orders precedence, where it is decided
        self.max_order = self._amounts("max_order")  # [N, K, 1]
        self.limits = Limits(firm, self.network, self.device, dtype)
        self._holding_cost = self._amounts("holding_cost")
        self.unit_cost, self.fixed_cost = self._amounts("unit_cost")[of], self._amounts("fixed_order_cost")[of]
        facing = torch.as_tensor(self.network.customer_facing, device=self.device)
        self._price = self._amounts("price")[facing]  # [C, K, 1]
        self.backorder_cost = self._amounts("backorder_cost")  # [N, K, 1]
        self._penalty = self.backorder_cost[facing]  # [C, K, 1]
        joint = torch.as_tensor(firm.joint_costs()[of], device=self.device, dtype=dtype)[:, None, None]
        if self.network.by_edge:
            units, whole = zip(*(firm.edge_costs(*edge) for edge in self.network.edge_names), strict=True)
            self.unit_cost = self.unit_cost.new_tensor(units).unsqueeze(-1)  # [O, K, 1]
            joint = joint.new_tensor(whole).view(joint.shape)
        self.joint_cost = joint if bool(joint.any()) else None  # [O, 1, 1]
        self.buys = bool((self.unit_cost.any() | self.fixed_cost.any()).item())
        self._sells = firm.earns
        shares = firm.lost_shares()[self.network.customer_facing, None]
        parts = torch.as_tensor(np.rint(shares * TABLE_SIZE), device=self.device, dtype=torch.float64)
        self._lost = LostShare(parts) if shares.any() else None
        given = [
            [np.nan if value is None else value for value in row]
            for row in (firm.stock_points[name].initial_on_hand_per(firm.products) for name in firm.names)
        ]
        start = np.where(np.isnan(np.array(given, dtype=float)), self._stored(initial_on_hand), given)
        self._initial_on_hand = torch.as_tensor(start, device=self.device, dtype=dtype)[:, :, None]
        chosen = [[Fixed(value=0)] * self.products if name in firm.customers else None for name in firm.customer_facing]
        laws: list[list[AnyLaw]] = [
            [*zero] if zero else given for zero, given in zip(chosen, self.network.demand_laws, strict=True)
        ]
        self._demand_table = self._table(laws)
        self._switching = Switching.of_firm(firm, self.network, laws, self._table, self.buys)
        self.choice = Choice(firm, self.device, dtype) if firm.customers else None
        salvage_value = self._amounts("salvage_value")
        self._salvage_value = salvage_value if bool(salvage_value.any()) else None
        lead_times = [law.mass() for laws in self.network.lead_time_laws for law in laws]
        fixed = all(np.count_nonzero(mass) == 1 for mass in lead_times)
        self.at_once = any(mass[0] > 0 for mass in lead_times)  # whether what is shipped may arrive in the same period
        self._lead_time_table = None if fixed else self._table(self.network.lead_time_laws, torch.int16)
        self.tells_lead_times = not fixed or self.network.closures.ever  # whether they differ from period to period
        modes = torch.tensor([int(mass.argmax()) for mass in lead_times], device=self.device)
        self.fixed_lead_time = modes.view(self.edges, self.products, 1)  # [Ed, K, 1] periods
        suppliers = torch.as_tensor(self.network.supplier_count, device=self.device, dtype=torch.int32)
        self._supplier_count = suppliers[:, None, None]
        drawn = not (self.network.split or self.network.by_edge) and self.network.preference is None
        self._chooses = drawn and bool((self._supplier_count > 1).any())
        self._supplier_ends = self._ends() if drawn and self.network.shares is not None else None
        self._initial_pipeline = self._pipeline()
        backlog = self._amounts("initial_backlog")
        self._initial_backlog = backlog if bool(backlog.any()) else None
        self._disruptions = self._shelf_life = None
        if self.network.disruption.any():
            self._disruptions = Disruptions(self.network, self.device, dtype)
        if any(point.shelf_life for point in firm.stock_points.values()):
            self._shelf_life = ShelfLife(firm, self.device, dtype)
        self._congestion = Congested(self.network, self.device, dtype) if self.network.congestion.any() else None
        self._emergencies = Emergencies(self.network, self.device, dtype) if self.network.emergency.any() else None
        self._waste_cost = self._amounts("waste_cost")
        self.emissions = None  # where they cost something, or may
        if firm.emissions is not None:
            self.emissions = Emissions(self.network, firm.emission_price, self.device, dtype)
        shut, waiting = (0, 0) if self._disruptions is None else (self._disruptions.count, self._disruptions.waiting)
        aged = 0 if self._shelf_life is None else self._shelf_life.ages * self._shelf_life.count
        switching = 0 if self.network.regimes is None else len(self.network.regimes.shown)
        self.aside = (shut, waiting, aged, switching)  # D, Q, A P and M - 1 rows of `State.aside`

    def _stored(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Levels as far as storage holds them, in the same shares, [N, K] units."""
        total, room = np.maximum(levels.sum(1), 1e-9), self.limits.storage
        return np.where(
            ((room >= 0) & (room < total))[:, None], np.floor(levels * (room / total)[:, None] + 1e-9), levels
        )

    def _amounts(self, field: str) -> Tensor:
        return torch.as_tensor(self.firm.amounts(field), device=self.device, dtype=self.dtype)[:, :, None]

    def _pipeline(self) -> Tensor | None:
        """Units under way at the start, [slots, Ed, K, 1]; None if there are none anywhere."""
        units = np.zeros((self.slots, self.edges, self.products, 1))
        for e, (row, laws) in enumerate(zip(self.network.initial_pipeline, self.network.lead_time_laws, strict=True)):
            for k, (given, law) in enumerate(zip(row, laws, strict=True)):
                one_by_one = given if isinstance(given, tuple) else (given,) * (len(law.mass()) - 1)
                units[: len(one_by_one), e, k, 0] = one_by_one
        return torch.as_tensor(units, device=self.device, dtype=self.dtype) if units.any() else None

    def _ends(self) -> Tensor:
        """Numbers from which on the next supplier is drawn, [places, N, 1, 1] of 65,536."""
        network = self.network
        ends = torch.full((int(network.supplier_count.max()), self.points), TABLE_SIZE, dtype=torch.int32)
        ends[network.supplier_rank, network.edge_target] = torch.as_tensor(network.parts()[1], dtype=torch.int32)
        return ends[:-1, :, None, None].to(self.device)

    def _table(self, laws: list[list[AnyLaw]], dtype: torch.dtype | None = None) -> LawTable:
        return LawTable([law for row in laws for law in row], self.device, dtype or self.dtype)

    @cached_property
    def unearned(self) -> NDArray[np.float64]:
        """What a unit short costs beside the backorder cost, [N, K] money: its price, and holding it elsewhere."""
        return self.firm.amounts("price") + self.firm.amounts("holding_cost")

    def reprice(self, backorder_cost: NDArray[np.float64] | None, emission_price: float | None = None) -> None:
        """Let a unit short [C, K], or a unit of emission, cost other money from now on, here and in the core."""
        if emission_price is not None and self.emissions is not None:
            self.emissions.reprice(emission_price)
        if backorder_cost is None:
            return
        facing = torch.as_tensor(self.network.customer_facing, device=self.device)
        short = torch.as_tensor(backorder_cost, device=self.device, dtype=self.dtype)
        self.backorder_cost[facing] = short.view(len(facing), -1, 1)
        self._penalty = self.backorder_cost[facing]

    def draw_in_core(self) -> None:
        """Look up what is drawn in C++ from now on, on the processor.

        Raises:
            NotCompiledError: there is no compiler, or it failed.
        """
        prepare()
        for table in (
            self._demand_table,
            self._lead_time_table,
            *([] if self._switching is None else self._switching.tables.values()),
        ):
            if table is not None:
                table.in_core = True

    def generator(self, *seed: int) -> Generator:
        """A generator of the world's device for a stream of its own, named by whole numbers."""
        return seeded_generator(self.device, *seed)

    def reset(self, copies: int, on_hand: Tensor | None = None) -> State:
        """Period 0 of an episode: stock on hand, the firm's initial pipeline, everything else zero.

        Args:
            copies: E.
            on_hand: [N, K, E] or broadcastable, units; the firm's own start by default.
        """
        zeros = torch.zeros(self.points, self.products, copies, device=self.device, dtype=self.dtype)
        stock = zeros + (self._initial_on_hand if on_hand is None else on_hand)
        pipeline = zeros.new_zeros(self.slots, self.edges, self.products, copies)
        owed = zeros.new_zeros(self.incidence.lines, self.products, copies)
        aside = zeros.new_zeros(sum(self.aside), self.products, copies)
        if self._shelf_life is not None:
            first = sum(self.aside[:2])
            aside[first : first + self.aside[2]] = self._shelf_life.at_first(stock).flatten(0, 1)
        state = State(stock, pipeline, owed, stock.clone(), aside)
        if self._initial_backlog is not None:
            owed = self.incidence.facing.of(zeros + self._initial_backlog)
            position = state.inventory_position - zeros - self._initial_backlog
            state = state._replace(
                owed=torch.cat((state.owed[: self.network.internal], owed)), inventory_position=position
            )
        if self._initial_pipeline is None:
            return state
        under_way = state._replace(pipeline=pipeline + self._initial_pipeline)
        return under_way._replace(inventory_position=state.inventory_position + self.in_transit(under_way))

    def draw(
        self,
        periods: int,
        copies: int,
        generator: Generator,
        *,
        start: int | None = None,
        regime: Tensor | None = None,
        aside: Tensor | None = None,
    ) -> Exogenous:
        """All chance of `periods` periods, each field with a leading axis T.

        Args:
            periods: T.
            copies: E.
            generator: of the device.
            start: the first period's number, for seasons and sequences; None: an episode, which begins in period 0 of
                seasons and on a day of sequences that is drawn.
            regime: [S, E] of the period before, to go on with the same customers.
            aside: `State.aside` of the first period, to go on in its regime; None: the first one.
        """
        shape = (periods, -1, self.products, copies)
        lanes, linked = None, self.firm.correlation
        if linked is not None:
            lanes = linked.lanes((periods, len(self.network.customer_facing), self.products, copies), generator)
        if self._switching is not None and lanes is None:
            rows = len(self.network.customer_facing) * self.products
            lanes = sixteen_bits(periods * rows * copies, generator).view(periods, rows, copies)
        demand = self._demand_table.draw(periods, copies, generator, start, lanes).view(shape)
        lead_time = cost_factor = None
        if self._lead_time_table is not None:
            lead_time = self._lead_time_table.draw(periods, copies, generator).view(shape)
        if self.network.closures.ever:
            lead_time = self._with_closed_days(lead_time, periods, copies, start or 0)
        supplier = self._draw_suppliers(periods, copies, generator) if self._chooses else None
        if self.firm.cost_spread:
            size = (periods, 2, self.points, self.products, copies)
            noise = torch.rand(size, generator=generator, device=self.device, dtype=self.dtype)
            cost_factor = 1.0 + self.firm.cost_spread * (2.0 * noise - 1.0)
        lost = None
        if self._lost is not None and self._lost.mixed:
            of = periods, len(self.network.customer_facing), self.products, copies
            lost = sixteen_bits(int(np.prod(of)), generator).view(of)
        breaks = None
        if self._disruptions is not None:
            edges = periods, self._disruptions.count, copies
            breaks = sixteen_bits(int(np.prod(edges)), generator).view(edges)
        emergency = None
        if self._emergencies is not None:
            of = periods, self._emergencies.count, self.products, copies
            emergency = sixteen_bits(int(np.prod(of)), generator).view(of)
        crowd = () if self.choice is None else self.choice.draw(periods, copies, generator, start or 0, regime)
        drawn = Exogenous(demand, lead_time, supplier, cost_factor, *crowd)._replace(
            breaks=breaks, lost=lost, emergency=emergency
        )
        if self._switching is None:
            return drawn
        now = None if aside is None else aside[len(aside) - self.aside[3] :, 0]
        return self._switching.of(drawn, (start, now), lanes, generator, self.fixed_lead_time)

    def _draw_suppliers(self, periods: int, copies: int, generator: Generator) -> Tensor:
        """Place of the supplier that gets each order, [T, N, K, E] int16."""
        shape = (periods, self.points, self.products, copies)
        lanes = sixteen_bits(math.prod(shape), generator).view(shape)
        if self._supplier_ends is None and self._demand_table.in_core:
            return choose(self._supplier_count.squeeze(-1), lanes)
        number = lanes.to(torch.int32).add_(TABLE_SIZE // 2)
        if self._supplier_ends is not None:
            return torch.stack([number >= end for end in self._supplier_ends]).sum(0, dtype=torch.int16)
        return number.mul_(self._supplier_count).bitwise_right_shift_(16).to(torch.int16)  # / TABLE_SIZE

    def _with_closed_days(self, lead_time: Tensor | None, periods: int, copies: int, start: int) -> Tensor:
        """Lead times of open days as periods, [T, Ed, K, E] int16, see `environment.closures`."""
        network, days = self.network, self.fixed_lead_time if lead_time is None else lead_time.to(torch.int64)
        table = torch.as_tensor(network.open_times, device=self.device)  # [A, phases, λ + 1]
        phase = torch.as_tensor(network.closures.phase(start + np.arange(periods)), device=self.device)
        calendar = torch.as_tensor(network.closures.of, device=self.device)
        found = table[calendar[:, :, None], phase[:, None, None, None], days]
        return found.to(torch.int16).expand(-1, -1, -1, copies)

    def feasible(self, order: Tensor, position: Tensor, period: int) -> Tensor:
        """Decisions as the world accepts them, see `environment.orders`, [O + A, K, E].

        Args:
            order: [O + A, K, E] units, wished; or [O, K, E] or [N, K, E], which are `parted`.
            position: [N, K, E] units, inventory positions before the order.
            period: its number, for review days.
        """
        wish = order if len(order) == self.decisions else self.parted(order)
        accepted = self.limits.feasible(wish[: self.orders], position, period)
        if self.decisions == self.orders:
            return accepted
        return torch.cat((accepted, self.limits.precedence(wish[self.orders :])))

    def parted(self, wish: Tensor) -> Tensor:
        """Wishes of stock points [N, K, E] or orders [O, K, E] as those of all decisions [O + A, K, E].

        Of edges by the suppliers' shares; precedence is 0.
        """
        if self.network.by_edge and len(wish) != self.orders:
            wish = split(wish.reshape(self.points, -1), self.incidence).view(-1, *wish.shape[1:])
        if self.decisions == self.orders:
            return wish
        return torch.cat((wish, wish.new_zeros(self.decisions - self.orders, *wish.shape[1:])))

    def by_point(self, order: Tensor) -> Tensor:
        """Amounts by order [O, .., E], added up by stock point, [N, .., E]; precedence behind them does not count."""
        order = order[: self.orders]
        if not self.network.by_edge:
            return order
        return (self.incidence.incoming @ order.reshape(self.orders, -1)).view(self.points, *order.shape[1:])

    def demand(self, state: State, chance: Exogenous, exposure: Tensor | None = None) -> Tensor:
        """Units that external customers ask for, [C, K, E]: what chance says plus what they choose under `exposure`.

        Args:
            state: before they come; what they are told to wait follows from it.
            chance: one period of `draw`.
            exposure: [S, K, E], feasible (see `Choice.feasible`); None: the firm file's, which by default is none.
        """
        if self.choice is None or chance.customers is None or chance.traffic is None:
            return chance.demand
        wait = None if self.choice.impatience is None else self.wait(state)
        return chance.demand + self.choice.demand(exposure, chance.customers, chance.traffic, wait)

    def wait(self, state: State) -> Tensor:
        """What customers who come now are told to wait, [C, K, E] periods; no gradient goes through it.

        They are served in the next period if what is on hand and arrives by then is more than what customers before
        them are owed, and as many periods later as this takes longer; where all that is under way is not enough, it is
        as many as the longest lead time has.
        """
        free, late = state.on_hand.detach().clone(), torch.zeros_like(state.on_hand)
        free = self.incidence.facing.add_to(free, -self.backlog(state).detach())
        for arriving in state.pipeline.detach()[: self.longest]:
            flat = arriving.reshape(self.edges, -1)
            free = free + (self.incidence.incoming @ flat).view(free.shape)
            late = late + (free <= 0.0).to(self.dtype)
        return self.incidence.facing.of(late)

    def step(
        self, state: State, order: Tensor, chance: Exogenous, exposure: Tensor | None = None
    ) -> tuple[State, Outcome]:
        """Place feasible orders, let demand be drawn, and run the next period up to its accounts.

        Args:
            state: after event 2 of period t.
            order: [O + A, K, E] whole units as `feasible` gives them, or [O, K, E]: all precedence is 0 then.
            chance: one period of `draw`.
            exposure: [S, K, E] what is recommended to whom, for `demand`.

        Returns:
            The state after event 2 of period t + 1, and that period's outcome.
        """
        incidence, inside = self.incidence, self.network.internal
        precedence = order[self.orders :].flatten(1) if len(order) > self.orders else None
        order = order[: self.orders]
        full = (-1, self.products, order.shape[-1])
        flat = (-1, self.products * order.shape[-1])
        demand = self.demand(state, chance, exposure)
        order_flat, wanted = self.by_point(order).reshape(flat), demand.reshape(flat)
        placed = self.placed(state, order, chance)
        flags, waiting, ages, regimes = torch.split(state.aside.reshape(len(state.aside), flat[1]), list(self.aside))
        regimes = regimes if chance.flags is None else chance.flags.repeat(1, self.products)
        ordered = torch.cat((placed[:inside], wanted))
        position = (state.inventory_position.view(flat) + order_flat).addmm_(incidence.outgoing, ordered, alpha=-1.0)

        pipeline = state.pipeline.view(self.slots, self.edges, -1)
        on_hand = torch.addmm(state.on_hand.view(flat), incidence.incoming, pipeline[0])  # event 1
        owed, rank = state.owed.view(flat), position
        if incidence.newest_first is not None:
            stock = on_hand if incidence.ships_first is None else state.on_hand.view(flat)
            rank = torch.cat((position, torch.addmm(stock, incidence.outgoing, owed, alpha=-1.0)))
        now_owed, now_ordered = owed, ordered  # of lines that are not shut
        if self._disruptions is not None and chance.breaks is not None:
            number = chance.breaks.repeat(1, self.products)
            flags, waiting, placed, serves = self._disruptions.step(flags, waiting, placed, number)
            now_owed, now_ordered = owed * serves, ordered * serves
        lead_time, at_once = self._lead_time(chance, order.shape[-1]), None
        if not self.at_once:
            first = incidence.ships_first  # of those who ship what they had before anything arrived
            there = on_hand if first is None else torch.where(first, state.on_hand.view(flat), on_hand)
            shipped = fulfil(there, now_owed, now_ordered, rank, incidence, precedence)  # event 2
            shipped = self.limits.carry(shipped, self.products)
        else:
            at_once = (lead_time == 0).to(self.dtype)
            bought = torch.cat((torch.zeros_like(placed[:inside]), placed[inside:]))
            on_hand = torch.addmm(on_hand, incidence.incoming, at_once * bought)
            shipped, on_hand = fulfil_in_turn(on_hand, now_owed, now_ordered, rank, at_once, incidence, precedence)
        received, on_hand = on_hand, torch.addmm(on_hand, incidence.outgoing, shipped, alpha=-1.0)
        owed = owed + ordered - shipped
        unserved, delivered = owed[inside:], None
        if self._emergencies is not None and chance.emergency is not None:
            delivered = self._emergencies.delivered(on_hand, unserved, chance.emergency.reshape(flat))
            given = self._emergencies.at_suppliers(delivered, self.points)
            on_hand, position = (
                on_hand - given,
                position - given + self._emergencies.at_customers(delivered, self.points),
            )
            at_once_sold = torch.zeros_like(unserved).index_add(0, self._emergencies.lines, delivered)
            unserved, shipped = unserved - at_once_sold, torch.cat((shipped[:inside], shipped[inside:] + at_once_sold))
            owed, delivered = torch.cat((owed[:inside], unserved)), delivered.view(full)
        if self._lost is not None:
            lost = self._lost.of(unserved, wanted, None if chance.lost is None else chance.lost.reshape(flat))
            position = incidence.facing.add_to(position, lost)
            owed = torch.cat((owed[:inside], unserved - lost))
        waste = None
        if self._shelf_life is not None:
            expires = self._shelf_life.points
            arrived = (received - state.on_hand.view(flat))[expires]
            aged = ages.view(self._shelf_life.ages, len(expires), -1)
            aged, expired = self._shelf_life.step(aged, arrived, (received - on_hand)[expires])
            waste = torch.zeros_like(on_hand).index_copy(0, expires, expired)
            on_hand, position, ages = on_hand - waste, position - waste, aged.flatten(0, 1)
            waste = waste.view(full)
        aside = (
            torch.cat((flags, waiting, ages, regimes)).view(len(state.aside), *full[1:])
            if len(state.aside)
            else state.aside
        )
        leaving = torch.cat((shipped[:inside], placed[inside:]))
        shipped_on = leaving.view(full)
        if at_once is not None:
            leaving, lead_time = leaving * (1.0 - at_once), lead_time.clamp_min(1)
        if self._congestion is not None:
            lead_time = lead_time + self._congestion.periods(pipeline[1:], self.products)
        pipeline = dispatch(pipeline, leaving, lead_time)

        after = State(on_hand.view(full), pipeline.view(self.slots, *full), owed.view(full), position.view(full), aside)
        sales, unserved = shipped[inside:].view(full), unserved.view(full)
        cost = self.account(after.on_hand, sales, unserved, order, chance, waste, shipped_on)
        total = cost.squeeze(1) if self.products == 1 else cost.sum(1)
        return after, Outcome(total, sales, unserved, demand, shipped_on, waste, delivered)

    def placed(self, state: State, order: Tensor, chance: Exogenous) -> Tensor:
        """Orders per edge, [Ed, K E]: who of a point's suppliers gets how much of what it orders."""
        order = order[: self.orders]
        flat = (-1, self.products * order.shape[-1])
        own, supplier = order.reshape(flat), None if chance.supplier is None else chance.supplier.reshape(flat)
        if self.network.by_edge:
            return own
        if self.network.split:
            return split(own, self.incidence)
        if self.incidence.by_preference:
            shut = (
                None
                if self._disruptions is None
                else (self._disruptions.at, state.aside[: self.aside[0]].reshape(flat))
            )
            supplier = in_stock(own.detach(), state.on_hand.detach().reshape(flat), self.incidence, shut)
        return route(own, supplier, self.incidence)

    def feedback(
        self,
        before: State,
        order: Tensor,
        chance: Exogenous,
        exposure: Tensor | None,
        after: State,
        outcome: Outcome,
    ) -> Feedback:
        """What the departments of a firm with customers learn from a step beside the state after it.

        Args:
            before: the state that was stepped.
            order: [O, K, E] the step's orders.
            chance: the step's chance.
            exposure: [S, K, E] the step's exposure; None: the firm file's.
            after: the state the step led to.
            outcome: of the step.
        """
        choice, nothing = self.chosen(), self.no_feedback(order.shape[-1])
        asked = self.asked(before, order, after, outcome)
        lost = self.lost(after, outcome)
        served = (before.owed - after.owed).view(self.incidence.lines, -1)
        handed = torch.addmm(asked.view(self.points, -1), self.incidence.outgoing, served).view(order.shape)
        if self._lost is not None:
            handed = self.incidence.facing.add_to(handed, -lost)
        traffic = nothing.traffic if chance.traffic is None else chance.traffic
        shown = choice.standing if exposure is None else exposure
        return Feedback(asked, handed, traffic, nothing.exposure + shown)

    def asked(self, before: State, order: Tensor, after: State, outcome: Outcome) -> Tensor:
        """Units ordered from each point in a step, by customers of both kinds, backlog not included, [N, K, E]."""
        asked = before.inventory_position + self.by_point(order) - after.inventory_position
        if self._lost is not None:
            asked = self.incidence.facing.add_to(asked, self.lost(after, outcome))
        if self._emergencies is not None and outcome.delivered is not None:  # was asked for where it is sold
            asked = asked - self._emergencies.at_suppliers(outcome.delivered, self.points)
            asked = asked + self._emergencies.at_customers(outcome.delivered, self.points)
        return asked if outcome.waste is None else asked - outcome.waste

    def waiting(self, state: State) -> Tensor:
        """Units ordered outside that wait for a supplier who is shut, [Q, K, E]."""
        shut, waiting, *_ = self.aside
        return state.aside[shut : shut + waiting]

    def backlog(self, state: State) -> Tensor:
        """What external customers are owed, [C, K, E] units."""
        return state.owed[self.network.internal :]

    def lost(self, after: State, outcome: Outcome) -> Tensor:
        """Units of demand lost in the step that led to a state, [C, K, E]."""
        return outcome.unserved - self.backlog(after)

    def chosen(self) -> Choice:
        """The customers' choice, in a firm that has it.

        Raises:
            RuntimeError: demand follows laws alone.
        """
        if self.choice is None:
            raise RuntimeError(f"firm {self.firm.name} has no customers who choose; give it `customers` for reports")
        return self.choice

    def no_feedback(self, copies: int) -> Feedback:
        """What a department knows of the period before period 0: nothing."""
        zeros = torch.zeros(self.points, self.products, copies, device=self.device, dtype=self.dtype)
        exposure = zeros.new_zeros(len(self.chosen().names), self.products, copies)
        return Feedback(zeros, zeros, exposure[:, 0], exposure)

    def _lead_time(self, chance: Exogenous, copies: int) -> Tensor:
        lead_time = self.fixed_lead_time if chance.lead_time is None else chance.lead_time.to(torch.int64)
        return (
            lead_time
            if self.slots == 1 and not self.at_once
            else lead_time.expand(-1, -1, copies).reshape(self.edges, -1)
        )

    def holding(self, state: State) -> Tensor:
        """Cost of period 0, before anything was ordered, [N, E] money."""
        cost = self._holding_cost * state.on_hand
        return self.incidence.facing.add_to(cost, self._penalty * self.backlog(state)).sum(1)

    def account(
        self,
        on_hand: Tensor,
        sales: Tensor,
        unserved: Tensor,
        order: Tensor,
        chance: Exogenous,
        waste: Tensor | None = None,
        shipped: Tensor | None = None,
    ) -> Tensor:
        """Event 3: cost per stock point and product, [N, K, E] money; who receives pays what shipments emit."""
        cost, penalty, order = self._holding_cost * on_hand, self._penalty * unserved, order[: self.orders]
        if chance.cost_factor is not None:
            cost, penalty = cost * chance.cost_factor[0], penalty * self.incidence.facing.of(chance.cost_factor[1])
        if self._sells:
            penalty = penalty - self._price * sales
        cost = self.incidence.facing.add_to(cost, penalty)
        if self.buys:
            bought = self.unit_cost * order
            bought = bought if chance.purchase_factor is None else bought * chance.purchase_factor
            fixed = self.fixed_cost * (order > 0)
            cost = cost + self.by_point(bought + fixed) if self.network.by_edge else cost + bought + fixed
        cost = cost if waste is None else cost + self._waste_cost * waste
        if self.emissions is not None and shipped is not None:
            emitted = self.emissions.cost(shipped).view(self.edges, -1)
            cost = cost + (self.incidence.incoming @ emitted).view(cost.shape)
        if self.joint_cost is None:
            return cost
        joint = self.by_point(self.joint_cost * (order > 0).any(1, keepdim=True))  # stands with the first product
        return torch.cat((cost[:, :1] + joint, cost[:, 1:]), 1)

    def salvage(self, state: State) -> Tensor | None:
        """Value of stock on hand or in transit to each point when an episode ends, [N, E] money; None: no value."""
        if self._salvage_value is None:
            return None
        return self.salvage_of(state.on_hand + self.in_transit(state))

    def salvage_of(self, held: Tensor) -> Tensor | None:
        """The same of units held, [N, K, E]."""
        return None if self._salvage_value is None else (self._salvage_value * held).sum(1)

    def in_transit(self, state: State) -> Tensor:
        """Units on their way to each stock point, [N, K, E]."""
        total = state.pipeline.sum(0)
        return (self.incidence.incoming @ total.view(self.edges, -1)).view(self.points, *total.shape[1:])

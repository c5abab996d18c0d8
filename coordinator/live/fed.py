"""A firm in the real world: observations come as files, decisions leave as files; see `coordinator.live.feed_files`.

A file is read when its period is next; then the book has what it says, and nobody needs the file any more. Shadow firms
play the demand that was observed, whatever is recommended in them; lead times come from the firm file's laws (ours).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coordinator.live.feed_files import ARRIVALS, check_sales, read_observations, read_traffic
from coordinator.live.layout import FirmLayout
from coordinator.live.period_start import Arrays, PeriodStart
from coordinator.live.simulated import LIVE, Simulated
from departments.serving.numpy_policy import Array
from environment import Exogenous, Feedback, State

AWAITED = "awaited"  # among a moment's arrays: the period whose observations have not come yet
_ACCOUNT = "account_"
Record = dict[str, Any]
Observed = Callable[[int], Record | None]  # what the book has of a period, by column


class Shadow(Simulated):
    """The simulated firm on the demand that was observed."""

    def __init__(self, firm: str, seed: int, observed: Observed, slots: int = 1) -> None:
        """Prepare `firm`; `observed`: what the book has of a period."""
        super().__init__(firm, seed, slots)
        self._observed = observed

    @torch.inference_mode()
    def chance(self, tick: int, arrays: Arrays, stream: int = LIVE) -> Exogenous:
        """The laws' chance, with the demand that was observed in the next period; drawn where the book has none."""
        drawn = super().chance(tick, arrays, stream)
        seen = self._observed(tick + 1) if stream == LIVE else None
        if seen is None:
            return drawn
        demand = torch.tensor(seen["demand"], dtype=self.world.dtype)[self.world.network.customer_facing, :, None]
        return drawn._replace(demand=demand.expand_as(drawn.demand), customers=None)


class Fed(Simulated):
    """The environment of a fed firm."""

    def __init__(self, firm: str, seed: int, layout: FirmLayout, feed: str, slots: int = 1) -> None:
        """Prepare `firm`; `feed`: where its observations come from."""
        super().__init__(firm, seed, slots)
        if sum(self.world.aside):
            raise ValueError(
                "--feed: a feed tells neither who is shut nor how old stock is, nor which regime is in force: no "
                "disruption, no shelf_life, no regimes"
            )
        if self.world.emissions is not None:
            raise ValueError("--feed: a feed does not tell what leaves where: remove emissions of the firm")
        if self.world.network.emergency.any():
            raise ValueError("--feed: a feed tells no emergency shipments: no emergency")
        if self.firm.unmet_demand == "mixed":
            raise ValueError("--feed: a feed tells backlog or lost sales: give all stock points the same `unmet`")
        self.layout, self.folder = layout, Path(feed) / "in"
        self.arrivals = min(self.world.slots, ARRIVALS)
        self._sold = None
        if layout.segments:
            of = [segment.partition("/")[0] for segment in layout.segments]
            self._sold = np.array([[any(row) for row in layout.sold[[o == n for o in of]].T] for n in layout.points])

    def begin(self) -> PeriodStart:
        """Before tick 0: nothing was ordered or shown, and what is there has not been told."""
        start, world = self.start(), self.world
        shown = None if world.choice is None else np.zeros((len(world.choice.names), world.products, 1))
        arrays = start.arrays | {f"{_ACCOUNT}{key}": value for key, value in start.account.items()}
        return awaiting(0, arrays, self.observer.size, np.zeros((world.points, world.products, 1)), shown)

    def step(self, tick: int, arrays: Arrays, order: Array, exposure: Array | None, stream: int = LIVE) -> PeriodStart:
        """What is known of the next period before its observations come: the orders, and the accounts until then."""
        return awaiting(tick + 1, arrays, self.observer.size, order, exposure)

    def observe(self, tick: int, arrays: Arrays) -> tuple[PeriodStart, Record] | str | None:
        """The period that is awaited, and what was told of it by column; None while its files have not come.

        One line where they cannot be read.
        """
        try:
            seen = read_observations(self.folder / f"period-{tick}.csv", self.layout, self.arrivals)
            if self.layout.recommends is not None:
                seen["traffic"] = read_traffic(self.folder / f"traffic-{tick}.csv", self.layout)
            earlier = None if self.firm.unmet_demand == "lost" else arrays[f"{_ACCOUNT}backlog"][..., 0]
            check_sales(tick, self.layout, seen, earlier, self._sold)
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            return " ".join(str(error).split())
        told = {column: values.tolist() for column, values in seen.items()}
        return self.observed(tick, arrays, told), told

    @torch.inference_mode()
    def observed(self, tick: int, arrays: Arrays, told: Record) -> PeriodStart:
        """A period's moment from what was told of it, and from the past in `arrays`."""
        world, network = self.world, self.world.network
        seen = {column: np.array(values) for column, values in told.items()}

        def units(value: Array) -> torch.Tensor:
            return torch.as_tensor(value, dtype=world.dtype).unsqueeze(-1)

        before = world.reset(1)
        pipeline, owed = torch.zeros_like(before.pipeline), torch.zeros_like(before.owed)
        for point in range(world.points):
            edge = int(np.flatnonzero(network.edge_target == point)[0])  # whence it comes does not matter to anybody
            for slot in range(self.arrivals):
                pipeline[slot, edge] = units(seen[f"arriving_{slot + 1}"][point])
        facing = network.customer_facing
        owed[network.internal :] = units(seen["backlog"][facing])
        stock, position = units(seen["on_hand"]), units(seen["inventory_position"])
        state = State(stock, pipeline, owed, position, before.aside)
        feedback = None
        if "traffic" in seen:
            exposure = torch.as_tensor(arrays["exposure"], dtype=world.dtype)
            feedback = Feedback(units(seen["asked"]), units(seen["handed"]), units(seen["traffic"]), exposure)
        sales, demand = units(seen["sales"][facing]), units(seen["demand"][facing])
        lost = self.firm.unmet_demand == "lost"
        unserved = (demand - sales).clamp_min(0.0) if lost else units(seen["backlog"][facing])
        order = torch.as_tensor(arrays["order"], dtype=world.dtype)
        cost = world.account(state.on_hand, sales, unserved, order, Exogenous(demand, None, None, None)).sum(1)
        earlier = torch.as_tensor(arrays[f"{_ACCOUNT}backlog"], dtype=world.dtype)
        served = sales if lost else (sales - earlier).clamp_min(0.0)
        regime = None if feedback is None else torch.zeros(len(world.chosen().names), 1)
        moment = self._moment(tick, state, feedback, regime, cost, demand, served)
        kept = {f"{_ACCOUNT}{key}": value for key, value in moment.account.items()}
        return moment._replace(arrays=moment.arrays | kept)


def awaiting(tick: int, arrays: Arrays, features: int, order: Array, exposure: Array | None) -> PeriodStart:
    """A moment of which only the past is known: the state arrays and accounts of the period before."""
    known = {key: value for key, value in arrays.items() if key != "exposure"}
    known |= {AWAITED: np.array([float(tick)]), "order": order}
    if exposure is not None:
        known["exposure"] = exposure
    account = {key.removeprefix(_ACCOUNT): value for key, value in arrays.items() if key.startswith(_ACCOUNT)}
    return PeriodStart(known, np.zeros((features, 1)), account)

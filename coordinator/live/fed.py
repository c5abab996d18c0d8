"""A firm in the real world: observations come as files, decisions leave as files; see `coordinator.live.feed_files`.

Nothing here remembers a period; a file is read when its period is next, and read again after a death. Shadow firms play
the demand that was observed, whatever is recommended in them, and draw lead times from the firm file's laws (ours).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from coordinator.live.feed_files import ARRIVALS, read_observations, read_traffic
from coordinator.live.layout import FirmLayout
from coordinator.live.period_start import Arrays, PeriodStart
from coordinator.live.simulated import LIVE, Simulated
from departments.serving.numpy_policy import Array
from environment import Exogenous, Feedback, State

AWAITED = "awaited"  # among a moment's arrays: the period whose observations have not come yet
_ACCOUNT = "account_"


class _Files(Simulated):
    def __init__(self, firm: str, seed: int, layout: FirmLayout, feed: str) -> None:
        super().__init__(firm, seed)
        self.layout, self.folder = layout, Path(feed) / "in"
        self.arrivals = min(self.world.slots, ARRIVALS)

    def observations(self, tick: int) -> dict[str, Array]:
        """Of one period; FileNotFoundError, ValueError as `read_observations`."""
        return read_observations(self.folder / f"period-{tick}.csv", self.layout, self.arrivals)


class Shadow(_Files):
    """The simulated firm on the demand that was observed."""

    @torch.inference_mode()
    def chance(self, tick: int, arrays: Arrays, stream: int = LIVE) -> Exogenous:
        """The laws' chance, with the demand that the next period's file says was asked for."""
        drawn = super().chance(tick, arrays, stream)
        if stream != LIVE:
            return drawn
        facing = self.world.network.customer_facing
        demand = torch.as_tensor(self.observations(tick + 1)["demand"][facing][..., None], dtype=self.world.dtype)
        return drawn._replace(demand=demand.expand_as(drawn.demand), customers=None)


class Fed(_Files):
    """The environment of a fed firm."""

    def step(self, tick: int, arrays: Arrays, order: Array, exposure: Array | None, stream: int = LIVE) -> PeriodStart:
        """What is known of the next period before its observations come: the orders, and the accounts until then."""
        return awaiting(tick + 1, arrays, self.observer.size, order, exposure)

    @torch.inference_mode()
    def observe(self, tick: int, arrays: Arrays) -> PeriodStart | str | None:
        """The period that is awaited; None while its files have not come, one line where they cannot be read."""
        try:
            seen = self.observations(tick)
            traffic = None
            if self.layout.recommends is not None:
                traffic = read_traffic(self.folder / f"traffic-{tick}.csv", self.layout)
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            return " ".join(str(error).split())
        return self._observed(tick, arrays, seen, traffic)

    def _observed(self, tick: int, arrays: Arrays, seen: dict[str, Array], traffic: Array | None) -> PeriodStart:
        world, network = self.world, self.world.network

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
        state = State(units(seen["on_hand"]), pipeline, owed, units(seen["inventory_position"]))
        feedback = None
        if traffic is not None:
            exposure = torch.as_tensor(arrays["exposure"], dtype=world.dtype)
            feedback = Feedback(units(seen["asked"]), units(seen["handed"]), units(traffic), exposure)
        sales, demand = units(seen["sales"][facing]), units(seen["demand"][facing])
        lost = self.firm.unmet == "lost"
        unserved = (demand - sales).clamp_min(0.0) if lost else units(seen["backlog"][facing])
        order = torch.as_tensor(arrays["order"], dtype=world.dtype)
        cost = world.account(state.on_hand, sales, unserved, order, Exogenous(demand, None, None, None)).sum(1)
        earlier = torch.as_tensor(arrays[f"{_ACCOUNT}backlog"], dtype=world.dtype)
        served = sales if lost else (sales - earlier).clamp_min(0.0)
        regime = None if traffic is None else torch.zeros(len(world.chosen().names), 1)
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


def first_awaiting(world: Simulated, start: PeriodStart) -> PeriodStart:
    """Before a fed firm's tick 0: nothing was ordered or shown."""
    choice = world.world.choice
    shown = None if choice is None else np.zeros((len(choice.names), world.world.products, 1))
    arrays = start.arrays | {f"{_ACCOUNT}{key}": value for key, value in start.account.items()}
    return awaiting(0, arrays, world.observer.size, np.zeros((world.world.points, world.world.products, 1)), shown)

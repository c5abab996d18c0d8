"""The base-stock rules of Geevers, van Hezewijk & Mes (2024) for points that order from several suppliers apart.

Source: the authors' code. An order on an edge from i to j goes by what j has on hand and what is in transit on that
edge alone, less what j owes: neither what is under way from others nor what a supplier still owes counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from departments.decisions import Decision, Memory
from environment import Feedback, Firm, Network, State, World, load_firm
from environment.instances import families
from environment.streams import Stream, torch_stream


@dataclass(frozen=True)
class ConnectionBaseStock:
    """Orders of every edge up to the level of its point, S - (on hand + in transit on the edge - owed), at least 0.

    With `chances` one of a point's edges is drawn and ordered on alone. Without, all are ordered on, each the whole
    units of an equal part. What is drawn depends on the period alone, so the shards of an evaluation share it.
    """

    name: str
    levels: NDArray[np.float64]  # [N] units
    chances: NDArray[np.float64] | None = None  # [O] that an order of the point goes that way; None: all share it
    seed: int = 0

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Orders of all edges, [O, 1, E], of a firm with one product."""
        incidence, target = world.incidence, world.incidence.edge_target
        level = torch.as_tensor(self.levels, device=world.device, dtype=world.dtype)[:, None]
        stock = state.on_hand[:, 0] - incidence.outgoing @ state.owed[:, 0]  # [N, E]
        wish = ((level - stock)[target] - state.pipeline.sum(0)[:, 0]).clamp_min(0.0)  # [O, E]
        if self.chances is None:
            suppliers = torch.as_tensor(world.network.supplier_count, device=world.device, dtype=world.dtype)
            return Decision((wish / suppliers[target, None]).floor().unsqueeze(1))
        upto = torch.as_tensor(self._upto(world), device=world.device)
        number = torch.rand(
            world.points, wish.shape[1], generator=torch_stream(world.device, Stream.SIMULATION, self.seed, period)
        )
        drawn = number[target]
        taken = (drawn >= upto[0, :, None]) & (drawn < upto[1, :, None])
        return Decision((wish * taken).unsqueeze(1))

    def _upto(self, world: World) -> NDArray[np.float64]:
        """Where the chance of each edge begins and ends among those of its point, [2, O]."""
        before, ends = np.zeros(world.points), []
        for target, chance in zip(world.network.edge_target, np.asarray(self.chances), strict=True):
            ends.append((before[target], before[target] + chance))
            before[target] += chance
        return np.array(ends).T


def printed_rule(name: str) -> tuple[Firm, ConnectionBaseStock]:
    """The rule at the levels printed for `cardboard-routed` or `cardboard-split`, and the firm that it orders for.

    That has an order of every edge, as the rule has to know who is asked.
    """
    firm = load_firm(name).model_copy(update={"supplier_choice": "ordered"})
    printed = families()["cardboard"].instances[name].levels
    levels = np.array([float(printed[point]) for point in firm.names])
    shares = firm.supplier_shares() or {}
    chances = np.array([shares[pair] for pair in Network.of(firm).edge_names])
    return firm, ConnectionBaseStock("base-stock as printed", levels, chances if name == "cardboard-routed" else None)

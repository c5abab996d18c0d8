"""Records of the world. Copies are the last axis.

N stock points, Ed edges, L lines, C customer-facing points, S segments of customers, K products, E copies.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class State(NamedTuple):
    """The firm after event 2 of a period: what is received and fulfilled, before orders."""

    on_hand: Tensor  # [N, K, E] units
    pipeline: Tensor  # [slots, Ed, K, E] units; slot l arrives l + 1 periods from now
    owed: Tensor  # [L, K, E] units ordered and not served: backorders of the internal edges, then the external backlog
    inventory_position: Tensor  # [N, K, E] units
    aside: Tensor  # [H, K, E] suppliers that are shut, orders that wait, ages of stock (`environment.aside`), regimes


class Exogenous(NamedTuple):
    """What chance decides, of one period or, with a leading axis T, of many. None: nothing is random there."""

    demand: Tensor  # [C, K, E] units, drawn in event 4 and served in the next period; 0 where customers choose
    lead_time: Tensor | None  # [Ed, K, E] periods (int16), of what is shipped in event 2 of the next period
    supplier: Tensor | None  # [N, K, E] (int16) place among the point's suppliers that gets this period's order
    cost_factor: Tensor | None  # [2, N, K, E] factors on holding and backorder cost of the next period
    traffic: Tensor | None = None  # [S, E] customers who come in this period
    customers: Tensor | None = None  # [J, S, E] int16, what decides each one's choice (see `environment.choice`)
    regime: Tensor | None = None  # [S, E] hidden state of the traffic; no department sees it
    breaks: Tensor | None = None  # [D, E] int16, what decides whether an edge is shut in the next period
    flags: Tensor | None = None  # [M - 1, E] 1 where a regime is in force in the next period
    purchase_factor: Tensor | None = None  # [1, E] factor on the cost of units ordered in this period
    lost: Tensor | None = None  # [C, K, E] int16, what rounds the share of unmet demand that is lost
    emergency: Tensor | None = None  # [M, K, E] int16, what decides whether the next period's shortage comes at once

    def at(self, period: int) -> Exogenous:
        """One period of many."""
        return Exogenous(self.demand[period], *(None if field is None else field[period] for field in self[1:]))


class Outcome(NamedTuple):
    """What one period brought."""

    cost: Tensor  # [N, E] money per stock point: holding, backlog or lost sales, purchases, less income
    sales: Tensor  # [C, K, E] units handed to external customers, backlog included
    unserved: Tensor  # [C, K, E] units of external backlog, and units lost in this period
    demand: Tensor  # [C, K, E] units that external customers asked for
    shipped: Tensor  # [Ed, K, E] units that left on each edge
    waste: Tensor | None = None  # [N, K, E] units that expired; None: nothing does
    delivered: Tensor | None = None  # [M, K, E] units of sales that came at once from a supplier; None: none can


class Feedback(NamedTuple):
    """What the departments of a firm with customers are told of the last step; zero before the first."""

    asked: Tensor  # [N, K, E] units ordered from each point, by customers of both kinds, backlog not included
    handed: Tensor  # [N, K, E] units that each point sold or shipped
    traffic: Tensor  # [S, E] customers who came
    exposure: Tensor  # [S, K, E] what was recommended to them

"""What shipments emit, and what that costs (ours)."""

from __future__ import annotations

import torch
from torch import Tensor

from environment.network import Network


class Emissions:
    """Emissions at a price: so much for each unit that leaves on an edge, and for each period in which any does."""

    def __init__(self, network: Network, price: float, device: torch.device, dtype: torch.dtype) -> None:
        """Prepare the edges of `network`; `price` is money per unit of emission."""
        self._units = torch.as_tensor(network.emissions, device=device, dtype=dtype)[..., None]  # [Ed, K, 1]
        self._shipments = torch.as_tensor(network.shipment_emissions, device=device, dtype=dtype)[:, None, None]
        self.unit_cost, self.shipment_cost = self._units * price, self._shipments * price  # money

    def reprice(self, price: float) -> None:
        """Let a unit of emission cost something else from now on, here and in the core."""
        self.unit_cost.copy_(self._units * price)
        self.shipment_cost.copy_(self._shipments * price)

    def cost(self, shipped: Tensor) -> Tensor:
        """Money of what leaves on each edge [Ed, K, E] in a period, likewise; a shipment's own is the first product's.

        No gradient tells of whether anything leaves.
        """
        cost = self.unit_cost * shipped
        shipment = self.shipment_cost * (shipped > 0).any(1, keepdim=True)
        return torch.cat((cost[:, :1] + shipment, cost[:, 1:]), 1)

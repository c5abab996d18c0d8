"""One network for all stock points, of this firm and of others: how it becomes the network of one (ours).

What the shared network sees is affine in the rows that a department observes, and what it says is counted in standard
deviations of demand over the protection interval. So it is, for each point, a network over that department's own rows,
whose first and last layer are linear in the shared ones: as such it acts, is differentiated and is put into operation
like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from departments.numerics.memory import MemoryNetwork
from environment.likeness import TOLD
from environment.observation import Observer


@dataclass(frozen=True)
class OverPoints:
    """How the network of a stock point comes of the shared one: x = mix rows + fixed is seen, unit times y is said."""

    network: MemoryNetwork  # the shared one
    mix: Tensor  # [TOLD, F]
    fixed: Tensor  # [TOLD]
    unit: float  # of the department's own actions

    @classmethod
    def of(cls, observer: Observer, point: int, rows: Sequence[int], network: MemoryNetwork) -> OverPoints:
        """Of a point that observes these rows by a network of the shape of `network`, but for what it sees.

        Raises:
            ValueError: one line; it sees something else than positions, or the firm has several products.
        """
        if (odd := max(rows)) >= observer.positions:
            raise ValueError(
                f"policy.over_points: shared sees positions alone, and {observer.world.firm.names[point]} sees "
                f"{observer.labels()[odd]}: leave it out, or observe own, downstream or everything"
            )
        alike, seen = observer.likeness, torch.as_tensor(rows)
        level, centre, factor = (
            part[: observer.positions, 0] for part in (observer.level, observer.centre, observer.factor)
        )
        weight = torch.as_tensor(alike.weight[point], device=level.device, dtype=level.dtype)[:, seen]
        usual = (centre - level)[seen] + torch.as_tensor(alike.mean, device=level.device, dtype=level.dtype)[seen]
        same = level.new_tensor(alike.fixed[point])
        mix = torch.cat((weight / factor[seen], level.new_zeros(len(same), len(rows))))
        shared = MemoryNetwork(TOLD, "none", 0, network.hidden, network.outputs, network.log_stds, network.activation)
        unit = float(alike.spread[point]) / float(observer.reach[point])
        return cls(shared, mix, torch.cat((weight @ usual, same)), unit)

    def of_point(self, flat: Tensor) -> Tensor:
        """The parameters of the point's own network, flat, of those of the shared one; linear in them."""
        mix, fixed = self.mix.to(flat), self.fixed.to(flat)
        _, ((weight, bias), *others) = self.network.parts(flat)
        layers = [(weight @ mix, bias + weight @ fixed), *others]
        layers[-1] = tuple(self.unit * part for part in layers[-1])
        return torch.cat([*(part.reshape(-1) for layer in layers for part in layer), self.network.log_std(flat)])

    def of_all(self, gradient: Tensor) -> Tensor:
        """A gradient by the point's own parameters as one by the shared ones: `of_point` transposed."""
        with torch.enable_grad():
            flat = gradient.new_zeros(self.network.count, requires_grad=True)
            return torch.autograd.grad(self.of_point(flat), flat, gradient)[0]

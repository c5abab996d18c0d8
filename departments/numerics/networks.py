"""Policy and value networks on flat parameter vectors: samples first for learning, many at once for acting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.numerics.layout import layer_shapes, paired, views
from environment.streams import Stream, numpy_stream

Parameters = NDArray[np.float32]
Activation = Literal["relu", "tanh"]
Layers = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Shapes:
    """Sizes of a multilayer perceptron and how it lies in a flat vector: W1, b1, ..., then one log std per output."""

    inputs: int
    hidden: tuple[int, ...]
    outputs: int

    @property
    def widths(self) -> list[int]:
        """Inputs, hidden units, outputs."""
        return [self.inputs, *self.hidden, self.outputs]

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(outputs, inputs) of each layer."""
        return list(zip(self.widths[1:], self.widths[:-1], strict=True))

    @property
    def count(self) -> int:
        """Length of the flat vector, log standard deviations included."""
        return sum(rows * columns + rows for rows, columns in self.layers) + self.outputs

    def split(self, flat: Tensor) -> tuple[Layers, Tensor]:
        """Views on a flat vector: [(weight, bias), ...] and the log standard deviations [outputs]."""
        *parts, log_std = views(flat, [*layer_shapes(self.widths), (self.outputs,)])
        return paired(parts), log_std

    def initial(self, log_std: float, seed: int) -> Parameters:
        """See `initial_parameters`."""
        return initial_parameters(self, log_std, seed)

    def forward(self, layers: Layers, inputs: Tensor, activation: Activation) -> Tensor:
        """See `forward`."""
        return forward(layers, inputs, activation)


def initial_parameters(shapes: Shapes, log_std: float, seed: int) -> Parameters:
    """He-initialised layers (He et al. 2015); the last one is zero, so the network starts as the constant 0."""
    rng = numpy_stream(Stream.WEIGHTS, seed)
    parts = []
    for i, (rows, columns) in enumerate(shapes.layers):
        scale = 0.0 if i == len(shapes.layers) - 1 else np.sqrt(2.0 / columns)
        parts += [rng.standard_normal(rows * columns) * scale, np.zeros(rows)]
    parts.append(np.full(shapes.outputs, log_std))
    return np.concatenate(parts).astype(np.float32)


def forward(layers: Layers, inputs: Tensor, activation: Activation) -> Tensor:
    """Outputs of samples, [B, inputs] -> [B, outputs]."""
    act = torch.relu if activation == "relu" else torch.tanh
    hidden = inputs
    for weight, bias in layers[:-1]:
        hidden = act(torch.nn.functional.linear(hidden, weight, bias))
    return torch.nn.functional.linear(hidden, *layers[-1])


def _tensor_of(flat: Parameters | Tensor, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    """A flat vector; arrays are copied, for those that travelled must not be written to."""
    make = torch.as_tensor if isinstance(flat, Tensor) else torch.tensor
    return make(flat, device=device, dtype=dtype)


class StackedNetworks:
    """D networks of equal hidden sizes as one batched product; narrower ones are padded with zero weights."""

    def __init__(
        self,
        parameters: Sequence[Parameters | Tensor],
        shapes: Sequence[Shapes],
        activation: Activation,
        *,
        width: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Stack flat vectors whose shapes differ in `inputs` only; `width` is at least the largest.

        Gradients reach vectors that are given as tensors.
        """
        self._relu = activation == "relu"
        stacked = []
        for flat, shape in zip(parameters, shapes, strict=True):
            (weight, bias), *others = shape.split(_tensor_of(flat, device, dtype))[0]
            stacked.append([(torch.nn.functional.pad(weight, (0, width - shape.inputs)), bias), *others])
        self._layers = [
            (torch.stack([weight for weight, _ in layer]), torch.stack([bias for _, bias in layer]).unsqueeze(-1))
            for layer in zip(*stacked, strict=True)
        ]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs [D, outputs, E] of inputs [D, width, E]."""
        hidden = inputs
        for weight, bias in self._layers[:-1]:
            hidden = torch.baddbmm(bias, weight, hidden)
            hidden = hidden.relu_() if self._relu else hidden.tanh_()
        weight, bias = self._layers[-1]
        return torch.baddbmm(bias, weight, hidden)

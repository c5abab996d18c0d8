"""Forward and backward passes of the networks that learn: a perceptron's by hand, everything else's by autograd.

A minibatch of a small network is over in a millisecond, half of which autograd and fresh memory would take; by hand,
into buffers that are kept, all that is left are the products themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from departments.numerics.graph import AnyShapes, GraphShapes
from departments.numerics.networks import Activation, Shapes

Pull: TypeAlias = Callable[[Tensor, float], Tensor]
Evaluate: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor, Pull]]


class Passes(Protocol):
    """Of one network whose parameters lie in a flat vector, which may change between two passes."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs [B, outputs] of samples [B, inputs]; valid until the next pass."""
        ...

    def backward(self, outputs: Tensor) -> Tensor:
        """Gradient of the flat vector, log standard deviations 0, from that of the last outputs [B, outputs]."""
        ...


class Perceptron:
    """Passes of a multilayer perceptron by hand."""

    def __init__(self, shapes: Shapes, flat: Tensor, activation: Activation) -> None:
        """View the parameters in `flat`; buffers are made by the first pass and grow to the largest batch."""
        self._layers, _ = shapes.split(flat)
        self._gradient = torch.zeros_like(flat)
        self._gradients, _ = shapes.split(self._gradient)
        self._relu = activation == "relu"
        self._widths = [rows for rows, _ in shapes.layers]
        self._values: list[Tensor] = []  # of every layer, the outputs last
        self._changes: list[Tensor] = []  # gradients of every hidden layer's values
        self._inputs = flat

    def _reserve(self, count: int) -> None:
        if not self._values or len(self._values[0]) < count:
            self._values = [self._gradient.new_empty(count, width) for width in self._widths]
            self._changes = [self._gradient.new_empty(count, width) for width in self._widths[:-1]]

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        """See `Passes`."""
        self._reserve(len(inputs))
        self._inputs = value = inputs
        for number, (weight, bias) in enumerate(self._layers):
            out = self._values[number][: len(inputs)]
            torch.addmm(bias, value, weight.t(), out=out)
            if number < len(self._layers) - 1:
                out = out.relu_() if self._relu else out.tanh_()
            value = out
        return value

    @torch.no_grad()
    def backward(self, outputs: Tensor) -> Tensor:
        """See `Passes`; valid until the next backward pass."""
        change = outputs
        for number in range(len(self._layers) - 1, -1, -1):
            weight_gradient, bias_gradient = self._gradients[number]
            value = self._values[number - 1][: len(outputs)] if number else self._inputs
            torch.mm(change.t(), value, out=weight_gradient)
            torch.sum(change, 0, out=bias_gradient)
            if number:
                below = self._changes[number - 1][: len(outputs)]
                torch.mm(change, self._layers[number][0], out=below)
                if self._relu:
                    torch.ops.aten.threshold_backward.grad_input(below, value, 0, grad_input=below)
                else:
                    torch.ops.aten.tanh_backward.grad_input(below, value, grad_input=below)
                change = below
        return self._gradient


class Taped:
    """Passes of a network with graph attention, by autograd."""

    def __init__(self, shapes: AnyShapes, flat: Tensor, activation: Activation) -> None:
        """See `Perceptron`."""
        self._shapes, self._flat, self._activation = shapes, flat, activation
        self._leaf = self._outputs = flat

    @torch.enable_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        """See `Passes`."""
        self._leaf = self._flat.detach().requires_grad_()
        layers, _ = self._shapes.split(self._leaf)
        self._outputs = self._shapes.forward(layers, inputs, self._activation)
        return self._outputs.detach()

    def backward(self, outputs: Tensor) -> Tensor:
        """See `Passes`."""
        (gradient,) = torch.autograd.grad(self._outputs, self._leaf, outputs)
        return gradient


def passes_of(shapes: AnyShapes, flat: Tensor, activation: Activation) -> Passes:
    """The fastest passes there are for a network with parameters `flat`, which must not require gradients."""
    if isinstance(shapes, GraphShapes):
        return Taped(shapes, flat, activation)
    return Perceptron(shapes, flat, activation)


def taped(flat: Tensor, evaluate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Evaluate:
    """By autograd: what `ppo.improve` asks for, from (parameters, indices) -> log probabilities and mean entropy."""

    def once(index: Tensor) -> tuple[Tensor, Tensor, Pull]:
        leaf = flat.detach().requires_grad_()
        with torch.enable_grad():
            log_prob, entropy = evaluate(leaf, index)

        def pull(weight: Tensor, entropy_weight: float) -> Tensor:
            weights = (weight, torch.full_like(entropy, entropy_weight))
            (gradient,) = torch.autograd.grad((log_prob, entropy), leaf, weights)
            return gradient

        return log_prob.detach(), entropy.detach(), pull

    return once

"""Fitting a policy's network to what it should say, by least squares, before it learns for itself."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from departments.learning.ppo import shuffled
from departments.numerics.adam import Adam
from departments.numerics.memory import MemoryNetwork
from departments.numerics.native import loops_of
from departments.numerics.networks import Shapes
from departments.numerics.passes import passes_of

_STEPS, _MINIBATCH, _STAGES = 1500, 1024, 10  # of Adam; samples; stretches of the same learning rate
_RATE, _LONGEST = 2e-3, 1.0  # learning rate at first, it falls to 0 by half a cosine; norm of a gradient


@torch.no_grad()
def imitate(
    flat: Tensor, network: MemoryNetwork, seen: Tensor, said: Tensor, generator: Generator, compiled: bool = True
) -> None:
    """Fit the layers of a network in its `flat` parameters, in place; a gated memory stays as it is.

    Args:
        flat: parameters of the network.
        network: of a department.
        seen: [T, F, E] observations of episodes.
        said: [T, outputs, E] what the network should have said.
        generator: shuffles samples.
        compiled: in C++ where the machine has a compiler.
    """
    shapes, where = Shapes(network.widths[0], network.hidden, network.outputs), network.perceptron
    layers = torch.cat((flat[where], flat.new_zeros(network.outputs)))
    samples, target = (part.transpose(1, 2).flatten(0, 1).contiguous() for part in (network.below(flat, seen), said))
    loops = loops_of(shapes, layers, network.activation) if compiled else None
    passes, optimiser = passes_of(shapes, layers, network.activation), Adam.like(layers)
    epochs = -(-_STEPS * _MINIBATCH // (_STAGES * len(samples)))
    for stage in range(_STAGES):
        rate = _RATE * 0.5 * (1.0 + math.cos(math.pi * stage / _STAGES))
        order, parts = shuffled(len(samples), _MINIBATCH, epochs, generator)
        if loops is not None:
            every = list(range(network.outputs))
            loops.fit_values(optimiser, samples, order, parts, target, every, 1.0, (rate, _LONGEST))
            continue
        for index in (part for epoch in order for part in epoch.tensor_split(parts)):
            error = passes.forward(samples[index]) - target[index]
            gradient = passes.backward(error * (2.0 / error.numel()))
            gradient *= min(1.0, _LONGEST / (float(gradient.norm()) + 1e-6))
            optimiser.step(layers, gradient, rate)
    flat[where] = layers[: -network.outputs]

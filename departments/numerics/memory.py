"""Policy networks with memory: a gated recurrent unit, or the last observations side by side, or none.

They act on numpy arrays, as in operation, and on torch tensors alike; torch is imported only where they learn.
Source of the unit: Cho et al. (2014), in the form of torch.nn.GRU. What the head sees is the observation beside the
unit's state, so that memory adds to what is seen now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from departments.numerics.layout import ArrayShapes, layer_shapes, paired, views
from heuristics.arrays import AnyArray, affine, alike, array_module, lerp, multiply_add, sigmoid

MemoryKind = Literal["none", "stack", "gru"]


@dataclass(frozen=True)
class MemoryNetwork:
    """A network whose parameters lie in one flat vector: the GRU's, then the perceptron's, then the log stds.

    Acting takes copies last and carries the memory from one period to the next; `sequence_outputs` takes whole
    sequences.
    """

    observed: int  # F, length of one observation
    kind: MemoryKind
    size: int  # gru: units; stack: periods side by side
    hidden: tuple[int, ...]
    outputs: int
    log_stds: int  # actions with a standard deviation of their own
    activation: Literal["relu", "tanh"] = "relu"

    @property
    def recorded(self) -> int:
        """Length of what is recorded of an observation for learning (stacked ones are recorded stacked)."""
        return self.observed * (self.size if self.kind == "stack" else 1)

    @property
    def remembered(self) -> int:
        """Length of the memory."""
        return {"none": 0, "gru": self.size, "stack": self.observed * (self.size - 1)}[self.kind]

    @property
    def _gates(self) -> ArrayShapes:
        size = self.size
        return [(3 * size, self.observed), (3 * size, size), (3 * size,), (3 * size,)] if self.kind == "gru" else []

    @property
    def widths(self) -> list[int]:
        """Of the perceptron: its inputs, which a gated memory ends, hidden units, outputs."""
        return [self.recorded + (self.size if self.kind == "gru" else 0), *self.hidden, self.outputs]

    @property
    def perceptron(self) -> slice:
        """Where its layers lie in the flat vector: behind the gates, before the log standard deviations."""
        return slice(sum(map(math.prod, self._gates)), self.count - self.log_stds)

    @property
    def _layers(self) -> ArrayShapes:
        return layer_shapes(self.widths)

    @property
    def count(self) -> int:
        """Length of the flat vector."""
        return sum(map(math.prod, self._gates + self._layers)) + self.log_stds

    def initial(self, log_std: float, seed: int) -> NDArray[np.float32]:
        """Uniform gates as in torch.nn.GRU, then as `initial_parameters`: the outputs start as the constant 0."""
        from departments.numerics.networks import Shapes, initial_parameters
        from environment.streams import Stream, numpy_stream

        rng = numpy_stream(Stream.GATES, seed)
        bound = 1.0 / math.sqrt(self.size) if self.kind == "gru" else 0.0
        gates = [rng.uniform(-bound, bound, math.prod(shape)) for shape in self._gates]
        inputs = self._layers[0][1]
        layers = initial_parameters(Shapes(inputs, self.hidden, self.outputs), 0.0, seed)[: -self.outputs]
        return np.concatenate([*gates, layers, np.full(self.log_stds, log_std)]).astype(np.float32)

    def log_std(self, flat: AnyArray) -> AnyArray:
        """The log standard deviations, [log_stds]."""
        return flat[self.count - self.log_stds :]

    def parts(self, flat: AnyArray) -> tuple[list[AnyArray], list[tuple[AnyArray, AnyArray]]]:
        """Views of the parameters: the gates' weights and biases, and (weight, bias) of each layer."""
        gates, arrays = len(self._gates), views(flat, self._gates + self._layers)
        return arrays[:gates], paired(arrays[gates:])

    def acting(self, flat: AnyArray) -> ActingNetwork:
        """Ready to act with these parameters."""
        return ActingNetwork(self, flat)

    def below(self, flat: AnyArray, observation: AnyArray) -> AnyArray:
        """What the perceptron is given along episodes of observations [T, F, E], [T, inputs, E]."""
        acting, module = self.acting(flat), array_module(observation)
        memory, given = acting.start(observation.shape[-1]), []
        for seen in observation:
            _, recorded, memory = acting(seen, memory)
            given.append(module.concatenate((recorded, memory)) if self.kind == "gru" else recorded)
        return module.stack(given)

    def sequence_outputs(self, flat: AnyArray, observation: AnyArray, memory: AnyArray) -> AnyArray:
        """Outputs [L, B, outputs] along sequences of observations [L, B, recorded], for learning; tensors only.

        The memory [B, remembered] is that before the first period of each sequence.
        """
        import torch

        from departments.numerics.networks import forward

        gates, layers = self.parts(flat)
        if self.kind == "gru":
            states, _ = torch._VF.gru(observation, memory.unsqueeze(0), gates, True, 1, 0.0, True, False, False)
            observation = torch.cat((observation, states), -1)
        return forward(layers, observation, self.activation)


class ActingNetwork:
    """One department's network, observation by observation."""

    def __init__(self, network: MemoryNetwork, flat: AnyArray) -> None:
        """Take views of the parameters."""
        self.network, (self._gates, self._layers) = network, network.parts(flat)

    def start(self, copies: int) -> AnyArray:
        """The memory at the start of an episode, [remembered, E]."""
        return alike(np.zeros((self.network.remembered, copies)), self._layers[0][0])

    def __call__(self, observation: AnyArray, memory: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Outputs of an observation [F, E], what is recorded of it, and the memory [remembered, E] afterwards."""
        module, network = array_module(observation), self.network
        seen = recorded = observation
        if network.kind == "stack":
            seen = recorded = module.concatenate((observation, memory))
            memory = recorded[: network.remembered]
        elif network.kind == "gru":
            memory = self._unit(observation, memory)
            seen = module.concatenate((observation, memory))
        for weight, bias in self._layers[:-1]:
            seen = affine(weight, seen, bias)
            seen = seen.clip(min=0.0) if network.activation == "relu" else module.tanh(seen)
        weight, bias = self._layers[-1]
        return affine(weight, seen, bias), recorded, memory

    def _unit(self, observation: AnyArray, state: AnyArray) -> AnyArray:
        """r, z = sigmoid(..), n = tanh(W x + b + r (U h + c)), h' = (1 - z) n + z h."""
        weight, recurrent, bias, recurrent_bias = self._gates
        size = self.network.size
        fresh, kept = affine(weight, observation, bias), affine(recurrent, state, recurrent_bias)
        gates = sigmoid(fresh[: 2 * size] + kept[: 2 * size])
        new = array_module(fresh).tanh(multiply_add(fresh[2 * size :], gates[:size], kept[2 * size :]))
        return lerp(new, state, gates[size:])

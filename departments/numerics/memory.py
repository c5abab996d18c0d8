"""Policy networks with memory: a gated recurrent unit, or the last observations side by side, or none.

Source of the unit: Cho et al. (2014), in the form of torch.nn.GRU. What the head sees is the observation beside the
unit's state, so that memory adds to what is seen now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from departments.numerics.networks import Activation, Parameters, Shapes, forward, initial_parameters

MemoryKind = Literal["none", "stack", "gru"]


@dataclass(frozen=True)
class MemoryNetwork:
    """A network whose parameters lie in one flat vector: the GRU's, then the perceptron's, then the log stds.

    `act` takes copies last and carries the memory from one period to the next; `outputs` takes whole sequences.
    """

    observed: int  # F, length of one observation
    kind: MemoryKind
    size: int  # gru: units; stack: periods side by side
    hidden: tuple[int, ...]
    outputs: int
    log_stds: int  # actions with a standard deviation of their own
    activation: Activation = "relu"

    @property
    def recorded(self) -> int:
        """Length of what is recorded of an observation for learning (stacked ones are recorded stacked)."""
        return self.observed * (self.size if self.kind == "stack" else 1)

    @property
    def remembered(self) -> int:
        """Length of the memory."""
        return {"none": 0, "gru": self.size, "stack": self.observed * (self.size - 1)}[self.kind]

    @property
    def _perceptron(self) -> Shapes:
        inputs = self.recorded + (self.size if self.kind == "gru" else 0)
        return Shapes(inputs, self.hidden, self.outputs)

    @property
    def _gate_sizes(self) -> list[int]:
        if self.kind != "gru":
            return []
        return [3 * self.size * self.observed, 3 * self.size * self.size, 3 * self.size, 3 * self.size]

    @property
    def count(self) -> int:
        """Length of the flat vector."""
        return sum(self._gate_sizes) + self._perceptron.count - self.outputs + self.log_stds

    def initial(self, log_std: float, seed: int) -> Parameters:
        """Uniform gates as in torch.nn.GRU, then as `initial_parameters`: the outputs start as the constant 0."""
        rng = np.random.default_rng(seed + 77)
        bound = 1.0 / math.sqrt(self.size) if self.kind == "gru" else 0.0
        gates = [rng.uniform(-bound, bound, size) for size in self._gate_sizes]
        perceptron = initial_parameters(self._perceptron, 0.0, seed)[: self._perceptron.count - self.outputs]
        return np.concatenate([*gates, perceptron, np.full(self.log_stds, log_std)]).astype(np.float32)

    def log_std(self, flat: Tensor) -> Tensor:
        """The log standard deviations, [log_stds]."""
        return flat[self.count - self.log_stds :]

    def _parts(self, flat: Tensor) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        gate_sizes = self._gate_sizes
        sizes = [*gate_sizes, self._perceptron.count - self.outputs, self.log_stds]
        *gates, perceptron, _ = torch.split(flat, sizes)
        shaped = [
            gate.view(3 * self.size, -1) if i < 2 else gate
            for i, gate in enumerate(gates)  # weights, then biases
        ]
        padded = torch.cat((perceptron, perceptron.new_zeros(self.outputs)))
        return shaped, self._perceptron.split(padded)[0]

    def acting(self, flat: Tensor) -> ActingNetwork:
        """Ready to act with these parameters."""
        return ActingNetwork(self, *self._parts(flat))

    def sequence_outputs(self, flat: Tensor, observation: Tensor, memory: Tensor) -> Tensor:
        """Outputs along sequences, for learning.

        Args:
            flat: the parameters.
            observation: [L, B, recorded].
            memory: [B, remembered] before the first period of each sequence.

        Returns:
            [L, B, outputs].
        """
        gates, layers = self._parts(flat)
        if self.kind == "gru":
            states, _ = torch._VF.gru(observation, memory.unsqueeze(0), gates, True, 1, 0.0, False, False, False)
            observation = torch.cat((observation, states), -1)
        return forward(layers, observation, self.activation)


class ActingNetwork:
    """One department's network in a rollout."""

    def __init__(self, network: MemoryNetwork, gates: list[Tensor], layers: list[tuple[Tensor, Tensor]]) -> None:
        """Take views of the parameters."""
        self._network, self._gates, self._layers = network, gates, layers

    def start(self, copies: int) -> Tensor:
        """The memory at the start of an episode, [remembered, E]."""
        return self._layers[0][0].new_zeros(self._network.remembered, copies)

    def __call__(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs, what is recorded, and the memory afterwards.

        Args:
            observation: [F, E].
            memory: [remembered, E].
        """
        network, recorded = self._network, observation
        if network.kind == "stack":
            recorded = torch.cat((observation, memory))
            seen, memory = recorded, recorded[: network.remembered]
        elif network.kind == "gru":
            memory = self._unit(observation, memory)
            seen = torch.cat((observation, memory))
        else:
            seen = observation
        for weight, bias in self._layers[:-1]:
            seen = torch.addmm(bias[:, None], weight, seen)
            seen = seen.relu_() if network.activation == "relu" else seen.tanh_()
        weight, bias = self._layers[-1]
        return torch.addmm(bias[:, None], weight, seen), recorded, memory

    def _unit(self, observation: Tensor, state: Tensor) -> Tensor:
        """r, z = sigmoid(..), n = tanh(W x + b + r (U h + c)), h' = (1 - z) n + z h."""
        size = self._network.size
        weight, recurrent, bias, recurrent_bias = self._gates
        fresh = torch.addmm(bias[:, None], weight, observation)
        kept = torch.addmm(recurrent_bias[:, None], recurrent, state)
        gates = torch.sigmoid(fresh[: 2 * size] + kept[: 2 * size])
        new = torch.tanh(torch.addcmul(fresh[2 * size :], gates[:size], kept[2 * size :]))
        return torch.lerp(new, state, gates[size:])

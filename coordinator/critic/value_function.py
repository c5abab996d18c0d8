"""The values that the critic has learned, for those who estimate advantages with them: the environment workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from departments.learning.ppo import samples_first
from departments.learning.returns import generalised_advantage
from departments.numerics.graph import AnyShapes, Graph, GraphConfig, GraphShapes
from departments.numerics.native import Loops, loops_of
from departments.numerics.networks import Activation, Shapes
from environment.fields import Checked

Array = NDArray[np.float32]
Lesson = tuple[Array, Array]  # of a shard: samples of global features [T * E, G] and what they were worth [T * E, A]


class Values(NamedTuple):
    """What a value function was when the critic handed it out."""

    parameters: Array  # flat
    mean: Array  # [D] of the streams' values
    std: Array  # [D]


class CriticConfig(Checked):
    """Settings of the critic."""

    hidden: tuple[int, ...] = (64, 64)  # units per layer
    graph: GraphConfig | None = None  # graph attention before `hidden`; None: only where the scheme asks for it
    activation: Activation = "relu"
    learning_rate: float = Field(default=1e-3, gt=0)
    gamma: float | None = Field(default=None, ge=0, lt=1)  # None: by the time through the firm, see `horizon`
    gae_lambda: float | None = Field(default=None, ge=0, le=1)
    epochs: int = Field(default=4, ge=1)
    minibatch: int = Field(default=1024, ge=1)  # samples
    value_coef: float = Field(default=0.5, gt=0)
    value_clip: float | None = Field(default=None, gt=0)  # rewards: how far an update may move a value; None: any way
    max_grad_norm: float = Field(default=0.5, gt=0)


def horizon(config: CriticConfig, time_through: float) -> tuple[float, float]:
    """Gamma and lambda: as set, else by the periods that an order takes through the firm.

    1 / (1 - gamma) is 5 times, 1 / (1 - lambda) 1.25 times that: .95 and .8 in a1, .975 and .9 in a3 (ours; measured).
    """
    time = max(time_through, 1.0)
    gamma = 1.0 - 1.0 / (5.0 * time) if config.gamma is None else config.gamma
    return gamma, max(1.0 - 1.0 / (1.25 * time), 0.0) if config.gae_lambda is None else config.gae_lambda


def values_of(state: Mapping[str, Array]) -> Values:
    """The part of a critic's state that values are computed from."""
    return Values(*(state[name] for name in Values._fields))


class ValueFunction:
    """One value per reward stream, in units of the streams' own running scale."""

    def __init__(
        self,
        features: int,
        streams: int,
        config: CriticConfig,
        device: str = "cpu",
        terminated: bool = False,
        graph: Graph | None = None,
        time_through: float = 4.0,
        compiled: bool = True,
    ) -> None:
        """Without parameters; see `take`.

        Args:
            features: G, length of the global feature vector.
            streams: D, number of reward streams.
            config: settings.
            device: where values are computed.
            terminated: whether rollouts end with the episode, so that nothing follows; else they are cut off by time.
            graph: the supply network, if the critic attends over it.
            time_through: periods that an order takes through the firm, for the horizon.
            compiled: whether they are computed in C++ where the machine has a compiler.
        """
        self._terminated, self._compiled = terminated, compiled
        self.gamma, self._lambda = horizon(config, time_through)
        self.config, self.device = config, torch.device(device)
        self.shapes: AnyShapes = Shapes(features, config.hidden, streams)
        if graph is not None:
            attention = config.graph or GraphConfig()
            self.shapes = GraphShapes(graph, attention, features, config.hidden, streams)
        self.parameters = torch.zeros(self.shapes.count, device=self.device)
        self.mean = torch.zeros(streams, device=self.device)
        self.std = torch.zeros(streams, device=self.device)

    def take(self, values: Values) -> None:
        """Be this one from now on."""
        self.parameters, self.mean, self.std = map(self.tensor, values)

    def tensor(self, value: Array) -> Tensor:
        """An array that came from elsewhere, where values are computed."""
        return torch.as_tensor(value, device=self.device)

    @torch.no_grad()
    def advantages(
        self, streams: Sequence[int], features: Tensor, reward: Tensor
    ) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
        """Value the states of a rollout and estimate advantages.

        Args:
            streams: A stream indices.
            features: [T + 1, G, E] global features.
            reward: [T, A, E] of those streams.

        Returns:
            For each of those streams its advantages [T, E], and the lesson for the critic.
        """
        periods, _, copies = reward.shape
        own, loops = list(streams), self.loops()
        if loops is not None:
            units, reach = (self.mean, self.std), (self.gamma, self._lambda)
            valued = loops.advantages(features, reward, own, units, reach, self._terminated)
            return list(valued.advantage.unbind()), (valued.samples, valued.target)
        samples = samples_first(features)
        value = self.outputs(samples)[:, own] * self.std[own] + self.mean[own]
        value = value.view(periods + 1, copies, len(own)).transpose(1, 2)
        if self._terminated:
            value[-1] = 0.0
        advantage = generalised_advantage(reward, value, self.gamma, self._lambda)
        target = samples_first(advantage + value[:-1])
        return list(advantage.unbind(1)), (samples[: periods * copies], target)

    def outputs(self, samples: Tensor) -> Tensor:
        """Values in units of the streams' scale, [B, D], of samples of global features [B, G]."""
        if (loops := self.loops()) is not None:
            return loops.values(samples)
        return self.shapes.forward(self.shapes.split(self.parameters)[0], samples, self.config.activation)

    def loops(self) -> Loops | None:
        """Compiled loops on the parameters, in place; None where there are none."""
        return loops_of(self.shapes, self.parameters, self.config.activation) if self._compiled else None

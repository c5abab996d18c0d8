"""The centralized critic: sees the global state, gives every department the advantages of its own reward stream."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from departments.adam import Adam
from departments.graph import AnyShapes, Graph, GraphConfig, GraphShapes
from departments.native import Loops, loops_of
from departments.networks import Activation, Shapes
from departments.passes import passes_of
from departments.ppo import samples_first, shuffled
from departments.returns import generalised_advantage
from environment.fields import Checked

Array = NDArray[np.float32]


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
    max_grad_norm: float = Field(default=0.5, gt=0)


def horizon(config: CriticConfig, time_through: float) -> tuple[float, float]:
    """Gamma and lambda: as set, else by the periods that an order takes through the firm.

    1 / (1 - gamma) is 5 times, 1 / (1 - lambda) 1.25 times that: .95 and .8 in a1, .975 and .9 in a3 (ours; measured).
    """
    time = max(time_through, 1.0)
    gamma = 1.0 - 1.0 / (5.0 * time) if config.gamma is None else config.gamma
    return gamma, max(1.0 - 1.0 / (1.25 * time), 0.0) if config.gae_lambda is None else config.gae_lambda


class Critic:
    """One value per reward stream; values are learned in units of the streams' own running scale."""

    def __init__(
        self,
        features: int,
        streams: int,
        config: CriticConfig,
        seed: int,
        device: str = "cpu",
        terminated: bool = False,
        graph: Graph | None = None,
        time_through: float = 4.0,
        compiled: bool = True,
    ) -> None:
        """Start from values of zero.

        Args:
            features: G, length of the global feature vector.
            streams: D, number of reward streams.
            config: settings.
            seed: of the initial weights and of the shuffles.
            device: where the critic computes.
            terminated: whether rollouts end with the episode, so that nothing follows; else they are cut off by time.
            graph: the supply network, if the critic attends over it.
            time_through: periods that an order takes through the firm, for the horizon.
            compiled: whether a perceptron learns in C++ where the machine has a compiler.
        """
        self._terminated, self._compiled = terminated, compiled
        self._gamma, self._lambda = horizon(config, time_through)
        self.config, self._seed, self._device = config, seed, torch.device(device)
        self._shapes: AnyShapes = Shapes(features, config.hidden, streams)
        if graph is not None:
            attention = config.graph or GraphConfig()
            self._shapes = GraphShapes(graph, attention, features, config.hidden, streams)
        start = self._shapes.initial(0.0, seed)
        self._parameters = torch.tensor(start, device=self._device)
        self._optimiser = Adam.like(self._parameters)
        self._mean = torch.zeros(streams, device=self._device)
        self._std = torch.zeros(streams, device=self._device)
        self.updates = 0
        self._pending: tuple[Tensor, Tensor, list[int]] | None = None

    @torch.no_grad()
    def advantages(self, streams: list[int], *parts: tuple[Array, Array]) -> list[Array]:
        """Value the states of a rollout and estimate advantages; the batch is kept for `learn`.

        Args:
            streams: A stream indices.
            parts: one per shard: global features [T + 1, G, E] and rewards [T, A, E] of the streams named.

        Returns:
            For each stream its advantages [T, E], shards side by side.
        """
        features = torch.cat([self._tensor(part) for part, _ in parts], -1)
        reward = torch.cat([self._tensor(part) for _, part in parts], -1)
        periods, _, copies = reward.shape
        samples = samples_first(features)
        scaled = self._values(samples)[:, streams]
        fresh = [stream for stream in streams if not self._std[stream]]
        if fresh:
            # The first batch of a stream sets its scale: a steady reward r has value r / (1 - gamma).
            own = [streams.index(stream) for stream in fresh]
            self._mean[fresh] = reward.mean((0, 2))[own] / (1.0 - self._gamma)
            self._std[fresh] = reward.std((0, 2))[own] * 3.0 + 1e-6
        value = scaled * self._std[streams] + self._mean[streams]
        value = value.view(periods + 1, copies, len(streams)).transpose(1, 2)
        if self._terminated:
            value[-1] = 0.0
        advantage = generalised_advantage(reward, value, self._gamma, self._lambda)
        self._pending = samples[: periods * copies], samples_first(advantage + value[:-1]), streams
        return [np.ascontiguousarray(own.cpu().numpy()) for own in advantage.unbind(1)]

    def _loops(self) -> Loops | None:
        return loops_of(self._shapes, self._parameters, self.config.activation) if self._compiled else None

    def _values(self, samples: Tensor) -> Tensor:
        loops = self._loops()
        if loops is not None:
            return loops.values(samples)
        layers, _ = self._shapes.split(self._parameters)
        return self._shapes.forward(layers, samples, self.config.activation)

    def _tensor(self, value: Array) -> Tensor:
        return torch.as_tensor(value, device=self._device)

    @torch.no_grad()
    def learn(self) -> tuple[dict[str, float], dict[str, Array]]:
        """Fit the values of the batch last seen to its returns.

        Returns:
            Loss and explained variance before the fit, and the state to go on from.
        """
        if self._pending is None:
            raise RuntimeError("the critic has no batch to learn from; call advantages first")
        samples, target, streams = self._pending
        self._pending = None
        rate = 0.2
        old_mean, old_std = self._mean[streams].clone(), self._std[streams].clone()
        self._mean[streams] += rate * (target.mean(0) - old_mean)
        self._std[streams] += rate * (target.std(0) + 1e-6 - old_std)
        self._keep_values(streams, old_mean, old_std)
        scaled = (target - self._mean[streams]) / self._std[streams]
        generator = torch.Generator(device=self._device).manual_seed(self._seed * 1_000_003 + self.updates)
        order, parts = shuffled(len(samples), self.config.minibatch, self.config.epochs, generator)
        fit = self._fit if (loops := self._loops()) is None else partial(self._fit_compiled, loops)
        mean, first = fit(samples, scaled, streams, order, parts)
        self.updates += 1
        spread = float(scaled.var())
        return {"value_loss": mean, "explained_variance": 1.0 - first / max(spread, 1e-12)}, self.state()

    def _fit(
        self, samples: Tensor, target: Tensor, streams: list[int], order: Tensor, parts: int
    ) -> tuple[float, float]:
        """Mean and first loss of steps on the minibatches of shuffled indices."""
        network = passes_of(self._shapes, self._parameters, self.config.activation)
        losses = []
        for index in (part for epoch in order for part in epoch.tensor_split(parts)):
            value = network.forward(samples[index])
            error = value[:, streams] - target[index]
            change = torch.zeros_like(value)
            change[:, streams] = error * (2.0 * self.config.value_coef / error.numel())
            gradient = network.backward(change)
            norm = float(gradient.norm())
            gradient *= min(1.0, self.config.max_grad_norm / (norm + 1e-6))
            self._optimiser.step(self._parameters, gradient, self.config.learning_rate)
            losses.append(float(error.square().mean()))
        return sum(losses) / len(losses), losses[0]

    def _fit_compiled(
        self, loops: Loops, samples: Tensor, target: Tensor, streams: list[int], order: Tensor, parts: int
    ) -> tuple[float, float]:
        config = self.config
        rates = config.learning_rate, config.max_grad_norm
        (total, first), steps = loops.fit_values(
            self._optimiser, samples, order, parts, target, streams, config.value_coef, rates
        )
        return total / steps, first

    def _keep_values(self, streams: list[int], old_mean: Tensor, old_std: Tensor) -> None:
        """Rescale the last layer so that values stay what they were (PopArt, van Hasselt et al. 2016)."""
        layers, _ = self._shapes.split(self._parameters)
        weight, bias = layers[-1]
        ratio = old_std / self._std[streams]
        weight[streams] *= ratio[:, None]
        bias[streams] = bias[streams] * ratio + (old_mean - self._mean[streams]) / self._std[streams]

    def state(self) -> dict[str, Array]:
        """Everything needed to go on, as arrays."""
        tensors = {
            "parameters": self._parameters,
            "first": self._optimiser.first,
            "second": self._optimiser.second,
            "steps": self._optimiser.steps.view(1),
            "mean": self._mean,
            "std": self._std,
        }
        state = {name: value.cpu().numpy().copy() for name, value in tensors.items()}
        return state | {"updates": np.array([self.updates], dtype=np.float32)}

    def restore(self, state: dict[str, Array]) -> None:
        """Go on from `state`."""
        tensor = {name: torch.tensor(value, device=self._device) for name, value in state.items()}
        self._parameters, self._mean, self._std = tensor["parameters"], tensor["mean"], tensor["std"]
        self._optimiser = Adam(tensor["first"], tensor["second"], tensor["steps"].view(()))
        self.updates = int(tensor["updates"].item())
        self._pending = None

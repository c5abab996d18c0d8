"""The centralized critic: sees the global state, learns what every reward stream is worth from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from coordinator.critic.value_function import Array, Lesson, ValueFunction, Values, values_of
from departments.learning.ppo import shuffled
from departments.numerics.adam import Adam
from departments.numerics.passes import passes_of
from environment.streams import Stream, stream_seed, torch_stream

Limits = tuple[Tensor, Tensor]  # values before an update [B, A], and how far from them they may move [A]


def clipped_error(value: Tensor, target: Tensor, before: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Errors whose squares are PPO's clipped value loss, max((v - t)^2, (clip(v, v0 - c, v0 + c) - t)^2), [B, A].

    v0 [B, A] are the values before the update, c [A] is their reach. Also where a value may move on: not where the
    clipped one is further from its target.

    Source: [I], appendix B.1; OpenAI Baselines' ppo2, which the loss is from.
    """
    error, clipped = value - target, torch.clamp(value, before - reach, before + reach) - target
    free = clipped.abs() <= error.abs()
    return torch.where(free, error, clipped), free


class Critic:
    """Learns a value function; values are learned in units of the streams' own running scale."""

    def __init__(self, build: Callable[[], ValueFunction], seed: int) -> None:
        """Start from values of zero; `build` makes a value function, `seed` is of its weights and of the shuffles."""
        self._seed, self._values = seed, build()
        self.config, self._device = self._values.config, self._values.device
        self._values.parameters = torch.tensor(
            self._values.shapes.initial(0.0, stream_seed(Stream.CRITIC, seed)), device=self._device
        )
        self._optimiser = Adam.like(self._values.parameters)
        self.updates = 0

    @torch.no_grad()
    def calibrate(self, streams: Sequence[int], *rewards: Array) -> dict[str, Array]:
        """Give streams that have no scale yet that of a first batch: a steady reward r has value r / (1 - gamma).

        `rewards` are [T, A, E] of these A streams, one per shard. Returns the state to go on from.
        """
        values = self._values
        fresh = [place for place, stream in enumerate(streams) if not values.std[stream]]
        if fresh:
            own = [streams[place] for place in fresh]
            reward = torch.cat([values.tensor(part) for part in rewards], -1)[:, fresh]
            values.mean[own] = reward.mean((0, 2)) / (1.0 - values.gamma)
            values.std[own] = reward.std((0, 2)) * 3.0 + 1e-6
        return self.state()

    @torch.no_grad()
    def learn(self, streams: Sequence[int], *lessons: Lesson) -> tuple[dict[str, float], dict[str, Array], Values]:
        """Fit the values to returns.

        Args:
            streams: A stream indices.
            lessons: one per shard, of these streams; see `ValueFunction.advantages`.

        Returns:
            Loss and explained variance before the fit, the state to go on from, and the values in it.
        """
        values, own = self._values, list(streams)
        samples, target = (torch.cat([values.tensor(part) for part in parts]) for parts in zip(*lessons, strict=True))
        rate = 0.2
        old_mean, old_std = values.mean[own].clone(), values.std[own].clone()
        values.mean[own] += rate * (target.mean(0) - old_mean)
        values.std[own] += rate * (target.std(0) + 1e-6 - old_std)
        self._keep_values(own, old_mean, old_std)
        scaled = (target - values.mean[own]) / values.std[own]
        generator = torch_stream(self._device, Stream.CRITIC_SAMPLES, self._seed, self.updates)
        order, parts = shuffled(len(samples), self.config.minibatch, self.config.epochs, generator)
        mean, first = self._fit(samples, scaled, own, order, parts, self._limits(samples, own))
        self.updates += 1
        told = {"value_loss": mean, "explained_variance": 1.0 - first / max(float(scaled.var()), 1e-12)}
        state = self.state()
        return told, state, values_of(state)

    def _limits(self, samples: Tensor, streams: list[int]) -> Limits | None:
        """Values [B, A] before the fit, and how far from them [A] they may move; None: any way."""
        if self.config.value_clip is None:
            return None
        return self._values.outputs(samples)[:, streams], self.config.value_clip / self._values.std[streams]

    def _fit(
        self, samples: Tensor, target: Tensor, streams: list[int], order: Tensor, parts: int, limits: Limits | None
    ) -> tuple[float, float]:
        """Mean and first loss of steps on the minibatches of shuffled indices."""
        loops, config = self._values.loops(), self.config
        if loops is None:
            return self._fit_by_hand(samples, target, streams, order, parts, limits)
        rates = config.learning_rate, config.max_grad_norm
        (total, first), steps = loops.fit_values(
            self._optimiser, samples, order, parts, target, streams, config.value_coef, rates, limits
        )
        return total / steps, first

    def _fit_by_hand(
        self, samples: Tensor, target: Tensor, streams: list[int], order: Tensor, parts: int, limits: Limits | None
    ) -> tuple[float, float]:
        parameters = self._values.parameters
        network = passes_of(self._values.shapes, parameters, self.config.activation)
        losses = []
        for index in (part for epoch in order for part in epoch.tensor_split(parts)):
            value = network.forward(samples[index])
            error, change = value[:, streams] - target[index], torch.zeros_like(value)
            change[:, streams] = error * (2.0 * self.config.value_coef / error.numel())
            if limits is not None:
                error, free = clipped_error(value[:, streams], target[index], limits[0][index], limits[1])
                change[:, streams] *= free
            gradient = network.backward(change)
            norm = float(gradient.norm())
            gradient *= min(1.0, self.config.max_grad_norm / (norm + 1e-6))
            self._optimiser.step(parameters, gradient, self.config.learning_rate)
            losses.append(float(error.square().mean()))
        return sum(losses) / len(losses), losses[0]

    def _keep_values(self, streams: list[int], old_mean: Tensor, old_std: Tensor) -> None:
        """Rescale the last layer so that values stay what they were (PopArt, van Hasselt et al. 2016)."""
        values = self._values
        layers, _ = values.shapes.split(values.parameters)
        weight, bias = layers[-1]
        ratio = old_std / values.std[streams]
        weight[streams] *= ratio[:, None]
        bias[streams] = bias[streams] * ratio + (old_mean - values.mean[streams]) / values.std[streams]

    def state(self) -> dict[str, Array]:
        """Everything needed to go on, as arrays."""
        values = self._values
        tensors = {"parameters": values.parameters, **self._optimiser.state(), "mean": values.mean, "std": values.std}
        state = {name: value.cpu().numpy().copy() for name, value in tensors.items()}
        return state | {"updates": np.array([self.updates], dtype=np.float32)}

    def restore(self, state: dict[str, Array]) -> None:
        """Go on from `state`."""
        tensor = {name: torch.tensor(value, device=self._device) for name, value in state.items()}
        values = self._values
        values.parameters, values.mean, values.std = tensor["parameters"], tensor["mean"], tensor["std"]
        self._optimiser = Adam.of(tensor)
        self.updates = int(tensor["updates"].item())

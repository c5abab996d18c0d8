"""Proximal policy optimisation of one department's policy.

Source: Schulman et al. (2017), Proximal policy optimization algorithms, eq. 7; [I] and [M] use it for every department.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from pydantic import Field
from torch import Generator, Tensor

from departments.numerics.adam import Adam
from departments.numerics.graph import AnyShapes
from departments.numerics.native import Loops, Meaning
from departments.numerics.networks import Activation
from departments.numerics.passes import Evaluate, Passes, Pull, passes_of, taped
from environment.fields import Checked


class PPOConfig(Checked):
    """Settings of a department's learner."""

    learning_rate: float = Field(default=1e-3, gt=0)
    clip_ratio: float = Field(default=0.2, gt=0)
    epochs: int = Field(default=4, ge=1)
    minibatch: int = Field(default=1024, ge=1)  # samples
    entropy_coef: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=0.5, gt=0)
    target_kl: float = Field(default=0.05, gt=0)  # an update stops when the policy has moved this far


class Slice(NamedTuple):
    """One department's own part of a rollout."""

    observation: Tensor  # [T, recorded, E] scaled
    action: Tensor  # [T, actions, E]
    log_prob: Tensor  # [T, E] under the policy that acted
    memory: Tensor  # [T / L, remembered, E] before the first period of each chunk of L periods


class UpdateStats(NamedTuple):
    """What one update did."""

    kl: float  # mean KL divergence from the policy that acted
    clip_fraction: float  # share of samples whose ratio was clipped
    entropy: float  # of the Gaussian, nats
    grad_norm: float  # before clipping, mean over minibatches
    learning_rate: float  # of this update


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Entropy of independent Gaussians, [K] -> [] nats."""
    return log_std.sum() + 0.5 * math.log(2 * math.pi * math.e) * len(log_std)


def surrogate_weight(ratio: Tensor, advantage: Tensor, clip_ratio: float) -> Tensor:
    """Gradient of the mean of min(r A, clip(r, 1 - c, 1 + c) A) by log probabilities: r A where it is not clipped."""
    free = torch.where(advantage > 0.0, ratio <= 1.0 + clip_ratio, ratio >= 1.0 - clip_ratio)
    return ratio * advantage * free / advantage.numel()


def samples_first(value: Tensor) -> Tensor:
    """[T, F, E] -> [T * E, F]."""
    return value.transpose(1, 2).reshape(-1, value.shape[1])


def shuffled(count: int, size: int, epochs: int, generator: Generator) -> tuple[Tensor, int]:
    """Indices in shuffled order, [epochs, count], and how many minibatches of about `size` an epoch has."""
    orders = [torch.randperm(count, generator=generator, device=generator.device) for _ in range(epochs)]
    return torch.stack(orders), max(1, round(count / size))


def minibatches(count: int, size: int, epochs: int, generator: Generator) -> Iterator[Tensor]:
    """Indices of shuffled minibatches of about equal size, epoch by epoch."""
    orders, parts = shuffled(count, size, epochs, generator)
    for order in orders:
        yield from order.tensor_split(parts)


class Learner(Protocol):
    """What of a department matters for an update."""

    @property
    def ppo(self) -> PPOConfig:
        """Settings."""

    @property
    def activation(self) -> Activation:
        """Of its network."""

    @property
    def shapes(self) -> AnyShapes | None:
        """Its network, if it is one from an observation to means of orders; None: see `log_prob`."""

    @property
    def gated(self) -> bool:
        """Whether its memory is learned through, so that it learns from sequences."""

    def log_prob(self, flat: Tensor, observation: Tensor, memory: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities [L, B] of recorded sequences under parameters, and the mean entropy."""

    def loops(self, flat: Tensor) -> Loops | None:
        """The compiled loops of its network on parameters, in place; None where it has none."""

    @property
    def meaning(self) -> Meaning:
        """What the network's outputs mean to the compiled loops."""


def update(
    parameters: Tensor,
    optimiser: Adam,
    learner: Learner,
    batch: Slice,
    advantage: Tensor,
    *,
    learning_rate: float,
    generator: Generator,
) -> UpdateStats:
    """Several epochs of minibatch PPO on the flat `parameters`, in place.

    In C++ where the network has loops there, else by hand if it is a perceptron to orders, or by autograd. A gated
    memory starts every chunk from the state it had in the rollout, an episode from zero; gradients run through a chunk.
    Everything else learns from single periods.

    The parameters must not require gradients; `advantage` is [T, E] of any scale: it is normalised over the batch. The
    generator shuffles samples or chunks.
    """
    length, shapes = len(advantage) // len(batch.memory) if learner.gated else 1, learner.shapes
    observation, action = sequences(batch.observation, length), sequences(batch.action, length)
    # [T, E] -> [B, L]
    old_log_prob, advantage = (sequences(part.unsqueeze(1), length).squeeze(-1) for part in (batch.log_prob, advantage))
    memory = sequences(batch.memory, 1)[:, 0] if learner.gated else observation.new_zeros(len(observation), 0)
    loops = learner.loops(parameters)
    if loops is not None:
        samples = observation, memory, action, old_log_prob, normalised(advantage)
        return _improve_compiled(loops, optimiser, learner, samples, learning_rate, generator)
    if shapes is not None:
        observation, action, old_log_prob, advantage = (
            observation[:, 0],
            action[:, 0],
            old_log_prob[:, 0],
            advantage[:, 0],
        )
        evaluate = _gaussian(passes_of(shapes, parameters, learner.activation), parameters, observation, action)
    else:

        def of_sequences(flat: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
            seen, did = observation[index].transpose(0, 1), action[index].transpose(0, 1)
            log_prob, entropy = learner.log_prob(flat, seen, memory[index], did)
            return log_prob.T, entropy

        evaluate = taped(parameters, of_sequences)
    return improve(
        parameters,
        optimiser,
        evaluate,
        old_log_prob.contiguous(),
        advantage.contiguous(),
        config=learner.ppo,
        learning_rate=learning_rate,
        generator=generator,
    )


def sequences(value: Tensor, length: int) -> Tensor:
    """[T, F, E] -> [T / L * E, L, F]: chunks of L periods; samples if L is 1.

    This and `samples_first` are where world order becomes learner order.
    """
    periods, features, copies = value.shape
    chunks = value.reshape(periods // length, length, features, copies).permute(0, 3, 1, 2)
    return chunks.reshape(periods // length * copies, length, features)


def _gaussian(network: Passes, parameters: Tensor, observation: Tensor, action: Tensor) -> Evaluate:
    """What `improve` asks for, of orders around the outputs of a network, [B, inputs] and [B, K]."""
    log_std = parameters[-action.shape[1] :]

    def evaluate(index: Tensor) -> tuple[Tensor, Tensor, Pull]:
        scale = torch.exp(-log_std)
        standard = (action[index] - network.forward(observation[index])) * scale

        def pull(weight: Tensor, entropy_weight: float) -> Tensor:
            weighted = standard * weight[:, None]
            gradient = network.backward(weighted * scale)
            gradient[-len(log_std) :] = (weighted * standard).sum(0) - weight.sum() + entropy_weight
            return gradient

        density = -0.5 * standard.square().sum(-1) - log_std.sum() - 0.5 * math.log(2 * math.pi) * len(log_std)
        return density, gaussian_entropy(log_std), pull

    return evaluate


def normalised(advantage: Tensor) -> Tensor:
    """Mean 0, standard deviation 1 over a batch."""
    return (advantage - advantage.mean()) / (advantage.std() + 1e-8)


def _improve_compiled(
    loops: Loops,
    optimiser: Adam,
    learner: Learner,
    samples: tuple[Tensor, ...],
    learning_rate: float,
    generator: Generator,
) -> UpdateStats:
    """`improve` by compiled loops, on the same shuffles; see `Loops.improve_policy` for the samples."""
    observation, memory, *data = samples
    (count, length), config = observation.shape[:2], learner.ppo
    order, parts = shuffled(count, sequences_of(config.minibatch, length), config.epochs, generator)
    rates = learning_rate, config.max_grad_norm
    bounds = config.clip_ratio, config.entropy_coef, config.target_kl
    told, steps = loops.improve_policy(
        optimiser, learner.meaning, observation, memory, order, parts, data, rates, bounds
    )
    kl, clipped, entropy, norm = told
    return UpdateStats(kl, clipped / max(steps, 1), entropy, norm / max(steps, 1), learning_rate)


def sequences_of(samples: int, length: int) -> int:
    """How many sequences of that length have about so many samples."""
    return max(1, round(samples / length))


@torch.no_grad()
def improve(
    parameters: Tensor,
    optimiser: Adam,
    evaluate: Evaluate,
    old_log_prob: Tensor,
    advantage: Tensor,
    *,
    config: PPOConfig,
    learning_rate: float,
    generator: Generator,
) -> UpdateStats:
    """The PPO update of any policy whose log probabilities can be evaluated.

    Args:
        parameters: flat vector, updated in place; must not require gradients.
        optimiser: its Adam state, updated in place.
        evaluate: indices of samples -> their log probabilities [b, ...] under the parameters as they are, the mean
            entropy, and the gradient by the parameters of weights [b, ...] on the former plus a weight on the latter.
        old_log_prob: [B, ...] of the policy that acted; further axes are the periods of a sequence.
        advantage: [B, ...] of the same shape, any scale: it is normalised over the batch.
        config: of the learner.
        learning_rate: of this update.
        generator: shuffles the samples.
    """
    advantage = normalised(advantage)
    size = sequences_of(config.minibatch, advantage.numel() // len(advantage))
    kl = clipped = norm = spread = 0.0
    count = 0
    for index in minibatches(len(advantage), size, config.epochs, generator):
        log_prob, entropy, pull = evaluate(index)
        log_ratio = log_prob - old_log_prob[index]
        ratio = log_ratio.exp()
        step_kl = float((ratio - 1.0 - log_ratio).mean())
        if step_kl > config.target_kl:
            break
        gradient = -pull(surrogate_weight(ratio, advantage[index], config.clip_ratio), config.entropy_coef)
        grad_norm = float(gradient.norm())
        gradient *= min(1.0, config.max_grad_norm / (grad_norm + 1e-6))
        optimiser.step(parameters, gradient, learning_rate)
        kl, norm, count, spread = step_kl, norm + grad_norm, count + 1, float(entropy)
        clipped += float(((ratio - 1.0).abs() > config.clip_ratio).float().mean())
    return UpdateStats(kl, clipped / max(count, 1), spread, norm / max(count, 1), learning_rate)

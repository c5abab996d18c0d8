"""PPO for a department of a firm with customers: samples one by one, or chunks of an episode with a gated memory."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from departments.learning.ppo import PPOConfig, UpdateStats, improve
from departments.numerics.adam import Adam
from departments.numerics.passes import taped
from departments.policies.loop import LoopSlice, Role


def sequences(value: Tensor, length: int) -> Tensor:
    """[T, F, E] -> [L, T / L * E, F]: chunks of L periods side by side, periods first."""
    periods, features, copies = value.shape
    chunks = value.view(periods // length, length, features, copies).permute(1, 0, 3, 2)
    return chunks.reshape(length, -1, features)


def update_role(
    parameters: Tensor,
    optimiser: Adam,
    role: Role,
    batch: LoopSlice,
    advantage: Tensor,
    *,
    config: PPOConfig,
    learning_rate: float,
    generator: Generator,
) -> UpdateStats:
    """Several epochs of minibatch PPO on the flat `parameters`, in place.

    A gated memory starts every chunk from the state it had in the rollout, an episode from zero; gradients run
    through a chunk. Everything else learns from single periods.

    Args:
        parameters: flat vector; must not require gradients.
        optimiser: its Adam state, updated in place.
        role: of the department.
        batch: what it saw and did.
        advantage: [T, E], any scale.
        config: of the learner.
        learning_rate: of this update.
        generator: shuffles samples or chunks.
    """
    network = role.network
    length = len(advantage) // len(batch.memory) if network.kind == "gru" else 1
    observation, action = sequences(batch.observation, length), sequences(batch.action, length)

    def flat_of(value: Tensor) -> Tensor:  # [T, E] -> [B, L]
        return sequences(value.unsqueeze(1), length).squeeze(-1).T.contiguous()

    if network.kind == "gru":
        memory = sequences(batch.memory, 1).squeeze(0)  # [B, remembered]
    else:
        memory = observation.new_zeros(observation.shape[1], 0)

    def evaluate(flat: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        seen = observation[:, index]
        output = role.with_rule(network.sequence_outputs(flat, seen, memory[index]), seen)
        log_prob, entropy = role.head.log_prob(output, network.log_std(flat), role.mask, action[:, index])
        return log_prob.T, entropy

    return improve(
        parameters,
        optimiser,
        taped(parameters, evaluate),
        flat_of(batch.log_prob),
        flat_of(advantage),
        config=config,
        learning_rate=learning_rate,
        generator=generator,
    )


def recomputed_log_prob(flat: Tensor, role: Role, batch: LoopSlice) -> Tensor:
    """Log probabilities [T, E] of recorded actions under parameters, as `update_role` sees them at its first step."""
    network = role.network
    length = len(batch.observation) // len(batch.memory) if network.kind == "gru" else 1
    copies = batch.observation.shape[-1]
    if network.kind == "gru":
        memory = sequences(batch.memory, 1).squeeze(0)
    else:
        memory = flat.new_zeros(len(batch.observation) * copies, 0)
    with torch.no_grad():
        observation = sequences(batch.observation, length)
        output = role.with_rule(network.sequence_outputs(flat, observation, memory), observation)
        log_prob, _ = role.head.log_prob(output, network.log_std(flat), role.mask, sequences(batch.action, length))
    chunks = log_prob.view(length, -1, copies).transpose(0, 1)
    return chunks.reshape(-1, copies)

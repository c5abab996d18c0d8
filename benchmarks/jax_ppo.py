"""PPO in JAX, world and learner in one jitted program, after PureJaxRL (Lu et al. 2022, arXiv 2210.05639).

The firm is one agent that sees all positions. Rollouts are whole episodes of E copies; several updates are one scan, so
Python is left only to evaluate. Adam and the rest are written out, as nothing but JAX is needed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax_world import JaxChance, JaxState, JaxWorld
from judging import CLIP, EPOCHS, GAE_LAMBDA, GAMMA, HIDDEN, INITIAL_STD, LEARNING_RATE, Judge, Part

from coordinator.envs.core import REACH, Form

PERIODS = 128
_VALUE_COEF, _MAX_GRAD_NORM, _TINY = 0.5, 0.5, 1e-5

Layers = list[tuple[Array, Array]]


class Batch(NamedTuple):
    """How much is learned from at once."""

    copies: int
    minibatches: int  # of a batch of `copies` episodes
    updates: int  # in one call of the program, between two evaluations


BATCHES = {
    "published": Batch(4, 4, 20),  # as PureJaxRL's ppo.py sets NUM_ENVS, NUM_STEPS and NUM_MINIBATCHES
    "small": Batch(16, 8, 5),  # as ours where one agent sees everything
    "wide": Batch(256, 8, 5),  # as ours
    "widest": Batch(1024, 16, 2),  # as ours where they are widest
}


class Parameters(NamedTuple):
    """Of actor and critic."""

    actor: Layers
    log_std: Array  # [N]
    critic: Layers


class Learner(NamedTuple):
    """What an update changes."""

    parameters: Parameters
    first: Parameters  # Adam's moments
    second: Parameters
    count: Array


class Samples(NamedTuple):
    """Of a rollout; [T, E, ...], or [samples, ...] flat."""

    observation: Array
    action: Array
    log_prob: Array
    value: Array
    advantage: Array


def _layers(key: Array, sizes: Sequence[int], last: float) -> Layers:
    keys = jax.random.split(key, len(sizes) - 1)
    made = []
    for number, (own, inputs, outputs) in enumerate(zip(keys, sizes, sizes[1:], strict=False)):
        scale = last if number == len(sizes) - 2 else math.sqrt(2.0)
        made.append((scale * jax.nn.initializers.orthogonal()(own, (inputs, outputs)), jnp.zeros(outputs)))
    return made


def _forward(layers: Layers, value: Array) -> Array:
    for weight, bias in layers[:-1]:
        value = jax.nn.relu(value @ weight + bias)
    return value @ layers[-1][0] + layers[-1][1]


def _log_prob(mean: Array, log_std: Array, action: Array) -> Array:
    standard = (action - mean) * jnp.exp(-log_std)
    return (-0.5 * standard**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


class JaxPPO:
    """The program."""

    def __init__(self, judge: Judge, batch: Batch) -> None:
        """Prepare the judge's firm: the same observations, actions and rewards as the other peers'."""
        self.batch = batch
        self.world, self.form, self.unit = JaxWorld(judge.world.firm), judge.form, judge.unit
        self.reach = REACH * judge.observer.spread[:, 0].numpy()
        self.scales = judge.observer.scales()[:, : self.world.points].T.tolist()  # positions are the first features

    def begin(self, key: Array) -> Learner:
        """A learner that has learned nothing."""
        first, second = jax.random.split(key)
        points = self.world.points
        parameters = Parameters(
            _layers(first, (points, *HIDDEN, points), 0.01),
            jnp.full(points, math.log(INITIAL_STD[self.form])),
            _layers(second, (points, *HIDDEN, 1), 1.0),
        )
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        return Learner(parameters, zeros, zeros, jnp.zeros(()))

    def observe(self, state: JaxState) -> Array:
        """Scaled positions, [E, N]."""
        rows = zip(state.position, self.scales, strict=True)
        return jnp.stack([jnp.clip((row - mean) * factor, -limit, limit) for row, (mean, factor, limit) in rows], -1)

    def order(self, state: JaxState, action: Array) -> tuple[Array, ...]:
        """Feasible orders, N of [E], from actions [E, N]."""
        inside = jnp.clip(action, -1.0, 1.0)
        wished = []
        for point, position in enumerate(state.position):
            if self.form == "plain":
                wished.append((inside[:, point] + 1.0) * float(self.world.max_order[point] / 2.0))
            else:
                level, reach = float(self.world.level[point]), float(self.reach[point])
                wished.append(level - position + reach * inside[:, point])
        return tuple(self.world.feasible(point, order) for point, order in enumerate(wished))

    def rollout(self, parameters: Parameters, key: Array) -> Samples:
        """One episode of every copy, cut off by time: advantages look beyond the last period."""
        first, second = jax.random.split(key)
        chance = self.world.draw(PERIODS, self.batch.copies, first)
        noise = jax.random.normal(second, (PERIODS, self.batch.copies, self.world.points))

        def period(state: JaxState, now: tuple[JaxChance, Array]) -> tuple[JaxState, tuple[Array, ...]]:
            seen = self.observe(state)
            mean = _forward(parameters.actor, seen)
            action = mean + jnp.exp(parameters.log_std) * now[1]
            after, cost = self.world.step(state, self.order(state, action), now[0])
            return after, (seen, action, _log_prob(mean, parameters.log_std, action), -sum(cost) / self.unit)

        end, (seen, action, log_prob, reward) = jax.lax.scan(
            period, self.world.reset(self.batch.copies), (chance, noise)
        )
        value = _forward(parameters.critic, seen)[..., 0]
        following = jnp.concatenate((value[1:], _forward(parameters.critic, self.observe(end))[None, :, 0]))
        surprise = reward + GAMMA * following - value

        def back(advantage: Array, now: Array) -> tuple[Array, Array]:
            advantage = now + GAMMA * GAE_LAMBDA * advantage
            return advantage, advantage

        _, advantage = jax.lax.scan(back, jnp.zeros(self.batch.copies), surprise, reverse=True)
        return Samples(seen, action, log_prob, value, advantage)

    def update(self, learner: Learner, key: Array) -> tuple[Learner, None]:
        """A rollout and all epochs on it."""
        first, second = jax.random.split(key)
        rollout = self.rollout(learner.parameters, first)
        flat = jax.tree.map(lambda field: field.reshape(-1, *field.shape[2:]), rollout)

        def epoch(learner: Learner, key: Array) -> tuple[Learner, None]:
            order = jax.random.permutation(key, self.batch.copies * PERIODS)
            parts = jax.tree.map(lambda field: field[order].reshape(self.batch.minibatches, -1, *field.shape[1:]), flat)
            return jax.lax.scan(_descend, learner, parts)[0], None

        return jax.lax.scan(epoch, learner, jax.random.split(second, EPOCHS))[0], None

    def updates(self, learner: Learner, key: Array) -> Learner:
        """Several updates."""
        return jax.lax.scan(self.update, learner, jax.random.split(key, self.batch.updates))[0]


def _loss(parameters: Parameters, part: Samples) -> Array:
    """Clipped surrogate (Schulman et al. 2017, eq. 7) and the critic's squared error."""
    log_prob = _log_prob(_forward(parameters.actor, part.observation), parameters.log_std, part.action)
    ratio = jnp.exp(log_prob - part.log_prob)
    advantage = (part.advantage - part.advantage.mean()) / (part.advantage.std() + 1e-8)
    gained = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - CLIP, 1.0 + CLIP) * advantage).mean()
    error = _forward(parameters.critic, part.observation)[:, 0] - (part.value + part.advantage)
    return _VALUE_COEF * (error**2).mean() - gained


def _descend(learner: Learner, part: Samples) -> tuple[Learner, None]:
    """One step of Adam, gradients clipped by their norm."""
    gradient = jax.grad(_loss)(learner.parameters, part)
    norm = jnp.sqrt(sum((field**2).sum() for field in jax.tree.leaves(gradient)))
    gradient = jax.tree.map(lambda field: field * jnp.minimum(1.0, _MAX_GRAD_NORM / (norm + 1e-6)), gradient)
    count = learner.count + 1.0
    first = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, learner.first, gradient)
    second = jax.tree.map(lambda old, new: 0.999 * old + 0.001 * new**2, learner.second, gradient)

    def moved(value: Array, mean: Array, square: Array) -> Array:
        scaled = (mean / (1.0 - 0.9**count)) / (jnp.sqrt(square / (1.0 - 0.999**count)) + _TINY)
        return value - LEARNING_RATE * scaled

    return Learner(jax.tree.map(moved, learner.parameters, first, second), first, second, count), None


def train(budget: float, form: Form, batch: str = "wide", seed: int = 0) -> dict[str, Any]:
    """Learn until the budget is used up; compilation is timed by itself and not part of it."""
    judge = Judge(form, budget)
    program, key = JaxPPO(judge, BATCHES[batch]), jax.random.key(seed)
    learner, points = program.begin(key), range(judge.world.points)
    start = time.perf_counter()
    updates = jax.jit(program.updates).lower(learner, key).compile()
    compile_seconds = time.perf_counter() - start

    def parts() -> list[Part]:
        layers = [(np.array(weight).T.copy(), np.array(bias)) for weight, bias in learner.parameters.actor]
        return [Part(points, points, layers)]

    going = True
    judge.start()
    while going:
        key, own = jax.random.split(key)
        learner = jax.block_until_ready(updates(learner, own))
        going = judge.lap(program.batch.updates * program.batch.copies * PERIODS, lambda: judge.networks(parts()))
    return {**judge.verdict(), "compile_seconds": compile_seconds}

"""Rollouts for learning: the world driven by frozen snapshots, some exploring, and what each department learns from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from departments.learning.ppo import Slice
from departments.play.compiled_rollouts import CompiledRollouts
from departments.policies.joint import JointPolicy
from departments.policies.policy import Snapshot, point_of, policy_shapes
from environment import Exogenous, State, World
from environment.observation import Observer
from environment.world import seeded_generator


class Rollout(NamedTuple):
    """T periods of E copies."""

    slices: list[Slice]  # one per learning department: its own observations and actions only
    cost: Tensor  # [T, N, E] money per stock point
    features: Tensor  # [T + 1, G, E] global features, for the critic alone


class Actor(Protocol):
    """Whatever acts for the whole firm: snapshots stacked, or departments by message."""

    def act(self, state: State, features: Tensor, exploration: dict[int, Tensor]) -> Tensor:
        """See JointPolicy.act."""


def exploration_noise(
    point: int, log_std: Tensor, periods: int, copies: int, seed: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """A department's own exploration, drawn from its own stream: scaled noise [T, K, E] and its log density [T, E]."""
    generator = seeded_generator(log_std.device, *seed, point)
    size = (periods, len(log_std), copies)
    noise = torch.randn(size, generator=generator, device=log_std.device, dtype=log_std.dtype)
    log_prob = (-0.5 * noise.square() - log_std[:, None]).sum(1) - 0.5 * math.log(2 * math.pi) * len(log_std)
    return noise * log_std[:, None].exp(), log_prob


@torch.inference_mode()
def rollout(
    world: World,
    observer: Observer,
    snapshots: Sequence[Snapshot],
    learning: Sequence[str],
    *,
    copies: int,
    seed: Sequence[int],
    actor: Actor | None = None,
    compiled: CompiledRollouts | None = None,
) -> Rollout:
    """One training episode per copy.

    Args:
        world: of the firm.
        observer: of that world.
        snapshots: of all departments.
        learning: the departments that explore and are recorded; the others act on their mean.
        copies: E.
        seed: names this rollout's random streams; the result depends on nothing else.
        actor: who acts; by default the snapshots, stacked.
        compiled: of that world and observer; where all the networks fit, everything happens there.
    """
    periods = world.firm.periods.train
    points = [point_of(name, world.firm.names) for name in learning]
    of = {snapshot.department: snapshot for snapshot in snapshots}
    rows = [observer.rows(of[name].config.observation, point) for name, point in zip(learning, points, strict=True)]
    drawn = []
    for name, point in zip(learning, points, strict=True):
        shapes = policy_shapes(observer, of[name].config, point, world.products)
        log_std = shapes.split(torch.tensor(of[name].parameters, device=world.device, dtype=world.dtype))[1]
        drawn.append(exploration_noise(point, log_std, periods, copies, seed))
    chance = world.draw(periods, copies, world.generator(*seed))
    if compiled is not None and actor is None and compiled.fits(snapshots):
        by_name = {name: noise for name, (noise, _) in zip(learning, drawn, strict=True)}
        seen, did = compiled.play(snapshots, by_name, chance)
        features, cost, actions = seen.features, seen.cost, [did[name] for name in learning]
    else:
        acting = actor or JointPolicy(world, observer, snapshots, always=points)
        by_point = {point: noise for point, (noise, _) in zip(points, drawn, strict=True)}
        features, cost, actions = _period_by_period(world, observer, acting, by_point, chance)
    slices = [
        Slice(features[:-1, torch.tensor(own, device=world.device)], action, log_prob)
        for own, action, (_, log_prob) in zip(rows, actions, drawn, strict=True)
    ]
    return Rollout(slices, cost, features)


def _period_by_period(
    world: World, observer: Observer, acting: Actor, noise: dict[int, Tensor], chance: Exogenous
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Features [T + 1, G, E], cost [T, N, E], and the actions [T, K, E] of those who explore by `noise`."""
    periods, copies = len(chance.demand), chance.demand.shape[-1]
    state = world.reset(copies)
    new = state.on_hand.new_empty
    features = new(periods + 1, observer.size, copies)
    cost = new(periods, world.points, copies)
    actions = {point: new(scaled.shape) for point, scaled in noise.items()}
    for t in range(periods):
        features[t] = observer.all_features(state)
        exploration = {point: scaled[t] for point, scaled in noise.items()}
        order = world.feasible(acting.act(state, features[t], exploration))
        for point, action in actions.items():
            action[t] = exploration[point]
        state, outcome = world.step(state, order, chance.at(t))
        cost[t] = outcome.cost
    features[periods] = observer.all_features(state)
    return features, cost, list(actions.values())

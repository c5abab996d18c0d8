"""The environment worker of a firm with customers: as `rollout_worker`, with recommendation and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from coordinator.critic.value_function import ValueFunction
from coordinator.workers.rollout_worker import Array, EnvironmentWorker, Message, Shard, as_array
from departments.play.episode import SHARD, run_costs
from departments.policies.loop import LearnedLoop, Payment, Role, loop_rollout, roles
from departments.policies.policy import PolicyConfig, Snapshot
from departments.rules.ordering import delivered_cost
from environment import Firm, World
from environment.observation import Observer, Scaling


@dataclass(frozen=True)
class LoopWorld:
    """A firm with customers made ready: its world, what is seen of it, and who decides what."""

    world: World
    observer: Observer
    roles: list[Role]

    @classmethod
    def of(
        cls,
        firm: Firm,
        levels: NDArray[np.float64],
        configs: Mapping[str, PolicyConfig],
        scaling: Scaling,
        device: str = "cpu",
    ) -> LoopWorld:
        """Build the world.

        Args:
            firm: a checked firm with customers.
            levels: [N, K] the benchmark's base-stock levels.
            configs: policy of each department, by name.
            scaling: of observations.
            device: where the world lives.
        """
        world = World(firm, levels, device=device)
        observer = Observer(world, levels, scaling)
        return cls(world, observer, roles(world, observer, configs))

    def policy(self, snapshots: Mapping[str, Snapshot]) -> LearnedLoop:
        """The departments acting with these snapshots."""
        return LearnedLoop(self.world, self.observer, self.roles, snapshots)


class LoopRolloutWorker(EnvironmentWorker):
    """Runs the world for the learners."""

    def __init__(
        self,
        build: Callable[[], LoopWorld],
        reward_weights: NDArray[np.float32],
        own_indicators: bool,
        values: Callable[[], ValueFunction],
    ) -> None:
        """Build the world.

        Args:
            build: makes it.
            reward_weights: [N, N] whose indicators a replenishment department is paid by if it is by its own.
            own_indicators: whether departments are paid by their own indicators.
            values: makes the critic's value function.
        """
        super().__init__(values)
        self._loop = build()
        world = self._loop.world
        value = torch.as_tensor(delivered_cost(world.firm), device=world.device, dtype=world.dtype)
        weights = torch.as_tensor(reward_weights, device=world.device)
        self._payment = Payment(world, value, weights, own_indicators)

    def _play(self, learning: Sequence[str], copies: int, seed: Sequence[int], message: Message | None) -> Shard:
        """Slices also hold the memories at the starts of chunks."""
        if message is not None:
            raise ValueError("execution by message is for firms without customers; use snapshot")
        loop = self._loop
        result = loop_rollout(
            loop.world,
            loop.observer,
            loop.roles,
            self._snapshots,
            self._payment,
            learning=learning,
            copies=copies,
            seed=seed,
        )
        return result.slices, result.features, result.reward

    def costs(self, shards: Sequence[int], episodes: int, seed: int, stream: int, *candidates: Snapshot) -> Array:
        """Cost of every episode of some evaluation shards; see `RolloutWorker.costs`."""
        world = self._loop.world
        policy = self._loop.policy(self._snapshots | {snapshot.department: snapshot for snapshot in candidates})
        parts = []
        for shard in shards:
            copies = min(SHARD, episodes - shard * SHARD)
            chance = world.draw(world.firm.periods.evaluate - 1, copies, world.generator(seed, stream, shard))
            parts.append(as_array(run_costs(world, policy, chance).sum(0)))
        return np.concatenate(parts)

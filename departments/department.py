"""A department: its policy, learner and state. It knows its observation, actions and advantages, nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from departments.learning.imitation import imitate
from departments.learning.pathwise import PathwiseConfig, take_step
from departments.learning.ppo import Slice, UpdateStats, update
from departments.numerics.adam import Adam
from departments.numerics.memory import MemoryNetwork
from departments.numerics.native import loops_of
from departments.numerics.networks import Shapes, StackedNetworks
from departments.policies.policy import Snapshot
from departments.policies.spec import DepartmentSpec
from environment.streams import Stream, torch_stream

Arrays = dict[str, NDArray[np.float32]]


class Department:
    """Acts on its own observation and learns from its own slice of a rollout."""

    def __init__(self, spec: DepartmentSpec) -> None:
        """Start from version 0 of the policy."""
        self.spec = spec
        self._install(spec.first_snapshot())

    def _install(self, snapshot: Snapshot) -> None:
        self.version = snapshot.version
        self._parameters = torch.tensor(snapshot.parameters, device=self.spec.device)
        self._optimiser = Adam.like(self._parameters)
        self._networks: Callable[[torch.Tensor], torch.Tensor] | None = None
        self._episodes = 0  # learned from, since it was adopted

    def snapshot(self) -> Snapshot:
        """The policy as it is now."""
        parameters = self._parameters.cpu().numpy().copy()
        return Snapshot(self.spec.name, self.version, self.spec.policy, parameters)

    def adopt(self, snapshot: Snapshot) -> None:
        """Go on from another policy with a fresh optimiser.

        Raises:
            ValueError: the snapshot's network has another shape or holds a number that is not finite.
        """
        self.spec.must_fit(snapshot)
        self._install(snapshot)

    def learn(
        self, seed: Sequence[int], *parts: tuple[NDArray[np.float32], ...]
    ) -> tuple[Snapshot, Arrays, UpdateStats]:
        """One PPO update on this department's slices.

        Args:
            seed: names the stream that shuffles the samples.
            parts: slices of equal length of time, each ending with its advantages [T, E].

        Returns:
            The new snapshot, the state to go on from, and what the update did.
        """
        spec = self.spec
        if spec.over_points is not None:
            raise ValueError("policy.over_points: shared learns by gradients through the simulator alone")
        *fields, advantage = (
            torch.cat([self._tensor(part) for part in field], -1) for field in zip(*parts, strict=True)
        )
        rate, generator = self.learning_rate, torch_stream(spec.device, Stream.SAMPLES, *seed, spec.number)
        stats = update(
            self._parameters, self._optimiser, spec, Slice(*fields), advantage, learning_rate=rate, generator=generator
        )
        self._episodes += advantage.shape[-1] // spec.clones
        self.version += 1
        self._networks = None
        return self.snapshot(), self.state(), stats

    def imitate(self, seed: Sequence[int], *parts: tuple[NDArray[np.float32], ...]) -> tuple[Snapshot, Arrays]:
        """Fit version 0 to demonstrations, see `imitation.imitate`; the new version 0, and the state to go on from.

        `parts` are observations [T, F, E] and what the network should have said, [T, outputs, E], one per shard.
        """
        spec = self.spec
        seen, said = (torch.cat([self._tensor(part) for part in field], -1) for field in zip(*parts, strict=True))
        if not isinstance(spec.network, MemoryNetwork):
            raise TypeError(f"{spec.name} attends over the network, which is not fitted to rules")
        generator = torch_stream(spec.device, Stream.SAMPLES, *seed, spec.number)
        imitate(self._parameters, spec.network, seen, said, generator, spec.compiled)
        self._networks = None
        return self.snapshot(), self.state()

    def descend(
        self, config: PathwiseConfig, progress: float, *gradients: NDArray[np.float32]
    ) -> tuple[Snapshot, Arrays, UpdateStats]:
        """One step against the mean of gradients of the firm's cost by this department's parameters, one per shard.

        Returns what `learn` does; only the gradient's norm and the learning rate are told. See `take_step`.
        """
        gradient = torch.stack([self._tensor(part) for part in gradients]).mean(0)
        norm, rate = take_step(self._parameters, self._optimiser, gradient, config, progress)
        self.version += 1
        self._networks = None
        return self.snapshot(), self.state(), UpdateStats(math.nan, math.nan, math.nan, norm, rate)

    @property
    def learning_rate(self) -> float:
        """Of the next update."""
        law = self.spec.law
        return self.spec.ppo.learning_rate if law is None else law.at(self._episodes)

    def _tensor(self, value: object) -> torch.Tensor:
        return torch.as_tensor(value, device=self.spec.device)

    def begin(self, seed: Sequence[int], periods: int, copies: int, explores: bool, compiled: bool = False) -> None:
        """Prepare to act by message for an episode: draw this department's exploration; `compiled`: act in C++.

        Raises:
            ValueError: only departments of firms without customers act by message.
        """
        spec = self.spec
        if spec.closed_loop:
            raise ValueError("execution by message is for firms without customers; use snapshot")
        in_core = self._cloned_network if spec.clones > 1 else self._compiled_network
        self._networks = in_core() if compiled else self._own_network
        noise = spec.exploration(self._parameters, periods, copies, seed)[0] if explores else None
        self._noise = None if noise is None else noise.view(periods, -1, copies)
        self._period = 0

    def _own_network(self, seen: torch.Tensor) -> torch.Tensor:
        """Actions [K, E] from one padded observation [width, E]: as one of many that are evaluated together."""
        spec = self.spec
        shapes, parameters = spec.shapes, spec.own(self._parameters)
        if spec.clones > 1:
            self._networks = self._cloned_network()
        elif isinstance(shapes, Shapes):
            networks = StackedNetworks([parameters], [shapes], spec.activation, width=len(seen), device=spec.device)
            self._networks = lambda seen: networks(seen.unsqueeze(0))[0]
        else:
            acting = spec.acting(parameters)
            self._networks = lambda seen: acting(seen, seen[:0])[0]
        return self._networks(seen)

    def _cloned_network(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The same of a network that decides product by product, in C++ where it can."""
        spec, decide = self.spec, self.spec.deciding(self._parameters)

        def act(seen: torch.Tensor) -> torch.Tensor:
            columns = spec.columns(seen[: len(spec.rows)])
            return decide(columns, columns[:0], None).action.view(-1, seen.shape[-1])

        return act

    def _compiled_network(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The same, rounded as in the compiled world."""
        shapes = self.spec.shapes
        loops = None if shapes is None else loops_of(shapes, self.spec.own(self._parameters), self.spec.activation)
        if shapes is None or loops is None:
            raise RuntimeError(f"{self.spec.name} was asked to act in C++, which it cannot")
        return lambda seen: loops.values(seen[: shapes.inputs].T).T

    @torch.inference_mode()
    def act(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """The action [K, E] on one observation [width, E]; call `begin` first."""
        if self._networks is None:
            raise RuntimeError(f"{self.spec.name} is asked to act before begin")
        action = self._networks(self._tensor(observation))
        if self._noise is not None:
            action += self._noise[self._period]
        self._period += 1
        return action.cpu().numpy()

    def state(self) -> Arrays:
        """Everything needed to go on, as arrays."""
        tensors = {"parameters": self._parameters, **self._optimiser.state()}
        state = {name: value.cpu().numpy().copy() for name, value in tensors.items()}
        return state | {"counts": np.array([self.version, self._episodes], dtype=np.float32)}

    def restore(self, state: Arrays) -> None:
        """Go on from `state`."""
        tensor = {name: self._tensor(value).clone() for name, value in state.items()}
        self._parameters = tensor["parameters"]
        self._optimiser = Adam.of(tensor)
        self.version, self._episodes = (int(value) for value in state["counts"])
        self._networks = None

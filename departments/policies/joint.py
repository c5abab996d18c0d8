"""All departments acting together in a rollout: frozen snapshots, each seeing its own department's observation only.

Networks of equal hidden sizes are evaluated as one batched product over observations padded to one width. A residual
policy whose network is the constant 0 is the benchmark and costs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from departments.decisions import OrdersAlone
from departments.numerics.actions import action_to_order
from departments.numerics.graph import acting_networks
from departments.policies.policy import PolicyConfig, Snapshot, is_idle, point_of, policy_shapes
from environment import State, World
from environment.observation import Observer


def widest_observation(observer: Observer, configs: Mapping[str, PolicyConfig], names: Sequence[str]) -> int:
    """The width that all observations of a firm are padded to."""
    return max(len(observer.rows(configs[name].observation, point_of(name, names))) for name in configs)


class _Group:
    """Departments acted for together: where their observations and orders lie."""

    def __init__(self, world: World, observer: Observer, points: list[int], config: PolicyConfig) -> None:
        self.points, self._form = points, config.form
        shape = (world.points, world.products, 1)
        first, last = (0, world.points - 1) if points == [world.points] else (points[0], points[-1])
        neighbours = points in ([world.points], list(range(first, last + 1)))
        self._where = slice(first, last + 1) if neighbours else torch.tensor(points, device=world.device)
        spread, half = observer.spread.view(shape), world.max_order / 2.0
        self._unit = (spread if config.form == "residual" else half)[self._where]

    def place(self, order: Tensor, action: Tensor) -> None:
        """Write what `action` [D, K, E], of the whole firm [1, N * K, E], means into `order` [N, K, E].

        `order` holds the benchmark's before.
        """
        action = action.reshape(-1, *order.shape[1:])
        order[self._where] = action_to_order(self._form, order[self._where], self._unit, action)


class JointPolicy(OrdersAlone):
    """Snapshots of departments as one policy of the firm; stock points without a snapshot follow the benchmark."""

    def __init__(
        self,
        world: World,
        observer: Observer,
        snapshots: Sequence[Snapshot],
        *,
        always: Sequence[int] = (),
        parameters: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Stack the snapshots.

        Args:
            world: of the firm.
            observer: of that world.
            snapshots: at most one per stock point.
            always: points (N: the whole firm) whose network is evaluated even while it is constant (their actions are
                recorded).
            parameters: by department, tensors in place of the snapshots' own, so that gradients reach them; such a
                department's network is always evaluated.
        """
        parameters = parameters or {}
        names = world.firm.names
        width = widest_observation(observer, {s.department: s.config for s in snapshots}, names) if snapshots else 0
        kinds: dict[tuple[object, ...], list[tuple[int, Snapshot]]] = defaultdict(list)
        for snapshot in sorted(snapshots, key=lambda snapshot: point_of(snapshot.department, names)):
            point, config = point_of(snapshot.department, names), snapshot.config
            if (
                point in always
                or snapshot.department in parameters
                or not is_idle(snapshot, policy_shapes(observer, config, point, world.products))
            ):
                kinds[config.hidden, config.form, config.activation, point == world.points].append((point, snapshot))
        self._parts = [self._part(world, observer, members, width, parameters) for members in kinds.values()]
        self._all = any(s.config.observation == "pipeline" for members in kinds.values() for _, s in members)
        self._observer = observer
        self._level = observer.level.view(world.points, world.products, 1)

    @staticmethod
    def _part(
        world: World,
        observer: Observer,
        members: list[tuple[int, Snapshot]],
        width: int,
        parameters: Mapping[str, Tensor],
    ) -> tuple[_Group, Tensor, Callable[[Tensor], Tensor]]:
        points, config = [point for point, _ in members], members[0][1].config
        rows = [observer.rows(snapshot.config.observation, point) for point, snapshot in members]
        padded = torch.tensor([[*own, *[own[0]] * (width - len(own))] for own in rows], device=world.device)
        networks = acting_networks(
            [parameters.get(snapshot.department, snapshot.parameters) for _, snapshot in members],
            [policy_shapes(observer, snapshot.config, point, world.products) for point, snapshot in members],
            config.activation,
            width=width,
            device=world.device,
            dtype=world.dtype,
        )
        return _Group(world, observer, points, config), padded, networks

    def order(self, world: World, state: State) -> Tensor:
        """Orders without exploration, [N, K, E] units."""
        return self.act(state, self._observer.all_features(state) if self._all else self._observer.features(state), {})

    def act(self, state: State, features: Tensor, exploration: dict[int, Tensor]) -> Tensor:
        """Wished orders [N, K, E].

        `exploration` [K, E] of a stock point (N: [N * K, E], of the whole firm) is added to its action and replaced by
        it.
        """
        order = self._level - state.inventory_position
        for group, rows, networks in self._parts:
            action = networks(features.index_select(0, rows.view(-1)).view(*rows.shape, -1))
            for place, point in enumerate(group.points):
                if point in exploration:
                    action[place] += exploration[point]
                    exploration[point] = action[place]
            group.place(order, action)
        return order


class MessagePolicy:
    """The same by message, as in operation: each department is sent its own observation and answers with its action."""

    def __init__(
        self,
        world: World,
        observer: Observer,
        configs: Mapping[str, PolicyConfig],
        ask: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    ) -> None:
        """Act through `ask`, which carries an observation [width, E] to each department and brings an action [K, E]."""
        names = world.firm.names
        width = widest_observation(observer, configs, names)
        self._ask, self._level = ask, observer.level.view(world.points, world.products, 1)
        self._rows, self._groups = {}, {}
        for name, config in configs.items():
            own = observer.rows(config.observation, point_of(name, names))
            self._rows[name] = torch.tensor([*own, *[own[0]] * (width - len(own))], device=world.device)
            self._groups[name] = _Group(world, observer, [point_of(name, names)], config)

    def act(self, state: State, features: Tensor, exploration: dict[int, Tensor]) -> Tensor:
        """As `JointPolicy.act`, except that each department explores by itself, from the same streams."""
        order = self._level - state.inventory_position
        actions = self._ask({name: features.index_select(0, rows) for name, rows in self._rows.items()})
        for name, group in self._groups.items():
            action, (point,) = actions[name], group.points
            group.place(order, action.unsqueeze(0))
            if point in exploration:
                exploration[point] = action
        return order

"""All departments acting together: snapshots, each seeing its own department's observation only.

Perceptrons of equal hidden sizes without memory are evaluated as one batched product over observations padded to one
width; one whose network is the constant 0 is the base-stock rule and costs nothing. Those with memory, a head for
recommendations or graph attention are evaluated one by one, and departments elsewhere are asked by message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from departments.decisions import Decision, Memory
from departments.numerics.actions import SCORE, action_to_order
from departments.numerics.networks import Shapes, StackedNetworks
from departments.policies.policy import Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.forecast import ForecastBaseStock
from departments.rules.recommendation import DEFAULT_WEIGHT, available, learned_offers
from environment import Feedback, State, World
from environment.observation import Observer
from heuristics.recommendation import Offers

FORECAST = "forecast"  # in a memory: what the replenishment departments have smoothed

Ask = Callable[[dict[str, Tensor]], dict[str, Tensor]]  # observations [width, E] to actions [K, E], by department


class Act(NamedTuple):
    """What one department did in one period."""

    recorded: Tensor  # [recorded, E] what it saw
    action: Tensor  # [actions, E]
    output: Tensor | None = None  # [outputs, E] of its network, if it may recommend
    choice_log_prob: Tensor | None = None  # [E] of what it recommended


class _Turn(NamedTuple):
    """One period, for those who decide in it one after the other."""

    state: State
    period: int
    features: Tensor  # [G, E]
    wished: Tensor  # [N, K, E] the rule's orders, mean demands
    noise: Mapping[str, Tensor]  # [noise, E] of those that explore
    before: Mapping[str, Tensor]  # memories, [remembered, E]
    after: dict[str, Tensor]
    order: Tensor  # [O + A, K, E] units, the rule's until a department has written its own
    acts: dict[str, Act]


class FirmPolicy:
    """Snapshots of departments as one policy of the firm; stock points without a snapshot follow the rule.

    The rule is base-stock, and the forecast-driven rule if any of the departments is one of a firm with customers.
    """

    def __init__(
        self,
        world: World,
        observer: Observer,
        snapshots: Sequence[Snapshot],
        *,
        always: Sequence[str] = (),
        parameters: Mapping[str, Tensor] | None = None,
        ask: Ask | None = None,
        eager: bool = False,
    ) -> None:
        """Make the networks of `snapshots`, at most one per department, ready.

        Networks of those in `always` are evaluated even while they are constant (their actions are recorded), and so
        are those of `parameters`: tensors in place of the snapshots' own, so that gradients reach them. With `ask`
        departments act for themselves, and explore for themselves; this asks them. `eager` ones with memory or a choice
        act in PyTorch even where they could in C++.
        """
        parameters = parameters or {}
        self.frozen = None if parameters or ask or eager else list(snapshots)  # what may act in C++ as well
        spec_of = partial(DepartmentSpec.of, world, observer, compiled=not eager)
        members = {snapshot.department: spec_of(snapshot.department, snapshot.config) for snapshot in snapshots}
        self.members = sorted(members.values(), key=lambda member: member.number)
        self.observer, shape = observer, (world.points, world.products, 1)
        self._level, self._spread = observer.level.view(shape), observer.spread.view(shape)
        closed_loop = any(member.closed_loop for member in self.members)
        self._rule = ForecastBaseStock("forecast-base-stock", world.firm) if closed_loop else None
        if closed_loop and ask is not None:
            raise ValueError("departments of a firm with customers cannot be asked by message; use snapshots")
        by_name = {snapshot.department: snapshot for snapshot in snapshots}
        width = max((len(member.rows) for member in self.members), default=0)
        if ask is not None:
            self._parts: list[_Asked] | list[_Alone | _Stack] = [_Asked(world, observer, self.members, width, ask)]
            self._all = True
            return
        kinds: dict[object, list[DepartmentSpec]] = defaultdict(list)
        for member in self.members:
            name, config, shapes = member.name, member.policy, member.shapes
            if name in always or name in parameters or not member.is_rule(by_name[name]):
                alone = not isinstance(shapes, Shapes) or member.clones > 1
                same = (config.hidden, config.form, config.activation, len(member.places))
                kinds[name if alone else same].append(member)
        everyone = [member for of in kinds.values() for member in of]
        self._all = any(m.closed_loop or max(m.rows, default=0) >= observer.positions for m in everyone)

        def flat(member: DepartmentSpec) -> Tensor:
            held = torch.tensor(by_name[member.name].parameters, device=world.device, dtype=world.dtype)
            return member.own(parameters.get(member.name, held))

        self._parts = [
            _Alone(world, observer, of[0], flat(of[0]))
            if isinstance(kind, str)
            else _Stack(world, observer, of, list(map(flat, of)), width)
            for kind, of in kinds.items()
        ]

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Decisions without exploration."""
        look = self.observer
        features = look.all_features(state, feedback, period) if self._all else look.features(state)
        return self.act(world, state, feedback, features, period, memory, {})[0]

    def act(
        self,
        world: World,
        state: State,
        feedback: Feedback | None,
        features: Tensor,
        period: int,
        memory: Memory,
        noise: Mapping[str, Tensor],
    ) -> tuple[Decision, dict[str, Act]]:
        """The decision of one period as `decide` makes it, and what departments did: at least of those that explore.

        `features` [G, E] are all there are of the state and the feedback; the memory is each department's, and the
        forecasts; `noise` [noise, E] is of those that explore, see `DepartmentSpec.exploration`.
        """
        before, exposure = memory or {}, None
        after: dict[str, Tensor] = {}
        if self._rule is None:
            wished = self._level - state.inventory_position
            order = world.parted(wished)
        else:
            order, _, after[FORECAST] = self._rule.decide(world, state, feedback, period, before.get(FORECAST))
            wished, exposure = order / self._spread, order.new_zeros(len(world.chosen().names), *order.shape[1:])
        turn = _Turn(state, period, features, wished, noise, before, after, order, {})
        for part in self._parts:
            part.act(turn)
        for member in self.members:
            if member.recommends:
                exposure = member.shown(turn.acts[member.name].action)
        return Decision(order, exposure, after or None), turn.acts

    def tendency(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Tensor]:
        """Wished orders [N, K, E], and what is expected to be shown of each product, in the first slot, [S, K, E]."""
        features = self.observer.all_features(state, feedback, period)
        (order, shown, _), acts = self.act(world, state, feedback, features, period, memory, {})
        for member in self.members:
            if member.recommends and (output := acts[member.name].output) is not None:
                shown = member.chance(output)
        return order, torch.zeros_like(feedback.exposure) if shown is None else shown


class _Place:
    """Where orders of departments of one form lie, and what their actions mean."""

    def __init__(self, world: World, observer: Observer, members: Sequence[DepartmentSpec]) -> None:
        places = [place for member in members for place in member.places] or [0]
        neighbours = places == list(range(places[0], places[-1] + 1))
        self._where = slice(places[0], places[-1] + 1) if neighbours else torch.tensor(places, device=world.device)
        self._form, shape = members[0].policy.form, (world.points, world.products, 1)
        unit = observer.reach.view(shape) if self._form == "residual" else world.max_order / 2.0
        self._unit = unit[world.network.decision_unit][self._where]

    def write(self, order: Tensor, action: Tensor, placed: Tensor | None = None) -> None:
        """What `action` [D, orders, E] means, into `order` [O + A, K, E], which holds the rule's before.

        With `placed`, if there is any of it, 1 or 0 where that is ordered or nothing is.
        """
        base, action = order[self._where], action.reshape(-1, *order.shape[1:])
        wished = action_to_order(self._form, base, self._unit, action)
        if placed is not None and len(placed):
            wished = torch.where(placed.view_as(wished) > 0.0, wished, torch.zeros_like(wished))
        order[self._where] = wished


def _padded(member: DepartmentSpec, width: int) -> list[int]:
    """The rows that a department sees, and its first one again up to a width."""
    return [*member.rows, *[member.rows[0]] * (width - len(member.rows))]


class _Stack:
    """Perceptrons without memory that decide orders, as one product."""

    def __init__(
        self, world: World, observer: Observer, members: list[DepartmentSpec], flats: list[Tensor], width: int
    ) -> None:
        self._members, self._place = members, _Place(world, observer, members)
        self._rows = torch.tensor([_padded(member, width) for member in members], device=world.device)
        shapes = [member.shapes for member in members if isinstance(member.shapes, Shapes)]
        where = partial(StackedNetworks, width=width, device=world.device, dtype=world.dtype)
        self._networks = where(flats, shapes, members[0].activation)

    def act(self, turn: _Turn) -> None:
        seen = turn.features.index_select(0, self._rows.view(-1)).view(*self._rows.shape, -1)
        action = self._networks(seen)
        for place, member in enumerate(self._members):
            if member.name in turn.noise:
                action[place] += turn.noise[member.name]
                turn.acts[member.name] = Act(seen[place, : len(member.rows)], action[place])
        self._place.write(turn.order, action)


class _Alone:
    """One department whose network is of its own kind."""

    def __init__(self, world: World, observer: Observer, member: DepartmentSpec, flat: Tensor) -> None:
        self._world, self._member, self._place = world, member, _Place(world, observer, [member])
        self._decide, self._rows = member.deciding(flat), torch.tensor(member.rows, device=world.device)
        self._offers = None
        if member.hints and member.recommends:
            self._offers = Offers(learned_offers(world, DEFAULT_WEIGHT, member.policy.parts))

    def act(self, turn: _Turn) -> None:
        member, observation = self._member, self._observation(turn)
        name, orders = member.name, member.head.orders
        memory = turn.before.get(name)
        if memory is None:
            memory = observation.new_zeros(member.remembered, observation.shape[-1])
        move = self._decide(observation, memory, turn.noise.get(name))
        turn.acts[name] = Act(move.recorded, move.action, move.output, move.choice_log_prob)
        if member.closed_loop:
            turn.after[name] = move.memory
        if orders:
            self._place.write(turn.order, move.action[:orders], move.action[member.head.placed])

    def _observation(self, turn: _Turn) -> Tensor:
        """A department's features, and behind them what its own rule says, in columns."""
        member, own = self._member, turn.features.index_select(0, self._rows)
        if not member.hints:
            return member.columns(own)
        hints = [turn.wished[point] for point in member.points]
        if self._offers is not None:
            # Where gradients are taken, advice counts as given.
            stock = available(self._world, turn.state).detach() if member.aware else None
            scores = self._offers.scores(stock, turn.period, own.shape[-1])
            hints.append(((scores - scores[:, -1:]) / SCORE).view(-1, scores.shape[-1]).to(own.dtype))
        return member.columns(torch.cat((own, *hints)))


class _Asked:
    """Departments elsewhere, by message, as in operation: each is sent its own observation and answers with its action.

    They explore by themselves, from the same streams.
    """

    def __init__(self, world: World, observer: Observer, members: list[DepartmentSpec], width: int, ask: Ask) -> None:
        self._ask, self._members = ask, [(member, _Place(world, observer, [member])) for member in members]
        self._rows = {m.name: torch.tensor(_padded(m, width), device=world.device) for m in members}

    def act(self, turn: _Turn) -> None:
        seen = {name: turn.features.index_select(0, rows) for name, rows in self._rows.items()}
        actions = self._ask(seen)
        for member, place in self._members:
            place.write(turn.order, actions[member.name].unsqueeze(0))
            own = member.columns(seen[member.name][: len(member.rows)])
            turn.acts[member.name] = Act(own, actions[member.name].view(-1, own.shape[-1]))

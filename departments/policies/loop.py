"""The departments of a firm with customers acting together: replenishment, recommendation, or one joint department.

Each sees its own observation only, keeps its own memory and decides what its role says. Learned policies here know no
other department's decisions of the same period.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from departments.decisions import Decision, Memory
from departments.numerics.actions import SCORE, SHARPNESS, action_to_order
from departments.numerics.heads import Head
from departments.numerics.memory import MemoryNetwork
from departments.policies.policy import PolicyConfig, Snapshot
from departments.rules.closed_loop_rules import LoopRules
from environment import Feedback, Outcome, State, World
from environment.observation import Observer
from environment.world import seeded_generator

RECOMMENDATION = "recommendation"
FORECAST = "forecast"  # in a memory: what the replenishment departments have smoothed
JOINT = "joint"
_CHUNK = 20  # longest sequence that a memory learns through, periods


@dataclass(frozen=True)
class Role:
    """What a department decides, and what it sees of all features."""

    name: str
    points: tuple[int, ...]  # stock points whose orders it decides
    recommends: bool
    config: PolicyConfig
    rows: tuple[int, ...]  # of the features
    head: Head
    mask: Tensor | None  # [S, K, 1] which products it may recommend

    @property
    def aware(self) -> bool:
        """Whether its recommendations may look at stock."""
        return self.config.observation != "customers"

    @property
    def hints(self) -> int:
        """How much a residual policy sees of its rule, behind its features: wished orders, then scores of offers."""
        return self.head.outputs if self.config.form == "residual" else 0

    def with_rule(self, output: Tensor, observation: Tensor) -> Tensor:
        """Outputs [..., outputs] plus what the rule says: a recommendation starts from the scores in the observation.

        Orders need nothing here: their actions are what is added to the rule's order.
        """
        if self.config.form != "residual" or not self.recommends:
            return output
        seen = len(self.rows) + self.hints
        scores = observation[..., seen - (self.head.outputs - self.head.orders) : seen]
        return output + torch.nn.functional.pad(scores * SHARPNESS, (self.head.orders, 0))

    @property
    def network(self) -> MemoryNetwork:
        """Its network."""
        config, size = self.config, self.config.memory_size if self.config.memory != "none" else 0
        return MemoryNetwork(
            observed=len(self.rows) + self.hints,
            kind=config.memory,
            size=size,
            hidden=config.hidden,
            outputs=self.head.outputs,
            log_stds=self.head.orders,
            activation=config.activation,
        )

    def first_snapshot(self, seed: int) -> Snapshot:
        """Version 0: the rules' decisions if residual, else orders of half the maximum and uniform recommendations."""
        return Snapshot(self.name, 0, self.config, self.network.initial(math.log(self.config.initial_std), seed))


def roles(world: World, observer: Observer, configs: Mapping[str, PolicyConfig]) -> list[Role]:
    """Roles by name: stock points order, `recommendation` recommends, `joint` does everything.

    Args:
        world: of the firm.
        observer: of that world.
        configs: each department's policy; `everything` as observation means all features.
    """
    choice, names, products = world.chosen(), world.firm.names, world.products
    slots = {int(slot) for slot in choice.slots.flatten()}
    found = []
    for name, config in configs.items():
        recommends = name in (RECOMMENDATION, JOINT)
        points = tuple(range(world.points)) if name == JOINT else () if recommends else (names.index(name),)
        if recommends and len(slots) > 1:
            raise ValueError(
                f"customers: all stock points must have the same number of slots to be learned, got {sorted(slots)}"
            )
        rows = (
            range(observer.size)
            if config.observation == "everything"
            else observer.rows(config.observation, (*points, 0)[0])
        )
        segments = len(choice.names) if recommends else 0
        head = Head(len(points) * products, segments, products if recommends else 0, next(iter(slots)))
        found.append(Role(name, points, recommends, config, tuple(rows), head, choice.sold if recommends else None))
    return found


class LearnedLoop:
    """Snapshots of all departments as one policy; points without one follow the forecast-driven rule."""

    def __init__(
        self, world: World, observer: Observer, members: Sequence[Role], snapshots: Mapping[str, Snapshot]
    ) -> None:
        """Let the members act with their snapshots' parameters."""
        self._observer, self._members = observer, [role for role in members if role.name in snapshots]
        self._rules, self._spread = LoopRules(world), observer.spread.view(world.points, world.products, 1)
        self._half = world.max_order / 2.0
        flats = {
            role.name: torch.tensor(snapshots[role.name].parameters, device=world.device, dtype=world.dtype)
            for role in self._members
        }
        self._networks = {role.name: role.network.acting(flats[role.name]) for role in self._members}
        self._log_std = {role.name: role.network.log_std(flats[role.name]) for role in self._members}
        self._rows = {role.name: torch.tensor(role.rows, device=world.device) for role in self._members}

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Decisions without exploration."""
        if feedback is None:
            raise RuntimeError(f"these departments need customers who choose, and {world.firm.name} has none")
        features = self._observer.all_features(state, feedback, period)
        return Decision(*self.act(world, state, feedback, features, period, memory, {})[:3])

    def act(
        self,
        world: World,
        state: State,
        feedback: Feedback,
        features: Tensor,
        period: int,
        memory: Memory,
        noise: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor, Memory, dict[str, tuple[Tensor, Tensor, Tensor]]]:
        """Decisions of one period.

        Args:
            world: of the firm.
            state: after event 2.
            feedback: of the step that led there.
            features: [G, E] all features of both.
            period: t.
            memory: each department's, and the forecasts; None at the start of an episode.
            noise: standard noise [noise, E] of those that explore.

        Returns:
            Wished orders [N, K, E], exposure [S, K, E], the memory, and for each department what it saw [recorded, E],
            its action [actions, E] and its log probability [E].
        """
        copies = features.shape[-1]
        before = memory or {role.name: self._networks[role.name].start(copies) for role in self._members}
        after, seen = {FORECAST: self._rules.forecast(before.get(FORECAST), feedback, period)}, {}
        order = self._rules.order(state, after[FORECAST], period)
        exposure = features.new_zeros(len(world.chosen().names), world.products, copies)
        wished = order / self._spread
        for role in self._members:
            observation = self._observation(role, features, wished, state, period)
            output, recorded, after[role.name] = self._networks[role.name](observation, before[role.name])
            output = role.with_rule(output.T, observation.T).T
            action, log_prob = role.head.act(output, self._log_std[role.name], role.mask, noise.get(role.name))
            seen[role.name] = (recorded, action, log_prob)
            for place, point in enumerate(role.points):
                part = action[place * world.products : (place + 1) * world.products]
                unit = self._spread if role.config.form == "residual" else self._half
                order[point] = action_to_order(role.config.form, order[point], unit[point], part)
            if role.recommends:
                exposure = role.head.exposure(action)
        return order, exposure, after, seen

    def tendency(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Tensor]:
        """Wished orders [N, K, E], and the chance that each product is drawn for the first slot, [S, K, E]."""
        features = self._observer.all_features(state, feedback, period)
        order, exposure, _, seen = self.act(world, state, feedback, features, period, memory, {})
        for role in self._members:
            if role.recommends:
                recorded = seen[role.name][0]
                carried = (memory or {}).get(role.name, self._networks[role.name].start(recorded.shape[-1]))
                output, _, _ = self._networks[role.name](recorded[: role.network.observed], carried)
                output = role.with_rule(output.T, recorded.T)
                exposure = role.head.probability(output, role.mask).permute(1, 2, 0)
        return order, exposure

    def _observation(self, role: Role, features: Tensor, wished: Tensor, state: State, period: int) -> Tensor:
        """A department's features, and behind them what its own rule says."""
        own = features.index_select(0, self._rows[role.name])
        if not role.hints:
            return own
        hints = [wished[point] for point in role.points]
        if role.recommends:
            scores = self._rules.scores(state, period, role.aware) / SCORE
            hints.append((scores - scores[:, -1:]).view(-1, scores.shape[-1]))
        return torch.cat((own, *hints))


class LoopSlice(NamedTuple):
    """One department's own part of a rollout."""

    observation: Tensor  # [T, recorded, E] scaled
    action: Tensor  # [T, actions, E]
    log_prob: Tensor  # [T, E] under the policy that acted
    memory: Tensor  # [T / L, remembered, E] before the first period of each chunk of L periods


class LoopRollout(NamedTuple):
    """One training episode of E copies."""

    slices: list[LoopSlice]  # one per learning department
    reward: Tensor  # [T, A, E] of each learning department
    features: Tensor  # [T + 1, G, E] for the critic alone


def chunk_length(periods: int) -> int:
    """The longest divisor of an episode up to 20 periods: what a memory learns through."""
    return max(length for length in range(1, min(_CHUNK, periods) + 1) if periods % length == 0)


def critic_features(world: World, observer: Observer) -> int:
    """How much the critic sees: all features, the hidden traffic regimes, and the time that is left."""
    size: int = observer.size + len(world.chosen().names) + 1
    return size


class Payment:
    """How departments are paid: everyone by the firm's profit, or each silo by its own indicator.

    Profit is counted on accrual: what is bought joins the stock at its cost and is charged when it is sold, and what
    is left in the end is written down to its salvage value. The sum over an episode is the firm's profit less the
    worth of its first stock, a constant; but an order no longer costs now what it earns only after its lead time, a
    gap that discounting would punish (a potential-based shaping, Ng et al. 1999; ours).

    A siloed recommender is paid the revenue of what its customers ask for, whether or not it is in stock. A siloed
    replenisher pays holding cost and, for each unit unserved, penalty and margin, at its own point and below (our
    reading).
    """

    def __init__(self, world: World, unit_value: Tensor, weights: Tensor, own_indicators: bool) -> None:
        """Prepare.

        Args:
            world: of the firm.
            unit_value: [N, K] what a unit has cost when it reaches each point.
            weights: [N, N] whose indicators a replenisher is paid by if it is by its own.
            own_indicators: whether departments are paid by their own indicators.
        """
        firm = world.firm

        def column(field: str) -> Tensor:
            return torch.as_tensor(firm.amounts(field), device=world.device, dtype=world.dtype)[:, :, None]

        self._world, self._weights, self._own = world, weights, own_indicators
        facing = torch.as_tensor(world.network.customer_facing, device=world.device)
        self._holding, self._price = column("holding_cost"), column("price")[facing]
        self._unit_value = unit_value.unsqueeze(-1)  # [N, K, 1]
        margin = column("price") - self._unit_value
        self._missed = (column("backorder_cost") + margin.clamp_min(0.0))[facing]

    def stock_value(self, state: State) -> Tensor:
        """Stock on hand and under way at cost, [E] money."""
        return (self._unit_value * (state.on_hand + self._world.in_transit(state))).sum((0, 1))

    def reward(self, members: Sequence[Role], before: State, after: State, outcome: Outcome, last: bool) -> Tensor:
        """Rewards of one period, [A, E] money; the stock is written down after the last one."""
        if not self._own:
            profit = -outcome.cost.sum(0) - self.stock_value(before)
            if not last:
                profit = profit + self.stock_value(after)
            elif (salvage := self._world.salvage(after)) is not None:
                profit = profit + salvage.sum(0)
            return profit.expand(len(members), -1)
        own = (self._holding * after.on_hand).sum(1)
        own = self._world.incidence.facing.add_to(own, (self._missed * outcome.unserved).sum(1))
        revenue = (self._price * outcome.demand).sum((0, 1))
        return torch.stack([revenue if role.recommends else -(self._weights[role.points[0]] @ own) for role in members])


@torch.inference_mode()
def loop_rollout(
    world: World,
    observer: Observer,
    members: Sequence[Role],
    snapshots: Mapping[str, Snapshot],
    payment: Payment,
    *,
    learning: Sequence[str],
    copies: int,
    seed: Sequence[int],
) -> LoopRollout:
    """One training episode per copy; the departments in `learning` explore and are recorded.

    The result depends on the snapshots and on `seed`, which names the random streams, and on nothing else.
    """
    periods = world.firm.periods.train
    policy = LearnedLoop(world, observer, members, snapshots)
    explorers = [next(role for role in members if role.name == name) for name in learning]
    noise = {
        role.name: role.head.noise(periods, copies, seeded_generator(world.device, *seed, number + 1))
        for number, role in enumerate(members)
        if role.name in learning
    }
    chance, state, memory = world.draw(periods, copies, world.generator(*seed, 0)), world.reset(copies), None
    choice, feedback, length = world.chosen(), world.no_feedback(copies), chunk_length(periods)
    new = state.on_hand.new_empty
    features = new(periods + 1, critic_features(world, observer), copies)
    reward = new(periods, len(learning), copies)
    recorded = [
        LoopSlice(
            new(periods, role.network.recorded, copies),
            new(periods, role.head.actions, copies),
            new(periods, copies),
            new(periods // length, role.network.remembered, copies),
        )
        for role in explorers
    ]
    seen = observer.size
    for t in range(periods):
        now = chance.at(t)
        features[t, :seen] = observer.all_features(state, feedback, t)
        features[t, seen:-1] = 0.0 if now.regime is None else now.regime
        features[t, -1] = min(periods - t, _CHUNK) / _CHUNK
        before = memory
        wished, shown, memory, acts = policy.act(
            world, state, feedback, features[t, :seen], t, memory, {name: drawn[t] for name, drawn in noise.items()}
        )
        order, exposure = world.feasible(wished), choice.feasible(shown)
        after, outcome = world.step(state, order, now, exposure)
        feedback = world.feedback(state, order, now, exposure, after, outcome)
        reward[t] = payment.reward(explorers, state, after, outcome, last=t == periods - 1)
        for role, part in zip(explorers, recorded, strict=True):
            part.observation[t], part.action[t], part.log_prob[t] = acts[role.name]
            if t % length == 0:
                part.memory[t // length] = 0.0 if before is None else before[role.name]
        state = after
    features[periods, :seen] = observer.all_features(state, feedback, periods)
    features[periods, seen:] = 0.0
    return LoopRollout(recorded, reward, features)

"""An environment worker: a world of its own that rolls out shards with frozen snapshots and evaluates policies.

It is stateless between calls but for the snapshots it was sent, so a restarted one needs only those again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coordinator.critic.value_function import ValueFunction, Values
from departments.learning.pathwise import counted_from, score_gradient
from departments.learning.ppo import Slice
from departments.numerics.memory import MemoryNetwork
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.demonstration import demonstrations, of_two_suppliers
from departments.play.episode import SHARD, run_costs, run_episodes, summed
from departments.play.footprint import emissions
from departments.play.gradients import descend, descend_episode
from departments.play.payment import Payment
from departments.play.rollout import recorded, rollout, seen_by_product
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import RECOMMENDATION, Snapshot
from departments.policies.spec import DepartmentSpec, point_of
from departments.rules.dual_sourcing import TwoSuppliers, is_taught, teacher_of
from environment import Exogenous, Firm, NotCompiledError, State, World
from environment.observation import Observer, Scaling
from environment.streams import Stream, torch_stream

Array = NDArray[np.float32]
Message = Callable[..., Any]


class RolloutWorker:
    """Holds snapshots, and gives shards with advantages, gradients and costs of evaluation episodes."""

    def __init__(
        self,
        firm: Firm,
        levels: NDArray[np.float64],
        base: NDArray[np.float64],
        scaling: Scaling,
        payment: Callable[[World], Payment],
        values: Callable[[], ValueFunction],
        device: str = "cpu",
        compiled: bool = True,
        by_product: bool = False,
    ) -> None:
        """Build the world; without snapshots.

        Args:
            firm: a checked firm.
            levels: [N, K] the benchmark's base-stock levels, the stock that episodes start with.
            base: [N, K] the base-stock levels that residual policies start from.
            scaling: of observations.
            payment: makes what pays the departments.
            values: makes the critic's value function.
            device: where the world lives.
            compiled: whether rollouts happen in the compiled world where that can be.
            by_product: whether payments and values are of each product by itself: copies and products stand beside
                each other then, K E of them, the first product's copies first.
        """
        self._values = values()
        self._snapshots: dict[str, Snapshot] = {}
        self._world = World(firm, levels, device=device)
        self._observer = Observer(self._world, base, scaling)
        self._payment = payment(self._world)
        self._eager, self._by_product = not compiled, by_product
        self._compiled, self._reason = None, "the settings say so (compiled: false)"
        try:
            self._compiled = CompiledRollouts(self._world, self._observer) if compiled else None
        except NotCompiledError as error:
            self._reason = str(error)  # the same, period by period

    def why_not_compiled(self) -> str | None:
        """Why the world runs in PyTorch; None: with all of its networks it runs in C++."""
        if self._compiled is None:
            return self._reason
        return None if self._compiled.fits(list(self._snapshots.values())) else "tanh is not compiled"

    def gradient_notes(self) -> list[str]:
        """What gradients do not see here, and why they go through PyTorch where the rest is compiled; a line each."""
        world, notes = self._world, []
        costly = [name for name, cost in zip(world.firm.names, world.firm.fixed_costs(), strict=True) if cost.any()]
        if always := [n for n in costly if n in self._snapshots and not self._snapshots[n].config.hybrid]:
            cure = "" if world.firm.customers else ": whether to order is learned by --set policy.hybrid=true"
            notes.append(f"no gradient tells of the fixed cost of an order ({', '.join(always)}){cure}")
        everyone, why = list(self._snapshots.values()), None
        compiled = self._compiled_for(everyone)
        if compiled is not None and RECOMMENDATION in self._snapshots:
            why = compiled.why_not_descending(everyone)
        if why is not None and compiled is not None:
            notes.append(f"gradients go through PyTorch, which takes several times as long: {why}")
        return notes

    def _compiled_for(self, snapshots: Sequence[Snapshot]) -> CompiledRollouts | None:
        return self._compiled if self._compiled is not None and self._compiled.fits(snapshots) else None

    def publish(self, *snapshots: Snapshot) -> None:
        """Take over new policies of some departments."""
        self._snapshots |= {snapshot.department: snapshot for snapshot in snapshots}

    def reprice(self, backorder_cost: NDArray[np.float64] | None, emission_price: float | None) -> None:
        """Let a unit short [C K], or a unit of emission, cost other money from now on."""
        self._world.reprice(backorder_cost, emission_price)

    def service(self, episodes: int, seed: int, step: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Fill rates and shares of cycles without a stock-out, [C, K] each, and what is emitted a period.

        They are of evaluation episodes of `step`'s own.
        """
        world, everyone, periods = self._world, list(self._snapshots.values()), self._world.firm.periods.evaluate - 1
        chance = world.draw(periods, episodes, torch_stream(world.device, Stream.SERVICE, seed, step))
        if (compiled := self._compiled_for(everyone)) is not None:
            found = summed(world, *compiled.played(everyone, chance, measured=True), periods)
        else:
            policy = FirmPolicy(world, self._observer.until(periods), everyone, eager=self._eager)
            found = run_episodes(world, policy, chance)
        emitted = float(emissions(world.network, found).sum())
        return found.product_fill_rate, found.product_cycle_service, emitted

    def rollout(
        self,
        learning: Sequence[str],
        streams: Sequence[int],
        values: Values,
        copies: int,
        seed: Sequence[int],
        message: Message | None = None,
        *news: Snapshot,
    ) -> list[Any]:
        """One shard, with what the critic advises.

        Args:
            learning: the departments that explore and are recorded.
            streams: their reward streams.
            values: of the critic.
            copies: E.
            seed: names the random streams.
            message: reaches the departments, if they are to act themselves.
            news: policies to take over first, as by `publish`.

        Returns:
            For each learning department the fields of its `Slice` and its advantage [T, E], of one whose orders are not
            always taken in the periods in which they are; then the critic's lesson, see `ValueFunction.advantages`.
        """
        self.publish(*news)
        slices, features, reward = self._play(learning, copies, seed, message)
        self._values.take(values)
        advantages, lesson = self._values.advantages(streams, features, reward)
        parts = [
            self._decided(name, (*part, _shared_out(own, part, copies)))
            for name, part, own in zip(learning, slices, advantages, strict=True)
        ]
        return [tuple(map(as_array, part)) for part in (*parts, lesson)]

    def _decided(self, name: str, part: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """A stock point's periods of review: elsewhere what it wished had no effect. Gated memories go through all."""
        reviews, names, network = self._world.limits.reviews, self._world.firm.names, self._world.network
        if reviews.always or name not in names or self._snapshots[name].config.memory == "gru":
            return part
        if network.customers_of(names.index(name)):  # precedence is decided in every period
            return part
        observation, action, log_prob, memory, advantage = part
        open_ = torch.tensor([bool(reviews.at(t)[names.index(name)].any()) for t in range(len(advantage))])
        if not bool(open_.any()):
            return part
        return observation[open_], action[open_], log_prob[open_], memory, advantage[open_]

    def rewards(
        self, learning: Sequence[str], copies: int, seed: Sequence[int], message: Message | None = None
    ) -> Array:
        """What departments are paid in the shard that `rollout` would play, [T, A, E]."""
        return as_array(self._play(learning, copies, seed, message)[2])

    def _play(
        self, learning: Sequence[str], copies: int, seed: Sequence[int], message: Message | None
    ) -> tuple[list[Slice], Tensor, Tensor]:
        """Slices, features [T + 1, G, E] and rewards [T, A, E] of one training episode per copy."""
        world, snapshots = self._world, list(self._snapshots.values())
        compiled, ask = self._compiled_for(snapshots), None
        if message is not None:
            ask = partial(self._ask, message)
            for name in self._snapshots:
                in_words = tuple(seed), world.firm.periods.train, copies, name in learning, compiled is not None
                message(name, "begin", *in_words)
        stage = world, self._observer, snapshots, learning, self._payment.account
        result = rollout(*stage, copies=copies, seed=seed, ask=ask, compiled=compiled, eager=self._eager)
        numbers = [point_of(name, world.firm.names) for name in learning]
        features = result.features
        if self._by_product:
            features = seen_by_product(self._observer, features)
        return result.slices, features, self._payment.reward(numbers, result.account)

    @cached_property
    def _teacher(self) -> TwoSuppliers:
        return teacher_of(self._world.firm)

    def teaches(self) -> bool:
        """Whether there are rules that plain policies begin at: those of firms with customers, or of two suppliers."""
        return self._world.choice is not None or is_taught(self._world.firm)

    def demonstrate(self, learning: Sequence[str], copies: int, seed: Sequence[int]) -> list[Any]:
        """What the rules decide in one training episode per copy, a lesson for each learning department."""
        if self._world.choice is None:
            spec = self._learner(*learning)[0]
            lesson = of_two_suppliers(self._world, self._observer, spec, self._teacher, copies=copies, seed=seed)
            return [tuple(map(as_array, lesson))]
        stage = self._world, self._observer, list(self._snapshots.values()), learning
        lessons = demonstrations(*stage, copies=copies, seed=seed, compiled=self._compiled, eager=self._eager)
        return [tuple(map(as_array, lesson)) for lesson in lessons]

    def start(self, copies: int) -> list[Array]:
        """The number of a period, and the state in it, where a stretch of `descend` can begin."""
        return [np.zeros(1, dtype=np.float32), *(as_array(part) for part in self._world.reset(copies))]

    def descend(
        self,
        learning: Sequence[str],
        periods: int,
        seed: Sequence[int],
        unit_bound: float,
        values: Values | None,
        *start: Array,
    ) -> list[Any]:
        """One shard of a stretch of periods with gradients of the firm's cost; an episode where customers choose.

        Args:
            learning: the departments that do.
            periods: how many.
            seed: names the random streams.
            unit_bound: see `descend`.
            values: of the critic, in its first stream the firm's; where departments with hybrid heads learn.
            start: what `start`, or the stretch before, gave.

        Returns:
            The gradient of each learning department, the mean cost a period, with values the critic's lesson, and where
            it ended.
        """
        first, state, chance = self._stretch(periods, seed, start)
        copies, snapshots = state.on_hand.shape[-1], [self._snapshots[name] for name in learning]
        others = [snapshot for name, snapshot in self._snapshots.items() if name not in learning]
        compiled = self._compiled_for([*snapshots, *others])
        if RECOMMENDATION in self._snapshots:
            drawn = chance, self._drawn(snapshots, periods, copies, seed), unit_bound, others
            if compiled is not None and compiled.why_not_descending([*snapshots, *others]) is None:
                result = compiled.descend_episode(snapshots, *drawn)
            else:
                result = descend_episode(self._world, self._observer.until(periods), snapshots, *drawn)
            first = -periods  # an episode begins again
        else:
            noise = self._placing(learning, periods, copies, seed)
            stage, counted = (snapshots, state, chance, unit_bound, others), counted_from(self._world.network, periods)
            eager = partial(descend, self._world, self._observer)
            differentiate = eager if compiled is None else compiled.descend
            result = differentiate(*stage, noise=noise, first=first, counted_from=counted)
        lessons = []
        if values is not None:
            features, reward, played = self._recorded(noise, state, chance, first)
            self._values.take(values)
            (advantage,), lesson = self._values.advantages([0], features, reward)
            by_copy = advantage.view(periods, -1, copies)
            advantage = (by_copy - by_copy.mean(-1, keepdim=True)).view_as(advantage)  # what all have is nobody's merit
            for name, part in played.items():
                spec, flat = self._learner(name)
                own = part.observation, part.action, _shared_out(advantage, part, copies)
                network = cast(MemoryNetwork, spec.network)  # what a hybrid policy is made of
                result.gradients[learning.index(name)] += score_gradient(flat, network, spec.head, *own)
            lessons.append(tuple(map(as_array, lesson)))
        end = [np.array([first + periods], dtype=np.float32), *map(as_array, result.end)]
        if self._observer.calendar and first + periods >= self._world.firm.periods.train:
            end = self.start(copies)  # what the calendar holds lies in the first periods
        return [*map(as_array, result.gradients), result.cost, *lessons, end]

    def earned(self, learning: Sequence[str], periods: int, seed: Sequence[int], *start: Array) -> Array:
        """What the firm earns in the stretch that `descend` would play, as the critic is told, [T, 1, E]."""
        first, state, chance = self._stretch(periods, seed, start)
        noise = self._placing(learning, periods, state.on_hand.shape[-1], seed)
        return as_array(self._recorded(noise, state, chance, first)[1])

    def _recorded(
        self, noise: Mapping[str, Tensor], state: State, chance: Exogenous, first: int
    ) -> tuple[Tensor, Tensor, dict[str, Slice]]:
        """Features [T + 1, G, E] of a stretch, what each period earned more than the mean one, and what was done.

        The latter of those with noise; earnings are [T, 1, E] of the firm, or [T, 1, K E] by product. Less their mean,
        as in average reward learning (Mahadevan 1996), a far horizon needs no large values.
        """
        everyone = list(self._snapshots.values())
        stage, compiled = (self._world, self._observer, everyone, noise), self._compiled_for(everyone)
        features, brought, played = recorded(
            *stage, chance, state, first=first, compiled=compiled, eager=compiled is None
        )
        earned = -brought.cost.sum(1) if self._by_product else -brought.cost.sum((1, 2))[:, None]  # [T, K or 1, E]
        earned = (earned - earned.mean((0, 2), keepdim=True)).flatten(1)[:, None]
        return seen_by_product(self._observer, features) if self._by_product else features, earned, played

    def _placing(self, learning: Sequence[str], periods: int, copies: int, seed: Sequence[int]) -> dict[str, Tensor]:
        """What draws whether orders are placed, of those who learn it, [T, noise, E]."""
        learners = {name: self._learner(name) for name in learning if self._snapshots[name].config.hybrid}
        return {name: spec.exploration(flat, periods, copies, seed)[0] for name, (spec, flat) in learners.items()}

    def _learner(self, name: str) -> tuple[DepartmentSpec, Tensor]:
        """A department, and the parameters of its policy."""
        spec = DepartmentSpec.of(self._world, self._observer, name, self._snapshots[name].config)
        return spec, torch.tensor(self._snapshots[name].parameters, device=self._world.device)

    def _stretch(self, periods: int, seed: Sequence[int], start: Sequence[Array]) -> tuple[int, State, Exogenous]:
        """The number of its first period, the state in it, and the chance of a stretch."""
        first, state = int(start[0][0]), State(*(torch.tensor(part, device=self._world.device) for part in start[1:]))
        generator, copies = torch_stream(self._world.device, Stream.TRAINING, *seed), state.on_hand.shape[-1]
        clock = first if self._observer.timed or self._observer.calendar else None
        return first, state, self._world.draw(periods, copies, generator, start=clock, aside=state.aside)

    def _drawn(self, snapshots: Sequence[Snapshot], periods: int, copies: int, seed: Sequence[int]) -> Tensor | None:
        """What draws recommendations, [T, noise, E], if whoever makes them is among the snapshots."""
        for snapshot in snapshots:
            if snapshot.department == RECOMMENDATION:
                spec, flat = self._learner(snapshot.department)
                return spec.exploration(flat, periods, copies, seed)[0]
        return None

    def _ask(self, message: Message, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        answers = message.gather("act", {name: (as_array(observation),) for name, observation in seen.items()})  # type: ignore[attr-defined]
        return {name: torch.tensor(action, device=self._world.device) for name, action in answers.items()}

    def costs(self, shards: Sequence[int], episodes: int, seed: int, stream: Stream, *candidates: Snapshot) -> Array:
        """Cost of every episode of some evaluation shards; candidates act in place of the published policies.

        Returns:
            [E] money, shard after shard.
        """
        snapshots = self._snapshots | {snapshot.department: snapshot for snapshot in candidates}
        everyone = list(snapshots.values())
        compiled = self._compiled_for(everyone)
        if compiled is not None:
            cost_in = partial(compiled.costs, everyone)
        else:
            observer = self._observer.until(self._world.firm.periods.evaluate - 1)
            policy = FirmPolicy(self._world, observer, everyone, eager=self._eager)
            cost_in = partial(run_costs, self._world, policy)
        periods, parts = self._world.firm.periods.evaluate - 1, []
        for shard in shards:
            copies = min(SHARD, episodes - shard * SHARD)
            chance = self._world.draw(periods, copies, torch_stream(self._world.device, stream, seed, shard))
            parts.append(as_array(cost_in(chance).sum(0).to(torch.float32)))
        return np.concatenate(parts)


def _shared_out(advantage: Tensor, part: Slice, copies: int) -> Tensor:
    """Advantages [T, C] in as many columns as a department has: of all its products together, or of each by itself."""
    given, columns = advantage.shape[-1], part.log_prob.shape[-1]
    if given > columns:
        return advantage.view(len(advantage), -1, copies).sum(1)
    return advantage if given == columns else advantage.repeat(1, columns // given)


def as_array(value: Tensor) -> Array:
    """A tensor as what travels between workers."""
    return np.ascontiguousarray(value.cpu().numpy())

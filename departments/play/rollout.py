"""Rollouts for learning: the world driven by frozen snapshots, some exploring, and what each department learns from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from departments.decisions import Decision, Memory
from departments.learning.ppo import Slice
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.stepping import Step, play
from departments.policies.firm_policy import Ask, FirmPolicy
from departments.policies.policy import Snapshot
from departments.policies.spec import DepartmentSpec
from environment import Exogenous, Feedback, State, World
from environment.compiled import Brought
from environment.observation import Observer
from environment.streams import Stream, torch_stream

_CHUNK = 20  # longest sequence that a memory learns through, periods


class Rollout(NamedTuple):
    """T periods of E copies."""

    slices: list[Slice]  # one per learning department: its own observations and actions only
    account: Tensor  # [T, B, E] money, what departments are paid by: cost per stock point, unless something else is
    features: Tensor  # [T + 1, G, E] for the critic alone


def chunk_length(periods: int) -> int:
    """The longest divisor of an episode up to 20 periods: what a memory learns through."""
    return max(length for length in range(1, min(_CHUNK, periods) + 1) if periods % length == 0)


def critic_features(observer: Observer, departments: Sequence[DepartmentSpec], by_product: bool = False) -> int:
    """How much the critic sees: all features; in a closed loop the hidden traffic regimes, too.

    See `seen_by_product` for how much it is of one product.
    """
    if by_product:
        told = len(observer.season_rows)
        return int(observer.size - told) // observer.world.products + told + int(observer.traits[..., 0].numel())
    closed_loop = any(department.closed_loop for department in departments)
    return int(observer.size) + (len(observer.world.chosen().names) if closed_loop else 0)


def seen_by_product(observer: Observer, features: Tensor) -> Tensor:
    """What the critic sees product by product, [T, G, K E], of all features [T, .., E] of a firm without customers.

    Behind the features stand the phases of seasons, and the product's traits at all points.
    """
    own, products = observer.size - len(observer.season_rows), observer.world.products
    columns = features[:, :own].reshape(len(features), -1, products * features.shape[-1])
    seasons = features[:, own:].repeat(1, 1, products)
    traits = observer.traits.flatten(0, 1).repeat_interleave(features.shape[-1], -1)
    return torch.cat((columns, seasons, traits.expand(len(features), -1, -1)), 1)


def cost_of(brought: Brought) -> Tensor:
    """Cost per stock point, [T, N, E] money."""
    return brought.cost.sum(2)


@torch.inference_mode()
def rollout(
    world: World,
    observer: Observer,
    snapshots: Sequence[Snapshot],
    learning: Sequence[str],
    account: Callable[[Brought], Tensor] = cost_of,
    *,
    copies: int,
    seed: Sequence[int],
    ask: Ask | None = None,
    compiled: CompiledRollouts | None = None,
    eager: bool = False,
) -> Rollout:
    """One training episode per copy.

    Args:
        world: of the firm.
        observer: of that world.
        snapshots: of all departments.
        learning: the departments that explore and are recorded; the others act on their mean.
        account: what of an episode is kept to pay departments by, [T, B, E].
        copies: E.
        seed: names this rollout's random streams; the result depends on nothing else.
        ask: asks departments that act for themselves; by default the snapshots act.
        compiled: of that world and observer; where all the networks fit, everything happens there.
        eager: whether networks act in PyTorch even where they could in C++.
    """
    periods = world.firm.periods.train
    drawn = {
        spec.name: spec.exploration(
            torch.tensor(snapshot.parameters, device=world.device, dtype=world.dtype), periods, copies, seed
        )
        for snapshot, spec in zip(snapshots, _specs(world, observer, snapshots, compiled), strict=True)
        if spec.name in learning
    }
    noise = {name: added for name, (added, _) in drawn.items()}
    chance = world.draw(periods, copies, torch_stream(world.device, Stream.TRAINING, *seed))
    stage = world, observer, snapshots, noise, chance
    features, brought, seen = recorded(*stage, ask=ask, compiled=compiled, eager=eager)
    slices = [seen[name]._replace(log_prob=seen[name].log_prob + drawn[name][1]) for name in learning]
    return Rollout(slices, account(brought), features)


@torch.inference_mode()
def recorded(
    world: World,
    observer: Observer,
    snapshots: Sequence[Snapshot],
    noise: Mapping[str, Tensor],
    chance: Exogenous,
    start: State | None = None,
    *,
    first: int = 0,
    ask: Ask | None = None,
    compiled: CompiledRollouts | None = None,
    eager: bool = False,
) -> tuple[Tensor, Brought, dict[str, Slice]]:
    """Play the periods of some chance; see `CompiledRollouts.record`, and `rollout` for what it shares with that."""
    departments = _specs(world, observer, snapshots, compiled)
    periods = len(chance.demand)
    if compiled is not None and ask is None and compiled.fits(snapshots):
        beside = critic_features(observer, departments) - observer.size
        found = compiled.record(snapshots, noise, chance, chunk_length(periods), beside, start, first)
        _add_hidden(found[0][:, observer.size :], chance)
        return found
    observer = observer.until(first + periods)
    policy = FirmPolicy(world, observer, snapshots, always=list(noise), ask=ask, eager=eager)
    recording = _Recording(policy, observer, departments, noise, chance, first)
    steps = list(play(world, recording, chance, start, first=first))
    recording.close(steps[-1])
    return recording.features, brought_by(world, steps, chance), recording.slices


def _specs(
    world: World, observer: Observer, snapshots: Sequence[Snapshot], compiled: CompiledRollouts | None
) -> list[DepartmentSpec]:
    if compiled is not None:  # it has them
        return [compiled.spec(snapshot) for snapshot in snapshots]
    return [DepartmentSpec.of(world, observer, snapshot.department, snapshot.config) for snapshot in snapshots]


def brought_by(world: World, steps: Sequence[Step], chance: Exogenous) -> Brought:
    """What the periods of some chance brought, one after the other."""
    states = [steps[0].before, *(step.after for step in steps)]
    held = torch.stack([state.on_hand + world.in_transit(state) for state in states])
    after, outcomes = torch.stack([state.on_hand for state in states[1:]]), [step.outcome for step in steps]
    unserved, demand = (
        torch.stack([getattr(outcome, name) for outcome in outcomes]) for name in ("unserved", "demand")
    )
    cost = []
    for step in steps:
        _, sales, missed, _, shipped, waste, _ = step.outcome
        now = chance.at(step.period)
        cost.append(world.account(step.after.on_hand, sales, missed, step.order, now, waste, shipped))
    return Brought(torch.stack(cost), after, held, unserved, demand)


def _add_hidden(hidden: Tensor, chance: Exogenous) -> None:
    """What only the critic sees: the regimes of traffic, [T + 1, S, E] or no rows."""
    if not hidden.shape[1]:
        return
    hidden[:-1] = 0.0 if chance.regime is None else chance.regime
    hidden[-1] = 0.0


class _Recording:
    """Plays departments, some of which explore, and keeps what these saw and did."""

    def __init__(
        self,
        policy: FirmPolicy,
        observer: Observer,
        departments: Sequence[DepartmentSpec],
        noise: Mapping[str, Tensor],
        chance: Exogenous,
        first: int,
    ) -> None:
        periods, copies = len(chance.demand), chance.demand.shape[-1]
        new = observer.factor.new_empty
        self._policy, self._observer, self._noise, self._first = policy, observer, noise, first
        self._length = chunk_length(periods)
        self.features = new(periods + 1, critic_features(observer, departments), copies)
        _add_hidden(self.features[:, observer.size :], chance)
        self.slices = {
            department.name: Slice(
                new(periods, department.recorded, columns),
                new(periods, department.head.actions, columns),
                observer.factor.new_zeros(periods, columns),
                new(periods // self._length, department.remembered, columns),
            )
            for department in departments
            if department.name in noise and (columns := department.clones * copies)
        }

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Let the departments act."""
        t = period - self._first
        features = self.features[t, : self._observer.size]
        features.copy_(self._observer.all_features(state, feedback, period))
        noise = {name: drawn[t] for name, drawn in self._noise.items()}
        decision, acts = self._policy.act(world, state, feedback, features, period, memory, noise)
        for name, kept in self.slices.items():
            kept.observation[t], kept.action[t] = acts[name].recorded, acts[name].action
            if (log_prob := acts[name].choice_log_prob) is not None:
                kept.log_prob[t] += log_prob
            if t % self._length == 0:
                kept.memory[t // self._length] = 0.0 if memory is None else memory[name]
        return decision

    def close(self, last: Step) -> None:
        """See where the last period led."""
        after = self._observer.all_features(last.after, last.feedback, self._first + last.period + 1)
        self.features[-1, : self._observer.size] = after

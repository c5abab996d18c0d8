"""MTMA on `closing-loop` in JAX: world, customers, both departments with gated memory and the critic in one program.

What ours is compared with where customers choose and departments remember: a recurrent PPO whose rollouts, advantages
and all epochs are one jitted call. Its networks, observations, rewards, copies and epochs are ours, and it begins with
our parameters; `python benchmarks/jax_mtma.py` checks its world against ours on ours' draws. Gradients run through
chunks of as many periods as ours. Samples first: copies E are the first axis of the state, [E, K].
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import Array
from numpy.typing import NDArray

from coordinator.learning.iterations import Training
from coordinator.learning.settings import Settings, Wiring
from coordinator.runs.train import build_workers
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import TrainingSetup, setup_of
from departments.numerics.memory import MemoryNetwork
from departments.numerics.networks import Shapes
from departments.play.rollout import chunk_length
from departments.play.stepping import advance, before_the_first
from departments.policies.policy import RECOMMENDATION
from departments.rules.ordering import baseline_levels, delivered_cost
from environment import World, load_firm
from environment.laws import TABLE_SIZE, quantile_table
from environment.observation import Observer
from environment.streams import Stream, stream_seed

FIRM, MINIBATCHES = "closing-loop", 10  # of an epoch; ours has 12 and 13
_LAPS = 7

Layers = list[tuple[Array, Array]]  # weight [in, out] and bias of each


class LoopState(NamedTuple):
    """As `environment.State` and `Feedback`, of one stock point that loses what it cannot serve."""

    on_hand: Array  # [E, K] units
    pipeline: Array  # [slots, E, K] units
    asked: Array  # [E, K] units, in the last period
    handed: Array  # [E, K] units, likewise
    traffic: Array  # [E, S] customers, likewise
    exposure: Array  # [E, S, K] likewise


class LoopChance(NamedTuple):
    """As `environment.Exogenous`; with a leading axis T of many periods."""

    lead_time: Array  # [E, K] periods
    traffic: Array  # [E, S]
    customers: Array  # [E, S, J] uint16, uniform
    regime: Array  # [E, S]


class Unit(NamedTuple):
    """A department's network: a gated unit, then a perceptron on what is seen beside the unit's state."""

    fresh: Array  # [F, 3 H]: r, z, n
    kept: Array  # [H, 3 H]
    bias: Array  # [3 H]
    kept_bias: Array  # [3 H]
    layers: Layers
    log_std: Array  # [orders]


class LoopWorld:
    """The parameters of `FIRM` and what is seen of it, fixed while tracing.

    One stock point and one supplier, lost sales, one slot, customers who buy everything and never wait.
    """

    def __init__(self) -> None:
        """Prepare."""
        firm = load_firm(FIRM)
        self.ours = world = World(firm, baseline_levels(firm))
        self.observer = Observer(world, baseline_levels(firm)).until(firm.periods.train)
        choice, network = world.chosen(), world.network
        self.periods, self.products, self.segments = firm.periods.train, world.products, len(choice.names)
        self.slots, self.start = world.slots, world.reset(1)
        self.times = jnp.asarray(np.stack([quantile_table(law.mass()) for law in network.lead_time_laws[0]]))
        amounts = ("holding_cost", "backorder_cost", "price", "unit_cost", "salvage_value", "max_order")
        self.holding, self.penalty, self.price, self.unit_cost, self.salvage, self.max_order = (
            jnp.asarray(firm.amounts(field)[0], jnp.float32) for field in amounts
        )
        self.value = jnp.asarray(delivered_cost(firm)[0], jnp.float32)
        # Where on the number line each product ends, [S, K + 1, K]: by what is shown, none last.
        shown = np.vstack((np.eye(self.products), np.zeros(self.products)))
        utility = choice.preference.numpy()[:, None, :, 0] + choice.uplift.numpy()[:, None, :, 0] * shown
        upper = np.exp(utility).cumsum(-1)
        ends = np.minimum(np.rint(upper / (1.0 + upper[..., -1:]) * TABLE_SIZE), TABLE_SIZE - 1)
        self.ends, self.shown = jnp.asarray(ends, jnp.int32), jnp.asarray(shown, jnp.float32)
        self.rate, amplitude, frequency = (
            jnp.asarray(part.numpy()[:, 0]) for part in (choice.traffic, choice.amplitude, choice.frequency)
        )
        self.season = 1.0 + amplitude * jnp.sin(frequency * jnp.arange(self.periods)[:, None])  # [T, S]
        segments = [segment for point in firm.customer_facing for segment in firm.segments(point).values()]
        self.persistence, self.volatility = (
            jnp.asarray([getattr(segment, what) for segment in segments], jnp.float32)
            for what in ("persistence", "volatility")
        )
        crowd = self.rate * self.season.max(0) * np.exp([4.0 * segment.regime_std for segment in segments])
        self.most = math.ceil(float((crowd + 5.0 * jnp.sqrt(crowd)).max()))  # J
        self.centre, self.factor, _ = (jnp.asarray(row.numpy()) for row in self.observer.scales())
        # What the clock and the season tell in each period, [T + 1, P].
        phases = [self.observer.phases(period).numpy() for period in range(self.periods + 1)]
        self.phases = jnp.asarray(np.stack(phases))

    def reset(self, copies: int) -> LoopState:
        """Period 0 of an episode."""

        def spread(value: Any) -> Array:  # noqa: ANN401
            return jnp.repeat(jnp.asarray(value.numpy()).swapaxes(-1, -2), copies, -2)

        nothing = jnp.zeros((copies, self.products))
        told = jnp.zeros((copies, self.segments)), jnp.zeros((copies, self.segments, self.products))
        return LoopState(spread(self.start.on_hand[0]), spread(self.start.pipeline[:, 0]), nothing, nothing, *told)

    def draw(self, copies: int, key: Array) -> LoopChance:
        """Chance of an episode, T periods, by the same laws as ours."""
        times, noise, come, choose = jax.random.split(key, 4)
        size = self.periods, copies, self.segments
        place = jax.random.bits(times, (self.periods, copies, self.products), jnp.uint16).astype(jnp.int32)
        shock = self.volatility * jax.random.normal(noise, size)
        shock = shock.at[0].set(0.0)

        def follow(before: Array, now: Array) -> tuple[Array, Array]:
            regime = self.persistence * before + now
            return regime, regime

        _, regime = jax.lax.scan(follow, jnp.zeros(size[1:]), shock)
        rate = self.rate * self.season[:, None] * jnp.exp(regime)
        traffic = jnp.minimum(jax.random.poisson(come, rate), self.most).astype(jnp.float32)
        number = jax.random.bits(choose, (*size, self.most), jnp.uint16)
        return LoopChance(self.times[jnp.arange(self.products), place], traffic, number, regime)

    def demand(self, chance: LoopChance, shown: Array) -> Array:
        """Units asked for, [E, K], where [E, S] places are shown."""
        ends = self.ends[jnp.arange(self.segments), shown]  # [E, S, K]
        there = jnp.arange(chance.customers.shape[-1]) < chance.traffic[..., None]
        number = jnp.where(there, chance.customers.astype(jnp.int32), TABLE_SIZE)
        below = (number[:, :, None] < ends[..., None]).sum(-1).astype(jnp.float32)
        return jnp.diff(below, prepend=0.0).sum(1)

    def feasible(self, order: Array) -> Array:
        """Orders [E, K] as the world accepts them."""
        return jnp.round(jnp.clip(order, 0.0, self.max_order))

    def step(self, state: LoopState, order: Array, shown: Array, chance: LoopChance) -> tuple[LoopState, Array]:
        """The next state, and what the period cost, [E, K] money, for feasible orders and the places [E, S] shown."""
        asked = self.demand(chance, shown)
        received = state.on_hand + state.pipeline[0]
        handed = jnp.minimum(received, asked)
        on_hand = received - handed
        moved = jnp.concatenate((state.pipeline[1:], jnp.zeros_like(state.pipeline[:1])))
        slot = jnp.arange(self.slots)[:, None, None]
        pipeline = moved + jnp.where(slot == chance.lead_time - 1, order, 0.0)
        cost = self.holding * on_hand + self.penalty * (asked - handed) - self.price * handed + self.unit_cost * order
        exposure = self.shown[shown]
        return LoopState(on_hand, pipeline, asked, handed, chance.traffic, exposure), cost

    def held(self, state: LoopState) -> Array:
        """Units on hand and under way, [E, K]."""
        return state.on_hand + state.pipeline.sum(0)

    def observe(self, state: LoopState, phases: Array) -> Array:
        """All features, [E, G]; `phases` [P] are what time tells."""
        near, copies = state.pipeline[: self.observer.arrivals], state.on_hand.shape[0]
        if self.slots > self.observer.arrivals:
            near = near.at[-1].set(state.pipeline[self.observer.arrivals - 1 :].sum(0))
        parts = (
            self.held(state),
            state.on_hand,
            *near,
            jnp.zeros_like(state.on_hand),  # owed
            state.asked,
            state.handed,
            state.pipeline.sum(0),
            state.traffic,
            state.exposure.reshape(copies, -1),
            jnp.broadcast_to(phases, (copies, len(phases))),
        )
        return (jnp.concatenate(parts, -1) - self.centre) * self.factor


def unit_of(network: MemoryNetwork, flat: NDArray[np.float32]) -> Unit:
    """Our parameters as they are used here."""
    gates, layers = network.parts(flat)
    fresh, kept, bias, kept_bias = map(jnp.asarray, gates)
    pairs = [(jnp.asarray(weight).T, jnp.asarray(own)) for weight, own in layers]
    return Unit(fresh.T, kept.T, bias, kept_bias, pairs, jnp.asarray(network.log_std(flat)))


def _perceptron(layers: Layers, value: Array) -> Array:
    for weight, bias in layers[:-1]:
        value = jax.nn.relu(value @ weight + bias)
    return value @ layers[-1][0] + layers[-1][1]


def _remember(unit: Unit, fresh: Array, state: Array) -> Array:
    """A gated unit's state [.., H] after `fresh` [.., 3 H], what it sees times its weights."""
    size = state.shape[-1]
    kept = state @ unit.kept + unit.kept_bias
    gates = jax.nn.sigmoid(fresh[..., : 2 * size] + kept[..., : 2 * size])
    new = jnp.tanh(fresh[..., 2 * size :] + gates[..., :size] * kept[..., 2 * size :])
    return new + gates[..., size:] * (state - new)


def act(unit: Unit, seen: Array, state: Array) -> tuple[Array, Array]:
    """Outputs and the state afterwards."""
    state = _remember(unit, seen @ unit.fresh + unit.bias, state)
    return _perceptron(unit.layers, jnp.concatenate((seen, state), -1)), state


def along(unit: Unit, seen: Array, state: Array) -> Array:
    """Outputs [L, B, .] along sequences of observations [L, B, F]."""
    fresh = seen @ unit.fresh + unit.bias

    def period(state: Array, now: Array) -> tuple[Array, Array]:
        state = _remember(unit, now, state)
        return state, state

    _, states = jax.lax.scan(period, state, fresh)
    return _perceptron(unit.layers, jnp.concatenate((seen, states), -1))


class Learner(NamedTuple):
    """Of a network what an update changes: parameters, Adam's moments and steps."""

    parameters: Any  # `Unit`, or the critic's `Layers`
    first: Any
    second: Any
    count: Array


class Scale(NamedTuple):
    """Of values: they are learned less their mean, over their standard deviation."""

    mean: Array
    std: Array  # 0: not known yet


class Seen(NamedTuple):
    """What a department learns from: of a rollout [T, E, ...], in learning chunks [L, B, ...]."""

    observation: Array
    action: Array  # orders [.., K], or the place shown to each segment [.., S]
    log_prob: Array


class Rollout(NamedTuple):
    """One episode of every copy."""

    seen: dict[str, Seen]
    memory: dict[str, Array]  # [T, E, H] before each period
    features: Array  # [T + 1, E, G] for the critic
    reward: Array  # [T, E] money


class JaxMTMA:
    """The program, for the departments that a plan has under some settings."""

    def __init__(self, settings: Settings, plan: TrainingSetup) -> None:
        """Prepare for settings that have departments remember by gated units and order plainly."""
        self.world, self.settings = LoopWorld(), settings
        self.specs, self.copies = plan.specs, settings.copies
        self.networks = {name: spec.network for name, spec in plan.specs.items()}
        self.base = plan.base(settings)
        (self.shop,) = (name for name in plan.specs if name != RECOMMENDATION)
        self.chunk = chunk_length(self.world.periods)
        self.laws = {name: spec.law.initial if spec.law else 0.0 for name, spec in plan.specs.items()}

    def begin(self) -> tuple[dict[str, Learner], Scale]:
        """All networks as ours begin."""
        features = self.world.observer.size + self.world.segments
        shapes = Shapes(features, self.settings.critic.hidden, 1)
        pairs, _ = shapes.split(torch.tensor(shapes.initial(0.0, stream_seed(Stream.CRITIC, self.settings.seed))))
        parameters: dict[str, Any] = {
            name: unit_of(network, self.base[name].parameters)
            for name, network in self.networks.items()
            if isinstance(network, MemoryNetwork)
        }
        parameters["critic"] = [(jnp.asarray(weight.numpy()).T, jnp.asarray(bias.numpy())) for weight, bias in pairs]
        nothing = jnp.zeros(())
        learners = {
            name: Learner(tree, jax.tree.map(jnp.zeros_like, tree), jax.tree.map(jnp.zeros_like, tree), nothing)
            for name, tree in parameters.items()
        }
        return learners, Scale(nothing, nothing)

    def log_prob(self, name: str, unit: Unit, output: Array, action: Array) -> Array:
        """Log probabilities [..] of actions under outputs."""
        if name == self.shop:
            standard = (action - output) * jnp.exp(-unit.log_std)
            return (-0.5 * standard**2 - unit.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
        logits = output.reshape(*output.shape[:-1], self.world.segments, -1)
        chosen = jnp.take_along_axis(logits, action[..., None], -1)[..., 0]
        return (chosen - jax.nn.logsumexp(logits, -1)).sum(-1)

    def explored(self, name: str, unit: Unit, output: Array, noise: Array) -> Array:
        """Actions that are tried: `noise` is Gaussian [E, K], or Gumbel [E, S, K + 1]."""
        if name == self.shop:
            return output + jnp.exp(unit.log_std) * noise
        return (output.reshape(noise.shape) + noise).argmax(-1)

    def rollout(self, units: dict[str, Unit], key: Array) -> Rollout:
        """One episode of every copy by its departments."""
        world, copies = self.world, self.copies
        come, *keys = jax.random.split(key, 3)
        chance = world.draw(copies, come)
        size = world.periods, copies
        noise = {
            self.shop: jax.random.normal(keys[0], (*size, world.products)),
            RECOMMENDATION: jax.random.gumbel(keys[1], (*size, world.segments, world.products + 1)),
        }
        rows = {name: np.array(spec.rows) for name, spec in self.specs.items()}

        def period(carried: tuple[LoopState, dict[str, Array]], now: Any) -> Any:  # noqa: ANN401
            (state, memory), (today, drawn, phases) = carried, now
            features, seen, after = world.observe(state, phases), dict[str, Seen](), dict[str, Array]()
            for name, unit in units.items():
                own = features[:, rows[name]]
                output, after[name] = act(unit, own, memory[name])
                action = self.explored(name, unit, output, drawn[name])
                seen[name] = Seen(own, action, self.log_prob(name, unit, output, action))
            order = world.feasible((seen[self.shop].action + 1.0) * (world.max_order / 2.0))
            led, cost = world.step(state, order, seen[RECOMMENDATION].action, today)
            worth = (world.value * world.held(led)).sum(-1) - (world.value * world.held(state)).sum(-1)
            return (led, after), (seen, memory, features, worth - cost.sum(-1))

        nothing = {name: jnp.zeros((copies, unit.kept.shape[0])) for name, unit in units.items()}
        stage = (world.reset(copies), nothing), (chance, noise, world.phases[:-1])
        (end, _), (seen, memory, features, reward) = jax.lax.scan(period, *stage)
        left = ((world.salvage - world.value) * world.held(end)).sum(-1)
        features = jnp.concatenate((features, world.observe(end, world.phases[-1])[None]))
        hidden = jnp.concatenate((chance.regime, jnp.zeros_like(chance.regime[:1])))
        return Rollout(seen, memory, jnp.concatenate((features, hidden), -1), reward.at[-1].add(left))

    def update(self, learners: dict[str, Learner], scale: Scale, key: Array) -> tuple[dict[str, Learner], Scale, Array]:
        """A rollout and all epochs on it; also the mean reward of a period."""
        play, *keys = jax.random.split(key, 2 + len(self.specs))
        units = {name: learners[name].parameters for name in self.specs}
        rollout, config = self.rollout(units, play), self.settings.critic
        reward, gamma, reach = rollout.reward, config.gamma or 0.0, config.gae_lambda or 0.0
        known = scale.std > 0.0
        scale = Scale(
            jnp.where(known, scale.mean, reward.mean() / (1.0 - gamma)),
            jnp.where(known, scale.std, 3.0 * reward.std() + 1e-6),
        )
        value = _perceptron(learners["critic"].parameters, rollout.features)[..., 0] * scale.std + scale.mean
        value = value.at[-1].set(0.0)  # nothing follows an episode
        surprise = reward + gamma * value[1:] - value[:-1]

        def back(advantage: Array, now: Array) -> tuple[Array, Array]:
            advantage = now + gamma * reach * advantage
            return advantage, advantage

        _, advantage = jax.lax.scan(back, jnp.zeros(self.copies), surprise, reverse=True)
        learned = {}
        learned["critic"], scale = self._criticise(learners["critic"], scale, rollout, advantage + value[:-1], keys[0])
        normal = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        for name, own in zip(self.specs, keys[1:], strict=True):
            parts = (*rollout.seen[name], normal)
            samples = *map(self._chunks, parts), self._chunks(rollout.memory[name])[:1]
            learned[name] = self._improve(name, learners[name], samples, own)
        return learned, scale, reward.mean()

    def _chunks(self, value: Array) -> Array:
        """[T, E, ...] -> [L, T / L * E, ...]."""
        chunks = value.reshape(-1, self.chunk, *value.shape[1:]).swapaxes(0, 1)
        return chunks.reshape(self.chunk, -1, *value.shape[2:])

    def _criticise(
        self, learner: Learner, scale: Scale, rollout: Rollout, target: Array, key: Array
    ) -> tuple[Learner, Scale]:
        """Fit values to returns, in units that follow them: what was learned stays what it was (PopArt)."""
        config = self.settings.critic
        now = Scale(
            scale.mean + 0.2 * (target.mean() - scale.mean), scale.std + 0.2 * (target.std() + 1e-6 - scale.std)
        )
        *below, (weight, bias) = learner.parameters
        ratio = scale.std / now.std
        kept = [*below, (weight * ratio, bias * ratio + (scale.mean - now.mean) / now.std)]
        samples = rollout.features[:-1].reshape(-1, rollout.features.shape[-1])
        wanted = ((target - now.mean) / now.std).reshape(-1)

        def loss(layers: Layers, index: Array) -> Array:
            return config.value_coef * ((_perceptron(layers, samples[index])[:, 0] - wanted[index]) ** 2).mean()

        rates = config.learning_rate, config.max_grad_norm
        return _descend(loss, learner._replace(parameters=kept), len(samples), config.epochs, rates, key), now

    def _improve(self, name: str, learner: Learner, samples: tuple[Array, ...], key: Array) -> Learner:
        """All epochs of PPO (Schulman et al. 2017, eq. 7) on chunks."""
        config = self.specs[name].ppo
        low, high = 1.0 - config.clip_ratio, 1.0 + config.clip_ratio

        def loss(unit: Unit, index: Array) -> Array:
            seen, action, before, advantage, memory = (part[:, index] for part in samples)
            ratio = jnp.exp(self.log_prob(name, unit, along(unit, seen, memory[0]), action) - before)
            return -jnp.minimum(ratio * advantage, jnp.clip(ratio, low, high) * advantage).mean()

        rates = self.laws[name], config.max_grad_norm
        return _descend(loss, learner, samples[0].shape[1], config.epochs, rates, key)


def _descend(
    loss: Callable[[Any, Array], Array],
    learner: Learner,
    count: int,
    epochs: int,
    rates: tuple[float, float],
    key: Array,
) -> Learner:
    """Steps of Adam on shuffled minibatches of `count` samples, gradients clipped by their norm."""
    rate, most = rates

    def step(learner: Learner, index: Array) -> tuple[Learner, None]:
        gradient = jax.grad(loss)(learner.parameters, index)
        norm = jnp.sqrt(sum((part**2).sum() for part in jax.tree.leaves(gradient)))
        gradient = jax.tree.map(lambda part: part * jnp.minimum(1.0, most / (norm + 1e-6)), gradient)
        count = learner.count + 1.0
        first = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, learner.first, gradient)
        second = jax.tree.map(lambda old, new: 0.999 * old + 0.001 * new**2, learner.second, gradient)
        pace, spread = rate / (1.0 - 0.9**count), jnp.sqrt(1.0 - 0.999**count)

        def moved(value: Array, mean: Array, square: Array) -> Array:
            return value - pace * mean / (jnp.sqrt(square) / spread + 1e-5)

        return Learner(jax.tree.map(moved, learner.parameters, first, second), first, second, count), None

    orders = [jax.random.permutation(own, count).reshape(MINIBATCHES, -1) for own in jax.random.split(key, epochs)]
    return jax.lax.scan(step, learner, jnp.concatenate(orders))[0]


def settings_of_both() -> Settings:
    """MTMA as by default, with gated memory, and without an early end of an update, which the program lacks."""
    return settings_of(scheme="mtma", policy={"memory": "gru"}, ppo={"target_kl": 1e9})


def side_by_side(cores: int | None = None, laps: int = _LAPS) -> dict[str, Any]:
    """Environment steps a second of both by turns, in this process; `cores` 1: on one core, None: on all."""
    if cores == 1:
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    if (apart := disagreement(25, 64)) > 1e-5:
        raise RuntimeError(f"{FIRM} in JAX differs from ours by {apart:.1e}; it is another world")
    settings, threads = settings_of_both(), len(os.sched_getaffinity(0))
    plan, key = setup_of(load_firm(FIRM), settings), jax.random.key(0)
    workers = build_workers(plan, Wiring(backend="local", environments=threads, threads=threads), "peers", lambda _: 0)
    training = Training(workers, settings, plan.base(settings), plan.streams, plan.firm.periods.train)
    program = JaxMTMA(settings, plan)
    learners, scale = program.begin()
    start = time.perf_counter()
    update = jax.jit(program.update).lower(learners, scale, key).compile()
    compile_seconds = time.perf_counter() - start
    taken: dict[str, list[tuple[float, float]]] = {"ours": [], "jax": []}
    earned: dict[str, float] = {}
    for number in range(laps + 2):
        times = [_now()]
        training.iterate(list(training.streams), (0, 0, number), (0, 0, number + 1))
        times.append(_now())
        key, own = jax.random.split(key)
        learners, scale, reward = jax.block_until_ready(update(learners, scale, own))
        times.append(_now())
        for kind, (before, after) in zip(taken, itertools.pairwise(times), strict=True):
            taken[kind].append((after[0] - before[0], after[1] - before[1]))
        earned.setdefault("first", float(reward))
        earned["last"] = float(reward)
    workers.close()
    steps = settings.copies * plan.firm.periods.train
    wall, processor = (
        {name: steps / statistics.median(lap[clock] for lap in laps[2:]) for name, laps in taken.items()}
        for clock in range(2)
    )
    return {
        "cores": threads,
        "ours": {"steps_per_second": wall["ours"]},
        "jax": {"steps_per_second": wall["jax"], "compile_seconds": compile_seconds, "reward": earned},
        "ratio": wall["ours"] / wall["jax"],
        "ratio_by_processor_time": processor["ours"] / processor["jax"],
    }


def _now() -> tuple[float, float]:
    """Wall and processor seconds."""
    return time.perf_counter(), time.process_time()


def disagreement(periods: int = 100, copies: int = 64) -> float:
    """The largest difference of costs and features from ours on the same draws, orders and recommendations.

    Relative to what is ours where that is above 1.
    """
    world = LoopWorld()
    ours, generator = world.ours, world.ours.generator(1)
    drawn, rng = ours.draw(periods, copies, generator), np.random.default_rng(1)
    if drawn.lead_time is None or drawn.traffic is None or drawn.customers is None or drawn.regime is None:
        raise TypeError("the firm draws neither lead times nor customers")
    number = (drawn.customers.permute(0, 3, 2, 1).numpy().astype(np.int32) + TABLE_SIZE // 2).astype(np.uint16)
    chance = LoopChance(
        jnp.asarray(drawn.lead_time[:, 0].mT.numpy().astype(np.float32)),
        jnp.asarray(drawn.traffic.mT.numpy()),
        jnp.asarray(number),
        jnp.asarray(drawn.regime.mT.numpy()),
    )
    wish = rng.uniform(-2.0, 16.0, (periods, copies, world.products)).astype(np.float32)
    shown = rng.integers(0, world.products + 1, (periods, copies, world.segments))
    state, feedback = ours.reset(copies), before_the_first(ours, copies)
    mine, step, worst = world.reset(copies), jax.jit(world.step), 0.0
    for t in range(periods):
        exposure = torch.tensor(np.asarray(world.shown)[shown[t]]).permute(1, 2, 0)
        order = ours.feasible(torch.tensor(wish[t].T).unsqueeze(0), state.inventory_position, t)
        pairs = [(world.observe(mine, world.phases[t]), world.observer.all_features(state, feedback, t).T)]
        state, outcome, feedback = advance(ours, state, order, exposure, drawn.at(t))
        now = jax.tree.map(lambda part: part[t], chance)  # noqa: B023
        mine, cost = step(mine, world.feasible(jnp.asarray(wish[t])), jnp.asarray(shown[t]), now)
        pairs.append((cost.sum(-1), outcome.cost[0]))
        for theirs, own in pairs:
            right = own.numpy().astype(np.float64)
            worst = max(worst, float((np.abs(np.asarray(theirs) - right) / np.maximum(np.abs(right), 1.0)).max()))
    return worst


if __name__ == "__main__":
    print(f"{FIRM}: costs and features differ from ours by at most {disagreement():.1e} (relative)")

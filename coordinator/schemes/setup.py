"""A firm made ready for learning: who its departments are, what they see, how they are paid, how workers are built."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.critic.critic import Critic
from coordinator.critic.value_function import ValueFunction
from coordinator.learning.settings import Settings
from coordinator.schemes.registry import default_scheme, scheme_of
from coordinator.workers.group import WorkerFactories
from coordinator.workers.rollout_worker import RolloutWorker
from coordinator.workers.rollout_worker_loop import LoopRolloutWorker, LoopWorld
from departments.department import Department, DepartmentSpec
from departments.numerics.graph import Graph
from departments.numerics.networks import Shapes
from departments.play.tuning import quiet, tuned_base_stock
from departments.policies.joint import widest_observation
from departments.policies.loop import JOINT, RECOMMENDATION, critic_features
from departments.policies.policy import PolicyConfig, Snapshot, point_of, policy_shapes
from departments.rules.ordering import baseline_levels
from environment import Firm, Network, World
from environment.observation import Observer, Scaling


@dataclass(frozen=True)
class TrainingSetup:
    """Who learns what, and how to build every worker."""

    firm: Firm
    network: Network
    specs: Mapping[str, DepartmentSpec]
    factories: WorkerFactories
    owner: Mapping[str, str]  # department -> the one whose policy it shares
    streams: Mapping[str, int]  # reward stream of each department

    @property
    def compiles(self) -> bool:
        """Whether departments learn and roll out in C++ where the machine has a compiler."""
        return any(c.compiled and c.device == "cpu" and c.role is None for c in self.specs.values())

    def base(self, settings: Settings) -> dict[str, Snapshot]:
        """Version 0 of every department: base-stock at the levels of the plan, or at random."""
        snapshots = {name: spec.first_snapshot() for name, spec in self.specs.items()}
        if settings.base_policy == "random":
            return {name: _randomised(snapshot, self.specs[name].seed) for name, snapshot in snapshots.items()}
        return snapshots


def starting_levels(
    firm: Firm,
    settings: Settings,
    tuned: NDArray[np.float64] | None = None,
    note: Callable[[str], None] = quiet,
) -> NDArray[np.float64] | None:
    """Base-stock levels that policies start from, [N, K] units; None: the benchmark's.

    `tuned` are the levels that tuning finds, if they are known; `note` is told what compiling for it took.
    """
    if firm.customers or settings.base_policy != "tuned":
        return None
    if tuned is not None:
        return tuned
    return tuned_base_stock(firm, device=settings.device, eager=not settings.compiled, note=note).levels


def scaling_of(firm: Firm, settings: Settings) -> Scaling:
    """How observations are scaled: as set, or what suits the firm."""
    return settings.scaling or ("benchmark" if firm.customers else "standard")


def setup_of(firm: Firm, settings: Settings, base: NDArray[np.float64] | None = None) -> TrainingSetup:
    """The plan of a firm under a scheme.

    Args:
        firm: a checked firm.
        settings: of the run.
        base: [N, K] base-stock levels that residual policies start from; by default the benchmark's.

    Raises:
        ValueError: the scheme does not fit the firm, or settings name a department that it does not have.
    """
    spec = scheme_of(settings.scheme)
    if spec.needs_customers and not firm.customers:
        raise ValueError(
            f"scheme {spec.name} needs a firm with customers, and {firm.name} has none; use {default_scheme(firm)}"
        )
    if settings.train_periods is not None:
        firm = firm.model_copy(update={"periods": firm.periods.model_copy(update={"train": settings.train_periods})})
    plan = _loop_plan(firm, settings) if spec.needs_customers else _network_plan(firm, settings, base)
    if unknown := sorted(set(settings.departments) - set(plan.specs)):
        known = ", ".join(plan.specs)
        raise ValueError(
            f"departments.{unknown[0]} is not a department of {firm.name} under {spec.name}; it has {known}"
        )
    return plan


def policies_of(firm: Firm, settings: Settings) -> dict[str, PolicyConfig]:
    """The departments of a firm under a scheme, with what each observes."""
    return scheme_of(settings.scheme).departments(firm, settings)


def _network_plan(firm: Firm, settings: Settings, base: NDArray[np.float64] | None) -> TrainingSetup:
    """One replenishment department per stock point, or one for all, without memory: the schemes of [I]."""
    network, levels = Network.of(firm), baseline_levels(firm)
    world = World(firm, levels, device=settings.device)
    base = levels if base is None else base
    observer = Observer(world, base, scaling_of(firm, settings))
    spec, policies = scheme_of(settings.scheme), policies_of(firm, settings)
    owner = spec.owners(network)
    weights = np.concatenate(
        (spec.weights(network), np.ones((1, len(firm.names)), dtype=np.float32))
    )  # the whole firm's: all costs
    # Rewards are counted in what the benchmark's stock would cost a period, so learning rates carry over.
    unit = settings.reward_unit or max(float((firm.amounts("holding_cost") * levels).sum()), 1e-9)
    graph = None
    if spec.attention or settings.critic.graph is not None:
        graph = Graph.of(observer, observer.size)
    width = widest_observation(observer, policies, firm.names)
    specs = {
        name: DepartmentSpec(
            name=name,
            point=point_of(name, firm.names),
            policy=policy,
            ppo=settings.ppo_of(name),
            shapes=policy_shapes(observer, policy, point_of(name, firm.names), world.products),
            width=width,
            seed=settings.seed * 1_000 + point_of(owner.get(name, name), firm.names),
            device=settings.device,
            compiled=settings.compiled,
        )
        for name, policy in policies.items()
    }
    values = functools.partial(
        ValueFunction,
        observer.size,
        len(specs),
        settings.critic,
        settings.device,
        graph=graph,
        time_through=network.time_through(),
        compiled=settings.compiled,
    )
    factories = WorkerFactories(
        departments={name: functools.partial(Department, spec) for name, spec in specs.items()},
        critic=functools.partial(Critic, values, settings.seed),
        environment=functools.partial(
            RolloutWorker,
            firm,
            levels,
            base,
            weights / np.float32(unit),
            scaling_of(firm, settings),
            values,
            settings.device,
            settings.compiled,
        ),
    )
    streams = {name: number for number, name in enumerate(specs)}
    return TrainingSetup(firm, network, specs, factories, owner, streams)


def _loop_plan(firm: Firm, settings: Settings) -> TrainingSetup:
    """Replenishment departments and a recommendation department, with memory and timescales: the schemes of [M]."""
    if RECOMMENDATION in firm.names or JOINT in firm.names:
        raise ValueError(
            f"stock_points: {RECOMMENDATION!r} and {JOINT!r} are departments of their own; rename the stock point"
        )
    network, levels = Network.of(firm), baseline_levels(firm)
    spec, policies = scheme_of(settings.scheme), policies_of(firm, settings)
    build = functools.partial(LoopWorld.of, firm, levels, policies, scaling_of(firm, settings), settings.device)
    loop = build()
    specs = {
        role.name: DepartmentSpec(
            name=role.name,
            point=number,
            policy=role.config,
            ppo=settings.ppo_of(role.name),
            shapes=Shapes(0, (), 0),
            width=0,
            seed=settings.seed * 1_000 + number,
            device=settings.device,
            role=role,
            law=spec.law(settings, role.name),
        )
        for number, role in enumerate(loop.roles)
    }
    streams = {name: number if spec.own_indicators else 0 for number, name in enumerate(specs)}
    values = functools.partial(
        ValueFunction,
        critic_features(loop.world, loop.observer),
        max(streams.values()) + 1,
        settings.critic,
        settings.device,
        terminated=True,
        compiled=settings.compiled,
    )
    factories = WorkerFactories(
        departments={name: functools.partial(Department, spec) for name, spec in specs.items()},
        critic=functools.partial(Critic, values, settings.seed),
        environment=functools.partial(LoopRolloutWorker, build, spec.weights(network), spec.own_indicators, values),
    )
    return TrainingSetup(firm, network, specs, factories, {}, streams)


def _randomised(snapshot: Snapshot, seed: int) -> Snapshot:
    """The same network with small random weights everywhere: in a plain policy nothing of the benchmark is left."""
    rng = np.random.default_rng(seed + 500)
    parameters = snapshot.parameters + 0.1 * rng.standard_normal(snapshot.parameters.shape).astype(np.float32)
    return Snapshot(snapshot.department, 0, snapshot.config, parameters)

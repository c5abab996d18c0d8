"""A firm made ready for learning: who its departments are, what they see, how they are paid, how workers are built."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.critic.critic import Critic
from coordinator.critic.value_function import ValueFunction
from coordinator.learning.multipliers import ServiceConfig
from coordinator.learning.settings import Settings
from coordinator.schemes.base import SchemeSpec
from coordinator.schemes.registry import default_scheme, scheme_of, specs
from coordinator.workers.group import WorkerFactories
from coordinator.workers.rollout_worker import RolloutWorker
from departments.department import Department
from departments.numerics.graph import Graph, GraphConfig
from departments.play.payment import CostShares, OwnIndicators, Payment, Profit
from departments.play.rollout import critic_features
from departments.play.tuning import quiet, tuned_base_stock
from departments.policies.policy import JOINT, RECOMMENDATION, PolicyConfig, Snapshot, as_rule
from departments.policies.spec import DepartmentSpec, point_of
from departments.rules.ordering import baseline_levels
from environment import Firm, Network, World
from environment.observation import Observer, Scaling
from environment.streams import Stream, numpy_stream, stream_seed


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
        return any(c.compiled and c.device == "cpu" for c in self.specs.values())

    def base(self, settings: Settings) -> dict[str, Snapshot]:
        """Version 0 of every department: its network, or the rule instead of a plain one that has no turn yet [I]."""
        networks = self.networks(settings)
        if not scheme_of(settings.scheme).turns or settings.base_policy == "random":
            return networks
        return {name: as_rule(snapshot) for name, snapshot in networks.items()}

    def networks(self, settings: Settings) -> dict[str, Snapshot]:
        """The networks that learning starts from: base-stock at the levels of the plan if residual, or at random."""
        snapshots = {name: spec.first_snapshot() for name, spec in self.specs.items()}
        if settings.base_policy == "random":
            return {name: _randomised(snapshot, self.specs[name].seed) for name, snapshot in snapshots.items()}
        return snapshots


def starting_levels(
    firm: Firm,
    settings: Settings,
    tuned: NDArray[np.float64] | None = None,
    note: Callable[[str], None] = quiet,
    compiling: Callable[[str], None] = quiet,
) -> NDArray[np.float64] | None:
    """Base-stock levels that policies start from, [N, K] units; None: the benchmark's.

    `tuned` are the levels that tuning finds, if they are known; `note` and `compiling` are told as by tuning.
    """
    if firm.customers or settings.base_policy != "tuned":
        return None
    if tuned is not None:
        return tuned
    seconds, eager = settings.tuning_seconds, not settings.compiled
    found = tuned_base_stock(firm, seconds=seconds, device=settings.device, eager=eager, note=note, compiling=compiling)
    return found.levels


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
    if firm.constrained and not spec.meets_targets:
        able = ", ".join(other.name for other in specs() if other.meets_targets)
        raise ValueError(f"{firm.constrained} of {firm.name} is not met by {spec.name}: remove it, or use {able}")
    if settings.service != ServiceConfig() and not firm.constrained:
        raise ValueError(f"service is of firms with targets, and {firm.name} has none: remove it from the settings")
    if settings.train_periods is not None:
        firm = firm.model_copy(update={"periods": firm.periods.model_copy(update={"train": settings.train_periods})})
    plan = _plan(firm, settings, spec, base)
    if unknown := sorted(set(settings.departments) - set(plan.specs)):
        known = ", ".join(plan.specs)
        raise ValueError(
            f"departments.{unknown[0]} is not a department of {firm.name} under {spec.name}; it has {known}"
        )
    return plan


def policies_of(firm: Firm, settings: Settings) -> dict[str, PolicyConfig]:
    """The departments of a firm under a scheme, with what each observes."""
    return scheme_of(settings.scheme).departments(firm, settings)


def _plan(firm: Firm, settings: Settings, scheme: SchemeSpec, base: NDArray[np.float64] | None) -> TrainingSetup:
    """The departments that the scheme asks for, who pays them, and their critic."""
    closed_loop = scheme.with_customers(firm)
    if closed_loop and (RECOMMENDATION in firm.names or JOINT in firm.names):
        raise ValueError(
            f"stock_points: {RECOMMENDATION!r} and {JOINT!r} are departments of their own; rename the stock point"
        )
    network, levels, scaling = Network.of(firm), baseline_levels(firm), scaling_of(firm, settings)
    base = levels if base is None else base
    observer = Observer(World(firm, levels, device=settings.device), base, scaling)
    policies, where = policies_of(firm, settings), (settings.device, settings.compiled)
    owner = scheme.owners(network) or _over_points(policies)
    specs = {
        name: DepartmentSpec.of(
            observer.world,
            observer,
            name,
            policy,
            seed=stream_seed(Stream.DEPARTMENT, settings.seed, point_of(owner.get(name, name), firm.names)),
            ppo=settings.ppo_of(name),
            law=scheme.law(settings, name),
            device=settings.device,
            compiled=settings.compiled,
        )
        for name, policy in policies.items()
    }
    alone = scheme.own_indicators or not closed_loop
    streams = {name: number if alone else 0 for number, name in enumerate(specs)}
    attends = scheme.attention or settings.critic.graph is not None
    by_product = any(spec.clones > 1 for spec in specs.values()) and not (firm.customers or firm.couples or attends)
    values = functools.partial(
        ValueFunction,
        critic_features(observer, list(specs.values()), by_product),
        max(streams.values()) + 1,
        settings.critic,
        settings.device,
        terminated=closed_loop,
        graph=Graph.of(observer, observer.size, settings.critic.graph or GraphConfig()) if attends else None,
        time_through=network.time_through(),
        compiled=settings.compiled,
    )
    payment = _payment(firm, settings, scheme, base if firm.has_targets else levels, by_product)
    factories = WorkerFactories(
        departments={name: functools.partial(Department, spec) for name, spec in specs.items()},
        critic=functools.partial(Critic, values, settings.seed),
        environment=functools.partial(RolloutWorker, firm, levels, base, scaling, payment, values, *where, by_product),
    )
    return TrainingSetup(firm, network, specs, factories, owner, streams)


def _over_points(policies: Mapping[str, PolicyConfig]) -> dict[str, str]:
    """Of departments whose network is one for all stock points, those of equal settings share the first one's."""
    shared = {name: policy.model_dump_json() for name, policy in policies.items() if policy.over_points == "shared"}
    first = {policy: name for name, policy in reversed(shared.items())}
    return {name: first[policy] for name, policy in shared.items()}


def _payment(
    firm: Firm, settings: Settings, scheme: SchemeSpec, levels: NDArray[np.float64], by_product: bool
) -> Callable[[World], Payment]:
    """Who is paid by what, for all products together or, in firms without customers, `by_product`."""
    weights = scheme.weights(Network.of(firm), settings)
    if scheme.with_customers(firm):
        return functools.partial(OwnIndicators, weights) if scheme.own_indicators else Profit
    # Rewards are counted in what the benchmark's stock would cost a period, so learning rates carry over.
    unit = settings.reward_unit or max(float((firm.amounts("holding_cost") * levels).sum()), 1e-9)
    everything = np.ones((1, len(firm.names)), dtype=np.float32)  # what the one department of a whole firm pays
    return functools.partial(
        CostShares, np.concatenate((weights, everything)) / np.float32(unit), by_product=by_product
    )


def _randomised(snapshot: Snapshot, seed: int) -> Snapshot:
    """The same network with small random weights everywhere: in a plain policy nothing of the benchmark is left."""
    rng = numpy_stream(Stream.RANDOM_START, seed)
    parameters = snapshot.parameters + 0.1 * rng.standard_normal(snapshot.parameters.shape).astype(np.float32)
    return Snapshot(snapshot.department, 0, snapshot.config, parameters)

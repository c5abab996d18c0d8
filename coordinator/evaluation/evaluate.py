"""Paired comparison of policies on the same chance: cost or profit with standard error, service and stock per point."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from coordinator.evaluation.table import Evaluation
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import RunFolder
from coordinator.runs.policy_text import name_and_policy
from coordinator.schemes.setup import scaling_of
from departments.decisions import Policy
from departments.named_policies import parse_policy
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.episode import Episodes, run_episodes, shards
from departments.play.tuning import quiet, tuned_base_stock, tuned_echelon_base_stock
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.ordering import BaseStock, Levels, baseline_levels
from environment import Firm, Network, World
from environment.observation import Observer


def load_policy_or_rule(
    text: str, world: World, compiled: Callable[[str], None] | None = None, note: Callable[[str], None] = quiet
) -> Policy:
    """A rule by name, levels from a csv file, or the departments of a run folder; `compiled`, `note` as in `evaluate`.

    A name before it (`today=levels.csv`) changes nothing.

    Raises:
        ValueError: none of them, or the run is of another firm.
    """
    _, text = name_and_policy(text)
    if not os.path.isdir(text):
        if text == "tuned-base-stock" and compiled is not None:
            return tuned_base_stock(world.firm, note=note, compiling=compiled)
        return parse_policy(text, world.firm, note)
    run = RunFolder(Path(text))
    trained = run.firm()
    if trained.names != world.firm.names or trained.products != world.firm.products:
        raise ValueError(
            f"--policy {text!r} was trained for firm {trained.name!r}, which has other stock points or products"
        )
    if _orders_apart(trained) != _orders_apart(world.firm):
        raise ValueError(f"--policy {text!r} was trained for firm {trained.name!r}, where other orders are decided")
    return trained_policy(run, world)


def _orders_apart(firm: Firm) -> list[tuple[str, str]] | None:
    """Edges that have an order each, in their order; None: an order is of a stock point."""
    return Network.of(firm).edge_names if firm.supplier_choice == "ordered" else None


def _named(
    policies: Sequence[str] | Mapping[str, str | Policy],
    world: World,
    compiled: Callable[[str], None] | None,
    note: Callable[[str], None],
) -> dict[str, Policy]:
    """Policies by the names that are given to them (`today=base-stock:shop=14`), or by what they are."""
    if isinstance(policies, Mapping):
        return {
            name: load_policy_or_rule(policy, world, compiled, note) if isinstance(policy, str) else policy
            for name, policy in policies.items()
        }
    named: dict[str, Policy] = {}
    for text in policies:
        name = name_and_policy(text)[0] or text
        if name in named:
            raise ValueError(f"--policy {name!r} is given twice; give each policy once, or another name")
        named[name] = load_policy_or_rule(text, world, compiled, note)
    return named


def trained_policy(run: RunFolder, world: World) -> Policy:
    """The departments of a run, acting in a world of its firm as they did in training: see `firm_policies`.

    Raises:
        ValueError: a policy is missing or damaged, training has not begun, or something else is seen in this world.
    """
    observer = Observer(world, run.base_levels(), scaling_of(run.firm(), run.settings()))
    snapshots = list(firm_policies(run).values())
    if run.firm() != world.firm:
        _must_see_alike(run, observer, snapshots)
    return FirmPolicy(world, observer.until(world.firm.periods.evaluate - 1), snapshots)


def _must_see_alike(run: RunFolder, observer: Observer, snapshots: Sequence[Snapshot]) -> None:
    """Refuse policies to which something else is told here than in training."""
    levels = run.base_levels()
    both = Observer(World(run.firm(), levels), levels), observer
    for name, config in ((snapshot.department, snapshot.config) for snapshot in snapshots):
        then, now = ([of.labels()[row] for row in DepartmentSpec.of(of.world, of, name, config).rows] for of in both)
        if then != now:
            odd, other = min({*then} ^ {*now}, default="all in another order"), observer.world.firm.name
            one = run.firm().name
            there, not_there = (one, other) if odd in then else (other, one)
            told = f"{name} sees {odd} in firm {there!r}, and not in {not_there!r}"
            raise ValueError(
                f"--policy {str(run.path)!r} was trained for firm {one!r}, where it saw other things: {told}"
            )


def baseline_policies(
    firm: Firm,
    device: str = "cpu",
    note: Callable[[str], None] = quiet,
    tuned: Levels | None = None,
    compiling: Callable[[str], None] = quiet,
) -> dict[str, Policy]:
    """The rules that learned policies stand beside, by their names in tables.

    `tuned` are the tuned base-stock levels if they are known, `note` is told how far their search is, and `compiling`
    why it cannot be compiled.

    Decomposition-aggregation, tuned and, without service targets, echelon base-stock; of a firm with customers, no
    recommendation, the margin-greedy silo and inventory-aware recommendation beside forecast-driven base-stock.
    """
    if firm.customers:
        names = {"no recommendation": "none", "siloed rules": "margin-greedy", "coordinated rules": "inventory-aware"}
        return {name: parse_policy(rule, firm) for name, rule in names.items()}
    if tuned is None:
        tuned = tuned_base_stock(firm, device=device, note=note, compiling=compiling).levels
    plain: dict[str, Policy] = {
        "decomposition-aggregation": parse_policy("decomposition-aggregation", firm),
        "tuned base-stock": BaseStock("tuned-base-stock", tuned),
    }
    if firm.has_targets:
        return plain  # echelon levels go by costs alone
    echelon = tuned_echelon_base_stock(firm, start=tuned, device=device, note=note, compiling=compiling)
    return plain | {"echelon base-stock": echelon}


def evaluate(
    firm: Firm,
    policies: Sequence[str] | Mapping[str, str | Policy],
    *,
    episodes: int,
    seed: int = 0,
    device: str = "cpu",
    compiled: Callable[[str], None] | None = None,
    note: Callable[[str], None] = quiet,
) -> Evaluation:
    """Play the same fresh episodes with every policy.

    Args:
        firm: a checked firm.
        policies: rules or run folders; or by name, also policies ready to act.
        episodes: number of episodes.
        seed: of the episodes.
        device: where to simulate.
        compiled: play rules in the compiled world, and say here why that cannot be.
        note: told how far a search for levels is.

    Raises:
        ValueError: a policy cannot be read.
    """
    levels = baseline_levels(firm)
    world = World(firm, levels, device=device)
    acting = _named(policies, world, compiled, note)
    play = partial(run_episodes, world) if compiled is None else CompiledEpisodes(world, compiled).episodes
    parts: dict[str, list[Episodes]] = {name: [] for name in acting}
    for chance in shards(world, episodes, seed):
        for name, policy in acting.items():
            parts[name].append(play(policy, chance))
    known = {name: getattr(policy, "expected_cost", None) for name, policy in acting.items()}
    expected = {name: float(cost) for name, cost in known.items() if cost is not None}
    return Evaluation(firm, episodes, {name: Episodes.joined(found) for name, found in parts.items()}, expected)

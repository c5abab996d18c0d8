"""A firm's folder before its first tick: the firm, its policies and benchmark by version, the book.

HOME/NAME/firm.yaml          the firm, standing by itself
HOME/NAME/policies/          every policy that was ever followed, by department and version
HOME/NAME/benchmark/         the rule that stands in for each department
HOME/NAME/book.sqlite        everything that happened; the single source of truth
HOME/NAME/live.json          where it runs
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.live.book import Book
from coordinator.live.counters import new_totals
from coordinator.live.fed import Fed
from coordinator.live.layout import FirmLayout
from coordinator.live.operation import new_post
from coordinator.live.period_start import packed
from coordinator.live.policies import keep_bundle
from coordinator.live.policy_bundles import PolicyBundles, departments_of
from coordinator.live.simulated import Simulated
from coordinator.runs.folder import RunFolder
from coordinator.storage.files import PRIVATE, write_atomically
from departments.numerics.actions import OrderLimits
from departments.play.default_rule import default_rule
from departments.play.tuning import quiet
from departments.policies.policy import RECOMMENDATION
from departments.serving.numpy_policy import NumpyPolicy
from environment import Firm, World, load_firm


def frame_of(world: World) -> FirmLayout:
    """Names and bounds of a world's firm."""
    firm, choice = world.firm, world.choice
    customers = {name: world.network.customers_of(n) for n, name in enumerate(firm.names)}
    allocates = {name: own for name, own in customers.items() if own}
    most, whose = world.limits.most_precedence[..., 0].double().numpy(), world.network.decision_point[world.orders :]
    shape = (0, len(firm.products))
    return FirmLayout(
        firm=firm.name,
        points=list(firm.names),
        products=list(firm.products),
        customer_facing=list(firm.customer_facing),
        segments=[] if choice is None else ["/".join(name) for name in choice.names],
        max_order=firm.amounts("max_order"),
        limits=OrderLimits.of(world.limits.facts()),
        sold=np.zeros(shape) if choice is None else choice.sold[..., 0].double().numpy(),
        slots=np.zeros(0) if choice is None else choice.slots.flatten().double().numpy(),
        earns=firm.earns,
        recommends=RECOMMENDATION if firm.customers else None,
        allocates=allocates,
        most_precedence={name: most[whose == firm.names.index(name)] for name in allocates},
    )


def source_of(text: str, policies: str | None) -> tuple[Firm, str | None]:
    """The firm of RUN|FIRM, and the policy its departments begin with; None: the benchmark.

    Raises:
        ValueError: one line; neither a run nor a firm.
    """
    if Path(text).is_dir():
        return RunFolder(Path(text)).firm(), policies or text
    return load_firm(text), policies


def found(
    folder: Path,
    firm: Firm,
    policies: str | None,
    *,
    seed: int,
    settings: dict[str, Any],
    report: Callable[[str], None] = quiet,
) -> None:
    """Write the folder of a new firm.

    Args:
        folder: HOME/NAME.
        firm: a checked firm.
        policies: RUN, RULE or levels that all departments begin with; None: the benchmark where customers choose, else
            what `default_rule` says.
        seed: of the simulated world.
        settings: how it is run; the book keeps them.
        report: told how far a search for levels is, and which rule departments begin with where nobody named one.

    Raises:
        ValueError: one line; a policy cannot be followed, and nothing has been written.
    """
    makes, why = PolicyBundles(firm, report), "the beginning"
    if policies is None and not firm.customers:
        rule, reason = default_rule(firm, report)
        policies, why = makes.know(rule), f"{why}: {reason}"
        report(f"departments begin by {reason}")
    names = departments_of(firm)
    benchmarks = {name: makes.benchmark(name).numbered(1) for name in names}
    begun = {name: makes.policy(name, policies).numbered(1) if policies else benchmarks[name] for name in names}
    text = firm.to_yaml()
    layout, feed = frame_of(makes.world), settings.get("feed")
    world = Simulated(text, seed) if feed is None else Fed(text, seed, layout, feed)
    start, moment = world.start(), world.begin()
    for name in names:
        keep_bundle(folder / "benchmark", benchmarks[name], {"why": "stands in"})
        keep_bundle(folder / "policies", begun[name], {"why": why, "policy": policies, "seed": seed})
    write_atomically(folder / "firm.yaml", text, PRIVATE)
    memories = {name: NumpyPolicy(bundle).start() for name, bundle in begun.items()}
    standins = {name: NumpyPolicy(bundle).start() for name, bundle in benchmarks.items()}
    first = start.account["cost"][:, 0].tolist()
    record = {
        "posts": {name: new_post() for name in names},
        "totals": new_totals(layout),
        "shadow": {"tick": 0, "cost": first, "firm_cost": first},
    }
    begun_at = folder / "book.sqlite.new"  # whoever dies here has founded nothing
    for left in folder.glob(f"{begun_at.name}*"):
        left.unlink(missing_ok=True)  # SQLite may be putting its own away
    book = Book(begun_at)
    facts = {"name": folder.name, "frame": layout.facts(), "seed": seed, "founded": time.time(), "settings": settings}
    book.found(facts, packed(moment, memories, standins, start.arrays, standins), record)
    book.close()
    begun_at.replace(folder / "book.sqlite")

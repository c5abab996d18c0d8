"""A run that starts from the policies of another run, maybe of another firm (`firmwide train --from`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from coordinator.learning.settings import Settings
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import RunFolder
from coordinator.schemes.setup import scaling_of, setup_of
from departments.policies.policy import Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.ordering import baseline_levels
from environment import Firm, World
from environment.observation import Observer

_CURE = "leave --from out, or train both by gradients through the simulator with --set policy.over_points=shared"


def policies_from(folder: str | Path, firm: Firm, settings: Settings) -> list[Snapshot]:
    """Version 0 of every department of a firm: what the departments of a run ended with.

    A network for all stock points (`policy.over_points: shared`) carries over to every department that has one of the
    same kind, whatever the firm. Another goes to the department of the same name, if that sees the same, by name.

    Raises:
        ValueError: one line that names what differs and cannot be carried over.
    """
    run, here = RunFolder(Path(folder)), f"--from {str(folder)!r}"
    theirs, specs = run.firm(), setup_of(firm, settings).specs
    _must_start_alike(here, theirs, run.settings(), firm, settings)
    ended = firm_policies(run)
    shared = next((found for found in ended.values() if found.config.over_points == "shared"), None)
    there, own = _observer(theirs), _observer(firm)
    start = list[Snapshot]()
    for name, spec in specs.items():
        found = ended.get(name) if spec.over_points is None else shared
        if found is None:
            what = f"department {name!r}" if spec.over_points is None else "network for all stock points"
            raise ValueError(f"{here} has no {what}: {_CURE}")
        for field, mine in spec.policy.model_dump().items():
            if field != "initial_std" and (then := getattr(found.config, field)) != getattr(spec.policy, field):
                raise ValueError(f"{here} has policy.{field} {then} for {name}, and this run {mine}: set it alike")
        if spec.over_points is None:
            _must_see_alike(here, spec, own, DepartmentSpec.of(there.world, there, name, found.config), there)
        spec.must_fit(found)
        start.append(replace(found, department=name, version=0))
    return start


def _must_start_alike(here: str, theirs: Firm, before: Settings, firm: Firm, settings: Settings) -> None:
    if firm.customers or theirs.customers:
        raise ValueError(f"{here}: where customers choose, departments start from rules; leave it out")
    if settings.base_policy == "random":
        raise ValueError(f"{here} says where policies start, and so does base_policy random; leave one of them out")
    for what, then, now in (
        ("base_policy", before.base_policy, settings.base_policy),
        ("scaling", scaling_of(theirs, before), scaling_of(firm, settings)),
    ):
        if then != now:
            raise ValueError(f"{here} was trained with {what} {then}, and this run has {now}: --set {what}={then}")


def _must_see_alike(here: str, spec: DepartmentSpec, own: Observer, before: DepartmentSpec, there: Observer) -> None:
    seen, sees = ([of.labels()[row] for row in one.rows] for one, of in ((before, there), (spec, own)))
    if seen != sees or before.network != spec.network:
        odd = min({*seen} ^ {*sees}, default="an order")
        raise ValueError(f"{here}: {odd} is not in both firms, or elsewhere, for {spec.name}: {_CURE}")


def _observer(firm: Firm) -> Observer:
    levels = baseline_levels(firm)
    return Observer(World(firm, levels), levels)

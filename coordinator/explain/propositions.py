"""Does the agent behave as theory says? The directions of Propositions 3 and 4 of [M], measured on trained departments.

[M] = Jiang et al., arXiv 2510.04272. One thing is changed in several hundred states of a run's own evaluation episodes;
the mean change of each decision, with a 95% interval over states, says whether it moves as theory has it. What is
measured of a recommendation is the chance that a product is shown in the first slot, averaged over a stock point's
segments; of an order, the units within [0, max_order], not rounded.

Our reading of the fourth direction: a replenishment department does not see what is recommended. It is told the demand
that pushing its product would have caused in the last period, on average, instead of that of pushing nothing.

A department that starts from a rule may have a direction before it has learned anything, so the change of the policy
that training started from stands beside each finding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from departments.play.sensitivity import (
    Change,
    Moment,
    Tendency,
    decisions,
    moments,
    more_incoming,
    more_stock,
    pushed,
    unchanged,
)
from departments.policies.spec import DepartmentSpec
from environment import World

Array = NDArray[np.float64]
Kind = Callable[[int, dict[int, float]], Change]  # of a stock point and units by product
STATES = 512
_WIDTH = 1.959963984540054  # standard errors to each side of a 95% interval
_LEAST = 1e-6  # a smaller mean change is rounding

Verdict = Literal["holds", "does not hold", "not significant"]
CLAIMS = {
    "i": "the recommendation of a product rises with its own stock and incoming pipeline",
    "ii": "it falls with the other products' stock and pipeline",
    "iii": "the order of a product falls with its own stock and pipeline",
    "iv": "it rises with the product's own recommendation, and the other products' orders fall",
}


@dataclass(frozen=True)
class Finding:
    """One decision of one department over one thing."""

    direction: str  # of CLAIMS
    department: str
    decision: str
    over: str
    expected: int  # +1 rises, -1 falls
    unit: str  # of the change
    parts: dict[str, tuple[float, float]]  # stock point/product -> mean change and half its 95% interval
    change: float  # mean over parts
    half: float  # half the 95% interval of that mean
    start: float | None = None  # the change of the policy that training started from, in the same states

    @property
    def verdict(self) -> Verdict:
        """Whether the interval lies on theory's side of zero, on the other one, or on both."""
        if abs(self.change) < _LEAST:
            return "not significant"
        if self.expected * self.change - self.half > 0:
            return "holds"
        return "does not hold" if self.expected * self.change + self.half < 0 else "not significant"

    def to_json(self) -> dict[str, Any]:
        """As `explain --json` prints it."""
        return {
            "direction": self.direction,
            "department": self.department,
            "decision": self.decision,
            "over": self.over,
            "theory": "rises" if self.expected > 0 else "falls",
            "change": self.change,
            "interval": [self.change - self.half, self.change + self.half],
            "unit": self.unit,
            "verdict": self.verdict,
            "change_at_start": self.start,
            "parts": {
                name: {"change": mean, "interval": [mean - half, mean + half]}
                for name, (mean, half) in self.parts.items()
            },
        }


@dataclass(frozen=True)
class Exact:
    """The optimum of a firm beside what departments decide in the same states."""

    policy: Tendency
    profit: float  # expected money an episode
    findings: list[Finding]  # of the optimum
    apart: dict[str, float]  # by product, mean distance of the departments' orders from its own, units
    agrees: float  # mean chance that what it shows, or nothing where that is best, is what departments show

    def to_json(self) -> dict[str, Any]:
        """As `explain --json` prints it."""
        return {
            "profit": self.profit,
            "directions": _counted(self.findings),
            "findings": [finding.to_json() for finding in self.findings],
            "order_distance": self.apart,
            "shows_the_same": self.agrees,
        }


@dataclass(frozen=True)
class Explanation:
    """All findings on a policy, and the states they come from."""

    world: World
    members: Sequence[DepartmentSpec]
    policy: Tendency
    seen: list[Moment]
    findings: list[Finding]
    pictures: tuple[Path, ...] = ()
    exact: Exact | str = ""  # or why there is no optimum

    @property
    def summary(self) -> dict[str, tuple[int, int]]:
        """For each direction how many of its findings hold, and how many there are."""
        return counted(self.findings)

    def to_json(self) -> dict[str, Any]:
        """The object that `explain --json` prints."""
        return {
            "firm": self.world.firm.name,
            "states": sum(moment.state.on_hand.shape[-1] for moment in self.seen),
            "directions": _counted(self.findings),
            "findings": [finding.to_json() for finding in self.findings],
            "optimum": {"none": self.exact} if isinstance(self.exact, str) else self.exact.to_json(),
            "pictures": [str(path) for path in self.pictures],
        }


def counted(findings: Sequence[Finding]) -> dict[str, tuple[int, int]]:
    """For each direction how many of its findings hold, and how many there are."""
    own = {direction: [f.verdict == "holds" for f in findings if f.direction == direction] for direction in CLAIMS}
    return {direction: (sum(holds), len(holds)) for direction, holds in own.items() if holds}


def _counted(findings: Sequence[Finding]) -> dict[str, dict[str, Any]]:
    found = counted(findings).items()
    return {direction: {"claim": CLAIMS[direction], "holds": holds, "of": of} for direction, (holds, of) in found}


def explain(
    world: World,
    policy: Tendency,
    members: Sequence[DepartmentSpec],
    *,
    start: Tendency | None = None,
    states: int = STATES,
    seed: int = 0,
) -> Explanation:
    """Measure every direction for every department.

    Args:
        world: of the firm.
        policy: of all its departments.
        members: the departments to be examined.
        start: what training started from, which may have a direction already; measured in the same states.
        states: how many states of evaluation episodes, a multiple of 8.
        seed: of the episodes.
    """
    seen = moments(world, policy, states=states, seed=seed)
    findings = findings_of(world, policy, members, seen)
    if start is not None:
        before = findings_of(world, start, members, seen)
        findings = [replace(now, start=then.change) for now, then in zip(findings, before, strict=True)]
    return Explanation(world, members, policy, seen, findings)


def decided(world: World, policy: Tendency, seen: list[Moment], change: Change = unchanged) -> tuple[Array, Array]:
    """Orders [N, K, B] units, not rounded, and chances to be shown [S, K, B], in changed states."""
    order, shown = decisions(world, policy, seen, change)
    return order.double().cpu().numpy(), shown.double().cpu().numpy()


def segments_of(world: World, point: int, product: int) -> NDArray[np.bool_]:
    """Which segments of a stock point can buy a product, [S]."""
    choice, place = world.chosen(), list(world.network.customer_facing).index(point)
    return np.asarray(((choice.facing == place) & choice.sold[:, product, 0]).cpu().numpy())


def findings_of(
    world: World,
    policy: Tendency,
    members: Sequence[DepartmentSpec],
    seen: list[Moment],
    hearing: Tendency | None = None,
) -> list[Finding]:
    """All directions of a policy in these states; `hearing`: what is asked of recommendations, if it is another one."""
    probe, findings = _Probe(world, policy, seen, hearing or policy), []
    for member in members:
        if member.recommends:
            findings += probe.recommendation(member.name)
        if member.points:
            findings += probe.orders(member.name, member.points)
    return findings


class _Probe:
    """Changes one thing after the other."""

    def __init__(self, world: World, policy: Tendency, seen: list[Moment], hearing: Tendency) -> None:
        self._world, self._decided = world, partial(decided, world, policy, seen)
        self._hearing = partial(decided, world, hearing, seen)
        self._order, self._shown = self._decided()
        self._step = np.maximum(world.network.mean_flow().round(), 1.0)  # [N, K] units: what a period asks for
        self._kinds: dict[str, Kind] = {"stock": more_stock, "pipeline": partial(more_incoming, world)}
        self._sold = [
            (point, product)
            for point in map(int, world.network.customer_facing)
            for product in range(world.products)
            if segments_of(world, point, product).any()
        ]

    def recommendation(self, department: str) -> list[Finding]:
        """Directions i and ii."""
        findings = []
        for direction, whose, expected in (("i", "its own", +1), ("ii", "the others'", -1)):
            for thing, kind in self._kinds.items():
                changes = {}
                for point, product in self._sold:
                    if others := self._others(point, product):
                        _, shown = self._decided(self._more(kind, point, [product] if direction == "i" else others))
                        rise = (shown - self._shown)[segments_of(self._world, point, product), product]
                        changes[self._name(point, product)] = rise.mean(0)
                of = ("recommendation", "chance to be shown")
                findings.append(_finding(direction, department, of, f"{whose} {thing}", expected, changes))
        return findings

    def orders(self, department: str, points: Sequence[int]) -> list[Finding]:
        """Directions iii and iv; a point without customers has no recommendation of its own."""
        findings, of = [], ("order", "units")
        for thing, kind in self._kinds.items():
            changes = {}
            for point, product in ((point, product) for point in points for product in range(self._world.products)):
                order, _ = self._decided(self._more(kind, point, [product]))
                changes[self._name(point, product)] = (order - self._order)[point, product]
            findings.append(_finding("iii", department, of, f"its own {thing}", -1, changes))
        own, other = {}, {}
        for point, product in self._sold:
            if point in points and (others := self._others(point, product)):
                with_it, without = (
                    self._hearing(pushed(self._world, point, product, share))[0] for share in (1.0, 0.0)
                )
                change = (with_it - without)[point]  # [K, B]
                own[self._name(point, product)] = change[product]
                other[self._name(point, product)] = change[others].mean(0)
        if own:
            over = "demand as if recommended"
            findings.append(_finding("iv", department, of, f"its own {over}", +1, own))
            findings.append(_finding("iv", department, of, f"another product's {over}", -1, other))
        return findings

    def _more(self, kind: Kind, point: int, products: Sequence[int]) -> Change:
        return kind(point, {product: float(self._step[point, product]) for product in products})

    def _others(self, point: int, product: int) -> list[int]:
        return [other for at, other in self._sold if at == point and other != product]

    def _name(self, point: int, product: int) -> str:
        return f"{self._world.firm.names[point]}/{self._world.firm.products[product]}"


def _finding(
    direction: str, department: str, of: tuple[str, str], over: str, expected: int, changes: dict[str, Array]
) -> Finding:
    pooled = np.mean(list(changes.values()), axis=0)
    parts = {name: mean_and_half(change) for name, change in changes.items()}
    return Finding(direction, department, of[0], over, expected, of[1], parts, *mean_and_half(pooled))


def mean_and_half(values: Array) -> tuple[float, float]:
    """Mean over independent states and half its 95% interval."""
    return float(values.mean()), float(_WIDTH * values.std(ddof=1) / math.sqrt(len(values)))

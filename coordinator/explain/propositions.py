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
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

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
from environment import World

STATES = 512
_WIDTH = 1.959963984540054  # standard errors to each side of a 95% interval
_LEAST = 1e-6  # a smaller mean change is rounding

Kind = Callable[[int, dict[int, float]], Change]
Verdict = Literal["holds", "does not hold", "not significant"]
CLAIMS = {
    "i": "the recommendation of a product rises with its own stock and incoming pipeline",
    "ii": "it falls with the other products' stock and pipeline",
    "iii": "the order of a product falls with its own stock and pipeline",
    "iv": "it rises with the product's own recommendation, and the other products' orders fall",
}


class Member(Protocol):
    """What a department decides; see `departments.policies.spec.DepartmentSpec`."""

    @property
    def name(self) -> str:
        """Of the department."""

    @property
    def points(self) -> tuple[int, ...]:
        """Stock points whose orders it decides."""

    @property
    def recommends(self) -> bool:
        """Whether it recommends."""


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
class Explanation:
    """All findings on a policy, and the states they come from."""

    world: World
    members: Sequence[Member]
    policy: Tendency
    seen: list[Moment]
    findings: list[Finding]
    pictures: tuple[Path, ...] = ()

    @property
    def summary(self) -> dict[str, tuple[int, int]]:
        """For each direction how many of its findings hold, and how many there are."""
        return {
            direction: (sum(f.verdict == "holds" for f in own), len(own))
            for direction in CLAIMS
            if (own := [f for f in self.findings if f.direction == direction])
        }

    def to_json(self) -> dict[str, Any]:
        """The object that `explain --json` prints."""
        return {
            "firm": self.world.firm.name,
            "states": sum(moment.state.on_hand.shape[-1] for moment in self.seen),
            "directions": {
                direction: {"claim": CLAIMS[direction], "holds": holds, "of": count}
                for direction, (holds, count) in self.summary.items()
            },
            "findings": [finding.to_json() for finding in self.findings],
            "pictures": [str(path) for path in self.pictures],
        }


def explain(
    world: World,
    policy: Tendency,
    members: Sequence[Member],
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
    findings = _findings(_Probe(world, policy, seen), members)
    if start is not None:
        before = _findings(_Probe(world, start, seen), members)
        findings = [replace(now, start=then.change) for now, then in zip(findings, before, strict=True)]
    return Explanation(world, members, policy, seen, findings)


def _findings(probe: _Probe, members: Sequence[Member]) -> list[Finding]:
    findings = []
    for member in members:
        if member.recommends:
            findings += probe.recommendation(member.name)
        if member.points:
            findings += probe.orders(member.name, member.points)
    return findings


class _Probe:
    """Changes one thing after the other."""

    def __init__(self, world: World, policy: Tendency, seen: list[Moment]) -> None:
        self._world, self._policy, self._seen = world, policy, seen
        self._order, self._shown = self._decide(unchanged)
        mean_flow = world.network.mean_flow()
        self._step = np.maximum(mean_flow.round(), 1.0)  # [N, K] units: what a period asks for

    def _decide(self, change: Change) -> tuple[Tensor, Tensor]:
        return decisions(self._world, self._policy, self._seen, change)

    def recommendation(self, department: str) -> list[Finding]:
        """Directions i and ii."""
        own = [(point, product) for point, product in self._sold() if self._others(point, product)]

        def rise(kind: Kind, others: bool) -> dict[str, NDArray[np.float64]]:
            found = {}
            for point, product in own:
                products = self._others(point, product) if others else [product]
                _, shown = self._decide(kind(point, {k: float(self._step[point, k]) for k in products}))
                found[self._name(point, product)] = self._mean_shown(shown - self._shown, point, product)
            return found

        of = ("recommendation", "chance to be shown")
        return [
            _finding("i", department, of, "its own stock", +1, rise(more_stock, False)),
            _finding("i", department, of, "its own pipeline", +1, rise(self._arriving, False)),
            _finding("ii", department, of, "the others' stock", -1, rise(more_stock, True)),
            _finding("ii", department, of, "the others' pipeline", -1, rise(self._arriving, True)),
        ]

    def orders(self, department: str, points: Sequence[int]) -> list[Finding]:
        """Directions iii and iv; a point without customers has no recommendation of its own."""
        everything = [(point, product) for point in points for product in range(self._world.products)]

        def rise(kind: Kind) -> dict[str, NDArray[np.float64]]:
            found = {}
            for point, product in everything:
                order, _ = self._decide(kind(point, {product: float(self._step[point, product])}))
                found[self._name(point, product)] = _array((order - self._order)[point, product])
            return found

        of = ("order", "units")
        findings = [
            _finding("iii", department, of, "its own stock", -1, rise(more_stock)),
            _finding("iii", department, of, "its own pipeline", -1, rise(self._arriving)),
        ]
        own, other = {}, {}
        for point, product in self._sold():
            others = self._others(point, product)
            if point not in points or not others:
                continue
            change = self.pushed_instead_of_nothing(point, product)
            own[self._name(point, product)] = change[product]
            other[self._name(point, product)] = change[others].mean(0)
        if own:
            over = "demand as if recommended"
            findings.append(_finding("iv", department, of, f"its own {over}", +1, own))
            findings.append(_finding("iv", department, of, f"another product's {over}", -1, other))
        return findings

    def pushed_instead_of_nothing(self, point: int, product: int) -> NDArray[np.float64]:
        """Change of a point's orders [K, B] when the last period's demand is that of pushing a product."""
        order, _ = self._decide(pushed(self._world, point, product, 1.0))
        without, _ = self._decide(pushed(self._world, point, product, 0.0))
        return _array((order - without)[point])

    def _arriving(self, point: int, units: dict[int, float]) -> Change:
        return more_incoming(self._world, point, units)

    def _sold(self) -> list[tuple[int, int]]:
        """Stock points and products that some segment of theirs buys."""
        sold, facing = self._world.chosen().sold, self._world.network.customer_facing
        here = self._world.chosen().facing
        return [
            (int(point), product)
            for place, point in enumerate(facing)
            for product in range(self._world.products)
            if bool(sold[here == place, product].any())
        ]

    def _others(self, point: int, product: int) -> list[int]:
        return [other for at, other in self._sold() if at == point and other != product]

    def _mean_shown(self, value: Tensor, point: int, product: int) -> NDArray[np.float64]:
        """Mean over the point's segments that can buy the product, [B]."""
        return _array(value[segments_of(self._world, point, product), product].mean(0))

    def _name(self, point: int, product: int) -> str:
        return f"{self._world.firm.names[point]}/{self._world.firm.products[product]}"


def segments_of(world: World, point: int, product: int) -> Tensor:
    """Which segments of a stock point can buy a product, [S] bool."""
    choice = world.chosen()
    place = list(world.network.customer_facing).index(point)
    return (choice.facing == place) & choice.sold[:, product, 0]


def _finding(
    direction: str,
    department: str,
    of: tuple[str, str],
    over: str,
    expected: int,
    changes: dict[str, NDArray[np.float64]],
) -> Finding:
    pooled = np.mean(list(changes.values()), axis=0)
    parts = {name: mean_and_half(change) for name, change in changes.items()}
    return Finding(direction, department, of[0], over, expected, of[1], parts, *mean_and_half(pooled))


def mean_and_half(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean over independent states and half its 95% interval."""
    return float(values.mean()), float(_WIDTH * values.std(ddof=1) / math.sqrt(len(values)))


def _array(value: Tensor) -> NDArray[np.float64]:
    return value.double().cpu().numpy()

"""What coordinator and critic hand to each other: firms in shadow, and what is said of a canary at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from coordinator.live.book import Command
from coordinator.live.period_start import Arrays
from departments.serving.numpy_policy import Array, PolicyBundle

COPIES = 32  # pairs of firms in which a canary and the policy in office play
_T = 2.040  # Student's t of 31 degrees of freedom, two-sided 5%


class Play(NamedTuple):
    """A firm in shadow, E copies."""

    tick: int
    arrays: Arrays
    memories: Arrays  # by department
    cost: Array  # money summed since its start: [N] mean over copies, or [N, E] of each


class Canary(NamedTuple):
    """A candidate beside the one in office: pairs of firms on the same chance, the first pair on the firm's own."""

    command: Command
    department: str
    until: int  # tick
    candidate: PolicyBundle
    bundles: Mapping[str, PolicyBundle]  # those in office
    incumbent_play: Play
    candidate_play: Play
    since: int  # tick

    def verdict(self) -> dict[str, Any]:
        """Whether the candidate is `better`, `worse`, or the two are not to be told apart (`undecided`).

        Returns:
            `verdict`; `cost` and `incumbent_cost` of the firm, means over the pairs; `saving` by the candidate, and
            `low` and `high` of its 95% interval; `periods` and `pairs`.
        """
        tried, office = self.candidate_play.cost.sum(0), self.incumbent_play.cost.sum(0)
        saved = office - tried
        reach = _T * float(saved.std(ddof=1)) / np.sqrt(saved.size)
        low, high = float(saved.mean()) - reach, float(saved.mean()) + reach
        return {
            "verdict": "better" if low > 0 else "worse" if high < 0 else "undecided",
            "cost": float(tried.mean()),
            "incumbent_cost": float(office.mean()),
            "saving": float(saved.mean()),
            "low": low,
            "high": high,
            "periods": self.candidate_play.tick - self.since,
            "pairs": int(saved.size),
        }


def many(arrays: Mapping[str, Array]) -> Arrays:
    """One copy of a firm as COPIES."""
    return {key: np.repeat(value, COPIES, -1) for key, value in arrays.items()}


def packed_canary(canary: Canary) -> tuple[Arrays, dict[str, Any]]:
    """A canary as the book keeps it; its command stands there already."""
    parts = {"candidate": canary.candidate.arrays}
    for name, play in (("incumbent", canary.incumbent_play), ("tried", canary.candidate_play)):
        parts |= {f"{name}-world": play.arrays, f"{name}-memory": play.memories, f"{name}-cost": {"": play.cost}}
    record = {
        "about": dict(canary.candidate.about),
        "versions": {name: bundle.version for name, bundle in canary.bundles.items()},
        "ticks": [canary.since, canary.candidate_play.tick, canary.until],
        "arguments": canary.command.arguments,
    }
    return {f"{part}/{name}": np.ascontiguousarray(a) for part, of in parts.items() for name, a in of.items()}, record


def unpacked_canary(command: Command, arrays: Arrays, record: Mapping[str, Any], bundles: Mapping[str, Any]) -> Canary:
    """A canary from the book; `bundles`: those in office when it began."""
    parts: dict[str, Arrays] = {}
    for key, value in arrays.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = value
    since, tick, until = record["ticks"]
    office, tried = (
        Play(tick, parts[f"{name}-world"], parts.get(f"{name}-memory", {}), parts[f"{name}-cost"][""])
        for name in ("incumbent", "tried")
    )
    candidate = PolicyBundle(record["about"], parts["candidate"])
    command = command._replace(arguments=record["arguments"])
    return Canary(command, command.department, until, candidate, bundles, office, tried, since)

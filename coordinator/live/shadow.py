"""Firms in shadow: what coordinator and critic hand to each other."""

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
    candidate: PolicyBundle
    bundles: Mapping[str, PolicyBundle]  # those in office
    since: int  # tick
    until: int  # tick
    office: Play
    tried: Play
    failed: str = ""  # why it cannot play on

    def verdict(self) -> dict[str, Any]:
        """Whether the candidate is `better`, `worse`, or the two are not to be told apart (`undecided`).

        Returns:
            `verdict`; `cost` and `incumbent_cost` of the firm, means over the pairs; `saving` by the candidate, and
            `low` and `high` of its 95% interval; `periods` and `pairs`.
        """
        tried, office = self.tried.cost.sum(0), self.office.cost.sum(0)
        saved = office - tried
        saving, reach = float(saved.mean()), _T * float(saved.std(ddof=1)) / np.sqrt(saved.size)
        return {
            "verdict": "better" if saving > reach else "worse" if saving < -reach else "undecided",
            "cost": float(tried.mean()),
            "incumbent_cost": float(office.mean()),
            "saving": saving,
            "low": saving - reach,
            "high": saving + reach,
            "periods": self.tried.tick - self.since,
            "pairs": int(saved.size),
        }


def many(arrays: Mapping[str, Array]) -> Arrays:
    """One copy of a firm as COPIES."""
    return {key: np.repeat(value, COPIES, -1) for key, value in arrays.items()}

"""How a running firm is built, and since when: each change begins a structure, and the book keeps them all.

Rows of what there is to see have names (`Observer.labels`); each structure says where those of the one before stand, so
that a policy goes on seeing what it saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from departments.serving.numpy_policy import PolicyBundle

WRITE_OFF = "write-off"  # in the place of a stock point that takes over


class Structure(NamedTuple):
    """A firm as it is built from a tick on."""

    number: int  # 0: as it was founded
    tick: int | None  # from which it holds; None: it is prepared, and may never
    firm: str  # the text of a firm file that stands by itself
    frame: dict[str, Any]  # its layout, as `FirmLayout.facts`
    details: dict[str, Any] = {}  # noqa: RUF012  of the change: `slots`, `rows`, and once it holds `stock`, `past`

    @property
    def slots(self) -> int:
        """Least number of periods of arrival: those of the structure before, as something may still be under way."""
        return int(self.details.get("slots", 1))


class Plan(NamedTuple):
    """A change that was examined."""

    structure: Structure  # prepared
    benchmarks: Mapping[str, PolicyBundle]  # of all departments
    begins: Mapping[str, PolicyBundle]  # what departments that open follow


Offered = PolicyBundle | Plan | None  # what the critic found of a command, if it was asked


def placed(bundle: PolicyBundle, structures: Sequence[Structure]) -> PolicyBundle:
    """A kept brief with its rows where the last structure has them.

    Raises:
        ValueError: one line; it sees what is not there any more.
    """
    for structure in structures:
        if structure.number > bundle.about.get("structure", 0):
            bundle = moved_on(bundle, structure)
    return bundle


def moved_on(bundle: PolicyBundle, structure: Structure) -> PolicyBundle:
    """A brief of the structure before with its rows where this one has them.

    Raises:
        ValueError: as `placed`.
    """
    rows = np.array(structure.details["rows"], dtype=int)[bundle.arrays["rows"].astype(int)]
    if (rows < 0).any():
        raise ValueError(f"version {bundle.version} of {bundle.department} sees what is not there any more")
    return replace(bundle, arrays={**bundle.arrays, "rows": rows})


def rows_by_name(before: Sequence[str], after: Sequence[str]) -> list[int]:
    """Where each row of before stands afterwards; -1: nowhere."""
    place = {label: row for row, label in enumerate(after)}
    return [place.get(label, -1) for label in before]

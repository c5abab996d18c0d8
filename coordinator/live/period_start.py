"""A period as the firm finds it, in plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from departments.serving.numpy_policy import Array

Arrays = dict[str, Array]


class PeriodStart(NamedTuple):
    """A period after event 2, before anybody decides; E copies, in operation one."""

    arrays: Arrays  # everything that the next step needs
    features: Array  # [G, E] units, of which each department gets its own rows
    account: Arrays  # cost [N, E], demand, served [C, K, E], on_hand, inventory_position [N, K, E], backlog [C, K, E]


def packed(
    moment: PeriodStart,
    memories: Arrays,
    standins: Arrays,
    shadow: Arrays,
    shadow_memories: Arrays,
    ahead: tuple[Arrays, Arrays] | None = None,
) -> Arrays:
    """Everything a successor needs, as one mapping with flat names; `ahead`: memories after a proposal."""
    proposed = {} if ahead is None else dict(zip(("next-memory", "next-standin"), ahead, strict=True))
    parts = proposed | {
        "world": moment.arrays,
        "seen": {"features": moment.features},
        "account": moment.account,
        "memory": memories,
        "standin": standins,
        "shadow": shadow,
        "shadow-memory": shadow_memories,
    }
    return {f"{part}/{name}": np.ascontiguousarray(a) for part, arrays in parts.items() for name, a in arrays.items()}


def unpacked(arrays: Arrays) -> dict[str, Arrays]:
    """The parts of `packed` by name."""
    names = ("world", "seen", "account", "memory", "standin", "shadow", "shadow-memory", "next-memory", "next-standin")
    parts: dict[str, Arrays] = {name: {} for name in names}
    for key, value in arrays.items():
        part, _, name = key.partition("/")
        parts[part][name] = value
    return parts


def moment_in(parts: Mapping[str, Arrays]) -> PeriodStart:
    """The moment among the parts of `packed`."""
    return PeriodStart(parts["world"], parts["seen"]["features"], parts["account"])

"""What is published of an instance: its firm, the policies of the source and what they cost there.

A family says where its numbers come from and what they are; an instance is the content of a firm file with the costs
that stand in the source, and how the policy behind each is played here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Published(NamedTuple):
    """A policy of the source and what it costs there."""

    policy: str  # in the source's words
    cost: float  # money, in the family's unit
    played: str | None = None  # what `evaluate --policy` calls it; None: nothing of ours plays it


@dataclass(frozen=True)
class Instance:
    """A firm as its source describes it."""

    content: Mapping[str, Any]  # of a firm file
    published: tuple[Published, ...]
    levels: Mapping[str, int] = field(default_factory=dict)  # base-stock levels that are printed, by point


@dataclass(frozen=True)
class Family:
    """Instances of one source."""

    name: str
    source: str
    unit: str  # of costs: `a period` in the long run, or `of 100 periods`
    differs: str  # what is otherwise here than there; empty: nothing that is known
    instances: Mapping[str, Instance]

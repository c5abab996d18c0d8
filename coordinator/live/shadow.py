"""What coordinator and critic hand to each other: firms in shadow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from coordinator.live.book import Command
from coordinator.live.period_start import Arrays
from departments.serving.numpy_policy import Array, PolicyBundle


class Play(NamedTuple):
    """A firm in shadow."""

    tick: int
    arrays: Arrays
    memories: Arrays  # by department
    cost: Array  # [N] money, summed since its start, mean over copies


class Canary(NamedTuple):
    """A candidate beside the one in office, each in its own copy of the firm on the same chance."""

    command: Command
    department: str
    until: int  # tick
    candidate: PolicyBundle
    bundles: Mapping[str, PolicyBundle]  # those in office
    incumbent_play: Play
    candidate_play: Play
    since: int  # tick

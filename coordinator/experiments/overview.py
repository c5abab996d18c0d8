"""Several firms of a benchmark in two tables: what every policy comes to in each, and what schemes save on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from coordinator.experiments.tables import Line

Cells = tuple[str, ...]


class Overview(NamedTuple):
    """Headings and rows of both."""

    results: list[Cells]  # a firm a row, a policy a column: mean over trials, of several ± half of its 95% interval
    savings: list[Cells]  # a scheme a row, a rule a column: what is saved on average, and where least, over those firms
    # in which all of them were played and no rule's result is 0


def overview(tables: Mapping[str, Sequence[Line]]) -> Overview | None:
    """Of benchmarks of more than one firm whose results are of one unit, cost or profit; None: of others."""
    found = {firm: {line.policy: line for line in lines} for firm, lines in tables.items() if lines}
    lines = [line for own in found.values() for line in own.values()]
    if len(found) < 2 or len({line.unit for line in lines}) > 1:
        return None
    rules = list(dict.fromkeys(line.policy for line in lines if line.seconds is None))
    schemes = list(dict.fromkeys(line.policy for line in lines if line.seconds is not None))
    results = [("firm", *rules, *schemes)]
    results += [(firm, *(_result(own.get(policy)) for policy in (*rules, *schemes))) for firm, own in found.items()]
    savings = [("mean saving over", "firms", *rules)]
    for scheme in schemes:
        there = {f: own for f, own in found.items() if scheme in own and all(rule in own for rule in rules)}
        there = {f: own for f, own in there.items() if all(own[rule].mean != 0 for rule in rules)}
        savings.append((scheme, str(len(there)), *(_saving(there, scheme, rule) for rule in rules)))
    return Overview(results, savings)


def _result(line: Line | None) -> str:
    if line is None:
        return ""
    digits = 0 if abs(line.mean) >= 1000 else 1
    half = "" if line.seconds is None or line.half != line.half else f" ± {line.half:,.{digits}f}"
    return f"{line.mean:,.{digits}f}{half}"


def _saving(found: Mapping[str, Mapping[str, Line]], scheme: str, rule: str) -> str:
    sign = {"cost": 100.0, "profit": -100.0}
    saved = {
        firm: sign[own[rule].unit] * (own[rule].mean - own[scheme].mean) / abs(own[rule].mean)
        for firm, own in found.items()
    }
    if not saved:
        return ""
    worst = min(saved, key=lambda firm: saved[firm])
    return f"{np.mean(list(saved.values())):+.1f}% (worst {worst} {saved[worst]:+.1f}%)"

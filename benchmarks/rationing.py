"""Whether levels, or how scarce stock is parted, explain two published costs: `python benchmarks/rationing.py`.

Instances 2 and 4 of Kaynov et al. (2024) under echelon base-stock with proportional allocation cost more here than is
published. This is a simulator of its own, over their sequence of events, with several readings of "proportional"; for
each the levels are searched for one by one and two by two units. What it prints is the least cost of 100 periods that
any levels near the best have.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from environment.instances import families
from environment.laws import parse_law

Array = NDArray[np.float64]
PERIODS, HOLDING, AT_RETAILERS, PENALTY = 100, 0.5, 1.0, 9.0
_START = {"one-warehouse-2": [48, 11, 9, 10], "one-warehouse-4": [59, 10, 14, 17]}  # levels that our search finds


def _share(stock: Array, want: Array) -> Array:
    """Everybody's part, [R, E]; stock [E] may be scarce."""
    return np.asarray(want * np.minimum(1.0, stock / np.maximum(want.sum(0), 1.0)))


def _whole(stock: Array, want: Array) -> Array:
    """The same in whole units that use up what there is: the first ones together get the whole units of their part."""
    upto = np.floor(np.cumsum(_share(stock, want), 0) + 1e-9)
    return np.diff(upto, axis=0, prepend=0.0)


def _by_class(stock: Array, owed: Array, new: Array) -> Array:
    first = _whole(stock, owed)
    return first + _whole(stock - first.sum(0), new)


READINGS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "backorders first, whole units (ours)": _by_class,
    "all at once, whole units": lambda stock, owed, new: _whole(stock, owed + new),
    "all at once, rounded down": lambda stock, owed, new: np.floor(_share(stock, owed + new) + 1e-9),
    "all at once, parts of units": lambda stock, owed, new: _share(stock, owed + new),
}


def cost(name: str, levels: list[int], part: Callable[[Array, Array, Array], Array], copies: int) -> float:
    """Mean cost of an episode from the start that the family tells of."""
    content = families()["one-warehouse"].instances[name].content
    first, *others = content["supply"]
    laws = [parse_law(content["stock_points"][edge["to"]]["demand"], Path()).mass() for edge in others]
    rng = np.random.default_rng(0)
    demand = np.stack([rng.choice(len(law), (PERIODS, copies), p=law) for law in laws], 1)  # [T, R, E]
    stock, retail = np.zeros(copies), np.zeros((len(laws), copies))
    way = [np.full(copies, float(first["initial_pipeline"]))] * first["lead_time"]
    ways = [[np.full(copies, float(edge["initial_pipeline"]))] * edge["lead_time"] for edge in others]
    owed, total = np.zeros_like(retail), np.zeros(copies)
    for asked in demand:
        stock, way = stock + way[0], way[1:]
        held = retail + np.array([sum(own) for own in ways])
        way = [*way, np.maximum(levels[0] - stock - sum(way) - held.sum(0), 0.0)]
        new = np.maximum(np.array(levels[1:])[:, None] - held - owed, 0.0)
        sent = part(stock, owed, new)
        owed, stock = owed + new - sent, stock - sent.sum(0)
        retail = retail + np.array([own[0] for own in ways]) - asked
        ways = [[*own[1:], row] for own, row in zip(ways, sent, strict=True)]
        total += HOLDING * stock + np.where(retail > 0, AT_RETAILERS * retail, -PENALTY * retail).sum(0)
    return float(total.mean())


def least(name: str, part: Callable[[Array, Array, Array], Array], copies: int) -> tuple[float, list[int]]:
    """The least cost, and its levels of the echelon and the retailers."""
    levels = list(_START[name])
    best, better = cost(name, levels, part, copies), True
    while better:
        better = False
        for place in range(len(levels)):
            for step in (1, -1, 2, -2):
                tried = [level + step * (at == place) for at, level in enumerate(levels)]
                if (found := cost(name, tried, part, copies)) < best:
                    best, levels, better = found, tried, True
    return best, levels


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=2000, help="episodes")
    options = parser.parse_args()
    sys.stdout.write(
        "| instance | proportional | least cost | levels | published |\n| --- | --- | ---: | --- | ---: |\n"
    )
    for name in _START:
        published = families()["one-warehouse"].instances[name].published[0].cost
        for reading, part in READINGS.items():
            found, levels = least(name, part, options.copies)
            sys.stdout.write(f"| {name} | {reading} | {found:,.1f} | {levels} | {published:,.1f} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

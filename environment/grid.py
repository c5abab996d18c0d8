"""The complexity grid of [I]: structures S, A, B, C, D by parameter levels 1..6, thirty built-in firms.

Source: Ziegner et al., arXiv 2503.18201, section on scenarios. The paper runs A1-A4, B1-B4, C1-C4 and D1; structure S,
levels 5 and 6, and the edges of C and D are our reading (the paper names only the numbers of points per echelon).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

STRUCTURES = {
    "s": "serial, 4 stock points in a line",
    "a": "small divergent, 1 warehouse and 3 retailers",
    "b": "small general, 4 warehouses and 5 retailers",
    "c": "large divergent, 1, 3 and 9 stock points",
    "d": "large general, 4, 5 and 9 stock points",
}
_POINTS = {  # from upstream to the retailers
    "s": {"center": 1, "warehouse": 1, "depot": 1, "retailer": 1},
    "a": {"warehouse": 1, "retailer": 3},
    "b": {"warehouse": 4, "retailer": 5},
    "c": {"center": 1, "warehouse": 3, "retailer": 9},
    "d": {"center": 4, "warehouse": 5, "retailer": 9},
}
_SERVED_IN_B = ((1, 2, 3), (1, 2, 3, 4), (4, 5), (1, 2, 3, 4, 5))  # retailers of each warehouse
LEVELS = {
    1: "Poisson demand with a random mean, lead time 1",
    2: "real-life demand, lead time 1",
    3: "Poisson demand with a random mean, lead time 1 to 5",
    4: "real-life demand and lead times",
    5: "as 1 with stochastic costs",
    6: "as 4 with stochastic costs",
}
GRID = tuple(f"{structure}{level}" for structure in STRUCTURES for level in LEVELS)

# Coefficients of variation of real retail demand and lead times, measured product by product.
DEMAND_CV = (
    *(0.434, 1.02, 0.438, 1.026, 0.379, 0.466, 0.664, 0.772, 0.888),
    *(0.506, 0.58, 0.462, 0.864, 0.409, 0.623, 0.64, 0.783, 0.628),
)
LEAD_TIME_CV = (0.6, 0.8, 1.0, 1.2)
_ECHELON = {  # echelon, 1 = retailer: holding cost, backorder cost, max order
    1: (1.0, 19.0, 50),
    2: (0.6, 0.0, 150),
    3: (0.4, 0.0, 500),
    4: (0.2, 0.0, 500),
}


def grid_firm(name: str) -> dict[str, Any]:
    """The content of the firm file of one cell of the grid, such as `a1` or `d6`."""
    structure, level = name[0], int(name[1:])
    echelons, edges = _structure(structure)
    retailers = [point for point, echelon in echelons.items() if echelon == 1]
    points: dict[str, Any] = {}
    for point, echelon in echelons.items():
        holding_cost, backorder_cost, max_order = _ECHELON[echelon]
        points[point] = {"holding_cost": holding_cost, "max_order": max_order}
        if echelon == 1:
            points[point] |= {"backorder_cost": backorder_cost, "demand": _demand(level, retailers.index(point))}
    return {
        "name": name,
        "description": f"{STRUCTURES[structure]}; {LEVELS[level]}",
        "unmet": "backorder",
        "cost_spread": 0.5 if level in (5, 6) else 0.0,
        "stock_points": points,
        "supply": [{"from": a, "to": b, "lead_time": _lead_time(level, i)} for i, (a, b) in enumerate(edges)],
    }


def _demand(level: int, retailer: int) -> dict[str, Any]:
    if level in (1, 3, 5):
        return {"law": "poisson_uniform", "low": 5, "high": 15}
    return {"law": "negative_binomial", "mean": 10, "cv": DEMAND_CV[retailer % len(DEMAND_CV)]}


def _lead_time(level: int, edge: int) -> int | dict[str, Any]:
    if level == 3:
        return {"law": "uniform", "low": 1, "high": 5}
    if level in (4, 6):
        return {"law": "gamma", "mean": 3, "cv": LEAD_TIME_CV[edge % len(LEAD_TIME_CV)], "low": 1, "high": 15}
    return 1


def _structure(structure: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Echelon of every stock point, upstream first, and the edges (supplier, customer)."""
    levels = [
        [f"{kind}-{i + 1}" if count > 1 else kind for i in range(count)] for kind, count in _POINTS[structure].items()
    ]
    echelons = {name: len(levels) - depth for depth, names in enumerate(levels) for name in names}
    edges = [("outside", name) for name in levels[0]]
    for above, below in pairwise(levels):
        if structure == "b":
            edges += [(point, below[i - 1]) for point, served in zip(above, _SERVED_IN_B, strict=True) for i in served]
        elif structure == "d":
            edges += [(above[i % len(above)], point) for j, point in enumerate(below) for i in (j, j + 1)]
        else:
            edges += [(above[i * len(above) // len(below)], point) for i, point in enumerate(below)]
    return echelons, edges

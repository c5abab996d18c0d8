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
    if structure == "s":
        echelons = {"center": 4, "warehouse": 3, "depot": 2, "retailer": 1}
        return echelons, list(pairwise(("outside", *echelons)))
    if structure == "a":
        retailers = _names("retailer", 3)
        echelons = {"warehouse": 2} | dict.fromkeys(retailers, 1)
        return echelons, [("outside", "warehouse"), *(("warehouse", retailer) for retailer in retailers)]
    if structure == "b":
        warehouses, retailers = _names("warehouse", 4), _names("retailer", 5)
        served = ((1, 2, 3), (1, 2, 3, 4), (4, 5), (1, 2, 3, 4, 5))
        edges = [("outside", warehouse) for warehouse in warehouses]
        edges += [(w, retailers[r - 1]) for w, numbers in zip(warehouses, served, strict=True) for r in numbers]
        return dict.fromkeys(warehouses, 2) | dict.fromkeys(retailers, 1), edges
    if structure == "c":
        warehouses, retailers = _names("warehouse", 3), _names("retailer", 9)
        edges = [("outside", "center"), *(("center", warehouse) for warehouse in warehouses)]
        edges += [(warehouses[r // 3], retailer) for r, retailer in enumerate(retailers)]
        return {"center": 3} | dict.fromkeys(warehouses, 2) | dict.fromkeys(retailers, 1), edges
    centers, warehouses, retailers = _names("center", 4), _names("warehouse", 5), _names("retailer", 9)
    edges = [("outside", center) for center in centers]
    edges += [(centers[i % 4], warehouse) for j, warehouse in enumerate(warehouses) for i in (j, j + 1)]
    edges += [(warehouses[j % 5], retailer) for k, retailer in enumerate(retailers) for j in (k, k + 1)]
    return dict.fromkeys(centers, 3) | dict.fromkeys(warehouses, 2) | dict.fromkeys(retailers, 1), edges


def _names(kind: str, count: int) -> list[str]:
    return [f"{kind}-{i}" for i in range(1, count + 1)]

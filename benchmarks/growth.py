"""How time and memory grow with a firm: `python benchmarks/growth.py [--json FILE | --firms FOLDER]`.

Trees of fan-out 10 with 1 to 1,000 stock points, three points in a row of 1 to 2,000 products, and one supplier of 999
customers. Each in a process of its own: seconds until the first period (reading the firm, the benchmark's levels, the
world), nanoseconds per stock point, product, period and copy by base-stock in the core (median), the largest memory.
`--firms` writes two large firms to learn in instead: `tree.yaml`, 100 stock points, and `products.yaml`, a warehouse
and two shops with 200 products that differ in demand and costs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from coordinator.workers.process import settle
from departments.rules.ordering import BaseStock, baseline_levels
from environment import World, parse_firm
from environment.compiled import CompiledWorld

_PERIODS, _COPIES, _REPEATS = 50, 64, 7
_SHAPES = [("tree", points, 1) for points in (1, 10, 100, 1000)]
_SHAPES += [("row", 3, products) for products in (1, 20, 200, 2000)] + [("star", 1000, 1)]


def firm_of(shape: str, points: int, products: int) -> dict[str, Any]:
    """A firm file: who is served by nobody's supplier faces customers."""
    fan_out = {"tree": 10, "row": 1, "star": points}[shape]
    stock_points: dict[str, Any] = {}
    supply = []
    for number in range(points):
        stock_points[f"point-{number}"] = own = {"holding_cost": 1.0, "max_order": 200_000}
        if number * fan_out + 1 >= points:
            own |= {"backorder_cost": 9, "demand": {"law": "poisson", "mean": 5}}
        source = f"point-{(number - 1) // fan_out}" if number else "outside"
        supply.append({"from": source, "to": f"point-{number}", "lead_time": 1})
    names = [f"product-{number}" for number in range(products)]
    return {"name": shape, "products": names, "stock_points": stock_points, "supply": supply}


def uneven_products(products: int = 200, seed: int = 0) -> dict[str, Any]:
    """A warehouse and two shops; products differ in demand, holding cost and how dear a unit short is."""
    rng, firm = np.random.default_rng(seed), firm_of("tree", 3, products)
    names: list[str] = firm["products"]

    def drawn(low: float, high: float, digits: int) -> dict[str, float]:
        return {name: round(float(np.exp(rng.uniform(np.log(low), np.log(high)))), digits) for name in names}

    mean, holding = drawn(2, 20, 1), drawn(0.3, 3, 2)
    ratio = {name: int(rng.choice([4, 9, 19, 39])) for name in names}
    for own in firm["stock_points"].values():
        own["holding_cost"] = {name: round(cost / (1 if "demand" in own else 2), 3) for name, cost in holding.items()}
        if "demand" in own:
            own["backorder_cost"] = {name: round(holding[name] * ratio[name], 3) for name in names}
            own["demand"] = {name: {"law": "poisson", "mean": units} for name, units in mean.items()}
    return firm


def measured(shape: str, points: int, products: int) -> dict[str, Any]:
    """One row."""
    settle()
    begun = time.perf_counter()
    firm = parse_firm(firm_of(shape, points, products))
    levels = baseline_levels(firm)
    world = World(firm, levels)
    ready = time.perf_counter() - begun
    compiled, rule = CompiledWorld(world), BaseStock("base-stock", levels).on(world)
    chance = world.draw(_PERIODS, _COPIES, world.generator(0))
    taken = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        compiled.play(world.reset(_COPIES), rule, chance)
        taken.append(time.perf_counter() - start)
    return {
        "firm": shape,
        "points": points,
        "products": products,
        "seconds_until_ready": round(ready, 2),
        "nanoseconds": round(1e9 * statistics.median(taken) / (points * products * _PERIODS * _COPIES), 2),
        "megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """All shapes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--firms", type=Path, metavar="FOLDER", help="write firms to learn in, and measure nothing")
    asked = parser.parse_args()
    if asked.firms:
        for name, firm in (("tree", firm_of("tree", 100, 1)), ("products", uneven_products())):
            (asked.firms / f"{name}.yaml").write_text(yaml.safe_dump(firm | {"name": name}, sort_keys=False))
        return
    rows = []
    for shape in _SHAPES:
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            rows.append(alone.apply(measured, shape))
        print(json.dumps(rows[-1]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How long the search of base-stock levels takes for many products: `python benchmarks/tuning_speed.py 20x4 200x3`.

PRODUCTSxPOINTS: a warehouse and shops that sell all of them, each at a mean of its own; wall and processor time.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from coordinator.workers.process import settle
from departments.play.tuning import tuned_base_stock
from environment import Firm, parse_firm


def many(count: int, points: int) -> Firm:
    """A firm of so many products at so many stock points."""
    rng, products = np.random.default_rng(1), [f"i{k}" for k in range(count)]
    shops = [f"s{i}" for i in range(points - 1)]
    demand = [{p: {"law": "poisson", "mean": round(rng.uniform(0.2, 8), 2)} for p in products} for _ in shops]
    own = {"holding_cost": 1, "backorder_cost": 9, "max_order": 100}
    stock = {"dc": {"holding_cost": 0.5, "max_order": 500}}
    stock |= {shop: own | {"demand": laws} for shop, laws in zip(shops, demand, strict=True)}
    supply = [{"from": "outside", "to": "dc", "lead_time": 3}, *({"from": "dc", "to": shop} for shop in shops)]
    return parse_firm({"name": "many", "products": products, "stock_points": stock, "supply": supply})


def main() -> None:
    """Time every size that is named."""
    settle()
    for size in sys.argv[1:]:
        firm = many(*map(int, size.split("x")))
        wall, processor = time.monotonic(), time.process_time()
        tuned_base_stock(firm, note=print)
        taken = f"{time.monotonic() - wall:.1f} s, {time.process_time() - processor:.1f} s of processor time"
        print(f"{size} products x points: {taken}", flush=True)


if __name__ == "__main__":
    main()

"""What it is worth to learn who gets scarce stock: `python benchmarks/allocation.py`.

A warehouse and three shops of equal demand, whose customers wait at 50, 10 and 2 a unit and period; the warehouse
shares out what little comes from outside by each rule, and by what its department decides. Departments start at
base-stock levels that were tuned for the rule, see their own position, the warehouse the shops' too, and learn by each
scheme for so many environment steps. All meet the same demand; differences to learned allocation under the same policy
are paired. A run is a folder of `--out`; one that is there is not trained again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import firmwide
from departments.play.tuning import quiet
from environment import Firm, parse_firm

RULES = ("learned", "position", "proportional", "shortage", "priority")
SHORT = (50, 10, 2)  # money a unit and period, by shop


def firm_of(rule: str, capacity: int) -> Firm:
    """The firm under an allocation; by priority the dearest customers are first."""
    point = {"holding_cost": 1, "max_order": 60, "demand": {"law": "poisson", "mean": 10}}
    shops = {f"shop-{i + 1}": point | {"backorder_cost": cost} for i, cost in enumerate(SHORT)}
    warehouse = {"holding_cost": 0.5, "max_order": 120, "allocation": rule}
    edges: list[dict[str, Any]] = [{"from": "warehouse", "to": shop} for shop in shops]
    if rule == "priority":
        edges = [edge | {"priority": i + 1} for i, edge in enumerate(edges)]
    supply = [{"from": "outside", "to": "warehouse", "lead_time": 2, "capacity": capacity}, *edges]
    return parse_firm({"name": "unequal", "stock_points": {"warehouse": warehouse, **shops}, "supply": supply})


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemes", nargs="+", default=["pathwise", "imarl"])
    parser.add_argument("--rules", nargs="+", default=RULES)
    parser.add_argument("--capacity", type=int, default=32, help="units a period from outside; 30 are asked for")
    parser.add_argument("--observation", default="downstream", help="what departments see")
    parser.add_argument("--budget", default="5e6", help="of learning, for each run")
    parser.add_argument("--seed", type=int, default=0, help="of learning")
    parser.add_argument("--episodes", type=int, default=4096)
    parser.add_argument("--out", type=Path, default=Path("runs/allocation"))
    options = parser.parse_args()
    costs: dict[tuple[str, str], Any] = {}
    for rule in options.rules:
        firm, names = firm_of(rule, options.capacity), {"tuned-base-stock": "tuned-base-stock"}
        for scheme in options.schemes:
            run = options.out / f"{rule}-{scheme}-{options.capacity}-{options.seed}"
            names[str(run)] = scheme
            if not run.exists():
                how = {"backend": "local", "threads": 1, "progress": False, "budget": options.budget}
                see = options.observation
                firmwide.train(firm, scheme=scheme, observation=see, seed=options.seed, run=run, **how)
        found = firmwide.evaluate(firm, list(names), episodes=options.episodes, compiled=quiet).results
        costs |= {(names[policy], rule): of.cost for policy, of in found.items()}
    sys.stdout.write("| policy | allocation | cost | more than learned |\n| --- | --- | ---: | ---: |\n")
    for (policy, rule), cost in sorted(costs.items(), key=lambda item: item[0][0]):
        more = cost - costs[policy, "learned"]
        error = 2 * more.std() / np.sqrt(len(more))
        sys.stdout.write(f"| {policy} | {rule} | {cost.mean():,.0f} | {more.mean():+,.0f} ± {error:,.0f} |\n")


if __name__ == "__main__":
    main()

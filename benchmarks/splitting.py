"""What it is worth to order from each supplier apart: `python benchmarks/splitting.py b1 b3 d1`.

Each firm as it is, a supplier drawn for every order, and with `supplier_choice: ordered`, or as it is where it says so;
under tuned base-stock (of the latter parted alike), `tuned-split`, and departments that see their firm's pipeline and
learn by pathwise for so many environment steps: seconds would be worth less beside other work. All meet the same demand
and lead times; differences to learned splitting are paired. Beside them stands what those who sell would cost if their
suppliers were never short, which is no bound: scarce stock goes to whose position is lowest a period after the orders.
A run is a folder of `--out`; one that is there is not trained again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import firmwide
from departments.play.tuning import quiet


def never_let_down(firm: firmwide.Firm) -> firmwide.Firm:
    """Those who sell, each with a supplier that is never short, at the lead time of its first one."""
    sell, edges = firm.customer_facing, {edge.target: edge for edge in reversed(firm.supply)}
    supply = tuple(edges[name].model_copy(update={"source": "outside"}) for name in sell)
    points = {name: firm.stock_points[name] for name in sell}
    return firm.model_copy(update={"stock_points": points, "supply": supply})


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("firms", nargs="+")
    parser.add_argument("--budget", default="2e6", help="of learning, for each run: environment steps, or 60s")
    parser.add_argument("--seed", type=int, default=0, help="of learning")
    parser.add_argument("--episodes", type=int, default=4096)
    parser.add_argument("--out", type=Path, default=Path("runs/splitting"))
    options = parser.parse_args()
    sys.stdout.write("| firm | suppliers | policy | cost | more than learned splitting |\n")
    sys.stdout.write("| --- | --- | --- | ---: | ---: |\n")
    for name in options.firms:
        costs = {}
        given = firmwide.load_firm(name)
        for choice in ("ordered",) if given.supplier_choice == "ordered" else ("random", "ordered"):
            firm = given.model_copy(update={"supplier_choice": choice})
            run = options.out / f"{name}-{choice}-{options.budget}-{options.seed}"
            if not (run / "result.json").is_file():
                how = {"backend": "local", "threads": 1, "progress": False, "budget": options.budget, "episodes": 2}
                how["seed"] = options.seed
                firmwide.train(firm, scheme="pathwise", observation="pipeline", run=run, **how)
            policies = ["tuned-base-stock", *["tuned-split"] * (choice == "ordered"), str(run)]
            found = firmwide.evaluate(firm, policies, episodes=options.episodes, compiled=quiet).results
            costs |= {(choice, policy.replace(str(run), "pathwise")): of.cost for policy, of in found.items()}
        for (choice, policy), cost in costs.items():
            more = cost - costs["ordered", "pathwise"]
            error = 2 * more.std() / np.sqrt(len(more))
            told = f"{cost.mean():,.0f} | {more.mean():,.0f} ± {error:,.0f}"
            sys.stdout.write(f"| {name} | {choice} | {policy} | {told} |\n")
        alone = firmwide.evaluate(
            never_let_down(given), ["tuned-base-stock"], episodes=options.episodes, compiled=quiet
        )
        cost = alone.results["tuned-base-stock"].cost.mean()
        sys.stdout.write(f"| {name} | never short | tuned-base-stock of who sells | {cost:,.0f} | |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Departments that keep to a cap on emissions, beside the best rule at the price that they end with.

Two shops with Poisson demand and backorders. One orders from a near supplier and from a far one, whose units emit half;
the other pays nothing for orders, and each shipment emits. Departments learn by pathwise, the second with
`policy.hybrid`, while a multiplier stands in place of the price. Then the firm gets the price that it ended with; the
exact optimum of the first shop stands beside, and the best (s, S) of the second, which is its optimum.

What is told: emissions a period, those of the last ten measurements in training and of the policy that is kept, the
price, and the costs at that price, two standard errors beside their difference. A run is a folder of `--out`; what is
there is not done again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from coordinator.evaluation.evaluate import evaluate
from coordinator.learning.settings import Wiring
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.watcher import Watcher
from coordinator.schemes.given_settings import settings_of
from coordinator.workers.process import settle
from departments.play.tuning import quiet
from environment import Firm, parse_firm

PERIODS = {"train": 64, "evaluate": 80, "warm_up": 20}


def near_and_far(**emissions: float) -> Firm:
    """A shop with two suppliers."""
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 25, "demand": {"law": "poisson", "mean": 5}}
    supply: list[dict[str, Any]] = [{"from": "outside", "to": "shop", "lead_time": 0, "emissions": 2}]
    supply += [{"from": "mill", "to": "shop", "lead_time": 2, "emissions": 1}]
    two = {"supplier_choice": "ordered", "suppliers": ["mill"], "supply": supply}
    return parse_firm(
        {"name": "near-and-far", "stock_points": {"shop": point}, "emissions": emissions, "periods": PERIODS} | two
    )


def shipments(**emissions: float) -> Firm:
    """A shop whose shipments emit."""
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 60, "demand": {"law": "poisson", "mean": 10}}
    supply = [{"from": "outside", "to": "shop", "shipment_emissions": 10}]
    given = {"stock_points": {"shop": point}, "supply": supply, "emissions": emissions, "periods": PERIODS}
    return parse_firm({"name": "shipments"} | given)


class Silent(Watcher):
    """Says nothing."""


CASES = {
    "near-and-far": (near_and_far, (8.0, 6.0, 5.5), "optimum"),
    "shipments": (shipments, (8.0, 5.0, 4.0), "reorder"),
}


def compared(name: str, cap: float, options: argparse.Namespace) -> str:
    """Train what is missing; a row of the table."""
    make, _, rule = CASES[name]
    run, hybrid = RunFolder(options.out / f"{name}-{cap:g}"), name == "shipments"
    if not (run.path / "done").exists():
        teaching = {"updates": options.updates, "copies": 128, "learning_rate": 0.01}
        service = {"every": 10, "episodes": 256}
        given = {"scheme": "pathwise", "pathwise": teaching, "service": service, "policy": {"hybrid": hybrid}}
        settings, wiring = settings_of(given if hybrid else given | {"policy": {}}), Wiring(backend="local", threads=1)
        begins = {} if options.price is None else {"price": options.price}
        train(make(cap=cap, **begins), settings, wiring, run.path, Silent(), resume=run.path.exists())
        (run.path / "done").touch()
    measured = run.table("service.csv")
    price, reached = float(measured.multiplier.iloc[-1]), float(measured.reached.iloc[-10:].mean())
    found = evaluate(make(price=price), [rule, str(run.path)], episodes=options.episodes, compiled=quiet)
    best, own = found.to_json()["policies"].values()
    more, error = found.difference(str(run.path), rule)
    emitted = f"{reached:.2f} | {own['emissions']:.2f} | {best['emissions']:.2f}"
    return (
        f"| {name} | {cap:g} | {emitted} | {price:.3f} | {best['cost']['mean']:,.1f} | {more:+.1f} ± {2 * error:.1f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("firms", nargs="*", default=list(CASES))
    parser.add_argument("--price", type=float, help="of a unit of emission at first")
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--episodes", type=int, default=4096)
    parser.add_argument("--out", type=Path, default=Path("runs/emissions"))
    options = parser.parse_args()
    settle()
    print("| firm | cap | emitted in training | by what is kept | by the rule | price | cost of the rule | more |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in options.firms:
        for cap in CASES[name][1]:
            print(compared(name, cap, options), flush=True)


if __name__ == "__main__":
    main()

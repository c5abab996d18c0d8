"""One warehouse and several retailers beside what was published: `python benchmarks/one_warehouse.py`.

The instances of Kaynov et al. (2024). Echelon base-stock at the best levels found, under the allocations of the paper,
and departments that see the whole firm and learn by pathwise for so many seconds, where the warehouse serves the lowest
position first, whose gradient the core has. Costs are of 100 periods from the start that the family tells of, on fresh
episodes.

A figure is a line of `--out`; one that is there is not computed again.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import firmwide
from departments.play.tuning import quiet
from environment import Firm, parse_firm
from environment.instances import families

INSTANCES = families()["one-warehouse"].instances
_FAMILY = "one-warehouse-"
RULES = ("proportional", "shortage")  # allocations of the paper
_WAYS = {"proportional": 0, "shortage": 1}  # where their published costs stand; the last is PPO's


def firm_of(name: str, allocation: str) -> Firm:
    """The instance with another allocation of scarce stock at the warehouse."""
    content: dict[str, Any] = copy.deepcopy(dict(INSTANCES[name].content))
    content["stock_points"]["warehouse"]["allocation"] = allocation
    return parse_firm({"name": name, **content})


def cost_of(name: str, way: str, options: argparse.Namespace) -> dict[str, Any]:
    """Mean cost with its standard error, of a rule under an allocation or of what is learned."""
    if way in RULES:
        firm, policy = firm_of(name, way), "tuned-echelon-base-stock"
    else:
        firm, policy = firm_of(name, "position"), str(Path(tempfile.mkdtemp()) / "run")
        how = {"backend": "local", "threads": 1, "progress": False, "budget": f"{options.seconds:g}s"}
        firmwide.train(firm, scheme=way, observation="everything", run=policy, **how)
    cost = firmwide.evaluate(firm, [policy], episodes=options.episodes, compiled=quiet).results[policy].cost
    return {"cost": float(cost.mean()), "error": float(cost.std() / len(cost) ** 0.5)}


def main() -> None:
    """Compute what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", nargs="+", default=[name.removeprefix(_FAMILY) for name in INSTANCES])
    parser.add_argument("--ways", nargs="+", default=["pathwise", *RULES])
    parser.add_argument("--seconds", type=float, default=60.0, help="of learning, for each run")
    parser.add_argument("--episodes", type=int, default=4096)
    parser.add_argument("--out", type=Path, default=Path("runs/one-warehouse.jsonl"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.touch()
    done = {(line["instance"], line["way"]): line for line in map(json.loads, options.out.open())}
    sys.stdout.write("| instance | " + " | ".join(f"{way} | beside" for way in options.ways) + " | published PPO |\n")
    sys.stdout.write("| ---: " * (2 + 2 * len(options.ways)) + "|\n")
    for name in (_FAMILY + number for number in options.instances):
        published, cells = [each.cost for each in INSTANCES[name].published], []
        for way in options.ways:
            found = done.get((name, way))
            if found is None:
                found = {"instance": name, "way": way} | cost_of(name, way, options)
                with options.out.open("a") as file:
                    file.write(json.dumps(found) + "\n")
            beside = found["cost"] / published[_WAYS.get(way, -1)] - 1.0
            cells += [f"{found['cost']:,.1f} ± {2 * found['error']:.1f}", f"{beside:+.1%}"]
        sys.stdout.write("| " + " | ".join([name.removeprefix(_FAMILY), *cells, f"{published[-1]:,.1f}"]) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

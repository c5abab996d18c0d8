"""The CardBoard Company of Geevers et al. (2024) beside what was published: `python benchmarks/cardboard.py`.

The printed base-stock levels as the authors' rule, tuned levels, and departments that see the whole firm and learn by
pathwise for so many seconds, 50 counted periods each on fresh episodes. A run is a folder of `--out`; one that is there
is not trained again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import firmwide
from departments.play.tuning import quiet
from departments.rules.connections import printed_rule
from environment.instances import families


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", nargs="+", default=["routed", "split", "divergent"])
    parser.add_argument("--seconds", type=float, default=60.0, help="of learning, for each run; 0: rules alone")
    parser.add_argument("--episodes", type=int, default=2048)
    parser.add_argument("--out", type=Path, default=Path("runs/cardboard"))
    options = parser.parse_args()
    sys.stdout.write("| instance | policy | cost | published | beside |\n| --- | --- | ---: | --- | ---: |\n")
    for name in (f"cardboard-{of}" for of in options.instances):
        printed, best = families()["cardboard"].instances[name].published[:2]
        firm, rule = (name, printed.played) if printed.played else printed_rule(name)
        policies = ["tuned-base-stock"]
        if options.seconds:
            run = options.out / name
            if not run.exists():
                how = {"backend": "local", "threads": 1, "progress": False, "budget": f"{options.seconds:g}s"}
                firmwide.train(name, scheme="pathwise", observation="everything", run=run, **how)
            policies.append(str(run))
        found = {printed: firmwide.evaluate(firm, {"as printed": rule}, episodes=options.episodes, compiled=quiet)}
        found[best] = firmwide.evaluate(name, policies, episodes=options.episodes, compiled=quiet)
        for published, evaluated in found.items():
            for policy, of in evaluated.results.items():
                error = 2 * of.cost.std() / np.sqrt(len(of.cost))
                beside = f"{of.cost.mean() / published.cost - 1:+.1%}"
                told = f"{of.cost.mean():,.0f} ± {error:.0f} | {published.policy} {published.cost:,.0f} | {beside}"
                sys.stdout.write(f"| {name} | {policy} | {told} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

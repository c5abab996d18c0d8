"""A warehouse and ten stores with special deliveries beside what was published: `python benchmarks/two_echelon.py`.

The two case studies of Van Roy et al. (1997) with the parameters of Gijsbrechts et al. (2022), who tell what is saved
of the cost of the best constant base-stock levels. Departments see the whole firm and learn for so many seconds; levels
are searched for here, and all meet the same fresh episodes. A run is a folder of `--out`; one that is there is not
trained again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import firmwide
from departments.play.tuning import quiet
from environment.instances import families
from environment.two_echelon import STORAGE


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemes", nargs="*", default=["pathwise", "imarl"])
    parser.add_argument("--seconds", type=float, default=90.0, help="of learning, for each run")
    parser.add_argument("--episodes", type=int, default=2048, help="200 periods of each count")
    parser.add_argument("--out", type=Path, default=Path("runs/two-echelon"))
    options = parser.parse_args()
    heads = ["instance", "policy", "cost a period", "saved", "published", "cost as of 1997", "saved", "published"]
    sys.stdout.write(f"| {' | '.join(heads)} |\n| --- | --- " + "| ---: " * 6 + "|\n")
    for name, instance in families()["two-echelon"].instances.items():
        rule, *others = instance.published
        runs = {scheme: options.out / f"{name}-{scheme}" for scheme in options.schemes}
        for scheme, run in runs.items():
            if not run.exists():
                how = {"backend": "local", "threads": 1, "progress": False, "budget": f"{options.seconds:g}s"}
                firmwide.train(name, scheme=scheme, observation="everything", run=run, **how)
        printed = f"base-stock:{','.join(f'{point}={level}' for point, level in instance.levels.items())}"
        tuned = str(rule.played)
        policies = {
            "base-stock as printed": printed,
            tuned: tuned,
            **{scheme: str(run) for scheme, run in runs.items()},
        }
        found = firmwide.evaluate(name, policies, episodes=options.episodes, compiled=quiet)
        periods = found.firm.periods.evaluate - found.firm.periods.warm_up
        base = found.results[tuned].cost / periods
        programming, a3c = (f"{-of.cost:g}%" for of in others)
        before = {}  # storage of what demand takes, which is charged before it does: as of 1997
        for policy, of in found.results.items():
            before[policy] = of.cost.mean() / periods + STORAGE * float((of.demand - of.unserved).sum())
        for policy in policies:
            cost, earlier = found.results[policy].cost / periods, before[policy]
            saved, more = (base - cost) / base.mean(), 1.0 - earlier / before[tuned]
            error = 2 * np.array([cost.std(), saved.std()]) / len(cost) ** 0.5
            ours = [f"{saved.mean():.1%} ± {error[1]:.1%}", a3c, f"{earlier:,.1f}", f"{more:.1%}", programming]
            if policy not in runs:
                ours[1] = ours[4] = ""
            shown = [name, policy, f"{cost.mean():,.1f} ± {error[0]:.1f}", *ours]
            sys.stdout.write(f"| {' | '.join(shown)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

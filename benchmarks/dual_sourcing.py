"""Dual sourcing, learned beside the exact optimum: `python benchmarks/dual_sourcing.py`.

The six instances of Gijsbrechts et al. (2022). Departments see their pipeline and learn for so many seconds; all
policies then meet the same fresh episodes: the gap is the mean paired difference to what the optimum costs there,
over what the programme says it is. A run is a folder of `--out`; one that is there is not trained again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import firmwide
from environment.instances import families


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemes", nargs="+", default=["pathwise", "imarl"])
    parser.add_argument("--seconds", type=float, default=30.0, help="of learning, for each run")
    parser.add_argument("--episodes", type=int, default=8192, help="100 periods of each count")
    parser.add_argument("--out", type=Path, default=Path("runs/dual-sourcing"))
    options = parser.parse_args()
    sys.stdout.write("| instance | optimum | " + " | ".join(f"{scheme} | gap" for scheme in options.schemes) + " |\n")
    sys.stdout.write("| --- " + "| ---: " * (1 + 2 * len(options.schemes)) + "|\n")
    for name in families()["dual-sourcing"].instances:
        runs = {scheme: options.out / f"{name}-{scheme}" for scheme in options.schemes}
        for scheme, run in runs.items():
            if not run.exists():
                how = {"backend": "local", "threads": 1, "progress": False}
                seen = {"scheme": scheme, "observation": "pipeline", "budget": f"{options.seconds:g}s"}
                firmwide.train(name, run=run, **seen, **how)
        found = firmwide.evaluate(name, ["optimum", *map(str, runs.values())], episodes=options.episodes)
        periods = found.firm.periods.evaluate - found.firm.periods.warm_up
        cells, least = [], found.expected["optimum"]
        for run in runs.values():
            worse = (found.results[str(run)].cost - found.results["optimum"].cost) / least
            error = 2 * worse.std() / np.sqrt(len(worse))
            cells += [f"{(1 + worse.mean()) * least / periods:.2f}", f"{worse.mean():.2%} ± {error:.2%}"]
        sys.stdout.write("| " + " | ".join([name, f"{least / periods:.2f}", *cells]) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

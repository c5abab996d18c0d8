"""Lost sales in the long run, learned beside the exact optimum: `python benchmarks/lost_sales.py`.

The sixteen instances of Zipkin (2008) with Poisson demand of mean 5 and holding cost 1: penalties 4, 9, 19 and 39, lead
times 1 to 4. The department sees its pipeline. What is told is cost a period: of the optimum by `heuristics.programme`,
of tuned base-stock and of what was learned in so many seconds on fresh episodes, the same for both, and the gaps.

A run is a line of `--out`; a line that is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from coordinator.learning.iterations import Training
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.registry import scheme_of
from coordinator.schemes.setup import setup_of, starting_levels
from coordinator.workers.group import LocalGroup
from coordinator.workers.process import settle
from departments.rules.optimum import optimum
from environment.streams import Stream
from tests.known_optima import lost_sales

PENALTIES, LEAD_TIMES = (4, 9, 19, 39), (1, 2, 3, 4)
_EPISODES, _PERIODS = 16384, 100  # counted of each


def learned(penalty: int, lead_time: int, scheme: str, seconds: float) -> dict[str, Any]:
    """One instance: costs a period."""
    firm = lost_sales(penalty, lead_time)
    alone = {"imarl": {"patience": 1000}} if scheme == "imarl" else {}  # nobody waits for a turn
    settings = settings_of({"scheme": scheme, "seconds": seconds, "policy": {"observation": "pipeline"}} | alone)
    plan = setup_of(firm, settings, starting_levels(firm, settings))
    how = {"streams": plan.streams, "train_periods": plan.firm.periods.train}
    training = Training(LocalGroup(plan.factories, 1, 1), settings, plan.base(settings), **how)
    runner = scheme_of(scheme).runner.begin(plan.network, training)
    tuned = training.costs(_EPISODES, Stream.REPORT)
    runner.run(lambda _: None, lambda *_: None, lambda: None)
    spent = training.seconds
    cost = training.costs(_EPISODES, Stream.REPORT, *runner.policies)
    return {
        "optimum": float(optimum(firm).expected_cost) / _PERIODS,
        "tuned": float(tuned.mean()) / _PERIODS,
        "learned": float(cost.mean()) / _PERIODS,
        "error": float(cost.std() / _EPISODES**0.5) / _PERIODS,
        "spent": spent,
    }


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemes", nargs="+", default=["pathwise", "imarl"])
    parser.add_argument("--seconds", type=float, default=20.0, help="of learning, for each run")
    parser.add_argument("--out", type=Path, default=Path("runs/lost-sales.jsonl"))
    options = parser.parse_args()
    settle()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.touch()
    done = {(d["penalty"], d["lead_time"], d["scheme"]): d for d in map(json.loads, options.out.open())}
    head = "".join(f" {scheme} | gap | s |" for scheme in options.schemes)
    sys.stdout.write(f"| penalty | lead time | optimum | tuned base-stock | gap |{head}\n")
    sys.stdout.write("| ---: " * (5 + 3 * len(options.schemes)) + "|\n")
    for penalty in PENALTIES:
        for lead_time in LEAD_TIMES:
            cells = []
            for scheme in options.schemes:
                where = {"penalty": penalty, "lead_time": lead_time, "scheme": scheme}
                found = done.get(tuple(where.values()))
                if found is None:
                    found = where | learned(*where.values(), options.seconds)
                    with options.out.open("a") as file:
                        file.write(json.dumps(found) + "\n")
                best = found["optimum"]
                if not cells:
                    cells = [f"{best:.3f}", f"{found['tuned']:.3f}", f"{found['tuned'] / best - 1:.1%}"]
                gap = f"{found['learned'] / best - 1:.2%}"
                cells += [f"{found['learned']:.3f} ± {2 * found['error']:.3f}", gap, f"{found['spent']:.0f}"]
            sys.stdout.write("| " + " | ".join([str(penalty), str(lead_time), *cells]) + " |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""What MTMA reaches where the optimum is known, and what timescales matter there: `python benchmarks/timescales.py`.

`--only optimum`: three small firms with an exact optimum (`tests/known_optima.py`), from a weak start (networks that
know nothing), from a strong one (fitted to the rules, as MTMA comes), from residual networks, which are tied to the
rules, and from the strong start without a clock: the gap after `--steps` to the optimum, of those without a clock to
the best policy that sees none. `--only rates`: the firm `tiny`, or built-in ones, from the weak start, either
department fast, by the ratio of learning rates.

A run is a line of `--out`; a line that is there is not run again. Runs go side by side in `--jobs` processes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import numpy as np

from coordinator.learning.iterations import Training
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.registry import scheme_of
from coordinator.schemes.setup import setup_of
from coordinator.workers.group import LocalGroup
from coordinator.workers.process import settle
from environment import Firm, load_firm
from environment.streams import Stream
from tests.known_optima import tiny

BLIND = "rules, no clock"
STARTS: dict[str, dict[str, Any]] = {
    "nothing": {"start": "nothing"},
    "rules": {},
    "tied to rules": {"policy": {"form": "residual"}},
    BLIND: {"policy": {"clock": False}},
}
RATIOS = (1, 3, 10, 30, 100)
_EPISODES = 8192


def firms() -> dict[str, Firm]:
    """Small enough for an exact optimum."""
    dear = {"holding_cost": 0.5, "price": {"p1": 10, "p2": 7}, "unit_cost": {"p1": 6, "p2": 3.5}}
    salvage = {"salvage_value": {"p1": 3, "p2": 1}}
    late = [{"from": "outside", "to": "shop", "initial_pipeline": 3, "lead_time": 2}]
    short = {"train": 20, "evaluate": 21, "warm_up": 0}
    return {
        "tiny": tiny(),
        "late": tiny({"max_order": 4}, {"traffic": 5}, name="late", supply=late),
        "dear": tiny(dear | salvage, {"traffic": 5, "uplift": 0.9}, name="dear", periods=short),
    }


def optimum_runs(known: list[str], starts: list[str], seeds: int, steps: float) -> Iterator[dict[str, Any]]:
    """By firm, seed and start."""
    for firm, seed, start in product(known, range(seeds), starts):
        yield {"firm": firm, "start": start, "seed": seed, "steps": steps}


def rate_runs(known: list[str], seeds: int, steps: float) -> Iterator[dict[str, Any]]:
    """By seed, firm, ratio of rates and who is fast; one timescale is whose it may be."""
    for seed, firm, ratio in product(range(seeds), known, RATIOS):
        for fast in ("recommendation", "replenishment")[: 1 if ratio == 1 else 2]:
            yield {"firm": firm, "start": "nothing", "seed": seed, "steps": steps, "ratio": ratio, "fast": fast}


def trained(run: dict[str, Any]) -> dict[str, Any]:
    """One training in this process: the profit of its policies on fresh episodes, mean and standard error."""
    settle()
    given: dict[str, Any] = {"scheme": "mtma", "seed": run["seed"], "steps": run["steps"], **STARTS[run["start"]]}
    given |= {"iterations": 1_000_000, "copies": 256}
    if "ratio" in run:
        laws = {"fast_law": 2e-3, "slow_law": 2e-3 / run["ratio"]}
        given |= {"fast": run["fast"], **{law: {"initial": rate, "decay": 0.7} for law, rate in laws.items()}}
    firm, settings = firms().get(run["firm"]) or load_firm(run["firm"]), settings_of(given)
    plan = setup_of(firm, settings)
    workers = LocalGroup(plan.factories, 1, 1)
    how = {"streams": plan.streams, "train_periods": plan.firm.periods.train}
    training = Training(workers, settings, plan.base(settings), **how)
    scheme = scheme_of("mtma").runner.begin(plan.network, training)
    before = -float(training.costs(_EPISODES, Stream.REPORT).mean())
    scheme.run(lambda _: None, lambda *_: None, lambda: None)
    profit = -training.costs(_EPISODES, Stream.REPORT, *scheme.policies)
    error = float(profit.std() / _EPISODES**0.5)
    return run | {"before": before, "profit": float(profit.mean()), "error": error, "seconds": training.seconds}


def optimum_of(firm: Firm, clock: bool) -> float:
    """What the exact optimum earns, or the best policy that does not know the period."""
    from departments.rules.optimum import optimum

    return -float(optimum(firm, clock=clock).expected_cost)  # type: ignore[union-attr]


def table(found: list[dict[str, Any]]) -> str:
    """Means over seeds with half of their 95% interval (normal), and gaps to the optimum, in markdown."""
    known, pairs = firms(), {(run["firm"], run["start"] != BLIND) for run in found}
    best = {(firm, clock): optimum_of(known[firm], clock) for firm, clock in pairs if firm in known}
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    found = sorted(found, key=lambda run: (run["firm"], run.get("ratio", 0), run.get("fast", "")))
    for run in found:
        groups.setdefault((run["firm"], run["start"], run.get("fast", ""), run.get("ratio", "")), []).append(run)
    lines = [
        "| firm | optimum | start | fast | ratio | seeds | before | profit | gap | worst gap | seconds |",
        "| --- " * 11 + "|",
    ]
    for (firm, start, fast, ratio), runs in groups.items():
        profit = np.array([run["profit"] for run in runs])
        half = 1.96 * profit.std(ddof=1) / len(profit) ** 0.5 if len(profit) > 1 else float("nan")
        most = best.get((firm, start != BLIND), float("nan"))
        gap, worst = 1.0 - profit.mean() / most, 1.0 - profit.min() / most
        seconds = float(np.median([run["seconds"] for run in runs]))
        before = np.mean([run["before"] for run in runs])
        cells = (
            firm,
            f"{most:.1f}",
            start,
            fast,
            ratio,
            len(runs),
            f"{before:.1f}",
            f"{profit.mean():.1f} ± {half:.1f}",
        )
        lines.append("| " + " | ".join(map(str, (*cells, f"{gap:.2%}", f"{worst:.2%}", f"{seconds:.0f}"))) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("optimum", "rates"), default="optimum")
    parser.add_argument("--firms", nargs="+", help="default: all that are known, or tiny for `rates`")
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS), help="of `optimum`")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=float, default=3e6, help="environment steps of a run")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/timescales.jsonl"))
    options = parser.parse_args()
    much = options.seeds, options.steps
    which = options.firms or (["tiny"] if options.only == "rates" else list(firms()))
    rates = options.only == "rates"
    runs = list(rate_runs(which, *much) if rates else optimum_runs(which, options.starts, *much))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.touch()
    kept = [json.loads(line) for line in options.out.read_text().splitlines()]
    done = [run for run in kept if {key: value for key, value in run.items() if key not in _FOUND} in runs]
    left = [run for run in runs if not any(run.items() <= one.items() for one in done)]
    with ProcessPoolExecutor(options.jobs) as pool, options.out.open("a") as file:
        for future in as_completed([pool.submit(trained, run) for run in left]):
            done.append(future.result())
            file.write(json.dumps(done[-1]) + "\n")
            file.flush()
            sys.stderr.write(f"{len(done)} of {len(runs)}\n")
    order = {json.dumps(run): place for place, run in enumerate(runs)}
    done.sort(key=lambda one: order[json.dumps({key: value for key, value in one.items() if key not in _FOUND})])
    sys.stdout.write(table(done) + "\n")


_FOUND = ("before", "profit", "error", "seconds")

if __name__ == "__main__":
    main()

"""What policies of one firm are worth in another: `python benchmarks/transfer.py steps a1 a3` and `... zero-shot`.

All departments follow one network (`policy.over_points: shared`), taught by pathwise from the benchmark's base-stock
levels, so nothing is tuned. `steps`: the second firm is trained from scratch with so many environment steps, and with
fewer of them from where the first one ended (`--from`); costs are of the same fresh episodes, differences paired; the
default departments, each with a network of its own, stand beside them. How many copies play goes by the steps.
`zero-shot`: one network is taught 200 random firms in turn, and acts in 20 others that it has never seen, beside
decomposition-aggregation and tuned base-stock.

Runs, the network and a line of json for each firm are kept in `--out`; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import firmwide
from coordinator.evaluation.evaluate import evaluate
from coordinator.runs.folder import RunFolder
from coordinator.runs.transfer import policies_from
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.pathwise import PathwiseRun
from coordinator.schemes.setup import setup_of
from coordinator.storage.files import write_atomically
from coordinator.storage.policies import load_checkpoint, save_checkpoint
from coordinator.workers.process import settle
from departments.department import Department
from departments.learning.pathwise import PathwiseConfig, window_of
from departments.play.tuning import quiet, tuned_base_stock
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import Snapshot
from departments.rules.ordering import baseline_levels
from environment import Firm, World, parse_firm
from environment.observation import Observer

_SET = ("policy.over_points=shared", "base_policy=benchmark")
_TAUGHT = {
    "scheme": "pathwise",
    "policy": {"over_points": "shared"},
    "base_policy": "benchmark",
    "scaling": "benchmark",
}
_AT_ONCE, _COPIES, _KEPT = 4, 16, 50  # firms of an update, copies of each; updates from one checkpoint to the next
_SHARES = (1.0, 0.2, 0.1)  # of the steps of a whole training
_MANY = ("pathwise.copies=256",)  # as many as without a budget of steps, for few updates


def random_firm(number: int) -> Firm:
    """A tree of 1 to 3 echelons and 2 to 10 points, as one might meet it; same number, same firm."""
    rng = np.random.default_rng((number, 2026))
    echelons, points, supply = int(rng.integers(1, 4)), dict[str, Any](), list[dict[str, Any]]()
    size = int(rng.integers(max(2, echelons), 11))
    levels = [1, 1, size - 2] if echelons == 3 else [1, size - 1] if echelons == 2 else [size]
    if echelons == 3 and size > 3:
        levels[1] = int(rng.integers(1, (size - 1) // 2 + 1))
        levels[2] = size - 1 - levels[1]
    above, holding, flows = ["outside"], 1.0, {}
    costs = np.cumprod([1.0, *rng.uniform(0.4, 0.9, echelons - 1)])[::-1]  # less upstream
    for depth, (count, holding) in enumerate(zip(levels, costs, strict=True)):
        names = [f"point-{depth}-{i}" for i in range(count)]
        for i, name in enumerate(names):
            law: dict[str, Any] = {"law": "uniform", "low": 1, "high": int(rng.integers(2, 6))}
            lead = law if rng.random() < 0.3 else int(rng.integers(1, 6))
            supply.append({"from": above[i % len(above)], "to": name, "lead_time": lead})
            points[name] = {"holding_cost": round(float(holding), 3), "max_order": 0}
        above = names
    for name in above:
        mean = float(np.exp(rng.uniform(math.log(2.0), math.log(20.0))))
        cv = rng.uniform(1.1, 2.0) / math.sqrt(mean)
        noisy = {"law": "negative_binomial", "mean": round(mean, 2), "cv": round(float(cv), 3)}
        points[name]["demand"] = {"law": "poisson", "mean": round(mean, 2)} if rng.random() < 0.5 else noisy
        points[name]["backorder_cost"] = round(float(np.exp(rng.uniform(math.log(4.0), math.log(40.0)))), 1)
        flows[name] = mean
    for edge in reversed(supply):
        flow = flows[edge["to"]]
        points[edge["to"]]["max_order"] = math.ceil(8.0 * flow + 20.0)
        flows[edge["from"]] = flows.get(edge["from"], 0.0) + flow
    return parse_firm({"name": f"random-{number}", "unmet": "backorder", "stock_points": points, "supply": supply})


class Pupil:
    """A random firm in which the network is taught."""

    def __init__(self, firm: Firm, settings: PathwiseRun) -> None:
        """Build its world."""
        plan = setup_of(firm, settings)
        self.names, self.window, self.plan = list(plan.specs), window_of(plan.network), plan
        self._worker = plan.factories.environment()
        self._state = self._worker.start(_COPIES)
        levels = baseline_levels(firm)
        self._unit = float((firm.amounts("holding_cost") * levels).sum())  # money, so that all firms count alike
        self.steps = _COPIES * self.window

    def gradient(self, shared: Snapshot, seed: tuple[int, ...], bound: float) -> Any:  # noqa: ANN401
        """Of the network, by what a stretch of periods costs."""
        self._worker.publish(*(replace(shared, department=name) for name in self.names))
        *gradients, _, self._state = self._worker.descend(self.names, self.window, seed, bound, None, *self._state)
        return np.sum(gradients, 0, dtype=np.float32) / self._unit


def teach(folder: Path, firms: int, updates: int) -> None:
    """One network for random firms, kept as the run of the first of them; what was begun goes on."""
    settings = settings_of(_TAUGHT)
    assert isinstance(settings, PathwiseRun)
    pupils = [Pupil(random_firm(number), settings) for number in range(firms)]
    first = pupils[0].plan.specs[pupils[0].names[0]]
    learner, teaching, done, spent = Department(first), PathwiseConfig(max_grad_norm=1.0), 0, 0.0
    kept = folder.with_suffix(".checkpoint")
    if kept.is_file():
        state, record = load_checkpoint(kept)
        learner.restore(state)
        done, spent = record["updates"], record["seconds"]
    begun = time.process_time()
    for update in range(done, updates):
        order = np.random.default_rng((update * _AT_ONCE // firms, 7)).permutation(firms)
        chosen = [pupils[order[(update * _AT_ONCE + i) % firms]] for i in range(_AT_ONCE)]
        shared = learner.snapshot()
        gradients = [one.gradient(shared, (0, update, i), teaching.unit_bound) for i, one in enumerate(chosen)]
        learner.descend(teaching, update / updates, *gradients)
        if (update + 1) % _KEPT == 0 or update + 1 == updates:
            seconds = spent + time.process_time() - begun
            save_checkpoint(kept, learner.state(), {"updates": update + 1, "seconds": seconds})
            sys.stderr.write(f"{update + 1} updates, {seconds:.0f} s of processor time\n")
    run = RunFolder(folder)
    run.create(random_firm(0), settings)
    for name in pupils[0].names:
        about = {"why": f"taught {firms} random firms", "updates": updates}
        run.save_snapshot(replace(learner.snapshot(), department=name, version=1), about)


def acting(run: Path, firm: Firm) -> FirmPolicy:
    """The network of a run in a firm that it need not know."""
    world, levels = World(firm, baseline_levels(firm)), baseline_levels(firm)
    start = policies_from(run, firm, RunFolder(run).settings().for_firm(firm))
    scaling = "benchmark" if RunFolder(run).settings().scaling == "benchmark" else "standard"
    return FirmPolicy(world, Observer(world, levels, scaling), start)


def zero_shot(options: argparse.Namespace) -> None:
    """Teach, play, print the table."""
    run = options.out / f"taught-{options.firms}-{options.updates}"
    if not run.is_dir():
        teach(run, options.firms, options.updates)
    lines = []
    for number in range(options.firms, options.firms + options.strange):
        place, firm = options.out / f"{run.name}-firm-{number}.json", random_firm(number)
        if not place.is_file():
            policies = {"da": "decomposition-aggregation", "tuned": tuned_base_stock(firm), "shared": acting(run, firm)}
            found = evaluate(firm, policies, episodes=options.episodes, compiled=quiet)
            told = {name: found.mean(name)[0] for name in policies}
            told |= {"se": found.difference("shared", "tuned")[1], "points": len(firm.names)}
            write_atomically(place, json.dumps(told) + "\n")
        lines.append(json.loads(place.read_text()))
        told = lines[-1]
        row = f"{told['points']} | {told['da']:,.1f} | {told['tuned']:,.1f} | {told['shared']:,.1f}"
        over, error = (100.0 * what / told["tuned"] for what in (told["shared"] - told["tuned"], 2 * told["se"]))
        sys.stdout.write(f"| {number} | {row} | {over:+.2f} ± {error:.2f}% |\n")
    shares = [[line["shared"] / line[base] - 1.0 for line in lines] for base in ("tuned", "da")]
    for base, share in zip(("tuned base-stock", "decomposition-aggregation"), shares, strict=True):
        sys.stdout.write(f"over {base}: mean {100 * np.mean(share):+.2f}%, worst {100 * max(share):+.2f}%\n")


def steps(options: argparse.Namespace) -> None:
    """Train what is missing, print costs by steps."""
    source, target = options.source, options.target
    how = {"scheme": "pathwise", "backend": "local", "threads": 1, "progress": False, "episodes": 2}
    how["seed"] = options.seed

    def trained(name: str, firm: str, budget: float, **more: Any) -> Path:  # noqa: ANN401
        run = options.out / f"{name}-seed-{options.seed}"
        if not (run / "result.json").is_file():
            firmwide.train(firm, run=run, budget=f"{budget:g}", **{"values": _SET, **how, **more})
        return run

    whole, firm = options.budget, firmwide.load_firm(target)
    before = trained(f"{source}-{whole:g}", source, whole)
    policies: dict[str, Any] = {"base-stock | 0": "decomposition-aggregation", "tuned | 0": "tuned-base-stock"}
    policies[f"own networks | {whole:g}"] = str(trained(f"{target}-own-{whole:g}", target, whole, values=()))
    policies[f"--from {source} | 0"] = acting(before, firm)
    for share in _SHARES:
        budget, ways = share * whole, {"from scratch": (_SET, None)}
        if share < 1.0:
            ways[f"--from {source}"] = (_SET, before)
        else:
            ways["from scratch by 256 copies"] = ((*_SET, *_MANY), None)
        for way, (values, start) in ways.items():
            run = trained(
                f"{target}-{budget:g} {way}".replace(" ", "-"), target, budget, values=values, start_from=start
            )
            policies[f"{way} | {budget:g}"] = str(run)
    found = evaluate(firm, policies, episodes=options.episodes, compiled=quiet)
    reference = f"from scratch | {whole:g}"
    for name, policy in policies.items():
        seconds = RunFolder(Path(policy)).table("metrics.csv")["seconds"].iloc[-1] if "/" in str(policy) else 0.0
        mean, (more, error) = found.mean(name)[0], found.difference(name, reference)
        sys.stdout.write(f"| {name} | {seconds:.0f} | {mean:,.1f} | {more:+.1f} ± {2 * error:.1f} |\n")


def main() -> None:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"))
    parser.add_argument("--episodes", type=int, default=4096)
    kinds = parser.add_subparsers(required=True)
    one = kinds.add_parser("steps")
    one.add_argument("source")
    one.add_argument("target")
    one.add_argument("--budget", type=float, default=1e6, help="environment steps of a whole training")
    one.add_argument("--seed", type=int, default=0, help="of learning")
    one.set_defaults(do=steps)
    other = kinds.add_parser("zero-shot")
    other.add_argument("--firms", type=int, default=200)
    other.add_argument("--strange", type=int, default=20)
    other.add_argument("--updates", type=int, default=3000)
    other.set_defaults(do=zero_shot)
    options = parser.parse_args()
    settle()
    options.out.mkdir(parents=True, exist_ok=True)
    options.do(options)


if __name__ == "__main__":
    main()

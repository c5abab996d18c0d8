"""Departments trained on disruptions beside those trained on calm: `python benchmarks/disruptions.py c1 d1`.

Every supplier outside is shut 5% of the time, for 5 periods on average. Departments learn by pathwise for so many
updates, from levels that were tuned there, too: in the firm as it is, and where suppliers shut. Then both meet the same
fresh episodes in which they do; those that were trained on calm do not see it.

What is told: cost, the worst 5% of episodes, and both paired with what was trained on disruptions, two standard errors
beside them; that of the worst 5% by its influence function, v + (cost - v)^+ / .05 with v the 95% quantile (Rockafellar
& Uryasev 2000, Optimization of conditional value-at-risk, Journal of Risk 2(3)). And the time to recover (ours):
periods from when the last supplier opens again until customers are owed no more than when the first one shut; episodes
that end before count as far as they go.

A run is a folder of `--out`, a comparison a json file beside it; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from coordinator.learning.settings import Wiring
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.watcher import Watcher
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import scaling_of
from coordinator.workers.process import settle
from departments.decisions import Policy
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.episode import shards
from departments.play.stepping import play
from departments.policies.firm_policy import FirmPolicy
from departments.rules.ordering import BaseStock, baseline_levels
from environment import Firm, World, load_firm
from environment.observation import Observer

START, END, WORST = 0.0105, 0.2, 0.05
_RECOVERED = 1024  # episodes that times to recover are taken from

Costs = NDArray[np.float64]


def shut(name: str, start: float) -> Firm:
    """A firm whose suppliers outside shut with that chance a period."""
    firm, disruption = load_firm(name), {"start": start, "end": END}
    supply = [edge.model_dump(by_alias=True, exclude_unset=True) for edge in firm.supply]
    supply = [edge | ({"disruption": disruption} if edge["from"] == "outside" else {}) for edge in supply]
    given = firm.model_dump(by_alias=True, exclude_unset=True) | {"supply": supply}
    return Firm.model_validate(given)


class Told(Watcher):
    """Prints notes."""

    def note(self, line: str) -> None:
        """A line."""
        print(line, file=sys.stderr, flush=True)


def observer_of(firm: Firm, run: RunFolder) -> Observer:
    """What the departments of a run see, scaled as where they were trained; a shut supplier only if some ever shut."""
    seen = Observer(World(firm, baseline_levels(firm)), run.base_levels(), scaling_of(firm, run.settings()))
    if not any(edge.disruption and edge.disruption.start for edge in firm.supply):
        seen.factor[[label.startswith("shut/") for label in seen.labels()]] = 0.0
    return seen


@torch.inference_mode()
def times_to_recover(world: World, policy: Policy, episodes: int) -> float:
    """Mean periods to recover over all outages of some episodes."""
    total, outages, count = 0.0, 0.0, world.aside[0]
    for chance in shards(world, episodes, 0):
        owed = torch.zeros(chance.demand.shape[-1])
        level, before, late = owed.clone(), owed, torch.zeros_like(owed, dtype=torch.bool)
        for step in play(world, policy, chance):
            closed = step.after.aside[:count].amax((0, 1)) > 0.0
            owed = world.backlog(step.after).sum((0, 1))
            level = torch.where(closed & ~late, before, level)  # an outage begins where none is to be recovered from
            outages += float((closed & ~late).sum())
            late = closed | (late & (owed > level))
            total += float((late & ~closed).sum())
            before = owed
    return total / outages


def worst_of(cost: Costs) -> tuple[float, Costs]:
    """The mean of the worst 5%, and what every episode adds to it."""
    v = np.quantile(cost, 1.0 - WORST)
    adds = v + np.maximum(cost - v, 0.0) / WORST
    return float(adds.mean()), adds


def compared(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train what is missing, and compare."""
    firms = {"disruptions": shut(name, START), "calm": shut(name, 0.0)}
    world = World(firms["disruptions"], baseline_levels(firms["disruptions"]))
    chances, costs, recover = list(shards(world, options.episodes, 0)), dict[str, Costs](), dict[str, float]()
    for where, firm in firms.items():
        run = RunFolder(options.out / f"{name}-{where}-{seed}")
        if not (run.path / "done").exists():
            teaching = {"updates": options.updates} | options.teaching
            settings = {"scheme": "pathwise", "seed": seed, "pathwise": teaching, "policy": options.policy}
            resume = run.path.exists()
            wiring = Wiring(backend="local", threads=1)
            train(firm, settings_of(settings), wiring, run.path, Told(), resume=resume)
            (run.path / "done").touch()
        snapshots, observer = list(firm_policies(run).values()), observer_of(firm, run)
        levels = BaseStock("tuned", run.base_levels())
        learned = CompiledRollouts(world, observer)
        played = CompiledEpisodes(world, lambda _: None)
        costs[f"pathwise, {where}"] = np.concatenate([learned.costs(snapshots, c).sum(0).numpy() for c in chances])
        costs[f"tuned levels, {where}"] = np.concatenate([played.costs(levels, c).sum(0).numpy() for c in chances])
        recover[f"pathwise, {where}"] = times_to_recover(world, FirmPolicy(world, observer, snapshots), _RECOVERED)
        recover[f"tuned levels, {where}"] = times_to_recover(world, levels, _RECOVERED)
    found = {}
    best, (_, best_worst) = costs["pathwise, disruptions"], worst_of(costs["pathwise, disruptions"])
    for policy, cost in costs.items():
        worst, adds = worst_of(cost)
        more, worse = cost - best, adds - best_worst
        error = [2.0 * float(np.std(apart)) / len(apart) ** 0.5 for apart in (more, worse)]
        found[policy] = {
            "cost": float(cost.mean()),
            "more": [float(more.mean()), error[0]],
            "worst": worst,
            "worse": [float(worse.mean()), error[1]],
            "recover": recover[policy],
        }
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("firms", nargs="+")
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=256)
    parser.add_argument("--observation", default="downstream")
    parser.add_argument("--episodes", type=int, default=8192)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/disruptions"))
    options = parser.parse_args()
    options.teaching, options.policy = {"copies": options.copies}, {"observation": options.observation}
    settle()
    options.out.mkdir(parents=True, exist_ok=True)
    print("| firm | policy | cost | more | worst 5% | more | periods to recover |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name in options.firms:
        for seed in options.seeds:
            kept = options.out / f"{name}-{seed}.json"
            if not kept.exists():
                kept.write_text(json.dumps(compared(name, seed, options), indent=1))
            for policy, told in json.loads(kept.read_text()).items():
                apart = [f"{told[what][0]:,.0f} ± {told[what][1]:,.0f}" for what in ("more", "worse")]
                cells = f"{told['cost']:,.0f} | {apart[0]} | {told['worst']:,.0f} | {apart[1]}"
                print(f"| {name} | {policy} | {cells} | {told['recover']:.1f} |", flush=True)


if __name__ == "__main__":
    main()

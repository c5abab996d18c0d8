"""Departments trained on disruptions beside those trained on calm: `python benchmarks/disruptions.py c1 d1`.

Every supplier outside is shut 5% of the time, for 5 periods on average. Departments learn by pathwise for so many
updates, from levels that were tuned there, too: in the firm as it is, and where suppliers shut. Then both meet the same
fresh episodes in which they do; those that were trained on calm do not see it.

What is told, as by `firmwide evaluate`: cost, the worst 5% of episodes, and both paired with what was trained on
disruptions, two standard errors beside them; and the time to recover: periods from when the last supplier opens again
until customers are owed no more than before the first one shut.

A run is a folder of `--out`, a comparison a json file beside it; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from coordinator.evaluation.evaluate import evaluate
from coordinator.learning.settings import Wiring
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.watcher import Watcher
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import scaling_of
from coordinator.workers.process import settle
from departments.decisions import Policy
from departments.play.tuning import quiet
from departments.policies.firm_policy import FirmPolicy
from departments.rules.ordering import BaseStock, baseline_levels
from environment import Firm, World, load_firm
from environment.observation import Observer
from environment.parts import OUTSIDE, Disruption

START, END = 0.0105, 0.2
BEST = "pathwise, disruptions"


def shut(name: str, start: float) -> Firm:
    """A firm whose suppliers outside shut with that chance a period."""
    firm, disruption = load_firm(name), Disruption(start=start, end=END)
    supply = [
        edge.model_copy(update={"disruption": disruption}) if edge.source == OUTSIDE else edge for edge in firm.supply
    ]
    return firm.model_copy(update={"supply": tuple(supply)})


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


def compared(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train what is missing, and compare."""
    firms = {"disruptions": shut(name, START), "calm": shut(name, 0.0)}
    policies: dict[str, Policy] = {}
    world = World(firms["disruptions"], baseline_levels(firms["disruptions"]))
    for where, firm in firms.items():
        run = RunFolder(options.out / f"{name}-{where}-{seed}")
        if not (run.path / "done").exists():
            teaching = {"updates": options.updates} | options.teaching
            settings = {"scheme": "pathwise", "seed": seed, "pathwise": teaching, "policy": options.policy}
            resume = run.path.exists()
            wiring = Wiring(backend="local", threads=1)
            train(firm, settings_of(settings), wiring, run.path, Told(), resume=resume)
            (run.path / "done").touch()
        snapshots = list(firm_policies(run).values())
        policies[f"pathwise, {where}"] = FirmPolicy(world, observer_of(firm, run), snapshots)
        policies[f"tuned levels, {where}"] = BaseStock("tuned", run.base_levels())
    found = evaluate(firms["disruptions"], policies, episodes=options.episodes, compiled=quiet)
    told = found.to_json()["policies"]
    for policy, own in told.items():
        paired = found.difference(policy, BEST), found.worst_difference(policy, BEST)
        own["more"], own["worse"] = ([mean, 2.0 * error] for mean, error in paired)
    return told


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
                cells = f"{told['cost']['mean']:,.0f} | {apart[0]} | {told['worst_5_percent']:,.0f} | {apart[1]}"
                print(f"| {name} | {policy} | {cells} | {told['recovery_time']:.1f} |", flush=True)


if __name__ == "__main__":
    main()

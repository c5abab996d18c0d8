"""Learning in large firms: `benchmarks/large_firms.py tree|products SCHEME FOLDER [--seconds S] [--set KEY=VALUE]`.

`tree`: 100 stock points of fan-out 10, one product; `products`: a warehouse and two shops, 200 products that differ in
demand and costs (`benchmarks/growth.py`). Trains in this process, into FOLDER/run, and compares what was learned with
decomposition-aggregation, tuned and echelon base-stock on 1,024 fresh episodes, the same for all: mean cost, and what
was saved over each rule with its standard error. The rules' levels are kept in FOLDER for the next time.

The tree's levels are searched class by class (the root; those below it that supply ten, and nine; the leaves; the leaf
below the root), from three starts.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

from growth import firm_of, uneven_products

from coordinator.experiments.options import with_values
from coordinator.learning.settings import Wiring
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.watcher import RunIteration, Watcher
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import scaling_of
from coordinator.workers.process import settle
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.episode import shards
from departments.play.tuning import tuned_base_stock, tuned_echelon_base_stock
from departments.rules.ordering import BaseStock, baseline_levels, echelon_weights
from environment import Firm, World, parse_firm
from environment.observation import Observer

EPISODES = 1024
ONE_OF_EACH = [0, 1, 9, 50, 10]  # a point of each class of the tree
CLASSES = np.array([0] + [1] * 8 + [2, 4] + [3] * 89)
_MOST = 2048  # episodes of the search, of which the first passes take half
_SEED = 77  # of them

Levels = NDArray[np.float64]


class Told(Watcher):
    """Prints notes, and costs on the selection episodes when there is another."""

    def __init__(self) -> None:
        self._begun, self._cost = time.monotonic(), 0.0

    def note(self, line: str) -> None:
        """A line."""
        print(line, flush=True)

    def iteration(self, seen: RunIteration) -> None:
        """A line for another cost."""
        if seen.cost is not None and seen.cost != self._cost:
            self._cost = seen.cost
            print(f"{time.monotonic() - self._begun:6.1f}s  {seen.who}  {seen.cost:,.1f}", flush=True)


def tree_levels(firm: Firm, weights: Levels | None, start: Levels) -> tuple[Levels, float]:
    """Levels [N, 1] of least cost that are alike in a class, from `start` [5] on, and their cost."""
    play, costs = CompiledEpisodes(World(firm, baseline_levels(firm)), print), dict[tuple[bytes, int], float]()
    chances = list(shards(World(firm, baseline_levels(firm)), _MOST, _SEED))
    moved = np.array([[10, 0, 0, -1, 0], [0, 10, 0, -1, 0], [0, 0, 9, -1, 0]])  # stock from the leaves to a class above
    moves = np.concatenate((np.eye(5, dtype=int), moved))

    def cost(levels: Levels, parts: int) -> float:
        key = levels.tobytes(), parts
        if key not in costs:
            rule = BaseStock("tried", levels[CLASSES][:, None].astype(float), weights)
            costs[key] = float(np.mean([float(play.costs(rule, one).sum(0).mean()) for one in chances[:parts]]))
        return costs[key]

    found = np.rint(start).astype(np.int64)
    for parts, steps in ((1, (16, 8, 4, 2, 1)), (2, (2, 1))):
        for step in steps:
            better = True
            while better:
                better = False
                for move in (sign * step * row for row in moves for sign in (1, -1)):
                    while cost(found + move, parts) < cost(found, parts):
                        found, better = found + move, True
    return found[CLASSES][:, None].astype(float), cost(found, 2)


def rules_of(name: str, firm: Firm, kept: Path) -> dict[str, BaseStock]:
    """Tuned and echelon base-stock, which are kept in a file."""
    if not kept.exists():
        if name == "products":
            tuned = tuned_base_stock(firm)
            rules = [tuned, tuned_echelon_base_stock(firm, start=tuned.levels)]
        else:
            weights, base = echelon_weights(firm), baseline_levels(firm)[ONE_OF_EACH, 0]
            starts = (base * [share, share, share, 1, 1] for share in (1.0, 0.6, 1.4))
            levels, _ = min((tree_levels(firm, None, start) for start in starts), key=lambda found: found[1])
            echelon, _ = tree_levels(firm, weights, (weights @ levels)[ONE_OF_EACH, 0])
            rules = [BaseStock("tuned-base-stock", levels), BaseStock("echelon-base-stock", echelon, weights)]
        np.savez(kept, tuned=rules[0].levels, echelon=rules[1].levels, weights=rules[1].weights)
    with np.load(kept) as found:
        echelon = BaseStock("echelon-base-stock", found["echelon"], found["weights"])
        return {"tuned base-stock": BaseStock("tuned-base-stock", found["tuned"]), "echelon base-stock": echelon}


def main() -> None:
    """Train and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("firm", choices=("tree", "products"))
    parser.add_argument("scheme")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0, help="of learning")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable")
    asked = parser.parse_args()
    settle()
    firm = parse_firm(firm_of("tree", 100, 1) if asked.firm == "tree" else uneven_products())
    asked.folder.mkdir(parents=True, exist_ok=True)
    rules = rules_of(asked.firm, firm, asked.folder / f"{asked.firm}.npz")
    given = with_values({"scheme": asked.scheme, "seconds": asked.seconds}, asked.set)
    settings, run = settings_of(given), RunFolder(asked.folder / "run")
    wiring, base = Wiring(backend="local", threads=asked.threads), rules["tuned base-stock"].levels
    before = time.process_time()
    train(firm, settings, wiring, run.path, Told(), base=base)
    print(f"{time.process_time() - before:.0f} s of processor time")
    levels = baseline_levels(firm)
    world = World(firm, levels)
    play, observer = CompiledEpisodes(world, print), Observer(world, run.base_levels(), scaling_of(firm, settings))
    chance = next(shards(world, EPISODES, 0))
    learned = CompiledRollouts(world, observer).costs(list(firm_policies(run).values()), chance).sum(0)
    print(f"{asked.scheme:26s}{learned.mean():12,.1f} ± {learned.std() / EPISODES**0.5:.1f}")
    for name, rule in {"decomposition-aggregation": BaseStock("benchmark", levels), **rules}.items():
        cost = play.costs(rule, chance).sum(0)
        saved = cost - learned
        print(f"{name:26s}{cost.mean():12,.1f}, saved {saved.mean():,.1f} ± {saved.std() / EPISODES**0.5:.1f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

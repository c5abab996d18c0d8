"""World, rollout and training on a GPU, all copies on the device: `python benchmarks/cuda_speed.py [--firms a1 d1]`.

Environment steps per second, median and best: base-stock with demand drawn (world), the departments' networks acting
(rollout), and iterations of IMARL with one department learning, in one process (training). `--device cpu` measures the
same on the processor, to stand beside it.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import torch
from speed import machine
from world_speed import FIRMS, FixedLevels, episode, networks, rates, seconds

from coordinator.learning.iterations import Training
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import setup_of
from coordinator.workers.group import LocalGroup
from coordinator.workers.process import settle
from departments.rules.ordering import BaseStock, baseline_levels
from environment import World, load_firm
from environment.observation import Observer

_PERIODS, _REPEATS = 75, 5


@torch.inference_mode()
def acting(name: str, copies: int, device: str) -> dict[str, dict[str, float]]:
    """Steps per second of the world by base-stock, and with networks."""
    firm = load_firm(name)
    levels = baseline_levels(firm)
    world = World(firm, levels, device=device)
    policies = {
        "world": FixedLevels(BaseStock("base-stock", levels), world),
        "rollout": networks(world, Observer(world, levels)),
    }
    play = functools.partial(episode, world)
    return {
        part: rates(copies * _PERIODS, seconds(functools.partial(play, policy, copies), device, _REPEATS))
        for part, policy in policies.items()
    }


def learning(name: str, copies: int, device: str) -> dict[str, float]:
    """Steps per second of an iteration: rollout, advantages, all epochs of critic and department, publishing."""
    firm = load_firm(name)
    wide = {"minibatch": copies * firm.periods.train // 8}
    given = {"device": device, "copies": copies, "ppo": wide, "critic": wide, "base_policy": "benchmark"}
    settings = settings_of(given)
    plan = setup_of(firm, settings)
    training = Training(LocalGroup(plan.factories), settings, plan.base(settings), plan.streams, firm.periods.train)
    numbers = itertools.count()

    def iterate() -> None:
        training.iterate([firm.names[0]], (0, 0, next(numbers)))

    return rates(copies * firm.periods.train, seconds(iterate, device, _REPEATS))


def main() -> int:
    """Measure what was asked for; 2 where there is no such device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--firms", nargs="+", default=list(FIRMS), metavar="FIRM")
    parser.add_argument("--copies", nargs="+", type=int, default=[1024, 16384, 65536], metavar="E")
    parser.add_argument("--device", default="cuda", metavar="cuda|cpu")
    options = parser.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        sys.stderr.write(f"--device must be one that PyTorch finds here, got {options.device!r}: there is no GPU\n")
        return 2
    settle()
    found: dict[str, Any] = {"machine": machine(options.device)}
    for name, copies in itertools.product(options.firms, options.copies):
        speed = acting(name, copies, options.device) | {"training": learning(name, copies, options.device)}
        found.setdefault(name, {})[str(copies)] = speed
        sys.stderr.write(f"{name}, {copies} copies: {speed}\n")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

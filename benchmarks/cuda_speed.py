"""World, rollout and training on a GPU, all copies on the device: `python benchmarks/cuda_speed.py [--firms a1 firm]`.

First correctness (`--only check` for that alone): on the same chance, drawn on the processor, the world costs what it
costs there, to a unit of money in 10^9; a rollout by networks the same within 10^-4; the gradient of a first PPO update
is the processor's within 10^-3 of its length. Then environment steps per second, median and best: a rule with chance
drawn (world), the departments' networks acting (rollout), and iterations of training in one process: IMARL with one
department learning, or MTMA where there are customers. `--device cpu` measures the same on the processor.
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

import numpy as np
import torch
from speed import machine
from world_speed import FIRMS, FixedLevels, episode, rates, seconds

from coordinator.critic.value_function import values_of
from coordinator.learning.iterations import Training
from coordinator.learning.settings import Settings
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.registry import default_scheme
from coordinator.schemes.setup import TrainingSetup, setup_of
from coordinator.workers.group import LocalGroup
from coordinator.workers.process import settle
from departments.decisions import Policy
from departments.named_policies import parse_policy
from departments.play.episode import run_costs
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import Snapshot
from departments.rules.ordering import BaseStock, baseline_levels
from environment import Exogenous, Firm, World, load_firm
from environment.observation import Observer

_CHECKED, _PERIODS, _REPEATS = 512, 75, 5


def settings_on(firm: Firm, device: str, copies: int, **learning: Any) -> tuple[Settings, TrainingSetup]:  # noqa: ANN401
    """Of a run with eight minibatches an epoch, and its plan; `learning` is for departments and critic alike."""
    wide = {"minibatch": max(copies * firm.periods.train // 8, 1)} | learning
    given: dict[str, Any] = {"device": device, "copies": copies, "shards": 1, "ppo": wide, "critic": wide}
    settings = settings_of({"scheme": default_scheme(firm)} | given)
    return settings, setup_of(firm, settings, baseline_levels(firm))


def rule_on(world: World) -> Policy:
    """What plays where nothing has been learned: base-stock, or the coordinated rules."""
    levels = baseline_levels(world.firm)
    if world.firm.customers:
        return parse_policy("inventory-aware:0.25", world.firm)
    return FixedLevels(BaseStock("base-stock", levels), world)


def networks_on(world: World, plan: TrainingSetup) -> FirmPolicy:
    """All departments of a plan, with networks that are not constant."""
    snapshots = []
    for name, spec in plan.specs.items():
        first = spec.first_snapshot()
        noise = np.random.default_rng(spec.number).standard_normal(len(first.parameters)).astype(np.float32)
        snapshots.append(Snapshot(name, 1, spec.policy, first.parameters + 0.01 * noise))
    return FirmPolicy(world, Observer(world, baseline_levels(world.firm)), snapshots)


def check(name: str, device: str) -> dict[str, float]:
    """Largest relative differences between a device and the processor, of costs of each copy and of gradients.

    Raises:
        AssertionError: they are not the same.
    """
    firm = load_firm(name)
    plans = [(where, settings_on(firm, where, _CHECKED, epochs=1, minibatch=10**9)[1]) for where in ("cpu", device)]
    found = {}
    chance = World(firm, baseline_levels(firm), dtype=torch.float64).draw(
        _PERIODS, _CHECKED, World(firm, baseline_levels(firm)).generator(0)
    )
    for part, dtype, bound in (("world", torch.float64, 1e-9), ("rollout", torch.float32, 1e-4)):
        costs = []
        for where, plan in plans:
            world = World(firm, baseline_levels(firm), device=where, dtype=dtype)
            policy = rule_on(world) if part == "world" else networks_on(world, plan)
            with torch.inference_mode():
                costs.append(run_costs(world, policy, moved(chance, where, dtype)).cpu().double())
        # rounding of a network's output may turn a unit of one order; what a rollout costs on average is the same
        cpu, other = costs if part == "world" else [cost.sum((0, 1)).mean() for cost in costs]
        found[part] = float(((cpu - other).abs() / cpu.abs().clamp_min(1.0)).max())
        if not found[part] <= bound:
            raise AssertionError(f"{name}: {part} on {device} differs by {found[part]:.2g}, at most {bound:g} may be")
    plan = plans[0][1]
    learning = list(plan.specs) if firm.customers else [firm.names[0]]
    group = LocalGroup(plan.factories)
    group.environments[0].call("publish", *(spec.first_snapshot() for spec in plan.specs.values()))
    streams = [plan.streams[who] for who in learning]
    values = values_of(
        group.critic.call("calibrate", streams, group.environments[0].call("rewards", learning, 64, (0,)))
    )
    parts = group.environments[0].call("rollout", learning, streams, values, 64, (0,), returns=len(learning) + 1)
    for who, part in zip(learning, parts, strict=False):
        first = []
        for _, own in plans:
            department = own.factories.departments[who]()
            _, state, _ = department.learn((0,), part)
            first.append(torch.as_tensor(state["first"]))
        found[f"gradient of {who}"] = float((first[0] - first[1]).norm() / first[0].norm().clamp_min(1e-12))
        if not found[f"gradient of {who}"] <= 1e-3:
            raise AssertionError(f"{name}: {who} learns otherwise on {device}: {found}")
    return found


def moved(chance: Exogenous, device: str, dtype: torch.dtype) -> Exogenous:
    """The same chance elsewhere."""

    def there(part: torch.Tensor | None) -> torch.Tensor | None:
        return None if part is None else part.to(device, dtype if part.dtype.is_floating_point else part.dtype)

    demand, *others = map(there, chance)
    assert demand is not None
    return Exogenous(demand, *others)


@torch.inference_mode()
def acting(name: str, copies: int, device: str) -> dict[str, dict[str, float]]:
    """Steps per second of the world by a rule, and with networks."""
    firm = load_firm(name)
    world = World(firm, baseline_levels(firm), device=device)
    policies = {"world": rule_on(world), "rollout": networks_on(world, settings_on(firm, device, copies)[1])}
    play = functools.partial(episode, world)
    return {
        part: rates(copies * _PERIODS, seconds(functools.partial(play, policy, copies), device, _REPEATS))
        for part, policy in policies.items()
    }


def learning(name: str, copies: int, device: str) -> dict[str, float]:
    """Steps per second of an iteration: rollout, advantages, all epochs of critic and departments, publishing."""
    firm = load_firm(name)
    settings, plan = settings_on(firm, device, copies)
    training = Training(LocalGroup(plan.factories), settings, plan.base(settings), plan.streams, firm.periods.train)
    numbers = itertools.count()
    learners = list(plan.specs) if firm.customers else [firm.names[0]]

    def iterate() -> None:
        training.iterate(learners, (0, 0, next(numbers)))

    return rates(copies * firm.periods.train, seconds(iterate, device, _REPEATS))


def main() -> int:
    """Measure what was asked for; 2 where there is no such device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--firms", nargs="+", default=[*FIRMS, "closing-loop", "firm"], metavar="FIRM")
    parser.add_argument("--copies", nargs="+", type=int, default=[1024, 16384, 65536], metavar="E")
    parser.add_argument("--device", default="cuda", metavar="cuda|cpu")
    parser.add_argument("--only", choices=("check", "speed"), help="one part")
    options = parser.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        sys.stderr.write(f"--device must be one that PyTorch finds here, got {options.device!r}: there is no GPU\n")
        return 2
    settle()
    found: dict[str, Any] = {"machine": machine(options.device)}
    for name in options.firms if options.only != "speed" and options.device != "cpu" else ():
        found.setdefault(name, {})["check"] = check(name, options.device)
        sys.stderr.write(f"{name}: {found[name]['check']}\n")
    for name, copies in itertools.product(options.firms, options.copies if options.only != "check" else ()):
        speed = acting(name, copies, options.device) | {"training": learning(name, copies, options.device)}
        found.setdefault(name, {})[str(copies)] = speed
        sys.stderr.write(f"{name}, {copies} copies: {speed}\n")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

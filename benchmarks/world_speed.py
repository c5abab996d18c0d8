"""How fast the world is, alone and with the departments' networks in it."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from departments.decisions import OrdersAlone, Policy
from departments.play.stepping import play
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.ordering import BaseStock, baseline_levels
from environment import State, World, load_firm
from environment.observation import Observer

FIRMS = ("a1", "c1", "d1")
COPIES = (64, 256, 1024, 4096)
_PERIODS = 75


def seconds(step: Callable[[], object], device: str, repeats: int) -> list[float]:
    """Wall times of `repeats` runs, two more having gone before."""
    taken = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        step()
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return taken[2:]


def rates(steps: int, taken: list[float]) -> dict[str, float]:
    """Steps per second, median and best."""
    return {"median": round(steps / statistics.median(taken)), "best": round(steps / min(taken))}


def episode(world: World, policy: Policy, copies: int) -> None:
    """One training-like episode: demand drawn, orders clipped and rounded, costs added up."""
    cost = world.max_order.new_zeros(world.points, copies)
    for step in play(world, policy, world.draw(_PERIODS, copies, world.generator(copies))):
        cost += step.outcome.cost


def networks(world: World, observer: Observer) -> FirmPolicy:
    """All departments with networks that are not constant, (64, 64) each."""
    config, snapshots = PolicyConfig(), []
    for point, name in enumerate(world.firm.names):
        network = DepartmentSpec.of(world, observer, name, config).network
        noise = np.random.default_rng(point).standard_normal(network.count).astype(np.float32)
        snapshots.append(Snapshot(name, 1, config, network.initial(-1.0, point) + 0.01 * noise))
    return FirmPolicy(world, observer, snapshots)


@torch.inference_mode()
def world_speed(device: str, report: Callable[[str], None]) -> dict[str, Any]:
    """Environment steps per second by firm and number of copies, and the networks' share of a rollout."""
    found: dict[str, Any] = {}
    for name in FIRMS:
        firm = load_firm(name)
        levels = baseline_levels(firm)
        world = World(firm, levels, device=device)
        acting = networks(world, Observer(world, levels))
        rule = FixedLevels(BaseStock("base-stock", levels), world)
        found[name] = {}
        for copies in COPIES:
            steps, repeats = copies * _PERIODS, 15 if copies <= 1024 else 7
            alone = seconds(functools.partial(episode, world, rule, copies), device, repeats)
            joint = seconds(functools.partial(episode, world, acting, copies), device, 5)
            share = 1.0 - statistics.median(alone) / statistics.median(joint)
            found[name][str(copies)] = {
                "world": rates(steps, alone),
                "with_networks": rates(steps, joint),
                "share_of_networks": round(share, 3),
            }
            report(f"{name}, {copies} copies: {found[name][str(copies)]}")
    return found


class FixedLevels(OrdersAlone):
    """A base-stock rule whose levels are on the device already."""

    def __init__(self, rule: BaseStock, world: World) -> None:
        self._level = torch.as_tensor(rule.levels, device=world.device, dtype=world.dtype)[:, :, None]

    def order(self, world: World, state: State) -> torch.Tensor:
        """Level less position."""
        return self._level - state.inventory_position

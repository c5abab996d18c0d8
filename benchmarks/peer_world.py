"""Simulation alone, on one core: our world, the same world in JAX, and stockpyl."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from world_speed import FIRMS, FixedLevels, episode

from departments.play.stepping import play
from departments.rules.ordering import BaseStock, baseline_levels
from environment import CompiledWorld, NotCompiledError, OrderUpTo, World, load_firm
from environment.compiled import library

EAGER, COMPILED, IN_JAX = "our world", "our world, compiled", "the same in JAX"
LATE = ("b3", "c3")  # firms with random lead times of several periods
_COPIES, _PERIODS, _REPEATS = 1024, 75, 15


def on_one_core() -> None:
    """Keep this process, and the threads it will start, on one core."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


def _rates(episodes: dict[str, Callable[[int], object]]) -> dict[str, dict[str, float]]:
    """Steps per second of episodes of all copies, taken in turn, and the seconds that the first ones took longer."""
    taken: dict[str, list[float]] = {name: [] for name in episodes}
    for number in range(_REPEATS + 1):
        for name, run in episodes.items():
            start = time.perf_counter()
            run(number)
            taken[name].append(time.perf_counter() - start)
    middle = {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
    return {
        name: {"steps_per_second": _COPIES * _PERIODS / middle[name], "compile_seconds": seconds[0] - middle[name]}
        for name, seconds in taken.items()
    }


def worlds() -> dict[str, Any]:
    """Our world, eager and compiled, and the same in one jitted JAX scan if JAX is there: by name, then by firm.

    Everyone plays base-stock and draws its demand in the episode. Costs agree on the same draws, or nothing is timed.
    """
    on_one_core()
    with_jax = importlib.util.find_spec("jax") is not None
    if not with_jax:
        sys.stderr.write("world: JAX left out, it is not installed (pip install 'firmwide[peers]')\n")
    found: dict[str, Any] = {}
    with torch.inference_mode():
        played = {
            firm: (_eager(firm) if firm in FIRMS else {}) | _compiled(firm) | (_in_jax(firm) if with_jax else {})
            for firm in (*FIRMS, *LATE)
        }  # which checks them
        library.cache_clear()
        with _nothing_kept():
            for firm, episodes in played.items():
                for name, rate in _rates(episodes).items():
                    found.setdefault(name, {})[firm] = rate
    return found


@contextlib.contextmanager
def _nothing_kept() -> Iterator[None]:
    """As if nothing had been compiled on this machine before."""
    before = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    with tempfile.TemporaryDirectory() as empty:
        os.environ["XDG_CACHE_HOME"] = empty
        try:
            yield
        finally:
            os.environ["XDG_CACHE_HOME"] = before


def _world(name: str) -> tuple[World, FixedLevels, OrderUpTo]:
    """A firm's world and the base-stock rule, as the eager and as the compiled world know it."""
    firm = load_firm(name)
    levels = baseline_levels(firm)
    world = World(firm, levels)
    return world, FixedLevels(BaseStock("base-stock", levels), world), OrderUpTo(torch.as_tensor(levels)[:, :, None])


def _eager(name: str) -> dict[str, Callable[[int], object]]:
    """Episodes of our world as it is."""
    world, rule, _ = _world(name)
    return {EAGER: lambda _: episode(world, rule, _COPIES)}


def _compiled(name: str) -> dict[str, Callable[[int], object]]:
    """Episodes of our world compiled, checked against the eager one; nothing where there is no compiler."""
    world, rule, up_to = _world(name)
    cost = torch.zeros(world.points, _COPIES, dtype=torch.float64)
    chance = world.draw(_PERIODS, _COPIES, world.generator(0))
    for step in play(world, rule, chance):
        cost += step.outcome.cost
    try:
        same = torch.equal(CompiledWorld(world).play(world.reset(_COPIES), up_to, chance).cost, cost)
    except NotCompiledError as reason:
        sys.stderr.write(f"world: not compiled, {reason}\n")
        return {}
    if not same:
        raise RuntimeError(f"{name}: the compiled world costs something else; it is another world")
    core = cache(lambda: CompiledWorld(world))

    def run(number: int) -> Tensor:  # the first compiles, or loads what another firm has had compiled
        drawn = world.draw(_PERIODS, _COPIES, world.generator(number))
        return core().play(world.reset(_COPIES), up_to, drawn).cost

    return {COMPILED: run}


def _in_jax(name: str) -> dict[str, Callable[[int], object]]:
    """The same in one jitted scan, checked against ours on our draws first."""
    import jax
    from jax_world import JaxWorld, base_stock_episode, disagreement

    if (apart := disagreement(name)) > 1e-6:
        raise RuntimeError(f"{name}: costs of the JAX world differ from ours by {apart:.1e}; it is another world")
    run = base_stock_episode(JaxWorld(load_firm(name)), _PERIODS, _COPIES)
    return {IN_JAX: lambda number: run(jax.random.key(number)).block_until_ready()}


def in_stockpyl() -> dict[str, Any]:
    """A warehouse, three retailers, Poisson demand, base-stock levels as on a1: one copy, as it simulates."""
    on_one_core()
    from stockpyl.sim import simulation
    from stockpyl.supply_chain_network import network_from_edges

    retailers = (2, 3, 4)
    network = network_from_edges(
        edges=[(1, retailer) for retailer in retailers],
        demand_type={1: None} | dict.fromkeys(retailers, "P"),
        mean=dict.fromkeys(retailers, 10),
        local_holding_cost={1: 0.6} | dict.fromkeys(retailers, 1),
        stockout_cost={1: 0} | dict.fromkeys(retailers, 19),
        shipment_lead_time=1,
        policy_type="BS",
        base_stock_level={1: 60} | dict.fromkeys(retailers, 33),
    )
    taken = []
    for seed in range(5):
        start = time.perf_counter()
        simulation(network, 200, rand_seed=seed, progress_bar=False)
        taken.append(time.perf_counter() - start)
    return {"steps_per_second": 200 / statistics.median(taken)}

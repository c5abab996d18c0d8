"""Simulation alone, on one core: our world, the same world in JAX, and stockpyl."""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from world_speed import FIRMS

_COPIES, _PERIODS, _REPEATS = 1024, 75, 15


def on_one_core() -> None:
    """Keep this process, and the threads it will start, on one core."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


def _rate(episode: Callable[[int], object]) -> dict[str, float]:
    """Steps per second of an episode of all copies, and the seconds that the first one took longer."""
    taken = []
    for number in range(_REPEATS + 1):
        start = time.perf_counter()
        episode(number)
        taken.append(time.perf_counter() - start)
    middle = statistics.median(taken[1:])
    return {"steps_per_second": _COPIES * _PERIODS / middle, "compile_seconds": max(0.0, taken[0] - middle)}


def ours() -> dict[str, Any]:
    """Our world by the base-stock rule, demand draws included."""
    on_one_core()
    import torch
    from world_speed import FixedLevels, episode

    from departments.rules import BaseStock, benchmark_levels
    from environment import World, load_firm

    found = {}
    with torch.inference_mode():
        for name in FIRMS:
            firm = load_firm(name)
            world = World(firm, benchmark_levels(firm))
            rule = FixedLevels(BaseStock("base-stock", benchmark_levels(firm)), world)
            found[name] = _rate(lambda _, play=functools.partial(episode, world, rule, _COPIES): play())
    return found


def in_jax() -> dict[str, Any]:
    """The same in one jitted scan, checked against ours on our draws first."""
    on_one_core()
    import jax
    from jax_world import JaxWorld, base_stock_episode, disagreement

    from environment import load_firm

    found = {}
    for name in FIRMS:
        if (apart := disagreement(name)) > 1e-6:
            raise RuntimeError(f"{name}: costs of the JAX world differ from ours by {apart:.1e}; it is another world")
        play = base_stock_episode(JaxWorld(load_firm(name)), _PERIODS, _COPIES)
        found[name] = _rate(lambda number, play=play: play(jax.random.key(number)).block_until_ready())
    return found


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

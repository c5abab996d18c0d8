from pathlib import Path

import pytest
import torch

from departments.rules import BaseStock, benchmark_levels
from environment import World, load_firm

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")


@pytest.mark.parametrize("name", ["a1", "b1", "d1"])
def test_the_straight_line_world_costs_what_the_world_costs_to_the_bit(name, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from compiled_world import StraightWorld, play

    levels = benchmark_levels(load_firm(name))
    world, rule = World(load_firm(name), levels), BaseStock("base-stock", levels)
    chance = world.draw(30, 16, world.generator(2))
    state, expected = world.reset(16), torch.zeros(world.points, 16)
    for t in range(30):
        state, outcome = world.step(state, world.feasible(rule.order(world, state)), chance.at(t))
        expected += outcome.cost
    assert torch.equal(play(world, StraightWorld(world).block, chance, 5), expected)


def test_a_firm_that_the_straight_line_world_does_not_know_is_refused(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from compiled_world import StraightWorld

    world = World(load_firm("a3"), benchmark_levels(load_firm("a3")))
    with pytest.raises(ValueError, match="use a1, b1, c1 or d1"):
        StraightWorld(world)

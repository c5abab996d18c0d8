import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from environment import CompiledWorld, Exogenous, NotCompiledError, OrderUpTo, World, compiled, load_firm
from environment.toolchain import COMPILERS
from tests.random_firms import examples, firms, run, slow_replay

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")


def part(chance, start, stop):
    return Exogenous(*(None if field is None else field[start:stop] for field in chance))


def stepped(world, state, orders, chance, exposures=None):
    """The eager world's state after given orders and exposures, and its costs added up."""
    cost = torch.zeros(world.points, orders.shape[-1], dtype=torch.float64)
    for t in range(len(orders)):
        state, outcome = world.step(state, orders[t], chance.at(t), None if exposures is None else exposures[t])
        cost += outcome.cost
    return state, cost


def check(played, state, cost):
    for found, expected in zip((*played.state, played.cost), (*state, cost), strict=True):
        assert torch.equal(found, expected)


@needs_compiler
@examples(100)
@given(firms(customers=True), st.integers(0, 10_000))
def test_compiled_random_firms_are_the_eager_ones_to_the_bit(firm, seed):
    episode = run(firm, copies=11, seed=seed, periods=12)  # of which the last three fill no vector
    core, orders = CompiledWorld(episode.world), episode.orders
    first, last = slice(0, 5), slice(7, 11)

    def shown(periods):
        return None if episode.exposures is None else episode.exposures[periods]

    half = core.play(episode.states[0], orders[first], part(episode.chance, 0, 5), shown(first))
    check(half, *stepped(episode.world, episode.states[0], orders[first], part(episode.chance, 0, 5), shown(first)))
    slow, copy = slow_replay(episode, seed % 11)[5], seed % 11
    keys = [(point, product) for point in firm.names for product in firm.products]
    assert half.state.on_hand[..., copy].flatten().tolist() == [slow.on_hand[key] for key in keys]
    assert half.state.inventory_position[..., copy].flatten().tolist() == [slow.inventory_position[key] for key in keys]
    rest = slice(5, 11)
    whole = core.play(half.state, orders[rest], part(episode.chance, 5, 11), shown(rest), counted_from=2)
    state, cost = stepped(episode.world, episode.states[7], orders[last], part(episode.chance, 7, 11), shown(last))
    check(whole, state, cost)
    assert torch.equal(state.on_hand, episode.states[11].on_hand)


@needs_compiler
@pytest.mark.parametrize("name", ["b6", "a1"])
def test_levels_of_each_copy_are_followed_in_single_precision(name):
    firm = load_firm(name)
    world = World(firm, torch.full((len(firm.names), 1), 40.0).numpy())
    chance, state = world.draw(40, 37, world.generator(3)), world.reset(37)
    levels = torch.randint(20, 90, (world.points, 1, 37), generator=torch.Generator().manual_seed(1)).float()
    played = CompiledWorld(world).play(state, OrderUpTo(levels), chance)
    after, cost = state, torch.zeros(world.points, 37, dtype=torch.float64)
    for t in range(40):
        after, outcome = world.step(
            after, world.feasible(levels - after.inventory_position, after.inventory_position, t), chance.at(t)
        )
        cost += outcome.cost
    check(played, after, cost)
    assert torch.equal(state.on_hand, world.reset(37).on_hand), "the state that came in is as it was"


@needs_compiler
def test_rules_side_by_side_meet_the_same_chance():
    firm = load_firm("b3")
    world = World(firm, torch.full((len(firm.names), 1), 40.0).numpy())
    chance, core = world.draw(20, 64, world.generator(3)), CompiledWorld(world)
    levels = torch.tensor([[30.0], [60.0], [90.0]]).expand(3, world.points).T.reshape(-1, 1, 3)
    found = core.play(world.reset(192), OrderUpTo(levels), chance).cost.view(world.points, 3, 64)
    for one in range(3):
        alone = core.play(world.reset(64), OrderUpTo(levels[..., one : one + 1]), chance)
        assert torch.equal(found[:, one], alone.cost)
    with pytest.raises(ValueError, match="12 copies of chance cannot be shared out to 24: draw a multiple of 64"):
        core.play(world.reset(24), OrderUpTo(levels), world.draw(20, 12, world.generator(3)))


def test_what_cannot_be_compiled_says_why(monkeypatch, tmp_path):
    world = World(load_firm("a1"), torch.zeros(4, 1).numpy())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled.library.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotCompiledError, match=r"no C\+\+ compiler is on the path \(c\+\+, g\+\+, clang\+\+\)"):
        CompiledWorld(world)
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho 'world.cpp:1: error: unknown target' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(NotCompiledError, match=r"g\+\+ failed: world.cpp:1: error: unknown target"):
        CompiledWorld(world)
    compiled.library.cache_clear()


@needs_compiler
@examples(60)
@given(firms(), st.integers(0, 10_000))
def test_rules_order_in_the_core_what_the_world_accepts(firm, seed):
    episode = run(firm, copies=11, seed=seed, periods=8)
    world, state = episode.world, episode.states[0]
    levels = torch.randint(0, 40, (world.points, world.products, 11), generator=world.generator(seed)).double()
    played = CompiledWorld(world).play(state, OrderUpTo(levels), episode.chance, first=5)
    cost = torch.zeros(world.points, 11, dtype=torch.float64)
    for t in range(8):
        order = world.feasible(levels - state.inventory_position, state.inventory_position, 5 + t)
        state, outcome = world.step(state, order, episode.chance.at(t))
        cost += outcome.cost
    check(played, state, cost)

"""Networks that act in C++ against those in PyTorch: outputs, memories and choices, alone and in the world."""

import ctypes
import shutil
from dataclasses import replace

import pytest
import torch

from departments.numerics import native
from departments.numerics.graph import GraphConfig
from departments.numerics.heads import Head
from departments.numerics.memory import MemoryNetwork
from departments.policies.policy import FIRM, PolicyConfig
from departments.policies.spec import DepartmentSpec
from environment.toolchain import COMPILERS
from tests.small_firms import learner, tree, world_of

pytestmark = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")

HEADS = {
    "orders": Head(3),
    "hybrid": Head(3, hybrid=True),
    "choice": Head(0, 1, 3),
    "pairs": Head(0, 2, 4, 2),
    "both": Head(2, 3, 3, 2),
}
MEMORIES = {"none": 0, "stack": 3, "gru": 5}
PERIODS, COPIES = 6, 150


def department(memory, head, rule=True, seed=0):
    """One with random parameters, which may recommend some products only; and its parameters."""
    generator = torch.Generator().manual_seed(seed)
    network = MemoryNetwork(6 + head.outputs * rule, memory, MEMORIES[memory], (9, 7), head.outputs, head.orders)
    mask = torch.rand(head.segments, head.products, 1, generator=generator) < 0.6
    return learner(network, head, mask, rule, True), torch.randn(network.count, generator=generator) * 0.4


def episode(spec, flat, observation, noise):
    """Moves of all periods."""
    decide, memory, moves = spec.deciding(flat), observation.new_zeros(spec.remembered, observation.shape[-1]), []
    for period, seen in enumerate(observation):
        moves.append(decide(seen, memory, None if noise is None else noise[period]))
        memory = moves[-1].memory
    return moves


def chance(spec, copies=COPIES):
    generator = torch.Generator().manual_seed(3)
    observation = torch.randn(PERIODS, spec.network.observed, copies, generator=generator)
    return observation, spec.head.noise(PERIODS, copies, generator)


@pytest.mark.parametrize("explores", [False, True])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("memory", MEMORIES)
def test_a_network_in_cpp_does_what_it_does_in_pytorch(memory, head, explores):
    spec, flat = department(memory, HEADS[head])
    observation, noise = chance(spec)
    both = (episode(replace(spec, compiled=c), flat, observation, noise if explores else None) for c in (True, False))
    for one, other in zip(*both, strict=True):
        for move in (one, other):  # without noise all `none`s are alike
            move.action[spec.head.placed.stop :].clamp_(max=1e9 if explores else spec.head.products)
        for found, expected in zip(one, other, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("observation", ["pipeline", "everything"])
def test_attention_in_cpp_does_what_it_does_in_pytorch(observation):
    world, observer = world_of(tree(products=("tea", "rice")))
    config = PolicyConfig(observation=observation, hidden=(9,), graph=GraphConfig(layers=(4, 6), heads=2))
    spec, generator = DepartmentSpec.of(world, observer, FIRM, config), torch.Generator().manual_seed(3)
    flat = torch.randn(spec.network.count, generator=generator) * 0.4
    seen, noise = torch.randn(spec.recorded, COPIES, generator=generator), spec.head.noise(1, COPIES, generator)[0]
    one, other = (replace(spec, compiled=c).deciding(flat)(seen, seen[:0], noise) for c in (True, False))
    assert not torch.equal(one.output, other.output)  # one of them is not in C++
    for found, expected in zip(one, other, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("memory", MEMORIES)
def test_outputs_are_the_same_to_the_bit_with_noise_and_without_and_for_one_copy(memory):
    spec, flat = department(memory, HEADS["both"])
    observation, noise = chance(spec)
    whole, calm = (episode(spec, flat, observation, added) for added in (noise, None))
    alone = episode(spec, flat, observation[..., 70:71], noise[..., 70:71])
    for one, other, single in zip(whole, calm, alone, strict=True):
        assert torch.equal(one.output, other.output)
        assert torch.equal(one.memory, other.memory)
        assert all(torch.equal(a[..., 70:71], b) for a, b in zip(one, single, strict=True))
    assert not torch.equal(whole[0].action, calm[0].action)


@pytest.mark.parametrize("memory", MEMORIES)
def test_networks_that_act_in_the_world_do_the_same_to_the_bit(memory):
    departments = [department(memory, head, seed=seed) for seed, head in enumerate(HEADS.values())]
    together, seen, rows = native.actors(), [], 0
    alone, noises = [], []
    for spec, flat in departments:
        observation, noise = chance(spec, 16)
        own = range(rows, rows + spec.network.observed)
        together.add(spec.network, spec.meaning, flat, own[::-1])
        alone.append(episode(spec, flat, observation, noise))
        seen.append(observation.flip(1)), noises.append(noise)
        rows = own.stop
    seen, noises, library = torch.cat(seen, 1), torch.cat(noises, 1), native._library()
    actions, remembered = (sum(n) for n in zip(*((s.head.actions, s.remembered) for s, _ in departments), strict=True))
    for _ in range(2):  # they begin again
        library.actors_begin(ctypes.c_void_p(together.place))
        for period in range(PERIODS):
            did, log_prob, memories = (
                torch.zeros(actions, 16),
                torch.zeros(len(departments), 16),
                torch.zeros(remembered, 16),
            )
            places = (
                part.data_ptr() for part in (seen[period].contiguous(), noises[period].contiguous(), did, log_prob)
            )
            library.actors_decide(*map(ctypes.c_void_p, (together.place, *places)))
            library.actors_memory(*map(ctypes.c_void_p, (together.place, memories.data_ptr())))
            moves = [moves[period] for moves in alone]
            assert torch.equal(did, torch.cat([move.action for move in moves]))
            assert torch.equal(memories, torch.cat([move.memory for move in moves]))
            for found, move in zip(log_prob, moves, strict=True):
                assert torch.equal(found, torch.zeros(16) if move.choice_log_prob is None else move.choice_log_prob)


def test_the_first_of_equal_choices_is_taken_and_never_one_twice():
    spec, _ = department("none", Head(0, 2, 3, 2), rule=False)
    move = replace(spec, mask=None).deciding(torch.zeros(spec.network.count))(
        torch.zeros(6, 5), torch.zeros(0, 5), None
    )
    assert move.action.tolist() == [[0.0] * 5, [1.0] * 5] * 2

"""The C++ of the core itself: how it is laid out, warnings, format, and what sanitizers say while it runs."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from departments.numerics import native
from environment import compiled
from environment.boundary import Declared
from environment.toolchain import COMPILERS, compile_cached

ROOT = Path(__file__).parents[2]
COMPILER = next(filter(None, map(shutil.which, COMPILERS)), None)
FORMAT = shutil.which("clang-format")
SOURCES = [*sorted(compiled.CORE.glob("*.cpp")), *sorted(native.CORE.glob("*.cpp"))]
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
SANITIZED = ("-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
PLAYED = f"""
import itertools, torch
from departments.numerics import native
from environment import compiled
compiled.FLAGS, native._FLAGS = (*compiled.FLAGS, *{SANITIZED}), (*native._FLAGS, *{SANITIZED})
"""
PLAYED += """
from hypothesis import given, settings, strategies as st
from departments.learning.ppo import PPOConfig, Slice, update
from departments.named_policies import parse_policy
from departments.numerics.adam import Adam
from departments.numerics.graph import GraphConfig
from departments.numerics.heads import Head
from departments.numerics.memory import MemoryNetwork
from departments.numerics.native import loops_of
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.rollout import rollout
from departments.policies.policy import FIRM, PolicyConfig
from departments.policies.spec import DepartmentSpec
from environment.cores import at_most
from tests.random_firms import firms, run
from tests.small_firms import fresh, learner, stirred, world_of
from tests.small_markets import Company, market

@settings(max_examples=5, deadline=None, derandomize=True, database=None)
@given(firms(), firms(customers=True), st.integers(0, 100))
def play(firm, shop, seed):
    for one in (firm, shop):
        episode = run(one, copies=11, seed=seed, dtype=torch.float32)
        given = episode.states[0], episode.orders, episode.chance, episode.exposures
        compiled.CompiledWorld(episode.world).play(*given, measured=True)
    world, observer = world_of(firm)
    chance, core = world.draw(5, 37, world.generator(seed)), CompiledRollouts(world, observer)
    level = observer.level.view(world.points, -1, 1)
    core._compiled.play(world.reset(37), compiled.OrderUpTo(level, level - 1), chance)
    copies = 30_000 // world.points  # enough for two threads
    with at_most(2):
        core._compiled.play(world.reset(copies), compiled.OrderUpTo(level), world.draw(5, copies, world.generator(1)))
    everyone = [stirred(one, 1, 0.2) for one in fresh(world, observer, PolicyConfig(hidden=(5,)))]
    core.record(everyone, {}, chance, 5)
    core.descend(everyone, world.reset(37), chance)
    for attention in (GraphConfig(), GraphConfig(layers=(6, 3), heads=3, features="position")):
        config = PolicyConfig(hidden=(5,), observation="everything", graph=attention)
        spec = DepartmentSpec.of(world, observer, FIRM, config, ppo=PPOConfig(minibatch=90))
        one = stirred(spec.first_snapshot(), 1, 0.2)
        core.descend([one], world.reset(37), chance)
        flat, noise = torch.tensor(one.parameters), torch.randn(5, spec.head.noises, 37)
        samples = core.record([one], {FIRM: noise}, chance, 5)[2][FIRM]
        rates = {"learning_rate": 1e-3, "generator": torch.Generator()}
        update(flat, Adam.like(flat), spec, samples, torch.randn(5, 37), **rates)
        loops_of(spec.network, flat, "relu").values(torch.randn(101, spec.recorded))

play()
company = Company("gru", firm=market(slots=2))
core, world = CompiledRollouts(company.world, company.observer), company.world
rollout(world, company.observer, list(company.snapshots.values()), company.names, copies=11, seed=(1,), compiled=core)
aware = parse_policy("inventory-aware", world.firm)
CompiledEpisodes(world, print).episodes(aware, world.draw(9, 70, world.generator(1)))

heads = Head(3), Head(0, 2, 3), Head(2, 3, 4, 2)
memories = ("none", 0, 1), ("stack", 3, 1), ("gru", 5, 4), ("gru", 32, 2)
for head, (kind, size, length) in itertools.product(heads, memories):
    network = MemoryNetwork(7 + head.outputs, kind, size, (9, 17), head.outputs, head.orders)
    spec = learner(network, head, torch.ones(head.segments, head.products, 1), True, True, ppo=PPOConfig(minibatch=90))
    flat, memory = torch.randn(network.count) * 0.1, torch.zeros(spec.remembered, 67)
    noise = head.noise(1, 67, torch.Generator())[0]
    move = spec.deciding(flat)(torch.randn(network.observed, 67), memory, noise)
    recorded, memory = torch.randn(8, network.recorded, 67), memory.expand(8 // length, -1, -1)
    samples = Slice(recorded, move.action.expand(8, -1, -1), torch.zeros(8, 67) - 3, memory)
    update(flat, Adam.like(flat), spec, samples, torch.randn(8, 67), learning_rate=1e-3, generator=torch.Generator())
print("done")
"""


DECLARED = [*((compiled.CORE, name, real) for name in ("Firm", "Call") for real in ("float", "double"))]
DECLARED += [(native.CORE, name, "float") for name in ("Head", "Graph", "Acting", "Turn", "Fit", "Valued")]


@needs_compiler
@pytest.mark.parametrize(("core", "name", "real"), DECLARED)
def test_a_structure_lies_in_memory_as_cpp_lays_it_out(tmp_path, core, name, real):
    declared = Declared((core / "call.hpp").read_text(), name, real=real).type
    fields = [field for field, _ in declared._fields_]
    places = ", ".join([f"sizeof({name})", *(f"__builtin_offsetof({name}, {field})" for field in fields)])
    source = tmp_path / "places.cpp"
    source.write_text(f'#include "{core}/call.hpp"\nextern "C" const int64_t places[] = {{{places}}};\n')
    library = compile_cached(source, (f"-DREAL={real}",))
    found = (ctypes.c_int64 * (len(fields) + 1)).in_dll(library, "places")
    assert list(found) == [ctypes.sizeof(declared), *(getattr(declared, field).offset for field in fields)]


def test_what_does_not_fit_a_declaration_is_refused():
    text = "struct Pair {\n  const real *one;  // [2]\n  int64_t count, *others;\n};\n"
    pair = Declared(text, "Pair", real="float")
    others = torch.tensor([3, 4])
    filled = pair(count=2, others=others)
    assert (filled.count, filled.one, filled.others) == (2, None, others.data_ptr())
    with pytest.raises(TypeError, match="Pair has no field two"):
        pair(two=1)
    with pytest.raises(TypeError, match=r"one must be torch.float32 without gaps on the processor, got torch.float64"):
        pair(one=torch.zeros(2, dtype=torch.float64))
    with pytest.raises(TypeError, match=r"one must be torch.float32 without gaps"):
        pair(one=torch.zeros(4)[::2])
    with pytest.raises(ValueError, match="no structure Twin is declared"):
        Declared(text, "Twin")


@needs_compiler
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_nothing_is_warned_of(source):
    flags = ["-std=c++17", "-march=native", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-psabi", "-DREAL=float"]
    done = subprocess.run([COMPILER, *flags, str(source)], capture_output=True, text=True)
    assert not done.stderr


@pytest.mark.skipif(FORMAT is None, reason="no clang-format")
def test_the_format_is_that_of_the_house():
    files = [*SOURCES, *sorted(compiled.CORE.glob("*.hpp")), *sorted(native.CORE.glob("*.hpp"))]
    done = subprocess.run([FORMAT, "--dry-run", "--Werror", *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.thorough
@pytest.mark.slow
@needs_compiler
def test_sanitizers_find_nothing_where_firms_are_played_and_networks_learn(tmp_path):
    found = subprocess.run([COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(found).is_absolute():
        pytest.skip("no address sanitizer")
    calm = {"ASAN_OPTIONS": "detect_leaks=0", "LD_PRELOAD": found, "XDG_CACHE_HOME": str(tmp_path)}
    played = [sys.executable, "-c", PLAYED]
    done = subprocess.run(played, cwd=ROOT, env=os.environ | calm, capture_output=True, text=True)
    assert done.stdout.endswith("done\n"), done.stderr[-3000:]

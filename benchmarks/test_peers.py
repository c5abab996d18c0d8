"""The comparison with peers: everyone is judged by the actions they would have taken in their own environment."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from coordinator.envs import FirmEnv, FirmVectorEnv
from departments.numerics.memory import MemoryNetwork
from environment import load_firm

BENCHMARKS = Path(__file__).parent


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def _layers(rng, sizes):
    pairs = itertools.pairwise(sizes)
    return [(rng.normal(size=(b, a)).astype(np.float32), rng.normal(size=b).astype(np.float32)) for a, b in pairs]


@pytest.mark.parametrize("form", ["residual", "plain"])
def test_networks_order_in_our_evaluation_what_their_actions_order_in_the_environment(form):
    from judging import SCALINGS, Judge, Part

    judge = Judge(form, 1.0)
    env = FirmEnv("a1", form=form, scaling=SCALINGS[form], periods=20)
    layers = _layers(np.random.default_rng(0), (4, 8, 4))
    one = judge.networks([Part(range(4), range(4), layers)])
    # The same network cut in two: the warehouse's own and that of the retailers.
    head = layers[:-1]
    cut = [Part(range(4), points, [*head, tuple(part[points] for part in layers[-1])]) for points in ([0], [1, 2, 3])]
    two = judge.networks(cut)
    seen, _ = env.reset(seed=3)
    for _ in range(20):
        state = env.game.state
        value = np.maximum(layers[0][0] @ seen + layers[0][1], 0)
        action = np.clip(layers[1][0] @ value + layers[1][1], -1, 1)
        wished = judge.world.feasible(
            env.game.decision(torch.from_numpy(action[:, None]), state).order, state.inventory_position, 0
        )
        for policy in (one, two):
            torch.testing.assert_close(
                judge.world.feasible(
                    policy.decide(judge.world, state, None, 0, None).order, state.inventory_position, 0
                ),
                wished,
            )
        seen = env.step(action)[0]


def test_the_judge_notes_when_the_benchmark_is_beaten_and_by_whom_best():
    from judging import Judge

    from departments.rules.ordering import BaseStock

    judge = Judge("residual", 1e9)
    better = BaseStock("better", judge.levels - np.array([[0], [1], [1], [1]]))
    judge.start()
    assert judge.lap(100, lambda: judge.benchmark)
    assert not judge.reached
    judge.benchmark_cost = judge.cost(better)[0] / 0.985
    judge.start()
    assert judge.lap(200, lambda: better)
    judge.note(judge.cost(better)[0], 1e6, 400)
    assert judge.reached["steps_to_1"] == 300
    assert "steps_to_5" not in judge.reached
    verdict = judge.verdict()
    assert judge.best[1] is better
    assert abs(verdict["benchmark"] - 2370) < 30  # what decomposition-aggregation costs on a1
    assert verdict["steps"] == 300


def test_stable_baselines_sees_the_end_of_an_episode_in_copies_side_by_side():
    from peer_stable_baselines import SideBySide

    envs = SideBySide(FirmVectorEnv("a1", 3, periods=4))
    envs.seed(1)
    first = envs.reset()
    for period in range(4):
        seen, _, over, infos = envs.step(np.zeros((3, 4), dtype=np.float32))
        assert over.all() == (period == 3)
    np.testing.assert_array_equal(seen, first)
    assert all(info["TimeLimit.truncated"] for info in infos)
    assert not np.array_equal(infos[0]["terminal_observation"], first[0])
    assert PPO("MlpPolicy", envs, n_steps=8, batch_size=12, device="cpu").learn(24).num_timesteps == 24


@pytest.mark.parametrize("name", ["a1", "d1", "b3", "c3"])
def test_the_world_in_jax_costs_what_ours_costs_on_the_same_draws(name):
    pytest.importorskip("jax")
    from jax_world import disagreement

    assert disagreement(name, periods=30) < 1e-6


def test_the_closed_loop_in_jax_costs_and_shows_what_ours_does_on_the_same_draws():
    pytest.importorskip("jax")
    from jax_mtma import disagreement

    assert disagreement(periods=30, copies=32) < 1e-5


def test_a_department_with_memory_in_jax_says_what_ours_says():
    jax = pytest.importorskip("jax")
    from jax_mtma import act, along, unit_of

    network, rng = MemoryNetwork(7, "gru", 5, (8, 6), 4, 3), np.random.default_rng(0)
    flat = rng.normal(size=network.count).astype(np.float32)
    unit, ours = unit_of(network, flat), network.acting(flat)
    assert sum(part.size for part in jax.tree.leaves(unit)) == network.count
    seen, state = rng.normal(size=(6, 3, 7)).astype(np.float32), np.zeros((3, 5), dtype=np.float32)
    memory, wanted = state.T, []
    for own in seen:
        said, _, memory = ours(own.T, memory)
        output, state = act(unit, own, state)
        np.testing.assert_allclose(output, said.T, rtol=1e-4, atol=1e-5)
        wanted.append(said.T)
    np.testing.assert_allclose(along(unit, seen, np.zeros((3, 5))), wanted, rtol=1e-4, atol=1e-5)


def test_the_world_in_jax_refuses_what_it_lacks():
    pytest.importorskip("jax")
    from jax_world import JaxWorld

    with pytest.raises(ValueError, match="firm closing-loop has several products, lost sales, prices"):
        JaxWorld(load_firm("closing-loop"))


def test_peers_that_are_not_installed_are_named_and_left_out_of_the_table(tmp_path):
    from peers import PEERS, missing

    command = [sys.executable, str(BENCHMARKS / "peers.py"), "--peers", "world", "stockpyl", "--budget", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "| our world |" in done.stdout
    assert ("| our world, compiled |" in done.stdout) != ("world: not compiled, no C++ compiler" in done.stderr)
    there = not missing(PEERS["stockpyl"])
    assert ("| stockpyl |" in done.stdout) == there
    assert ("stockpyl: left out, stockpyl not installed (pip install 'firmwide[peers]')" in done.stderr) != there

"""Work on several threads: how many there may be, and that nothing depends on it."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from departments.rules.ordering import baseline_levels
from environment import CompiledWorld, OrderUpTo, World, load_firm
from environment.cores import at_most, cores, one_ahead

ROOT = Path(__file__).parents[2]
FORKED = """
import os, torch
torch.set_num_threads(1)  # PyTorch's own do not come back
from tests.environment.test_cores import played
here = played(3)
if (child := os.fork()) == 0:
    there = played(3)
    os._exit(0 if (here[0] == there[0]).all() else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def played(threads: int, copies: int = 2049):
    firm = load_firm("b3")
    world = World(firm, baseline_levels(firm))
    level = torch.as_tensor(baseline_levels(firm), dtype=world.dtype).unsqueeze(-1)
    chance = world.draw(firm.periods.evaluate - 1, copies, world.generator(5))
    with at_most(threads):
        done = CompiledWorld(world).play(world.reset(copies), OrderUpTo(level), chance, counted_from=24, measured=True)
    return done.cost, done.state, done.measures


def test_any_number_of_threads_plays_to_the_bit_the_same(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    cost, state, measures = played(1)
    for threads in (2, 3, 7):
        again, end, told = played(threads)
        assert torch.equal(cost, again)
        assert all(torch.equal(one, other) for one, other in zip(state, end, strict=True))
        assert measures.keys() == told.keys()
        for name in measures:
            np.testing.assert_array_equal(measures[name], told[name], err_msg=name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_has_threads_of_its_own():
    surroundings = os.environ | {"OMP_NUM_THREADS": "3", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", FORKED], cwd=ROOT, env=surroundings, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


def test_the_environment_says_how_many_and_others_threads_have_one(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert cores() == 5
    with at_most(3):
        assert cores() == 3
        with at_most(9):
            assert cores() == 5
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cores).result() == 1
    for said in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        assert cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("threads", ["1", "2"])
def test_what_is_made_ahead_comes_in_order_and_its_errors_too(monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    before = threading.active_count()
    assert list(one_ahead([lambda i=i: i for i in range(5)])) == [0, 1, 2, 3, 4]
    assert list(one_ahead([])) == []
    made = one_ahead([lambda: 1, lambda: 1 / 0, lambda: 3])
    assert next(made) == 1
    with pytest.raises(ZeroDivisionError):
        next(made)
    left = one_ahead([lambda: 1, lambda: 2, lambda: 3])
    assert next(left) == 1
    left.close()
    assert threading.active_count() == before

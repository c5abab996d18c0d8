"""Ours in gym-invmgmt: the judge is the published one, and our firm is the one that it plays."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from environment import load_firm

BENCHMARKS = Path(__file__).parent
INSTALLED = importlib.util.find_spec("gym_invmgmt") is not None


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.skipif(not INSTALLED, reason="gym-invmgmt is not installed")
@pytest.mark.parametrize("goodwill", [False, True])
@pytest.mark.parametrize("name", ["gym-invmgmt-season-lost", "gym-invmgmt-shock-backorder"])
def test_newsvendor_rule_and_oracle_earn_there_what_is_published(name, goodwill):
    from invmgmt import SEEDS, judge, newsvendor, oracle, published

    env, given = judge(name, goodwill=goodwill), published(name, goodwill=goodwill)
    for policy, play in {"newsvendor rule": newsvendor, **({} if goodwill else {"oracle": oracle})}.items():
        assert np.mean([play(env, seed) for seed in SEEDS]) == pytest.approx(given[policy], abs=0.005001)  # cents


@pytest.mark.skipif(not INSTALLED, reason="gym-invmgmt is not installed")
@pytest.mark.parametrize("name", ["stationary-backorder", "season-lost", "shock-backorder"])
def test_a_rule_of_ours_finds_there_the_stock_that_it_has_here(name):
    from invmgmt import Twin, judge, oracle, played

    env, firm = judge(f"gym-invmgmt-{name}"), load_firm(f"gym-invmgmt-{name}")
    for policy in (
        "base-stock:factory=60,distributor=150,retailer=130",
        "base-stock:factory=20,distributor=50,retailer=90",
    ):
        agent = Twin(firm, policy)
        for seed in (42, 123):
            assert 0 < played(env, agent, seed) < oracle(env, seed)  # raises where stock differs


@pytest.mark.skipif(not INSTALLED, reason="gym-invmgmt is not installed")
def test_a_firm_that_is_another_one_is_told_apart():
    from invmgmt import Twin, judge, played

    agent = Twin(load_firm("gym-invmgmt-stationary-lost"), "base-stock:factory=20,distributor=50,retailer=60")
    with pytest.raises(RuntimeError, match=r"period \d+: stock is .* there and .* here"):
        played(judge("gym-invmgmt-stationary-backorder"), agent, 42)


@pytest.mark.skipif(INSTALLED, reason="gym-invmgmt is installed")
def test_without_the_package_one_line_says_so():
    ended = subprocess.run(
        [sys.executable, str(BENCHMARKS / "invmgmt.py")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "gym-invmgmt is not installed, and nothing can be judged: pip install 'firmwide[gym-invmgmt]'"
    ]

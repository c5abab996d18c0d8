import json

import pytest

from coordinator.cli import run
from coordinator.schemes.registry import scheme_of
from environment import load_firm

SMALL = ["--set", "copies=20000", "--set", "train_periods=2", "--set", "selection_episodes=2"]


@pytest.mark.parametrize(
    ("scheme", "firm", "episodes"),
    [
        ("imarl", "a1", 25_000),
        ("imarl", "d1", 25_000),
        ("marl", "c1", 20_000),
        ("marl-gnn", "a3", 20_000),
        ("sarl", "a1", 25_000),
        ("sarl", "s1", 25_000),
        ("sarl-gnn", "d1", 300_000),
        ("sarl", "toy", 25_000),
    ],
)
def test_the_papers_budget_is_its_episodes(scheme, firm, episodes):
    assert scheme_of(scheme).paper_episodes(load_firm(firm)) == episodes


def test_sarl_learns_longer_where_there_are_more_stock_points():
    found = [scheme_of("sarl").paper_episodes(load_firm(name)) for name in ("a1", "b1", "c1", "d1")]
    assert found == sorted(set(found))


def test_a_run_on_the_papers_budget_ends_after_as_many_episodes(tmp_path, capfd):
    out = tmp_path / "run"
    asked = ["--scheme", "marl", "--budget", "paper", "--backend", "local", "--episodes", "2", "--run", str(out)]
    assert run(["train", "toy", *asked, *SMALL, "--set", "ppo.epochs=1", "--set", "critic.epochs=1"]) == 0
    assert json.loads((out / "settings.json").read_text())["episodes"] == 20_000
    assert len((out / "metrics.csv").read_text().splitlines()) == 2
    capfd.readouterr()
    assert run(["train", "toy", "--scheme", "pathwise", "--budget", "paper", "--run", str(tmp_path / "other")]) == 2
    line = capfd.readouterr().err
    assert "--budget paper is for imarl, marl, marl-gnn, sarl, sarl-gnn; for pathwise name" in line
    assert line.count("\n") == 1

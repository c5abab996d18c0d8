import json
from pathlib import Path

import pytest

from coordinator.cli import run
from coordinator.experiments.options import config_file
from coordinator.schemes.given_settings import part_used, settings_of
from coordinator.schemes.registry import names, scheme_of
from coordinator.schemes.setup import policies_of
from environment import load_firm

PAPERS = ("imarl", "marl", "marl-gnn", "sarl", "sarl-gnn")
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


def test_what_stands_below_a_schemes_name_is_for_that_scheme_alone():
    every = tuple(names())
    paper = {name: part_used(config_file(Path("paper")) | {"scheme": name}, among=every) for name in PAPERS}
    graph = {"layers": [16, 16, 16], "directed": True, "features": "position"}
    assert {name: part["critic"].get("graph") for name, part in paper.items()} == {
        name: graph if name.endswith("-gnn") else None for name in PAPERS
    }
    assert {part["critic"]["value_clip"] for part in paper.values()} == {0.2}
    single = policies_of(load_firm("a1"), settings_of(paper["sarl-gnn"]))["firm"]
    assert (single.graph, single.hidden) == (None, (256, 256))
    given = {"ppo": {"epochs": 3, "minibatch": 9}, "schemes": {"marl": {"ppo": {"epochs": 5}, "copies": 6}}}
    assert part_used(given | {"scheme": "imarl"}) == {"scheme": "imarl", "ppo": {"epochs": 3, "minibatch": 9}}
    assert part_used(given | {"scheme": "marl"})["ppo"] == {"epochs": 5, "minibatch": 9}
    for wrong in ({"schemes": {"marll": {}}}, {"schemes": 3}):
        with pytest.raises(ValueError, match=r"schemes must hold settings by scheme, imarl, .*; got"):
            part_used(wrong)

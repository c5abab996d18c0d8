"""What `firmwide train` makes of its options."""

import json

import pytest

from coordinator import api
from coordinator.cli import run
from coordinator.evaluation.evaluate import evaluate
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import RunFolder
from departments.play import tuning
from departments.play.tuning import tuned_base_stock
from departments.rules.ordering import baseline_levels
from environment import load_firm

SMALL = """
selection_episodes: 16
policy: {hidden: [8]}
pathwise: {updates: 2, copies: 8}
departments: {}
"""
TURNS = "{copies: 8, selection_episodes: 16, acceptance_episodes: 16, policy: {hidden: [8]}}"
CUSTOMERS = """
copies: 8
iterations: 2
selection_episodes: 16
policy: {hidden: [8], memory: none}
ppo: {minibatch: 64}
critic: {hidden: [4]}
"""


def test_the_command_line_stands_above_the_file_and_everything_is_kept(tmp_path, capfd):
    (tmp_path / "small.yaml").write_text(SMALL)
    folder = tmp_path / "run"
    arguments = ["train", "toy", "--scheme", "pathwise", "--config", str(tmp_path / "small.yaml"), "--seed", "7"]
    arguments += ["--observation", "pipeline", "--backend", "local", "--run", str(folder), "--episodes", "20", "--json"]
    assert run(arguments) == 0
    settings = RunFolder(folder).settings()
    assert (settings.scheme, settings.seed, settings.policy.observation) == ("pathwise", 7, "pipeline")
    assert settings.policy.hidden == (8,)
    shown = json.loads(capfd.readouterr().out)
    assert shown == json.loads((folder / "result.json").read_text())
    assert shown["episodes"] == 20
    assert list(shown["policies"])[-1] == "pathwise"


def test_a_run_goes_on_with_another_kind_of_budget(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    folder, here = tmp_path / "run", ["--backend", "local", "--episodes", "20"]
    config = ["--scheme", "pathwise", "--config", str(tmp_path / "small.yaml")]
    assert run(["train", "toy", *config, "--budget", "1", "--run", str(folder), *here]) == 0
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 2  # one update behind the names of columns
    assert run(["train", "--resume", "--run", str(folder), "--budget", "60s", *here]) == 0
    assert len((folder / "metrics.csv").read_text().splitlines()) == 3


def test_the_comparison_takes_the_tuned_levels_that_the_run_began_with(tmp_path, monkeypatch):
    searched, real = [], tuning._search
    monkeypatch.setattr(tuning, "_search", lambda *a, **k: searched.append(1) or real(*a, **k))
    (tmp_path / "small.yaml").write_text(TURNS)
    arguments = ["train", "a1", "--config", str(tmp_path / "small.yaml"), "--backend", "local", "--episodes", "1024"]
    assert run([*arguments, "--run", str(tmp_path / "run"), "--json"]) == 0
    assert len(searched) == 2, "installation and echelon levels, once each"
    told = json.loads((tmp_path / "run" / "result.json").read_text())["policies"]["tuned base-stock"]
    firm = load_firm("a1")
    fresh = evaluate(firm, {"tuned": tuned_base_stock(firm)}, episodes=1024, seed=0)
    assert told["cost"] == pytest.approx(fresh.to_json()["policies"]["tuned"]["cost"], rel=1e-6)


def test_tuning_has_a_budget_of_its_own_which_does_not_weaken_the_comparison(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(tuning, "_TELL", 0.0)
    (tmp_path / "small.yaml").write_text(TURNS)
    how = {"config": tmp_path / "small.yaml", "backend": "local", "budget": "4000", "episodes": 512}
    done = api.train("a1", **how, values=["tuning_seconds=1e-6"], run=tmp_path / "run", progress=True)
    firm, told = load_firm("a1"), " ".join(capfd.readouterr().err.split())
    assert "tuning base-stock levels: its time was up before the end of the search of a1" in told
    assert (RunFolder(done.folder).base_levels() == baseline_levels(firm).round()).all()
    row = done.result["policies"]["tuned base-stock"]["cost"]["mean"]
    result = evaluate(firm, ["decomposition-aggregation", "tuned-base-stock"], episodes=512, seed=0).to_json()[
        "policies"
    ]
    start, end = (result[rule]["cost"]["mean"] for rule in ("decomposition-aggregation", "tuned-base-stock"))
    assert row < (start + end) / 2


def test_policy_ppo_and_critic_of_the_file_count_for_firms_with_customers(tmp_path, capfd):
    (tmp_path / "small.yaml").write_text(CUSTOMERS)
    arguments = ["train", "closing-loop", "--config", str(tmp_path / "small.yaml"), "--backend", "local"]
    assert run([*arguments, "--run", str(tmp_path / "run"), "--episodes", "20", "--json"]) == 0
    folder = RunFolder(tmp_path / "run")
    for snapshot in firm_policies(folder).values():
        assert (snapshot.config.hidden, snapshot.config.memory) == ((8,), "none")
    kept = json.loads((folder.path / "settings.json").read_text())
    assert (kept["ppo"]["minibatch"], kept["critic"]["hidden"], kept["critic"]["gamma"]) == (64, [4], 0.9)
    assert not {"imarl", "single", "pathwise", "loop", "base_policy"} & set(kept), "what it does not use"


@pytest.mark.parametrize(
    ("arguments", "config", "said"),
    [
        (["a1", "--scheme", "marl", "--order", "greedy"], "", "--order is for imarl; marl has no such setting"),
        (["closing-loop", "--order", "greedy"], "", "--order is for imarl; mtma has no such setting"),
        (["closing-loop", "--observation", "own"], "", "mtma has no such setting"),
        (["a1", "--scheme", "sarl", "--observation", "own"], "", "departments would observe everything all the same"),
        (["closing-loop", "--execution", "message"], "", "--execution message is not for mtma"),
        (["a1", "--scheme", "pathwise", "--execution", "message"], "", "--execution message is not for pathwise"),
        (["a1", "--scheme", "marl"], "imarl: {patience: 3}", "--config: imarl.patience is not used by marl"),
        (["closing-loop"], "ppo: {learning_rate: 0.1}", "--config: ppo.learning_rate is not used by mtma: step laws"),
        (["closing-loop", "--scheme", "imarl"], "fast: replenishment", "--config: fast is not used by imarl"),
    ],
)
def test_what_a_scheme_cannot_heed_is_refused_before_anything_is_written(arguments, config, said, tmp_path, capfd):
    (tmp_path / "settings.yaml").write_text(config or "{}")
    given = [*arguments, "--config", str(tmp_path / "settings.yaml"), "--run", str(tmp_path / "run")]
    assert run(["train", *given, "--backend", "local", "--budget", "1e3", "--episodes", "10"]) == 2
    assert said in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_built_in_file_is_for_several_schemes_and_each_takes_its_own(tmp_path, capfd):
    arguments = ["train", "toy", "--scheme", "marl", "--config", "wide", "--budget", "2e3", "--backend", "local"]
    assert run([*arguments, "--run", str(tmp_path / "run"), "--episodes", "10", "--json"]) == 0
    settings = RunFolder(tmp_path / "run").settings()
    assert (settings.policy.hidden, settings.shards) == ((128, 128), 1)


def test_a_firm_that_nobody_buys_from_is_trained_compared_and_told(tmp_path, capfd):
    shop = "holding_cost: 1, backorder_cost: 9, max_order: 30, demand: 0"
    (tmp_path / "still.yaml").write_text(f"name: still\nstock_points: {{shop: {{{shop}}}}}")
    (tmp_path / "small.yaml").write_text(TURNS)
    arguments = ["train", str(tmp_path / "still.yaml"), "--config", str(tmp_path / "small.yaml"), "--budget", "2000"]
    assert run([*arguments, "--backend", "local", "--run", str(tmp_path / "run"), "--episodes", "8", "--json"]) == 0
    measures = json.loads(capfd.readouterr().out, parse_constant=pytest.fail)["policies"]["imarl"]
    assert (measures["cost"]["mean"], measures["fill_rate"]) == (0.0, 1.0)

"""What `firmwide train` makes of its options."""

import json

import pytest

from coordinator.cli import run
from coordinator.evaluation.evaluate import evaluate
from coordinator.experiments.train import _REPORT_SEED
from coordinator.runs.folder import RunFolder
from departments.play import tuning
from departments.play.tuning import tuned_base_stock
from environment import load_firm

SMALL = """
copies: 8
iterations: 2
selection_episodes: 16
acceptance_episodes: 16
policy: {hidden: [8]}
pathwise: {updates: 2, copies: 8}
departments: {}
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


def test_the_comparison_takes_the_tuned_levels_that_the_run_began_with(tmp_path, monkeypatch):
    searched, real = [], tuning.tune_levels
    monkeypatch.setattr(tuning, "tune_levels", lambda *a, **k: searched.append(1) or real(*a, **k))
    (tmp_path / "small.yaml").write_text(SMALL)
    arguments = ["train", "a1", "--config", str(tmp_path / "small.yaml"), "--backend", "local", "--episodes", "1024"]
    assert run([*arguments, "--run", str(tmp_path / "run"), "--json"]) == 0
    assert len(searched) == 2, "installation and echelon levels, once each"
    told = json.loads((tmp_path / "run" / "result.json").read_text())["policies"]["tuned base-stock"]
    firm = load_firm("a1")
    fresh = evaluate(firm, {"tuned": tuned_base_stock(firm)}, episodes=1024, seed=_REPORT_SEED)
    assert told["cost"] == pytest.approx(fresh.to_json()["policies"]["tuned"]["cost"], rel=1e-6)

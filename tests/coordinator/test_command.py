"""What `firmwide train` makes of its options."""

import json

from coordinator.cli import run
from coordinator.run_folder import RunFolder

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

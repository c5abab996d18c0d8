import json
import subprocess
import sys

from coordinator.cli import run
from tests.extending.conftest import write

OWN = ["--import", "climb.py"]
SMALL = [
    "--set",
    "selection_episodes=64",
    "--set",
    "iterations=30",
    "--set",
    "base_policy=benchmark",
    "--episodes",
    "40",
]
TRAIN = [*OWN, "train", "toy", "--scheme", "climb", *SMALL]


def test_the_scheme_of_the_docs_trains_is_compared_and_shown(here, capfd):
    write(here, "climb.py")
    assert run(["train", "toy", "--scheme", "climb"]) == 2
    assert "scheme must be one of imarl, " in capfd.readouterr().err
    assert run([*OWN, "train", "--help"]) == 0
    assert "climb" in capfd.readouterr().out
    assert run([*TRAIN, "--set", "ppo.learning_rate=1e-3"]) == 2
    assert "nothing is differentiated" in capfd.readouterr().err
    assert run([*TRAIN, "--backend", "local", "--run", "r"]) == 0
    costs = [float(row.split(",")[6]) for row in (here / "r/metrics.csv").read_text().splitlines()[1:]]
    assert len(costs) == 30
    settings = json.loads((here / "r/settings.json").read_text())
    assert settings["step"] == 0.05
    assert settings["extensions"] == [str(here / "climb.py")]
    options = ["--schemes", "climb", "--trials", "1", "--backend", "local", "--out", "b", *SMALL]
    assert run([*OWN, "benchmark", "toy", *options]) == 0
    assert "climb" in (here / "b/table.md").read_text()
    assert "climb" in (here / "b/report.html").read_text()
    program = (  # another process finds the module by what the run remembers
        "from coordinator.cli import run\n"
        "assert run(['train', '--resume', '--run', 'r', '--backend', 'local', '--episodes', '40']) == 0\n"
        "assert run(['evaluate', 'toy', '--policy', 'r', '--policy', 'reorder', '--episodes', '40']) == 0\n"
        "assert run(['report', 'r']) == run(['report', 'b']) == 0\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=here)
    assert "climb" in (here / "r/report.html").read_text()
    (here / "climb.py").unlink()
    subprocess.run(
        [sys.executable, "-c", "from coordinator.cli import run; assert run(['report', 'r']) == 2"], cwd=here
    )

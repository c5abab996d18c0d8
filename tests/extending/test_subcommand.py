import re

from coordinator.cli import run
from environment import load_firm
from tests.extending.conftest import write


def test_the_subcommand_of_the_docs_stands_in_help_and_runs(here, capfd):
    write(here, "costly.py")
    own = ["--import", "costly.py"]
    assert run(["costly", "a1"]) == 2
    assert "No such command 'costly'" in capfd.readouterr().err
    assert run([*own, "--help"]) == 0
    assert "Which stock point costs most under a rule." in capfd.readouterr().out
    assert run([*own, "costly", "a1", "--policy", "reorder", "--episodes", "64"]) == 0
    name, cost, total = re.fullmatch(r"(\S+): ([\d,]+) of ([\d,]+) an episode\n", capfd.readouterr().out).groups()
    assert name in load_firm("a1").names
    assert 0 < int(cost.replace(",", "")) < int(total.replace(",", ""))
    assert run([*own, "costly", "a1", "--policy", "abacus"]) == 2
    assert capfd.readouterr().err.startswith("firmwide: ")
    assert run([*own, "costly", "--help"]) == 0
    assert "--episodes" in capfd.readouterr().out

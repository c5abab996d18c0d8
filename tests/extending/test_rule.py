import json

from coordinator.cli import run
from tests.extending.conftest import write


def test_the_command_compares_the_rule_of_the_docs(here, capfd):
    write(here, "half_way.py")
    policies = [part for name in ("half-way", "half-way:share=0.5", "half-way:0.8") for part in ("--policy", name)]
    assert run(["evaluate", "a1", *policies]) == 2
    assert "policy must be" in capfd.readouterr().err
    assert run(["--import", "half_way.py", "evaluate", "a1", *policies, "--episodes", "32", "--json"]) == 0
    same, again, other = json.loads(capfd.readouterr().out)["policies"].values()
    assert same["cost"] == again["cost"] != other["cost"]

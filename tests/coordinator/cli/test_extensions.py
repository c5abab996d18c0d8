"""`firmwide --import`, subcommands of a user's own, and completion by the shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.cli import main, run

ROOT = Path(__file__).parents[3]


def test_a_missing_module_is_one_line(capfd):
    assert run(["--import", "of_nobody", "scenarios"]) == 2
    assert capfd.readouterr().err == (
        "firmwide: extension 'of_nobody' cannot be imported: No module named 'of_nobody'\n"
    )
    assert run(["--import"]) == 2
    assert run(["--version", "--import", "json"]) == 0  # the version comes first, whatever follows


def test_import_stands_first(capfd):
    assert run(["scenarios", "--import", "json"]) == 2
    assert "No such option" in capfd.readouterr().err
    assert run(["--help"]) == 0
    assert "--import" in capfd.readouterr().out


def test_a_subcommand_has_a_name_of_its_own():
    from coordinator.cli.main import register_command

    def train() -> None: ...

    with pytest.raises(ValueError, match="there is a subcommand 'train' already"):
        register_command(train)


def test_the_shell_is_told_how_to_complete():
    program = [sys.executable, "-c", "from coordinator.cli import main; main()"]
    told = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run([*program, "--show-completion", "bash"], cwd=ROOT, env=told, capture_output=True, text=True)
    assert "complete -o default -F" in done.stdout
    asked = os.environ | {"_FIRMWIDE_COMPLETE": "complete_bash", "COMP_WORDS": "firmwide sc", "COMP_CWORD": "1"}
    done = subprocess.run(program, cwd=ROOT, env=asked, capture_output=True, text=True)
    assert done.stdout.split() == ["scenarios"]
    assert main is not None

"""Every command line that README and docs show is one that the command takes."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from coordinator.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = typer.main.get_command(app)


def command_lines(text):
    """Lines of blocks without a language, and what stands in backticks, that begin with the command's name."""
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    blocks = [block for language, block in fenced if language in ("", "bash", "sh", "console")]
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose)]
    for line in lines:
        for part in re.split(r"[;|]|&&? ?|, (?=firmwide )", line.partition(" #")[0]):
            words = re.sub(r"[\[\]]", "", part)  # what may be left out is an option, too
            words = words.strip().removeprefix("$ ").removeprefix(".venv/bin/")
            if words.startswith("firmwide ") and "..." not in words and "…" not in words:
                yield words.partition(" > ")[0].strip()


LINES = sorted({line for page in PAGES for line in command_lines(page.read_text())})


def test_they_are_found():
    assert len(LINES) > 70
    assert "firmwide propose shop" in LINES


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_is_taken(line):
    _, name, *arguments = shlex.split(line)
    if name.startswith("-"):
        return
    known = COMMAND.commands[name]
    try:
        assert known.make_context(name, arguments).params
    except Exception as error:
        if type(error).__name__ != "MissingParameter":  # prose may speak of a command and one of its options
            raise

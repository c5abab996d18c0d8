"""What a user registers in a test is forgotten after it; the code comes from the docs as it stands there."""

import re
import sys
from pathlib import Path

import pytest

from coordinator.cli.main import app
from coordinator.schemes import registry
from departments import extensions
from departments.rules import local
from environment import laws

DOCS = Path(__file__).parents[2] / "docs/extending.md"


def write(folder, *names):
    """The blocks of docs/extending.md that begin with these names, as files."""
    blocks = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", DOCS.read_text(), re.DOTALL))
    for name in names:
        (folder / name).write_text(blocks[name])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(extensions, "_REMEMBERED", [])
    monkeypatch.setattr(laws, "_REGISTERED", {})
    monkeypatch.setattr(local, "REGISTERED", {})
    monkeypatch.setattr(registry, "_SCHEMES", dict(registry._SCHEMES))
    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == tmp_path:
            del sys.modules[name]

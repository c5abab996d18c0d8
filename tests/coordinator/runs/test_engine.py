import json
import subprocess

import pytest

from coordinator.cli import run
from coordinator.runs.engine import engine_in, went_on
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from departments.numerics import native
from environment import toolchain
from tests.small_firms import pair
from tests.small_runs import LOCAL, Record, Stop, settings

needs_compiler = pytest.mark.skipif(native.why_not() is not None, reason="needs a C++ compiler")


@pytest.fixture
def without_compiler(monkeypatch):
    """Called, it takes the compilers off the path."""

    def take_away():
        monkeypatch.setattr(toolchain, "COMPILERS", ("no-such-compiler",))
        native._library.cache_clear()

    yield take_away
    native._library.cache_clear()


def trained(folder, watcher=None, resume=False, **changes):
    watcher = watcher or Record()
    train(pair(), settings(**changes), LOCAL, folder, watcher, resume=resume)
    return watcher


@needs_compiler
def test_a_run_remembers_the_compiler_and_the_processor(tmp_path):
    trained(tmp_path)
    engine = engine_in(RunFolder(tmp_path))
    told = subprocess.run(["c++", "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    assert engine["learning"] == engine["world"] == f"C++ ({told})"
    assert (engine["reason"], engine["processor"]) == ("", toolchain.processor())


def test_a_run_that_shall_not_be_compiled_says_so(tmp_path):
    trained(tmp_path, compiled=False)
    engine = engine_in(RunFolder(tmp_path))
    assert engine["learning"].startswith("torch 2")
    assert engine["world"] == engine["learning"]
    assert engine["reason"] == "the settings say so (compiled: false)"


@needs_compiler
def test_a_run_that_goes_on_without_its_compiler_says_so_in_one_line(tmp_path, monkeypatch, without_compiler):
    monkeypatch.setattr("coordinator.runs.diary.CHECKPOINT_SHARE", float("inf"))
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, Stop(after=4))
    without_compiler()
    watcher = trained(tmp_path, resume=True)
    (line,) = (note for note in watcher.notes if "another engine" in note)
    assert line.startswith("another engine than before: learning C++ (")
    assert "; now learning torch 2" in line
    assert line.endswith("results go on, but are no longer the same to the bit")
    engine = engine_in(RunFolder(tmp_path))
    assert engine["reason"].startswith("no C++ compiler is on the path")
    assert engine["earlier"].startswith("learning C++ (")
    assert "until iteration" in engine["earlier"]


def test_the_same_engine_goes_on_without_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr("coordinator.runs.diary.CHECKPOINT_SHARE", float("inf"))
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, Stop(after=4))
    assert not [note for note in trained(tmp_path, resume=True).notes if "engine" in note]
    assert "earlier" not in engine_in(RunFolder(tmp_path))


def test_another_processor_is_another_engine_and_all_that_were_there_are_kept():
    one, two = ({"learning": "C++", "world": "C++", "processor": name, "reason": ""} for name in ("Xeon 1", "EPYC 2"))
    after, line = went_on(one, 10, dict(two))
    assert "processor Xeon 1; now" in line
    again, _ = went_on(after, 20, dict(one))
    assert again["earlier"].count("until iteration") == 2
    assert went_on(again, 30, dict(one)) == (again, "")
    assert went_on({}, 5, dict(one)) == (one, ""), "older runs do not say"


def test_result_json_says_what_computed(tmp_path):
    arguments = ["--set", "copies=4", "--set", "selection_episodes=8", "--set", "acceptance_episodes=8"]
    arguments += ["--set", "base_policy=benchmark", "--backend", "local", "--episodes", "8", "--budget", "100"]
    assert run(["train", "toy", "--run", str(tmp_path / "run"), *arguments]) == 0
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert told["engine"] == engine_in(RunFolder(tmp_path / "run"))
    assert {"learning", "world", "processor", "reason"} == set(told["engine"])

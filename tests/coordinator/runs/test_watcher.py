import json
import logging
import re
from pathlib import Path

import pytest

from coordinator import api
from coordinator.runs.firm_policies import policy_of
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.watcher import Watcher, Watchers
from tests.small_firms import pair
from tests.small_runs import LOCAL, SEED, Record, Stop, final_policies, settings


class Counts(Watcher):
    """A user's own class that cares for one thing only."""

    def __init__(self):
        self.iterations = 0

    def iteration(self, seen):
        self.iterations += 1


class Fails(Watcher):
    def iteration(self, seen):
        raise OSError("disk\nfull")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run and what a watcher heard of it."""
    record, folder = Record(), tmp_path_factory.mktemp("run") / "run"
    train(pair(), settings(), LOCAL, folder, record)
    return RunFolder(folder), record


def test_a_watcher_hears_of_the_run_and_its_settings_first(watched):
    run, record = watched
    (start, told), *more = record.starts
    assert more == []
    assert (start.folder, start.firm, start.scheme, start.seed, start.iterations) == (
        run.path,
        "pair",
        "imarl",
        SEED,
        0,
    )
    assert told == json.loads((run.path / "settings.json").read_text())


def test_iterations_and_events_are_those_of_the_files(watched):
    run, record = watched
    rows = run.rows("metrics.csv")
    told = [(seen, name, learner) for seen in record.seen for name, learner in seen.departments.items()]
    assert len(told) == len(rows)
    for row, (seen, name, learner) in zip(rows, told, strict=True):
        assert (row["iteration"], row["env_steps"], row["department"]) == (
            str(seen.iteration),
            str(seen.env_steps),
            name,
        )
        assert row["seconds"] == f"{seen.seconds:.6g}"
        assert row["cost"] == (f"{seen.cost:.6g}" if seen.selected else "")
        for key in ("kl", "clip_fraction", "entropy", "grad_norm", "learning_rate"):
            assert row[key] == f"{learner[key]:.6g}"
        assert row["value_loss"] == f"{seen.critic['value_loss']:.6g}"
    events = [(row["event"], row["department"], row["version"], row["gain"]) for row in run.rows("events.csv")]
    assert events == [(e.event, e.department, str(e.version), f"{e.gain:.6g}") for e in record.events]
    assert events, "something was accepted"


def test_who_watches_changes_no_result(watched, tmp_path):
    run, _ = watched
    found = final_policies(pair(), settings(), tmp_path / "again", watcher=Watchers([Counts(), Fails()]))
    versions = run.current_versions()
    for name, version in versions.items():
        assert found[name][0] == version
        kept = policy_of(run, name)
        assert found[name][1] == kept.parameters.tobytes()


def test_a_watcher_that_raises_is_left_out_with_one_line_and_the_others_go_on(tmp_path, caplog):
    counts, fails = Counts(), Fails()
    with caplog.at_level(logging.WARNING, "firmwide"):
        train(pair(), settings(), LOCAL, tmp_path / "run", Watchers([fails, counts]))
    assert counts.iterations == 8
    assert [record.getMessage() for record in caplog.records] == [
        "Fails failed and watches no longer; training goes on (OSError: disk full)"
    ]


def test_a_resumed_run_says_how_far_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("coordinator.runs.diary.CHECKPOINT_SHARE", float("inf"))
    with pytest.raises(KeyboardInterrupt):
        train(pair(), settings(), LOCAL, tmp_path, Stop(after=4))
    record = Record()
    train(pair(), settings(), LOCAL, tmp_path, record, resume=True)
    start = record.starts[0][0]
    assert start.iterations == 8 - len(record.seen)
    assert record.seen[0].iteration == start.iterations + 1


def test_the_example_of_the_docs_hears_every_iteration(watched, tmp_path, capsys):
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    (example,) = [found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "firmwide.Watcher" in found]
    given = {}
    exec(example, given)
    train(pair(), settings(), LOCAL, tmp_path / "run", given["Costs"]())
    told = [f"{seen.iteration} {seen.who} {seen.cost}" for seen in watched[1].seen]
    assert capsys.readouterr().out.splitlines() == told


def trained(folder, *watchers):
    """A short run with its comparison."""
    small = {"copies": 2, "selection_episodes": 4, "acceptance_episodes": 4, "base_policy": "benchmark"}
    where = {"backend": "local", "threads": 1, "run": folder, "progress": False}
    return api.train(pair(), config=small, budget="100", episodes=8, watchers=watchers, **where)


def test_the_end_comes_with_what_result_json_says(tmp_path):
    record = Record()
    trained(tmp_path / "run", record)
    assert record.results == [json.loads((tmp_path / "run" / "result.json").read_text())]


def test_who_watches_hears_that_training_was_broken_off(tmp_path):
    record = Record()
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "run", record, Stop(after=1))
    assert record.results == [None]

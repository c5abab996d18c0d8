import json

import pytest

from coordinator.cli import run
from coordinator.runs.folder import RunFolder
from coordinator.runs.policy_source import kept_versions, run_and_version
from coordinator.runs.policy_text import absolute, name_and_policy
from coordinator.storage.policies import load_policy
from tests.small_firms import fresh, pair, stirred, world_of
from tests.small_runs import settings


@pytest.fixture
def kept(tmp_path):
    """A run whose shop has accepted versions 0 and 10, the warehouse 2."""
    folder = RunFolder(tmp_path / "run")
    folder.create(pair(), settings())
    warehouse, shop = fresh(*world_of(pair()), settings().policy)
    for snapshot, gain in ((shop, 1.5), (stirred(shop, 1, version=10), 2.5), (stirred(warehouse, 1, version=2), 3.5)):
        folder.save_snapshot(snapshot, {"scheme": "imarl", "gain": gain})
    return folder


def test_every_listed_version_can_be_named_in_a_swap(kept):
    listed = kept_versions(kept.path)
    assert [(row["department"], row["version"], row["counts"]) for row in listed] == [
        ("shop", 0, False),
        ("shop", 10, True),
        ("warehouse", 2, True),
    ]
    for row in listed:
        folder, version = run_and_version(row["department"], row["policy"])
        assert load_policy(folder / "policies", row["department"], version).version == row["version"]


def test_the_command_lists_them(kept, capfd):
    assert run(["versions", str(kept.path), "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == kept_versions(kept.path)
    assert run(["versions", str(kept.path)]) == 0
    shown = capfd.readouterr().out
    assert "gain 2.5" in shown
    assert shown.count("@") == 3


def test_a_text_longer_than_a_file_s_name_is_no_run():
    assert run_and_version("shop", "a" * 400) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("today=base-stock:shop=14", ("today", "base-stock:shop=14")),
        ("base-stock:shop=14", (None, "base-stock:shop=14")),
        ("today=runs/a1@3", ("today", "runs/a1@3")),
        ("levels.csv", (None, "levels.csv")),
        ("a=b", (None, "a=b")),
        ("a=b@3", (None, "a=b@3")),
    ],
)
def test_a_policy_may_be_given_a_name(text, found, tmp_path, monkeypatch):
    (tmp_path / "a=b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert name_and_policy(text) == found


@pytest.mark.parametrize(
    ("text", "elsewhere"),
    [
        ("run", "{}/run"),
        ("today=run@3", "today={}/run@3"),
        ("today=levels.csv", "today={}/levels.csv"),
        ("none+levels.csv", "none+{}/levels.csv"),
        ("today=base-stock:shop=14", "today=base-stock:shop=14"),
        ("missing.csv", "missing.csv"),
    ],
)
def test_whoever_works_in_another_folder_is_told_the_whole_path(text, elsewhere, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "levels.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert absolute(text) == elsewhere.format(tmp_path)

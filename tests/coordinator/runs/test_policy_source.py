import json

import pytest

from coordinator.cli import run
from coordinator.runs.folder import RunFolder
from coordinator.runs.policy_source import kept_versions, run_and_version
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

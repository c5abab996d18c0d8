import numpy as np
import pytest

from coordinator.live.start import Opening, open_firm
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import EVENTS, METRICS, RunFolder, pack, unpack
from coordinator.schemes.given_settings import settings_of
from departments.policies.policy import PolicyConfig, Snapshot
from environment import load_firm
from tests.small_firms import pair, tree
from tests.small_runs import settings


def _snapshot(department="shop", version=1):
    return Snapshot(department, version, PolicyConfig(hidden=(2,)), np.arange(9, dtype=np.float32) + version)


def test_a_run_folder_stands_by_itself(tmp_path):
    given = settings(seed=4)
    RunFolder(tmp_path / "run").create(pair(), given)
    again = RunFolder(tmp_path / "run")
    assert again.firm() == pair()
    assert again.settings() == given
    assert again.rows("metrics.csv") == again.rows("events.csv") == []


def test_a_run_is_never_overwritten(tmp_path):
    run = RunFolder(tmp_path)
    run.create(pair(), settings())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="holds a run already: add --resume"):
        RunFolder(tmp_path).create(tree(), settings_of())
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="--run must be a folder"):
        RunFolder(tmp_path / "file").create(pair(), settings())
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("ask", [RunFolder.firm, RunFolder.settings, firm_policies, RunFolder.checkpoint])
def test_an_empty_folder_is_refused_in_one_line(ask, tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)) as refused:
        ask(RunFolder(tmp_path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"{", b'{"colour": 1}', b"\xff\xff", b"[]"])
def test_damaged_settings_are_refused_in_one_line(content, tmp_path):
    run = RunFolder(tmp_path)
    run.create(pair(), settings())
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(ValueError, match="is not a run folder") as refused:
        run.settings()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "[]", "null", "\0", '{"shop": "3"}'])
def test_a_damaged_list_of_versions_is_told_in_one_line_with_its_file(content, tmp_path):
    run = RunFolder(tmp_path)
    run.create(pair(), settings())
    run.save_snapshot(_snapshot(), {})
    (tmp_path / "current.json").write_text(content)
    for ask in (
        run.current_versions,
        lambda: firm_policies(run),
        lambda: open_firm(Opening(str(tmp_path), "a", tmp_path)),
    ):
        with pytest.raises(ValueError, match=r"current.json is damaged: it must give the version") as refused:
            ask()
        assert "\n" not in str(refused.value)


def test_the_policy_kept_last_counts(tmp_path):
    run = RunFolder(tmp_path)
    run.create(load_firm("a1"), settings())
    for snapshot in (_snapshot("warehouse", 4), _snapshot("retailer-1", 2), _snapshot("warehouse", 9)):
        run.save_snapshot(snapshot, {"gain": 1.0})
    assert run.current_versions() == {"warehouse": 9, "retailer-1": 2}
    assert (tmp_path / "policies" / "warehouse" / "4.safetensors").exists(), "old versions are kept"


def test_rows_written_after_the_checkpoint_are_forgotten(tmp_path):
    run = RunFolder(tmp_path)
    run.create(pair(), settings())
    for iteration in (1, 2, 2, 3):
        run.append("metrics.csv", METRICS, {"iteration": iteration, "department": "shop", "kl": 0.1})
        run.append("events.csv", EVENTS, {"iteration": iteration, "event": "accepted", "version": iteration})
    run.go_back_to(2, events=1)
    assert [row["iteration"] for row in run.rows("metrics.csv")] == ["1", "2", "2"]
    assert [row["iteration"] for row in run.rows("events.csv")] == ["1"]
    run.append("metrics.csv", METRICS, {"iteration": 3, "cost": None})
    assert run.rows("metrics.csv")[-1] == dict.fromkeys(METRICS, "") | {"iteration": "3"}


def test_packing_loses_nothing():
    snapshots = {"saved/shop": _snapshot(), "best": _snapshot("depot", 7)}
    states = {
        "shop": {"parameters": np.ones(3, "f4"), "version": np.array([2], "f4")},
        "east-2": {"first": np.zeros(1)},
    }
    critic = {"mean": np.arange(2.0), "updates": np.array([5], "f4")}
    arrays, about = pack(snapshots, states, critic)
    back, back_states, back_critic = unpack(arrays, about)
    assert {role: (s.department, s.version, s.config) for role, s in back.items()} == {
        role: (s.department, s.version, s.config) for role, s in snapshots.items()
    }
    for role, snapshot in snapshots.items():
        np.testing.assert_array_equal(back[role].parameters, snapshot.parameters)
    for got, expected in [(back_critic, critic), *((back_states[name], states[name]) for name in states)]:
        assert set(got) == set(expected)
        for key, value in expected.items():
            np.testing.assert_array_equal(got[key], value)
    assert unpack(*pack(snapshots, {}, None))[1:] == ({}, None)

import math
import time

import pytest

from coordinator.cli import run as run_command
from coordinator.learning.settings import Wiring
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.schemes.imarl import IMARLSettings
from coordinator.schemes.setup import setup_of
from coordinator.workers.group import LocalGroup
from tests.small_firms import pair, tree
from tests.small_runs import LOCAL, Record, Stop, final_policies, settings


def _told(folder):
    """What a run folder says happened, wall time aside."""
    run = RunFolder(folder)
    return [
        {k: v for k, v in row.items() if k != "seconds"} for n in ("metrics.csv", "events.csv") for row in run.rows(n)
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder, watcher = tmp_path_factory.mktemp("runs") / "undisturbed", Record()
    policies = final_policies(pair(), settings(), folder, watcher=watcher)
    return policies, _told(folder), watcher


def test_a_run_writes_down_what_it_did(undisturbed, tmp_path):
    policies = final_policies(pair(), settings(), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    metrics, events = run.rows("metrics.csv"), run.rows("events.csv")
    assert [int(row["iteration"]) for row in metrics] == list(range(1, 9))
    assert [int(row["env_steps"]) for row in metrics] == [16 * 12 * i for i in range(1, 9)]
    assert {row["department"] for row in metrics} == {"shop", "warehouse"}
    accepted = [row for row in events if row["event"] == "accepted"]
    assert accepted
    assert all(float(row["gain"]) > 0 for row in accepted)
    latest = {row["department"]: int(row["version"]) for row in accepted}
    assert run.current_versions() == dict.fromkeys(("warehouse", "shop"), 0) | latest
    for policy in firm_policies(run).values():
        assert (policy.version, policy.parameters.tobytes()) == policies[policy.department]


def test_the_same_seed_gives_the_same_run_and_another_another(undisturbed, tmp_path):
    assert final_policies(pair(), settings(), tmp_path / "again") == undisturbed[0]
    assert _told(tmp_path / "again") == undisturbed[1]
    assert final_policies(pair(), settings(seed=1), tmp_path / "other") != undisturbed[0]


@pytest.mark.parametrize(
    "wiring",
    [
        Wiring(backend="local", environments=2),
        Wiring(backend="local", environments=3),
        Wiring(backend="local", execution="message"),
    ],
    ids=["two environments", "three environments", "by message"],
)
def test_the_wiring_changes_no_bit_of_the_result(wiring, undisturbed, tmp_path):
    assert final_policies(pair(), settings(), tmp_path / "run", wiring) == undisturbed[0]
    assert _told(tmp_path / "run") == undisturbed[1]


def test_departments_asked_by_message_have_forgotten_what_was_refused(tmp_path):
    """From the benchmark nothing wins here, so every turn but the first follows a refusal."""
    given = settings(imarl=IMARLSettings(parallel=False, share=1, iterations=2, patience=2, significance=1e6))
    final_policies(tree(), given, tmp_path / "snapshot")
    final_policies(tree(), given, tmp_path / "message", Wiring(backend="local", execution="message"))
    assert len(_told(tmp_path / "snapshot")) == 6
    assert _told(tmp_path / "message") == _told(tmp_path / "snapshot")


@pytest.mark.parametrize("iteration", range(1, 9))
@pytest.mark.parametrize("share", [math.inf, 1e-9], ids=["a checkpoint every iteration", "hardly any"])
def test_a_run_stopped_at_any_iteration_and_resumed_ends_as_if_it_had_not_been(
    share, iteration, undisturbed, tmp_path, monkeypatch
):
    monkeypatch.setattr("coordinator.runs.diary.CHECKPOINT_SHARE", share)
    with pytest.raises(KeyboardInterrupt):
        final_policies(pair(), settings(), tmp_path, watcher=Stop(after=iteration))
    resumed = Record()
    assert final_policies(pair(), settings(), tmp_path, watcher=resumed, resume=True) == undisturbed[0]
    assert _told(tmp_path) == undisturbed[1]
    if share == math.inf:
        assert len(resumed.turns) <= 8 - iteration + 1, "at most one iteration is done again"
    elif iteration > 1:
        assert len(resumed.turns) >= 7, "all but the first are done again"


def test_a_run_stopped_as_a_policy_is_accepted_accepts_it_once(undisturbed, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        final_policies(pair(), settings(), tmp_path, watcher=Stop(at_note="accepted"))
    assert final_policies(pair(), settings(), tmp_path, resume=True) == undisturbed[0]
    assert _told(tmp_path) == undisturbed[1]


def test_a_run_that_is_over_stays_as_it_is_when_it_is_resumed(undisturbed, tmp_path):
    final_policies(pair(), settings(), tmp_path)
    assert final_policies(pair(), settings(), tmp_path, resume=True) == undisturbed[0]
    assert _told(tmp_path) == undisturbed[1]


def test_resuming_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a run folder"):
        train(pair(), settings(), LOCAL, tmp_path, Record(), resume=True)
    assert list(tmp_path.iterdir()) == []


def test_marl_resumes_too(tmp_path):
    given = settings(scheme="marl", iterations=5)
    whole = final_policies(tree(), given, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        final_policies(tree(), given, tmp_path / "parts", watcher=Stop(after=3))
    assert final_policies(tree(), given, tmp_path / "parts", resume=True) == whole
    assert _told(tmp_path / "parts") == _told(tmp_path / "whole")


@pytest.mark.parametrize("iteration", [2, 4, 6])
def test_turns_that_end_where_nothing_is_gained_significantly_resume_too(iteration, tmp_path, monkeypatch):
    monkeypatch.setattr("coordinator.runs.diary.CHECKPOINT_SHARE", math.inf)
    turns = IMARLSettings(share=1, iterations=6, patience=2, turn_significance=1.0, significance=1, least_gain=0)
    given = settings(imarl=turns, base_policy="random")
    whole = final_policies(pair(), given, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        final_policies(pair(), given, tmp_path / "parts", watcher=Stop(after=iteration))
    assert final_policies(pair(), given, tmp_path / "parts", resume=True) == whole
    assert _told(tmp_path / "parts") == _told(tmp_path / "whole")


def test_a_run_whose_checkpoint_is_gone_is_not_begun_again_over_what_it_wrote(undisturbed, tmp_path):
    final_policies(pair(), settings(), tmp_path)
    RunFolder(tmp_path).checkpoint_file.unlink()
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is missing, and metrics\.csv tells of 8 iterations"):
        train(pair(), settings(), LOCAL, tmp_path, Record(), resume=True)
    assert _told(tmp_path) == undisturbed[1]


def test_a_run_stopped_before_its_first_checkpoint_is_begun_again(undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(RunFolder, "keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        final_policies(pair(), settings(), tmp_path)
    monkeypatch.undo()
    assert len(RunFolder(tmp_path).rows("metrics.csv")) == 1
    assert final_policies(pair(), settings(), tmp_path, resume=True) == undisturbed[0]
    assert _told(tmp_path) == undisturbed[1]


def test_a_budget_without_an_iteration_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match=r"no iteration fitted into a budget of 1e-09s"):
        final_policies(pair(), settings(seconds=1e-9, steps=None), tmp_path)


def test_the_command_ends_with_one_line_and_no_row_of_what_was_not_trained(tmp_path, capfd):
    arguments = ["train", "toy", "--backend", "local", "--budget", "0.000001s", "--run", str(tmp_path / "run")]
    assert run_command([*arguments, "--set", "base_policy=benchmark", "--episodes", "8"]) == 1
    told = capfd.readouterr()
    (line,) = [line for line in told.err.splitlines() if "no iteration" in line]
    assert line == "firmwide: no iteration fitted into a budget of 1e-06s: give a larger --budget"
    assert told.err.splitlines()[-1] == line
    assert "imarl" not in told.out
    assert not (tmp_path / "run" / "result.json").exists()


def test_starting_does_not_use_up_the_budget(tmp_path, monkeypatch):
    build = "coordinator.runs.train.build_workers"
    late = LocalGroup(setup_of(pair(), settings()).factories)
    monkeypatch.setattr(build, lambda *_: time.sleep(1.5) or late)
    final_policies(pair(), settings(iterations=10_000, seconds=1.0, steps=None), tmp_path)
    seconds = [float(row["seconds"]) for row in RunFolder(tmp_path).rows("metrics.csv")]
    assert seconds[0] < 1.0
    assert len(seconds) > 1


@pytest.mark.parametrize(
    ("wiring", "said"),
    [
        (Wiring(department_gpus=1000), r"--department-gpus, .*: 2000 GPUs are asked for, and this machine has \d"),
        (Wiring(department_gpus=1000, departments_per_process=2), "1000 GPUs are asked for"),
        (Wiring(critic_gpus=999), "999 GPUs are asked for"),
        (Wiring(backend="local", critic_gpus=0.5), "leave out --backend local"),
    ],
)
def test_gpus_that_are_not_there_are_refused_before_anything_is_written(wiring, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        train(pair(), settings(), wiring, tmp_path / "run", Record())
    assert list(tmp_path.iterdir()) == []

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.learning.settings import Wiring
from coordinator.runs.folder import RunFolder
from coordinator.runs.mailbox import Mailbox, Request
from coordinator.schemes.setup import setup_of
from coordinator.workers.group import LocalGroup, WorkerLostError, spread
from coordinator.workers.ray_group import RayGroup
from coordinator.workers.ray_session import connect
from departments.learning.pathwise import PathwiseConfig
from tests.small_firms import pair
from tests.small_markets import market
from tests.small_runs import Asking, Record, final_policies, settings

RULE = Request("swap-1", "swap", "warehouse", "ann", "", "base-stock:warehouse=23,shop=11", tolerance=99.0)
ROOT = Path(__file__).parents[3]
GIVEN = settings(iterations=7)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the same run brings in one process, with nothing between the workers."""
    folder = tmp_path_factory.mktemp("local") / "run"
    policies = final_policies(pair(), GIVEN, folder)
    accepted = [row for row in RunFolder(folder).rows("events.csv") if row["event"] == "accepted"]
    assert len(accepted) >= 2, "something must be learned for a comparison to mean anything"
    return policies


def test_items_are_dealt_out_in_turn():
    assert spread(range(7), 3) == [[0, 3, 6], [1, 4], [2, 5]]
    assert spread([], 2) == [[], []]


def test_in_one_process_a_reference_is_the_value_itself():
    workers = LocalGroup(setup_of(pair(), GIVEN).factories, environments=2)
    assert workers.get(workers.departments["shop"].call("snapshot")).department == "shop"
    assert workers.message()("warehouse", "snapshot").department == "warehouse"
    assert len(workers.environments) == 2
    assert workers.environments[0].plain is not workers.environments[1].plain


@pytest.mark.ray
@pytest.mark.parametrize(
    "wiring",
    [
        Wiring(environments=2, departments_per_process=2),
        Wiring(environments=1, execution="message", departments_per_process=1),
    ],
    ids=["two environment actors and all departments in one process", "by message, each in its own"],
)
def test_actors_change_no_bit_of_the_result(wiring, ray, undisturbed, tmp_path):
    watcher = Record()
    assert final_policies(pair(), GIVEN, tmp_path / "run", wiring, watcher) == undisturbed
    actors = wiring.environments + 1 + 2 // wiring.departments_per_process
    assert any(note.endswith(f"is ready ({actors} of {actors})") for note in watcher.notes)


class _DeadlyCrew(RayGroup):
    """Kills one process after another, each in the middle of a step: the calls are under way, their results not yet."""

    victims = ("environment-0", "department-shop", "critic")
    every = 13

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = self.killed = 0

    def get(self, references):
        self.asked += 1
        if self.asked % self.every == 0 and self.killed < len(self.victims):
            os.kill(self.pids[self.victims[self.killed]], signal.SIGKILL)
            self.killed += 1
        return super().get(references)


@pytest.mark.ray
@pytest.mark.parametrize("firm", [pair, market])
def test_gradients_through_actors_are_those_of_one_process(firm, ray, tmp_path):
    """Also where orders may be left, which asks the critic, and through customers, from a start at the rules."""
    teaching = PathwiseConfig(updates=8, copies=32, learning_rate=0.02)
    own = {"departments": {"shop": {"policy": {"hybrid": True}}}}
    if firm is market:
        teaching = teaching.model_copy(update={"updates": 3})
        own = {"policy": {"hidden": (8,), "form": "plain"}, "base_policy": "tuned"}
    given = settings(**{"scheme": "pathwise", "steps": None, "pathwise": teaching} | own)
    here = final_policies(firm(), given, tmp_path / "here")
    assert any(version for version, _ in here.values()), "something must be learned"
    assert final_policies(firm(), given, tmp_path / "actors", Wiring(environments=2)) == here


@pytest.mark.ray
def test_whoever_is_killed_the_run_recovers_by_itself_and_ends_the_same(ray, undisturbed, tmp_path, monkeypatch):
    crews = []

    def build(*args, **kwargs):
        crews.append(_DeadlyCrew(*args, **kwargs))
        return crews[-1]

    monkeypatch.setattr("coordinator.runs.train.RayGroup", build)
    watcher = Record()
    assert final_policies(pair(), GIVEN, tmp_path / "run", Wiring(environments=2), watcher) == undisturbed
    assert crews[0].killed == crews[0].restarts == 3
    events = [row["event"] for row in RunFolder(tmp_path / "run").rows("events.csv")]
    assert events.count("restarted") == 3
    assert any("a worker died" in note for note in watcher.notes)


@pytest.mark.ray
def test_a_call_meant_for_a_process_that_died_is_not_answered_by_its_successor(ray):
    plan = setup_of(pair(), GIVEN)
    workers = RayGroup(plan.factories, namespace="successor", environments=1, departments_per_process=2)
    try:
        before = workers.pids["critic"]
        os.kill(before, signal.SIGKILL)
        host = ray.get_actor("critic", namespace="successor")
        assert ray.get(host.ready.options(max_task_retries=-1).remote()) != before
        with pytest.raises(WorkerLostError):
            workers.get(workers.critic.call("state"))
        workers.recover()
        assert workers.restarts == 1
        assert workers.get(workers.critic.call("state"))["updates"] == 0
        with pytest.raises(RuntimeError, match="asked to act before begin") as error:
            workers.get(workers.departments["shop"].call("act", None))
        assert not isinstance(error.value, WorkerLostError), "an error of ours is not a death"
    finally:
        workers.close()


_DRIVER = """
import sys
from pathlib import Path
from coordinator.runs import diary, train
from coordinator.learning.settings import Wiring
from departments.learning.pathwise import PathwiseConfig
from tests.small_firms import pair
from tests.small_runs import Asking, Record, final_policies, settings

class Loud(Record):
    def iteration(self, *seen):
        super().iteration(*seen)
        print("done", len(self.turns), flush=True)

if __name__ == "__main__":
    diary.CHECKPOINT_SHARE = float("inf")  # after every iteration, however long it takes
    wiring = Wiring(environments=1, departments_per_process=2)
    final_policies(pair(), settings(iterations=7), Path(sys.argv[1]), wiring, Loud())
"""


@pytest.mark.thorough
@pytest.mark.ray
def test_a_driver_that_is_killed_resumes_where_it_was_and_ends_the_same(ray, undisturbed, tmp_path):
    command = [sys.executable, "-c", _DRIVER, str(tmp_path / "run")]
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings, cwd=tmp_path) as driver:
        for line in driver.stdout:
            if line.startswith("done 4"):
                break
        driver.kill()
    assert driver.returncode == -signal.SIGKILL
    watcher = Record()
    wiring = Wiring(environments=2, departments_per_process=2)
    assert final_policies(pair(), GIVEN, tmp_path / "run", wiring, watcher, resume=True) == undisturbed
    assert 0 < len(watcher.turns) <= 4, "four of seven were done, the fourth perhaps not yet kept"
    rows = RunFolder(tmp_path / "run").rows("metrics.csv")
    assert [int(row["iteration"]) for row in rows] == list(range(1, 8))


@pytest.mark.ray
@pytest.mark.slow
def test_with_actors_a_swap_brings_what_it_brings_in_one_process(ray, tmp_path):
    given = settings(iterations=6, base_policy="benchmark")
    results = []
    for wiring in (Wiring(backend="local"), Wiring(environments=1, departments_per_process=2)):
        folder = tmp_path / wiring.backend
        results.append(final_policies(pair(), given, folder, wiring, Asking(folder, {3: [RULE]})))
        assert Mailbox(folder).answer("swap-1")["state"] == "done"
    assert results[0] == results[1]
    assert results[0]["warehouse"][0] > 0


@pytest.mark.ray
def test_a_process_that_works_on_one_ray_joins_that_of_no_firm_beside(ray):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ValueError, match=f"works on the Ray at .*, so it cannot join '{address}'"):
            connect("firm", address, own=True)
    assert connect("firm", ray.get_runtime_context().gcs_address, own=True) == (ray, False)


@pytest.mark.ray
def test_what_ray_cannot_place_is_named(ray, monkeypatch):
    monkeypatch.setattr("coordinator.workers.ray_group._PATIENCE", 1.0)
    said = []

    def report(line):
        said.append(line)
        if "not placed" in line and "critic" not in line.partition("yet")[0]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RayGroup(setup_of(pair(), GIVEN).factories, namespace="nowhere", department_gpus=0.5, report=report)
    for name in ("department-warehouse", "department-shop", "critic", "environment-0", "environment-1"):
        ray.kill(ray.get_actor(name, namespace="nowhere"))
    assert "department-warehouse" in said[-1]
    assert "0.5 GPUs a department process" in said[-1]

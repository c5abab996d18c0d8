"""What trackers wrote is read back: TensorBoard's by a reader of its own, the others' by their packages."""

import json
import math
import os
import struct
import sys
import time
import warnings

import pytest
import yaml

from coordinator.cli import run
from coordinator.experiments.trackers import TRACKERS, trackers
from coordinator.runs.folder import RunFolder
from coordinator.runs.train import train
from coordinator.runs.watcher import RunEvent, RunIteration, RunStart, Watchers
from tests.small_firms import pair
from tests.small_runs import LOCAL, Stop, settings

SEEN = {  # what is told below, by name: steps and values
    "cost": [(2, 80.0)],
    "benchmark_cost": [(2, 100.0)],
    "env_steps": [(1, 100.0), (2, 200.0)],
    "seconds": [(1, 0.5), (2, 1.0)],
    "critic/value_loss": [(1, 3.0), (2, 1.5)],
    "department/shop/kl": [(1, 0.25), (2, 0.125)],
    "department/shop/version": [(1, 1.0), (2, 2.0)],
    "department/shop/accepted": [(2, 2.0)],
    "department/shop/gain": [(2, 20.0)],
    "result/imarl": [(2, 79.0)],
}


def told(folder, name, earns=False):
    """Tell a tracker of two iterations, in which one thing could not be measured."""
    sign, word = (-1, "profit") if earns else (1, "cost")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's packages
        with Watchers(trackers([name])) as watcher:
            start = RunStart(folder, "pair", "imarl", 7, earns)
            watcher.started(start, {"seed": 7, "steps": None, "ppo": {"learning_rate": 5e-4}, "hidden": [8, 8]})
            for step in (1, 2):
                shop = {"version": step, "kl": 0.5 / 2**step, "entropy": math.nan}
                watcher.iteration(
                    RunIteration(
                        iteration=step,
                        seconds=step / 2,
                        env_steps=100 * step,
                        who="shop",
                        turn=1,
                        turn_iteration=step,
                        cost=sign * 80.0,
                        selected=step == 2,
                        benchmark_cost=sign * 100.0,
                        departments={"shop": shop},
                        critic={"value_loss": 3.0 / step},
                    )
                )
            watcher.event(RunEvent("accepted", 2, 1.0, "shop", 2, 20.0, 1.0))
            watcher.finished({"policies": {"imarl": {word: {"mean": 79.0, "se": 1.0}}}})


def fields(message):
    """Field numbers and values of a protobuf message, by the wire format."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        else:
            length = {1: 8, 5: 4}.get(kind) or varint()
            yield key >> 3, message[at : at + length]
            at += length


def records(file):
    """What a file of TFRecords holds."""
    data, at = file.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield data[at + 12 : at + 12 + length]
        at += 16 + length


def scalars(folder):
    """Name -> [(step, value)] of all event files: TFRecords of `Event`s."""
    found = {}
    for file in sorted((folder / "tensorboard").iterdir()):
        for event in (dict(fields(event)) for event in records(file)):
            for number, value in fields(event.get(5, b"")):
                content = dict(fields(value))
                if number == 1 and 2 in content:
                    name, (number,) = content[1].decode(), struct.unpack("<f", content[2])
                    found.setdefault(name, []).append((event.get(2, 0), number))
    return found


def test_tensorboard_holds_what_was_told(tmp_path):
    told(tmp_path, "tensorboard")
    assert scalars(tmp_path) == SEEN
    text = b"".join(file.read_bytes() for file in (tmp_path / "tensorboard").iterdir())
    assert b"ppo.learning_rate" in text


def test_a_firm_that_earns_is_logged_by_its_profit(tmp_path):
    told(tmp_path, "tensorboard", earns=True)
    found = scalars(tmp_path)
    assert (found["profit"], found["benchmark_profit"]) == (SEEN["cost"], SEEN["benchmark_cost"])
    assert "cost" not in found


def test_a_trained_run_has_in_tensorboard_what_metrics_csv_says(tmp_path):
    arguments = ["--set", "copies=4", "--set", "imarl.iterations=2", "--set", "selection_episodes=8"]
    arguments += ["--set", "acceptance_episodes=8", "--set", "select_every=1"]
    arguments += ["--log", "tensorboard", "--backend", "local", "--episodes", "8", "--budget", "500"]
    assert run(["train", "toy", "--run", str(tmp_path / "run"), *arguments, "--json"]) == 0
    folder, found = RunFolder(tmp_path / "run"), scalars(tmp_path / "run")
    rows = folder.rows("metrics.csv")
    for key, name in (("cost", "cost"), ("value_loss", "critic/value_loss"), ("env_steps", "env_steps")):
        by_step = {int(row["iteration"]): float(row[key]) for row in rows if row[key]}
        assert dict(found[name]) == pytest.approx(by_step, rel=1e-4)
    for row in rows:
        logged = dict(found[f"department/{row['department']}/kl"])
        assert logged[int(row["iteration"])] == pytest.approx(float(row["kl"]), rel=1e-4)
    result = json.loads((tmp_path / "run" / "result.json").read_text())["policies"]["imarl"]["cost"]["mean"]
    assert found["result/imarl"][0][1] == pytest.approx(result)


def test_steps_of_a_run_that_goes_on_come_once(tmp_path, monkeypatch):
    monkeypatch.setattr("coordinator.runs.diary.CHECKPOINT_SHARE", 1e-9)  # only the first is kept
    with pytest.raises(KeyboardInterrupt), Watchers([*trackers(["tensorboard"]), Stop(after=5)]) as watcher:
        train(pair(), settings(), LOCAL, tmp_path, watcher)
    with Watchers(trackers(["tensorboard"])) as watcher:
        train(pair(), settings(), LOCAL, tmp_path, watcher, resume=True)
    _, second = sorted((tmp_path / "tensorboard").iterdir())
    events = [dict(fields(event)) for event in records(second)]
    (purges,) = (event for event in events if 7 in event)  # a session starts: TensorBoard forgets from its step on
    steps = [step for step, _ in scalars(tmp_path)["env_steps"]]
    assert steps[:5] == [1, 2, 3, 4, 5]
    assert purges[2] == steps[5]
    assert steps[5:] == list(range(steps[5], 9))


def blocks(data):
    """Records of a log as LevelDB writes it, after W&B's own 7 bytes."""
    at, parts = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            yield parts
            parts = b""


def test_mlflow_holds_what_was_told(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    told(tmp_path, "mlflow")
    identity = json.loads((tmp_path / "trackers.json").read_text())["mlflow"]
    client = mlflow.MlflowClient()
    found = client.get_run(identity)
    assert found.info.status == "FINISHED"
    assert found.data.params == {
        "firm": "pair",
        "seed": "7",
        "ppo.learning_rate": "0.0005",
        "hidden": "[8, 8]",
    }
    kept = {name: client.get_metric_history(identity, name) for name in found.data.metrics}
    assert {name: [(one.step, one.value) for one in some] for name, some in kept.items()} == SEEN
    told(tmp_path, "mlflow")
    assert len(client.search_runs([found.info.experiment_id])) == 1, "a run that goes on is the same there"


def test_wandb_holds_what_was_told(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2 as messages

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    told(tmp_path, "wandb")
    identity = json.loads((tmp_path / "trackers.json").read_text())["wandb"]
    (file,) = tmp_path.glob(f"wandb/offline-run-*-{identity}/*.wandb")
    until, kept = time.monotonic() + 30, []
    while not any(record.HasField("exit") for record in kept) and time.monotonic() < until:
        kept = [messages.Record.FromString(data) for data in blocks(file.read_bytes())]  # its process writes on
    found, config = {}, {}
    for record in kept:
        config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for name, value in row.items():
            found.setdefault(name, []).append((row["iteration"], value))
    assert {name: some for name, some in found.items() if name in SEEN} == SEEN
    assert not [name for name in found if "entropy" in name]
    assert (config["ppo.learning_rate"], config["firm"]) == (5e-4, "pair")


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_is_refused_with_the_cure(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, TRACKERS[name].package, None)
    assert run(["train", "toy", "--log", name, "--run", str(tmp_path / "run"), "--backend", "local"]) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"firmwide: --log {name} needs `pip install 'firmwide[{name}]'`")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_refused(tmp_path, capfd):
    assert run(["benchmark", "toy", "--log", "paper", "--out", str(tmp_path / "out"), "--backend", "local"]) == 2
    assert capfd.readouterr().err == "firmwide: --log must be tensorboard, wandb, mlflow, got 'paper'\n"
    assert os.listdir(tmp_path) == []


def test_trials_of_a_benchmark_are_logged_each_in_its_folder(tmp_path):
    small = {"copies": 4, "iterations": 1, "selection_episodes": 8, "acceptance_episodes": 8}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    arguments = ["benchmark", "toy", "--schemes", "marl", "--trials", "2", "--backend", "local", "--episodes", "8"]
    arguments += ["--config", str(tmp_path / "small.yaml"), "--log", "tensorboard", "--out", str(tmp_path / "out")]
    assert run([*arguments, "--json"]) == 0
    for seed in (0, 1):
        folder = tmp_path / "out" / "runs" / "toy" / "marl" / str(seed)
        found, about = scalars(folder), json.loads((folder / "result.json").read_text())
        assert found["result/marl"][0][1] == pytest.approx(about["policies"]["marl"]["result"])

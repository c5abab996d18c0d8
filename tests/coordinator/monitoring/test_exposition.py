"""What is exported, read back by prometheus-client's own parser."""

import math
import socket

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from coordinator.live.home import write_home
from coordinator.live.metrics import figures
from coordinator.monitoring.firm import FirmCollector
from coordinator.monitoring.registry import REGISTRY, SAMPLES, STATES
from coordinator.monitoring.run import RunCollector, Tail
from coordinator.monitoring.server import FirmSource
from coordinator.runs.folder import EVENTS, METRICS, RunFolder
from environment import load_firm
from tests.coordinator.live.test_operation import begun
from tests.small_runs import LOCAL, Record, Stop, settings, train

A1 = load_firm("a1")
SHORT = settings(steps=8 * 16 * A1.periods.train)  # eight iterations


CANARY = {"command": "c", "policy": "p", "since": 10, "until": 30, "done": 5, "money": 90.0, "incumbent_money": 100.0}


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    """Two firms after four ticks; one earns, the other bears cost."""
    found = {name: begun(tmp_path_factory.mktemp("firms") / "f", name) for name in ("firm", "a1")}
    for operation in found.values():
        for _ in range(4):
            operation.tick()
    return found


def told_by(operation, *canaries, state="running"):
    about = {"name": "shop", "state": state, "reason": "", "time": 5.0, "told": 6.0, "interval": 1.0}
    workers = {name: {"up": name != "store-1", "node": "n"} for name in operation.layout.departments}
    return figures(operation, about | {"tick_rate": 2.0, "lag": 0.5}, workers, list(canaries))


def exposed(collector):
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def key(name, *labels):
    return (name, *sorted(labels))


def samples(text):
    """Sample -> value, by `key`; twice the same would be an error."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            where = key(sample.name, *sample.labels.values())
            assert where not in found, where
            found[where] = sample.value
    return found


@pytest.mark.parametrize("firm", ["firm", "a1"])
def test_a_firms_figures_are_exported_as_they_are(firm, operations):
    told = told_by(operations[firm])
    found = samples(exposed(FirmCollector("shop", lambda: told, print)))
    assert {name for name, *_ in found} <= SAMPLES
    assert found[key("firmwide_firm_up", "shop")] == 1
    assert found[key("firmwide_firm_ticks_total", "shop")] == 4
    sign = -1 if told["earns"] else 1
    assert found[key("firmwide_firm_cost", "shop")] == pytest.approx(sign * told["money"])
    ahead = found[key("firmwide_firm_saving", "shop")]
    assert ahead == pytest.approx(told["benchmark"]["saving"])
    assert found[key("firmwide_firm_tick_duration_seconds_count", "shop")] == 4
    for name, row in told["departments"].items():
        assert found[key("firmwide_department_decisions_total", name, "shop")] == 4
        assert found[key("firmwide_department_up", name, "shop")] == row["up"]
        modes = {where[1:]: value for where, value in found.items() if where[0] == "firmwide_department_mode"}
        assert sum(value for where, value in modes.items() if name in where) == 1
        buckets = [v for k, v in found.items() if k[0].endswith("decision_duration_seconds_bucket") and name in k]
        assert buckets == sorted(buckets)
        assert buckets[-1] == row["latency"]["count"]
        for product, units in row["on_hand"].items():
            assert found[key("firmwide_department_on_hand_units", name, "shop", product)] == units
        for place, share in row["exposure"].items():
            exposure = found[key("firmwide_department_exposure_ratio", name, "shop", *place.rsplit("/", 1))]
            assert exposure == pytest.approx(share)
    points = [row for row in told["departments"].values() if row["kind"] == "replenishment"]
    costs = sum(v for k, v in found.items() if k[0] == "firmwide_department_cost")
    assert costs == pytest.approx(sum(row["cost"] for row in points))


@pytest.mark.parametrize("state", STATES)
def test_a_firm_that_waits_or_has_failed_is_told_from_one_that_runs(state, operations):
    found = samples(exposed(FirmCollector("shop", lambda: told_by(operations["a1"], state=state), print)))
    told = {each: found[key("firmwide_firm_state", "shop", each)] for each in STATES}
    assert told == {each: float(each == state) for each in STATES}


def test_a_canary_is_ahead_where_it_earns_more_or_costs_less(operations):
    for firm, department, ahead in (("a1", "retailer-2", 10.0), ("firm", "store-1", -10.0)):
        told = told_by(operations[firm], CANARY | {"department": department})
        found = samples(exposed(FirmCollector("shop", lambda told=told: told, print)))
        assert found[key("firmwide_department_canary_saving", department, "shop")] == ahead
        assert found[key("firmwide_department_canary_remaining_ticks", department, "shop")] == 15
        assert found[key("firmwide_firm_canaries", "shop")] == 1


def test_a_firm_that_does_not_answer_is_down_and_the_reason_is_told_once(operations):
    said, answers = [], ["gone\nfor good", "gone\nfor good", told_by(operations["a1"]), "gone\nfor good"]

    def ask():
        answer = answers.pop(0)
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer

    collector = FirmCollector("shop", ask, said.append)
    seen = [samples(exposed(collector)) for _ in range(4)]
    assert [found[key("firmwide_firm_up", "shop")] for found in seen] == [0, 0, 1, 0]
    assert seen[0] == {("firmwide_firm_up", "shop"): 0}
    assert said == ["gone for good", "firm 'shop' answers again", "gone for good"]


def test_a_firm_whose_ray_is_gone_is_down_at_once(operations, tmp_path):
    operation, said = operations["a1"], []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    write_home(operation.folder, address, None, {})
    source = FirmSource(operation.folder.name, operation.folder.parent)
    assert samples(exposed(FirmCollector("shop", source.figures, said.append))) == {("firmwide_firm_up", "shop"): 0}
    assert f"its Ray at {address} cannot be reached" in said[0]
    source.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "learns"
    train(A1, SHORT, LOCAL, folder, Record())
    return RunFolder(folder)


def test_a_training_runs_folder_is_exported_as_its_files_say(run):
    found = samples(exposed(RunCollector(run.path, print)))
    assert {name for name, *_ in found} <= SAMPLES
    rows, events = run.rows("metrics.csv"), run.rows("events.csv")
    last = {row["department"]: row for row in rows}
    assert found[key("firmwide_run_up", "learns")] == 1
    assert found[key("firmwide_run_iterations_total", "learns")] == len({row["iteration"] for row in rows}) > 1
    assert found[key("firmwide_run_env_steps_total", "learns")] == float(rows[-1]["env_steps"])
    costs = [row["cost"] for row in rows if row["cost"]]
    assert found[key("firmwide_run_cost", "learns")] == float(costs[-1])
    assert found[key("firmwide_run_benchmark_cost", "learns")] == float(rows[0]["benchmark_cost"])
    assert found[key("firmwide_run_finished", "learns")] == 0
    for name, row in last.items():
        own = (name, "learns")
        assert found[key("firmwide_learner_learning_rate", *own)] == 0.01 == float(row["learning_rate"])
        assert found[key("firmwide_learner_kl_nats", *own)] == float(row["kl"])
        assert found[key("firmwide_learner_entropy_nats", *own)] == float(row["entropy"])
        assert found[key("firmwide_learner_updates_total", *own)] == sum(r["department"] == name for r in rows)
        accepted = sum(event["event"] == "accepted" and event["department"] == name for event in events)
        assert found[key("firmwide_learner_accepted_total", *own)] == accepted
        assert found[key("firmwide_learner_step_law_info", "0", "0.01", *own)] == 1


def test_learning_rates_of_a_closed_loop_are_those_of_the_step_law(tmp_path):
    folder = tmp_path / "loop"
    given = settings(3, scheme="mtma")
    train(load_firm("closing-loop"), given, LOCAL, folder, Record())
    found = samples(exposed(RunCollector(folder, print)))
    rows = RunFolder(folder).rows("metrics.csv")
    names = {row["department"] for row in rows}
    for name in names:
        law = given.fast_law if name == "recommendation" else given.slow_law
        rates = [float(row["learning_rate"]) for row in rows if row["department"] == name]
        expected = [law.at(i * given.copies) for i in range(len(rates))]
        assert rates == pytest.approx(expected, rel=1e-5)
        assert found[key("firmwide_learner_learning_rate", *sorted((name, "loop")))] == pytest.approx(rates[-1])
    laws = [where for where in found if where[0] == "firmwide_learner_step_law_info"]
    assert len(laws) == len(names)


def test_a_folder_is_read_on_from_where_it_was_and_counters_never_fall(tmp_path):
    folder = tmp_path / "r"
    with pytest.raises(KeyboardInterrupt):
        train(A1, SHORT, LOCAL, folder, Stop(after=3))
    collector = RunCollector(folder, print)
    before = samples(exposed(collector))
    assert before[key("firmwide_run_iterations_total", "r")] == 3
    train(A1, SHORT, LOCAL, folder, Record(), resume=True)
    after = samples(exposed(collector))
    anew = samples(exposed(RunCollector(folder, print)))
    assert after == anew
    for where, value in before.items():
        if where[0].endswith("_total"):
            assert after[where] >= value, where


def test_half_a_row_waits_and_a_replaced_file_is_read_again(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text("iteration,department\n1,a\n2,")
    tail = Tail(file, ("iteration",))
    assert tail.read() == (True, [{"iteration": "1", "department": "a"}])
    with file.open("a") as more:
        more.write('"b\nc"\n')
    assert tail.read() == (False, [{"iteration": "2", "department": "b\nc"}])
    assert tail.read() == (False, [])
    file.write_text("iteration,department\n")
    assert tail.read() == (True, [])


def test_a_damaged_folder_is_down_until_it_is_mended(tmp_path):
    said, run = [], RunFolder(tmp_path / "r")
    run.create(A1, SHORT)
    row = {"iteration": 1, "seconds": 1.0, "env_steps": 10, "department": "warehouse"}
    run.append("metrics.csv", METRICS, row)
    run.append("events.csv", EVENTS, {"event": "restarted"})
    collector = RunCollector(run.path, said.append)
    good = samples(exposed(collector))
    assert good[key("firmwide_run_worker_restarts_total", "r")] == 1
    text = (run.path / "metrics.csv").read_text()
    (run.path / "metrics.csv").write_text(text + "1,2\n")
    assert samples(exposed(collector)) == {("firmwide_run_up", "r"): 0}
    assert "has not as many columns" in said[0]
    (run.path / "metrics.csv").write_text(text + "x" + text.splitlines()[1] + "\n")
    assert samples(exposed(collector)) == {("firmwide_run_up", "r"): 0}
    (run.path / "metrics.csv").write_text(text)
    mended = samples(exposed(collector))
    assert mended.pop(("firmwide_run_written_timestamp_seconds", "r")) > 0
    assert mended == {where: v for where, v in good.items() if where[0] != "firmwide_run_written_timestamp_seconds"}
    assert said[-1] == "run 'r' can be read again"
    assert all("\n" not in line for line in said)


def test_every_metric_of_the_registry_is_exported_by_something(run, operations):
    told = told_by(operations["firm"], CANARY | {"department": "store-1"})
    text = exposed(FirmCollector("shop", lambda: told, print)) + exposed(RunCollector(run.path, print))
    assert {name for name, *_ in samples(text)} == SAMPLES
    assert not any(math.isnan(value) for value in samples(text).values())
    assert len(SAMPLES) > len(REGISTRY) > 60

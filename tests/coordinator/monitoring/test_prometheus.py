"""A real Prometheus that scrapes exporters of a real running firm and a real training run."""

import csv
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from coordinator.cli import run
from coordinator.live.start import Opening, open_firm
from coordinator.monitoring.registry import SAMPLES
from coordinator.runs.train import train
from tests.coordinator.monitoring.tools import WORDS, needs_prometheus, panels, promtool, rules
from tests.small_firms import pair
from tests.small_runs import LOCAL, Record, settings

FIRMWIDE = [sys.executable, "-W", "ignore", "-c", "from coordinator.cli import main; main()"]
_DEADLINE = 120.0  # s


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fetch(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def until(condition, process=None):
    """What `condition` gives, once it gives something; fails when that takes too long or `process` has ended."""
    end = time.monotonic() + _DEADLINE
    while not (found := condition()):
        assert process is None or process.poll() is None, "it has ended"
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.1)
    return found


class Exporters:
    """`firmwide monitor`, any number of times."""

    def __init__(self, home):
        self.home, self.targets, self.running, self._lines = home, home / "targets", [], []

    def start(self, source):
        """The address of a new one."""
        log = self.home / f"monitor-{len(self.running)}.log"
        command = [*FIRMWIDE, "monitor", str(source), "--port", "0", "--home", str(self.home)]
        with log.open("w") as file:
            process = subprocess.Popen([*command, "--targets", str(self.targets)], stderr=file)
        self.running.append(process)

        def said():
            return re.search(r"http://(\S+)/metrics", log.read_text())

        return until(said, process)[1]

    def log(self, number):
        return (self.home / f"monitor-{number}.log").read_text()

    def close(self):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        return [process.wait(30) for process in self.running]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The folder of a run that saved something and is not compared yet."""
    folder = tmp_path_factory.mktemp("runs") / "learned"
    train(pair(), settings(), LOCAL, folder, Record())
    assert any(event["event"] == "accepted" for event in rows(folder / "events.csv"))
    return folder


@pytest.fixture
def exporters(tmp_path):
    found = Exporters(tmp_path)
    yield found
    found.close()


def samples(text):
    """Names in an exposition, those of the client library left out."""
    return {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def test_a_run_is_told_as_its_folder_has_it(learned, exporters):
    text = fetch(f"http://{exporters.start(learned)}/metrics")
    last = rows(learned / "metrics.csv")[-1]
    assert f'firmwide_run_env_steps_total{{run="learned"}} {float(last["env_steps"])}' in text
    assert f'firmwide_run_iterations_total{{run="learned"}} {float(last["iteration"])}' in text
    rate = 'firmwide_learner_learning_rate{department="shop",run="learned"} 0.01'
    assert rate in text
    assert samples(text) <= SAMPLES
    damaged = shutil.copytree(learned, learned.with_name("damaged"))
    address = exporters.start(damaged)
    (damaged / "metrics.csv").write_text("nonsense\n1,2\n")
    assert 'firmwide_run_up{run="damaged"} 0.0' in fetch(f"http://{address}/metrics")
    assert "damaged" in exporters.log(1)
    known = json.loads(fetch(f"http://{address}/sd"))
    assert address in [target for entry in known for target in entry["targets"]]
    assert len(known) == 2
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(f"http://{address}/")
    assert exporters.close() == [0, 0]
    assert list(exporters.targets.iterdir()) == [], "who has ended is no target"


def test_nonsense_is_refused_with_one_line(learned, tmp_path, capsys):
    for arguments, words in (
        ([str(learned), "--port", "12000"], "10002-19999"),
        (["nobody", "--home", str(tmp_path)], "nobody"),
    ):
        assert run(["monitor", *arguments, "--targets", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert len(said.strip().splitlines()) == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["monitor", str(learned), "--port", port, "--targets", str(tmp_path)]) == 2
    assert "give another --port" in capsys.readouterr().err
    assert list(tmp_path.glob("*.json")) == []


class Prometheus:
    """A server of its own."""

    def __init__(self, folder, port):
        self._url = f"http://127.0.0.1:{port}/api/v1"
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        with (folder / "log").open("w") as file:
            self.process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=file)

    def ask(self, path, **arguments):
        try:
            return json.loads(fetch(f"{self._url}/{path}?{urllib.parse.urlencode(arguments)}"))["data"]
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError) and error.code != 503:  # 503: it is not ready yet
                raise AssertionError(f"{arguments}: {error.read().decode()}") from error
            return None

    def query(self, promql):
        found = self.ask("query", query=promql)
        return found and found["result"]


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.thorough
@pytest.mark.ray
@pytest.mark.slow
@needs_prometheus
def test_every_panel_and_every_rule_finds_data_about_a_running_firm_and_a_run(learned, exporters, tmp_path):
    folder = tmp_path / "prometheus"
    run(["monitor", "--files", str(folder), "--targets", str(exporters.targets)])
    written = (folder / "prometheus.yml").read_text()
    (folder / "prometheus.yml").write_text(written.replace(": 10s", ": 1s"))
    prometheus = Prometheus(folder, _free_port())
    try:
        with open_firm(Opening("firm", "shop", tmp_path, tick=0.05)) as firm:
            try:
                brief = exporters.start("shop")
                assert "firmwide_firm_up" in fetch(f"http://{brief}/metrics")
                assert exporters.close() == [0], "also when it has just joined a Ray"
                other, address = exporters.start(learned), exporters.start("shop")
                _look_at_everything(prometheus, firm, address)
            finally:
                firm.stop()
        until(lambda: prometheus.query("firmwide_firm_up == 0"), prometheus.process)
        elsewhere = re.sub(r"(?m)^  # (?=- job|  )", "  ", written).replace("HOST:9464", address)
        (folder / "elsewhere.yml").write_text(elsewhere)
        found = promtool("check", "service-discovery", "--timeout=5s", folder / "elsewhere.yml", "firmwide-elsewhere")
        assert set(re.findall(r'"instance": "(.+)"', found)) == {other, address}
        with open_firm(Opening(None, "shop", tmp_path, tick=0.05)) as firm:
            try:
                until(lambda: prometheus.query("firmwide_firm_up == 1"), prometheus.process)
            finally:
                firm.stop()
        assert exporters.close() == [0, 0, 0], "also after it has joined a second Ray"
        assert list(exporters.targets.iterdir()) == []
    finally:
        prometheus.process.terminate()
        prometheus.process.wait(30)


def _look_at_everything(prometheus, firm, address):
    until(lambda: prometheus.query("firmwide_firm_ticks_total > 20"), prometheus.process)
    before = float(prometheus.query("firmwide_firm_ticks_total")[0]["value"][1])
    promtool("check", "metrics", input=fetch(f"http://{address}/metrics"))
    assert firm.swap("store-1", "forecast-base-stock", canary=100_000, wait=0.1)["state"] == "pending"
    until(lambda: prometheus.query(f"firmwide_firm_ticks_total > {before} + 20"))
    for title, promql in panels():
        promql = promql.removesuffix(" > 0") if title.startswith("annotation") else promql  # nobody was swapped
        assert until(lambda promql=promql: prometheus.query(promql)), title
    for rule in rules():
        for word in WORDS.findall(rule["expr"]) or ["up"]:
            assert prometheus.query(word), f"{rule['alert']}: {word}"
    known = prometheus.ask("rules")["groups"]
    assert {rule["name"] for group in known for rule in group["rules"]} == {rule["alert"] for rule in rules()}
    assert set(until(lambda: _all_evaluated(prometheus)).values()) == {"ok"}
    told = {row["metric"]["department"] for row in prometheus.query("firmwide_department_up == 1")}
    assert told == set(firm.departments)


def _all_evaluated(prometheus):
    health = {rule["name"]: rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}
    return health if "unknown" not in health.values() else None

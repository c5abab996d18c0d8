"""A cluster on three machines of one site, launched by the shipped cluster.yaml, and what is asked of it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests.cluster.machines import HOME, Site

ROOT = Path(__file__).parents[2]
FIRMWIDE = "~/firmwide-venv/bin/firmwide"
JOBS = "http://127.0.0.1:8265"
_PROGRAM = """#!/bin/sh
PYTHONPATH=~/firmwide exec {} "$@"
"""
_FETCH = """
import os, sys, urllib.error, urllib.request
asked = urllib.request.Request(sys.argv[1])
if sys.argv[2:]:
    asked.add_header("Authorization", "Bearer " + open(os.path.expanduser(sys.argv[2])).read().strip())
try:
    print(urllib.request.urlopen(asked, timeout=5).read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    pass
"""


def until(what, seconds=120):
    """What `what` gives, once it gives something."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"it did not come within {seconds} s"
        time.sleep(0.2)
    return found


class Cluster:
    """As docs/cluster.md has it, with the programs of this Python instead of an installation."""

    def __init__(self):
        content = yaml.safe_load((ROOT / "cluster.yaml").read_text())
        self.head, self.workers = content["provider"]["head_ip"], content["provider"]["worker_ips"]
        self._begun, self._commands = time.monotonic(), []
        self.site = Site([self.head, *self.workers])
        self.desk, self.machines = self.site.desk, self.site.machines
        self.say("three machines are up")
        for machine in self.machines.values():
            for name in ("ray", "firmwide"):
                program = machine.home / "programs" / name
                program.parent.mkdir(exist_ok=True)
                program.write_text(_PROGRAM.format(f"{sys.prefix}/bin/{name}"))
                program.chmod(0o755)
        content["setup_commands"] = ["mkdir ~/firmwide-venv && mv ~/programs ~/firmwide-venv/bin"]
        (self.desk.home / "cluster.yaml").write_text(yaml.safe_dump(content))

    def say(self, line):
        """A line of the log, which `python -m tests.cluster` shows."""
        print(f"{time.monotonic() - self._begun:6.1f} s  {line}", flush=True)

    def up(self):
        """Launch it, and forward the head's dashboard."""
        self.run("ray", "get-auth-token", "--generate")
        self.run("chmod", "600", ".ray/auth_token")
        self.run("ray", "up", "-y", "/home/operator/cluster.yaml", folder=ROOT)
        self.say("ray up has ended")
        until(lambda: set(self.nodes().values()) == set(self.machines))
        self.say("three nodes")
        self.dashboard = self.begin("ray", "dashboard", "cluster.yaml")
        until(lambda: "401" in self.fetch(f"{JOBS}/api/jobs/"))

    def begin(self, *command, **more):
        """A command on the desk that goes on beside."""
        log = self.desk.home / f"{len(self._commands)}.log"
        with log.open("w") as file:
            given = {"env": {"RAY_AUTH_MODE": "token", "PYTHONPATH": ROOT}, "stdin": subprocess.DEVNULL}
            process = self.desk.start(*command, **given, stdout=file, stderr=subprocess.STDOUT, **more)
        process.log = log
        self._commands.append(process)
        return process

    def ended(self, process, well=True, seconds=240):
        """What a command on the desk said when it ended, well or not."""
        status = process.wait(seconds)
        said = process.log.read_text()
        assert (status == 0) == well, f"{process.args} ended with {status}:\n{said[-4000:]}"
        return said

    def run(self, *command, well=True, **more):
        """What a command on the desk said."""
        return self.ended(self.begin(*command, **more), well)

    def execute(self, command, well=True):
        """What a command said on the head."""
        return self.run("ray", "exec", "cluster.yaml", command, well=well)

    def job(self, number, command):
        """A job that was submitted; `ended` waits for it."""
        given = ("--address", JOBS, "--submission-id", number)
        return self.begin("ray", "job", "submit", *given, "--", "bash", "-c", command)

    def on(self, address, *command):
        """What a command on one of the machines said on stdout."""
        status, said, complained = self._on(address, *command)
        assert status == 0, f"{command} ended with {status}: {complained}"
        return said

    def refused(self, address, *command):
        """What a command on one of the machines complained of; nothing if it was carried out."""
        status, _, complained = self._on(address, *command)
        return complained if status else ""

    def _on(self, address, *command):
        environment = {"RAY_AUTH_MODE": "token", "PYTHONPATH": str(HOME / "firmwide")}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = self.machines[address].start(*command, env=environment, **pipes)
        said, complained = process.communicate(timeout=240)
        return process.returncode, said, complained

    def fetch(self, url, *token, by=None):
        """What the desk, or a machine, gets from an address: a text, the number of an error, or nothing."""
        begin = (by or self.desk).start
        process = begin(sys.executable, "-S", "-c", _FETCH, url, *token, stdout=subprocess.PIPE, text=True)
        return process.communicate(timeout=30)[0]

    def listed(self, what):
        """All `nodes` or `actors` that Ray knows, as the dashboard has them for who has the token."""
        told = self.fetch(f"{JOBS}/api/v0/{what}?limit=1000&detail=1", "~/.ray/auth_token", by=self.machines[self.head])
        return json.loads(told)["data"]["result"]["result"] if told.startswith("{") else []

    def nodes(self):
        """Address of every node that Ray counts on, by its name."""
        return {node["node_id"]: node["node_ip"] for node in self.listed("nodes") if node["state"] == "ALIVE"}

    def close(self):
        """End everything, and give what is left."""
        left = self.site.close()
        for command in self._commands:
            command.wait(30)
        return left


class Shop:
    """The firm, as its exporter tells of it."""

    def __init__(self, cluster):
        self._cluster, self.url = cluster, f"http://{cluster.head}:9464"

    def told(self, name):
        """A metric: by department, if it has that label."""
        found = {}
        for line in self._cluster.fetch(f"{self.url}/metrics").splitlines():
            if line.startswith(f"firmwide_{name}{{"):
                labels, value = line.rsplit(" ", 1)
                found[labels.partition('department="')[2].partition('"')[0]] = float(value)
        return found.get("", found)

    def places(self):
        """The machine of each department."""
        nodes = self._cluster.nodes()
        figures = json.loads(self._cluster.on(self._cluster.head, "firmwide", "status", "shop", "--json"))
        return {name: nodes[row["node"]] for name, row in figures["departments"].items()}

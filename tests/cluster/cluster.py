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
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
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
        environment = {"RAY_AUTH_MODE": "token", "PYTHONPATH": str(HOME / "firmwide")}
        process = self.machines[address].start(*command, env=environment, stdout=subprocess.PIPE, text=True)
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, f"{command} ended with {process.returncode}"
        return said

    def fetch(self, url):
        """What the desk gets from an address: a text, the number of an error, or nothing."""
        process = self.desk.start(sys.executable, "-S", "-c", _FETCH, url, stdout=subprocess.PIPE, text=True)
        return process.communicate(timeout=30)[0]

    def nodes(self):
        """Address of every node that Ray counts on, by its name."""
        found = json.loads(self.on(self.head, "ray", "list", "nodes", "--format=json", "--limit=100"))
        return {node["node_id"]: node["node_ip"] for node in found if node["state"] == "ALIVE"}

    def close(self):
        """End everything, and give what is left."""
        left = self.site.close()
        for command in self._commands:
            command.wait(30)
        return left

"""Machines of one site: an address, an sshd, processes, a home and a temporary folder of their own each.

They are Linux namespaces inside those of a desk, so nothing of them is left when that ends, however it ends.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path("/home/firmwide")  # of a machine's user
_DESK = "192.0.2.1"
_PROGRAMS = ("unshare", "nsenter", "ip", "ssh", "ssh-keygen", "/usr/sbin/sshd", "rsync")
_UNSHARE = ["unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
_SCRIPT = Path(__file__).with_name("machine.sh")
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_KEPT = tuple(map(str, (_SCRIPT.parents[2], sys.prefix, sys.base_prefix, _CACHE)))
# What a command finds that comes by ssh. What was compiled serves all machines, as they have the same processors. Ray
# lets its workers stand back behind whatever else runs, which here would be what is none of theirs. A node that says
# nothing is given up after some ten seconds, not after a minute.
_BY_SSH = {
    "XDG_CACHE_HOME": _CACHE,
    "RAY_worker_niceness": 0,
    "RAY_health_check_period_ms": 1000,
    "RAY_health_check_timeout_ms": 1000,
    "RAY_health_check_failure_threshold": 8,
    "AUTOSCALER_HEARTBEAT_TIMEOUT_S": 10,
    "AUTOSCALER_UPDATE_INTERVAL_S": 1,
}


def missing():
    """Why there can be no machines here; None: there can be."""
    lacking = [program for program in _PROGRAMS if shutil.which(program) is None]
    if lacking:
        return f"{', '.join(lacking)} cannot be found"
    tried = subprocess.run([*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"no namespaces: {tried.stderr.strip()}"


class Machine:
    """One of them, from outside."""

    def __init__(self, name, address, user, shared, router="", key="", enter=()):
        self.name, self.address, self.user = name, address, user
        environment = os.environ | {
            "ROUTER": router,
            "KEY": key,
            "SSH_ENVIRONMENT": " ".join(f"{key}={value}" for key, value in _BY_SSH.items()),
        }
        command = [*enter, *_UNSHARE, "bash", str(_SCRIPT), name, address, user, *_KEPT, str(shared)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment, **pipes)
        self.hear("here" if router else "ready")
        self.first = _last_child(self.process.pid)
        self.enter = ["nsenter", f"--target={self.first}", "--all"]
        self.home = Path(f"/proc/{self.first}/root/home/{user}")  # its files, as seen from here

    def hear(self, word):
        line = self.process.stdout.readline().strip()
        assert line == word, f"{self.name} does not start"

    def start(self, *command, folder=None, env=(), **more):
        """Start a command there, with this Python's programs on its path and little else in its environment."""
        home = f"/home/{self.user}"
        path = f"{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        given = {"HOME": home, "USER": self.user, "LANG": "C.UTF-8", "PATH": path, "XDG_CACHE_HOME": _CACHE} | dict(env)
        begin = ["env", "--ignore-environment", f"--chdir={folder or home}", *(f"{k}={v}" for k, v in given.items())]
        return subprocess.Popen([*self.enter, *begin, *command], **more)

    def end(self, process):
        """End what was started there."""
        os.kill(_last_child(process.pid), signal.SIGTERM)
        process.wait(30)

    def processes(self):
        """Command lines of all that runs there, but for what makes the machine."""
        listed = subprocess.run([*self.enter, "ps", "-eo", "args", "--no-headers"], capture_output=True, text=True)
        own = (f"bash {_SCRIPT}", "cat", "sshd:", "ps ")
        return [line for line in listed.stdout.splitlines() if not line.startswith(own)]


class Site:
    """A desk, the machines that its network reaches, and a folder that all of them share.

    All of it ends with `close`, or with this process.
    """

    def __init__(self, addresses):
        self.machines, self.shared = {}, Path(tempfile.mkdtemp(prefix="firmwide-shared-"))
        self.desk = Machine("desk", _DESK, "operator", self.shared)
        try:
            self._on_the_desk("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/home/operator/.ssh/id_ed25519")
            public = (self.desk.home / ".ssh" / "id_ed25519.pub").read_text().strip()
            for address in addresses:
                name = f"m{address.rpartition('.')[2]}"
                self.machines[address] = Machine(name, address, HOME.name, self.shared, _DESK, public, self.desk.enter)
            for machine in self.machines.values():
                self._plug(machine)
        except BaseException:
            self.close()
            raise

    def _plug(self, machine):
        network = ["nsenter", f"--target={self.desk.first}", "--net", "ip", "link"]
        peer = ["type", "veth", "peer", "eth0", "netns", str(machine.first)]
        subprocess.run([*network, "add", machine.name, *peer], check=True)
        subprocess.run([*network, "set", machine.name, "master", "lan", "up"], check=True)
        machine.process.stdin.write("\n")
        machine.process.stdin.flush()
        machine.hear("ready")

    def link(self, address, state):
        """Let a machine's link go `up` or `down`; nothing else happens to it."""
        self._on_the_desk("ip", "link", "set", self.machines[address].name, state)

    def _on_the_desk(self, *command):
        subprocess.run([*self.desk.enter, *command], check=True)

    def close(self):
        """End everything, and give the processes that are left: none."""
        made = (self.desk, *self.machines.values())
        networks = {_network(machine.first) for machine in made}
        for machine in made:  # the desk's input ends, so its first process, and with it all that were started there
            machine.process.communicate(timeout=30)
        shutil.rmtree(self.shared)
        return [pid for pid in Path("/proc").glob("[0-9]*") if _network(pid.name) in networks]


def _network(pid):
    """The network namespace of a process; None of one that has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


def _last_child(pid):
    """The process at the end of a line of only children."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        (pid,) = map(int, children)
    return pid

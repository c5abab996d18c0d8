"""Prepares an upload's policies as a swap would, in a process of its own that can be ended: laws may be heavy."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

LONGEST = 12  # s of processor time, of which importing takes some
_WAIT = 60.0  # s in all
_TURN = threading.Lock()  # one at a time, whoever uploads


def weigh(folder: Path) -> None:
    """Refuse a run folder that takes too long to prepare.

    Raises:
        ValueError: one line.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", "-m", "coordinator.office.weigh", str(folder), str(LONGEST)]
    with _TURN:
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=_WAIT, check=False).returncode
        except subprocess.TimeoutExpired:
            done = -signal.SIGKILL
    if done < 0:
        raise ValueError(f"the upload takes more than {LONGEST} s to prepare: its firm's laws or network are too heavy")


def _prepare(folder: Path) -> None:
    from coordinator.live.policy_bundles import PolicyBundles
    from coordinator.runs.folder import RunFolder

    bundles = PolicyBundles(RunFolder(folder).firm())
    for file in sorted(folder.glob("policies/*/*.safetensors"))[:1]:
        bundles.trained(file.parent.name, folder, int(file.stem))


if __name__ == "__main__":
    with contextlib.suppress(ValueError):  # the swap will say so
        resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
        _prepare(Path(sys.argv[1]))

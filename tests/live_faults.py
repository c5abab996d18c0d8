"""A running firm while faults are thrown at it: kill -9 of any actor, swaps, overrides, policies that must be refused.

Afterwards the book is played again from the first state: no tick lost or doubled, stock conserved to the unit, every
swap wholly in effect or refused.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from coordinator.live import RunningFirm
from coordinator.live.replay import replay
from coordinator.live.start import Opening, open_firm
from coordinator.runs.firm_policies import policy_of
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import setup_of
from departments.policies.policy import Snapshot
from environment import load_firm

LEAST_ORDER = 3  # units of an override


def a_run(folder: Path, firm: str) -> RunFolder:
    """A run with a policy for each department that is close to where it starts: fit to be swapped in."""
    loaded = load_firm(firm)
    settings = settings_of(scheme="mtma" if loaded.customers else "imarl")
    run = RunFolder(folder)
    run.create(loaded, settings)
    rng = np.random.default_rng(0)
    for snapshot in setup_of(loaded, settings).base(settings).values():
        noise = 0.005 * rng.standard_normal(snapshot.parameters.shape).astype(np.float32)
        run.save_snapshot(replace(snapshot, parameters=snapshot.parameters + noise, version=1), {})
    return run


def malformed(run: RunFolder, department: str, kind: str) -> str:
    """A policy that must be refused."""
    place = run.path / "policies" / department
    good = (place / "1.safetensors").read_bytes()
    number = {"nan": 21, "shape": 22, "truncated": 23, "pickle": 24}[kind]
    base = policy_of(run, department)
    wrong = {"nan": base.parameters * np.float32(np.nan), "shape": base.parameters[:-1]}.get(kind, base.parameters)
    run.save_snapshot(Snapshot(department, number, base.config, wrong), {})
    run.save_snapshot(base, {})
    file = place / f"{number}.safetensors"
    if kind == "truncated":
        file.write_bytes(good[: len(good) // 2])
    elif kind == "pickle":
        file.write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/firmwide-was-unpickled'\ntR.")
    return f"{run.path}@{number}"


def throw(firm: RunningFirm, run: RunFolder, rng: random.Random, number: int) -> str:
    """One fault or command; what it was."""
    department = rng.choice(firm.departments)
    kind = rng.choice(["kill"] * 5 + ["swap", "swap", "override", "malformed", "malformed", "rollback", "pause"])
    asked = {"who": "faults", "command": f"fault-{number}", "why": kind}
    if kind == "kill":
        processes = firm.processes()
        victim = rng.choice([*processes, "coordinator", "environment"])
        os.kill(processes[victim], signal.SIGKILL)
        return f"kill {victim.removeprefix('department-')}"
    if kind == "swap":
        return f"swap {firm.swap(department, str(run.path) + '@1', tolerance=1.0, **asked)['state']}"
    if kind == "malformed":
        answer = firm.swap(
            department, malformed(run, department, rng.choice(["nan", "shape", "truncated", "pickle"])), **asked
        )
        return f"malformed {answer['state']}"
    if kind == "override":
        given = dict.fromkeys(firm.layout.products, float(LEAST_ORDER))
        if department == firm.layout.recommends:
            given = {f"{segment}/{firm.layout.products[0]}": 0.5 for segment in firm.layout.segments}
        return f"override {firm.override(department, given, rng.randint(1, 5), **asked)['state']}"
    if kind == "rollback":
        return f"rollback {firm.rollback(department, **asked)['state']}"
    firm.pause(department, **asked)
    firm.resume(department, **(asked | {"command": f"fault-{number}-resume"}))
    return "pause and resume"


def until_tick(firm: RunningFirm, tick: int) -> None:
    """Wait until a tick is committed."""
    waiting = threading.Event()
    while firm.committed() < tick:
        waiting.wait(0.05)


def run_faults(source: str, ticks: int, faults: int, seed: int, home: Path) -> dict[str, object]:
    """Let a firm run for so many ticks under faults, and look at its book afterwards."""
    rng = random.Random(seed)
    run = a_run(home / "run", source)
    thrown: Counter[str] = Counter()
    with open_firm(Opening(source, "faults", home, tick=0.0, seed=seed)) as firm:
        try:
            for number in range(faults):
                until_tick(firm, ticks * number // faults)
                thrown[throw(firm, run, rng, number)] += 1
            until_tick(firm, max(ticks, firm.committed()))
            firm.halt(who="faults")  # it hears from everybody once more
            figures, events = firm.metrics(), firm.events(0, 1_000_000)
        finally:
            firm.dismiss()
    found = replay(home / "faults")
    kills = Counter({what.removeprefix("kill "): n for what, n in thrown.items() if what.startswith("kill ")})
    restarts = Counter(event["department"] for event in events if event["kind"] == "restart")
    done = Counter(f"{event['kind']}" for event in events if event["who"] == "faults")
    return {
        "firm": source,
        "ticks": found["ticks"],
        "decisions": found["decisions"],
        "wrong": found["faults"],
        "thrown": dict(thrown),
        "audited": dict(done),
        "kills": kills.total(),
        "kills_not_in_the_book": dict(kills - restarts),
        "restarts_of_nobody_killed": dict(restarts - kills),
        "restarts": figures["restarts"],
        "fallbacks": figures["fallbacks"],
        "restarts_audited": restarts.total(),
        "fallbacks_audited": sum(event["kind"] == "fallback" for event in events),
        "unpickled": Path("/tmp/firmwide-was-unpickled").exists(),
    }

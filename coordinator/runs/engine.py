"""What computes a run: C++ or PyTorch, of which version, on which processor. Other engines round otherwise."""

from __future__ import annotations

import platform
from collections.abc import Mapping

import torch

from coordinator.learning.iterations import Training
from coordinator.runs.folder import RunFolder
from coordinator.schemes.setup import TrainingSetup
from departments.numerics.native import why_not
from environment.toolchain import compiler_version, processor

Engine = Mapping[str, str]
_DECISIVE = ("learning", "world", "processor")  # of an engine's entries: by them results are the same to the bit


def engine_of(plan: TrainingSetup, training: Training) -> dict[str, str]:
    """What learns, what plays the world, on which processor, and why not all of it is compiled.

    Departments are taken to learn on machines like this one; the world is the first environment worker's.
    """
    compiled = f"C++ ({compiler_version()})" if why_not() is None else ""
    world = training.ask_world("why_not_compiled")
    learning, pytorch = _why_none_learns_compiled(plan), f"torch {torch.__version__}"
    return {
        "learning": pytorch if learning else compiled,
        "world": pytorch if world else compiled,
        "processor": processor() or platform.machine(),
        "reason": learning or world or "",
    }


def went_on(before: Engine, iteration: int, now: dict[str, str]) -> tuple[dict[str, str], str]:
    """The engine of a run that goes on after `iteration`, with what came before; and a line if it is another one."""
    earlier = before.get("earlier", "")
    line = ""
    if before and any(before.get(key) != now[key] for key in _DECISIVE):
        was, now_is = ("; ".join(f"{key} {of.get(key)}" for key in _DECISIVE) for of in (before, now))
        line = f"another engine than before: {was}; now {now_is}: results go on, but are no longer the same to the bit"
        earlier = f"{earlier + ', ' if earlier else ''}{was} until iteration {iteration}"
    return now | ({"earlier": earlier} if earlier else {}), line


def engine_in(run: RunFolder) -> dict[str, str]:
    """The engine of a run as its checkpoint remembers it; of older runs nothing."""
    return dict(run.checkpoint()[1].get("engine", {})) if run.checkpoint_file.is_file() else {}


def _why_none_learns_compiled(plan: TrainingSetup) -> str | None:
    specs = plan.specs.values()
    if not any(spec.compiled for spec in specs):
        return "the settings say so (compiled: false)"
    if not plan.compiles:
        return "other devices than the processor are not compiled for"
    if not any(spec.native for spec in specs):
        return "tanh is not compiled"
    return why_not()

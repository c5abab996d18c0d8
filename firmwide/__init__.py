"""A firm whose departments learn together and run together, from Python.

    import firmwide

    run = firmwide.train("a1", budget="20s", backend="local")
    run  # a notebook shows the comparison with the benchmarks and the learning curve
    run.policy("retailer-1").order(on_hand=9, on_order=5)

The command `firmwide` makes exactly these calls. Everything is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.api import (
        backtest,
        benchmark,
        check,
        compare,
        evaluate,
        explain_order,
        import_firm,
        propose,
        report,
        simulate,
        train,
    )
    from coordinator.envs import FirmEnv, FirmParallelEnv, FirmVectorEnv
    from coordinator.envs.sb3 import FirmVecEnv
    from coordinator.experiments.run import Run
    from coordinator.live import RunningFirm
    from coordinator.runs.watcher import RunEvent, RunIteration, RunStart, Watcher
    from environment import load_firm
    from firmwide import register

    __version__: str

__all__ = [
    "FirmEnv",
    "FirmParallelEnv",
    "FirmVecEnv",
    "FirmVectorEnv",
    "Run",
    "RunEvent",
    "RunIteration",
    "RunStart",
    "RunningFirm",
    "Watcher",
    "__version__",
    "backtest",
    "benchmark",
    "check",
    "compare",
    "evaluate",
    "explain_order",
    "forecast",
    "import_firm",
    "load_firm",
    "propose",
    "register",
    "report",
    "simulate",
    "train",
]

_WHERE = {
    **dict.fromkeys(("backtest", "explain_order", "forecast", "import_firm", "propose"), "coordinator.api"),
    **dict.fromkeys(("benchmark", "check", "compare", "evaluate", "report", "simulate", "train"), "coordinator.api"),
    **dict.fromkeys(("FirmEnv", "FirmParallelEnv", "FirmVectorEnv"), "coordinator.envs"),
    "FirmVecEnv": "coordinator.envs.sb3",
    "Run": "coordinator.experiments.run",
    "RunningFirm": "coordinator.live",
    **dict.fromkeys(("RunEvent", "RunIteration", "RunStart", "Watcher"), "coordinator.runs.watcher"),
    "load_firm": "environment",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "__version__":
        from coordinator.version import program_version

        return program_version()
    if name == "register":
        return importlib.import_module("firmwide.register")
    if name not in _WHERE:
        raise AttributeError(f"module 'firmwide' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

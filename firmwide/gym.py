"""Gymnasium's names of our firms, `gymnasium.make("firmwide/a1-v0")`; Gymnasium finds this file by its entry point.

It is read on every `import gymnasium`, so it knows names only and imports nothing of ours.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import gymnasium

_GRID = [f"{structure}{level}" for structure in "sabcd" for level in range(1, 7)]


def register_firms() -> None:
    """Give every built-in firm a name; Gymnasium puts `firmwide/` before it."""
    found = find_spec("environment")
    folder = Path(found.origin or "").parent if found else Path()
    for firm in [*_GRID, *sorted(file.stem for file in (folder / "firms").glob("*.yaml"))]:
        gymnasium.register(
            id=f"{firm}-v0",
            entry_point="coordinator.envs:FirmEnv",
            vector_entry_point="coordinator.envs:FirmVectorEnv",
            kwargs={"firm": firm},
        )

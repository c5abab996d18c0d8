"""Gymnasium's names of our firms: `gymnasium.make("firmwide.gym:firmwide/a1-v0")`.

Gymnasium has no entry points any more; it imports the module that stands before the colon.
"""

from __future__ import annotations

import gymnasium

from environment import built_in_firms

for _firm in built_in_firms():
    gymnasium.register(
        id=f"firmwide/{_firm}-v0",
        entry_point="coordinator.envs:FirmEnv",
        vector_entry_point="coordinator.envs:FirmVectorEnv",
        kwargs={"firm": _firm},
    )

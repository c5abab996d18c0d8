"""A department's desk in operation: the brief it follows and its own memory, by tick."""

from __future__ import annotations

import time
from typing import NamedTuple

from departments.serving.numpy_policy import Array, NumpyPolicy, PolicyBundle


class Answer(NamedTuple):
    """What a department decided."""

    wish: Array  # [K, E] units or [S, K, E] exposures, before the firm's bounds
    memory: Array  # [remembered, E] afterwards
    seconds: float  # that the decision itself took


class PolicyServer:
    """Decides tick by tick; asked twice for the same tick, it answers twice the same."""

    def __init__(self) -> None:
        """Without a brief yet."""
        self._decider: NumpyPolicy | None = None
        self._memories: dict[int, Array] = {}  # memory before a tick, of the last tick that was decided and the next

    def follow(self, bundle: PolicyBundle, tick: int, memory: Array) -> None:
        """From `tick` on decide by `bundle`, with the memory before that tick.

        Raises:
            ValueError: the brief is misshapen.
        """
        if self._decider is None or self._decider.bundle.about != bundle.about:
            self._decider = NumpyPolicy(bundle)
        self._memories = {tick: memory}

    def decide(self, tick: int, version: int, observation: Array) -> Answer | None:
        """The decision on this department's own observation; None if it holds no such brief or not that tick's memory.

        Args:
            tick: the period.
            version: of the brief that must be followed.
            observation: [F, E] the rows that the brief observes, in units.
        """
        if self._decider is None or self._decider.bundle.version != version or tick not in self._memories:
            return None
        started = time.perf_counter()
        wish, memory = self._decider.decide(observation, self._memories[tick], tick)
        self._memories = {tick: self._memories[tick], tick + 1: memory}
        return Answer(wish, memory, time.perf_counter() - started)

"""The running firm on Ray: named, detached actors.

This, `coordinator.live.hiring`, `actor_clients`, `coordinator.workers.ray_group` and `ray_session` are the files that
know Ray.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coordinator.live.hiring import hired, made
from coordinator.live.layout import FirmLayout
from coordinator.live.messages import read, written
from coordinator.live.process_info import ProcessInfo, here

_CRITIC_NICE = 5  # it follows when the ticks leave time for it


class PlainActor:
    """A process that holds one plain object; every answer says which process it came from.

    The object is made when it is first needed: what fails then may be asked for again, while a process whose beginning
    fails is never started again.
    """

    def __init__(self, kind: str, folder: str) -> None:
        self._kind, self._folder, self._info = kind, Path(folder), here()
        self._plain: dict[int, Any] = {}  # by structure of the firm

    def ready(self, structure: int = 0) -> ProcessInfo:
        """Where it is, once its object is made."""
        self._made(structure)
        return self._info

    def call(self, method: str, *arguments: Any, structure: int = 0) -> tuple[ProcessInfo, Any]:  # noqa: ANN401
        """Where it is, and the result."""
        return self._info, getattr(self._made(structure), method)(*arguments)

    def call_written(self, method: str, message: bytes, structure: int = 0) -> bytes:
        """The same with arguments and result as messages, for what is called every period."""
        return written(self.call(method, *read(message), structure=structure))

    def cross(self, structure: int, *arguments: Any) -> tuple[ProcessInfo, Any]:  # noqa: ANN401
        """Let the object of a structure, made anew, take something over from the one before."""
        before = self._made(structure - 1)
        self._plain[structure] = after = _build(self._kind, self._folder, structure)
        return self._info, after.cross(before, *arguments)

    def cross_written(self, message: bytes, structure: int) -> bytes:
        """The same with messages."""
        return written(self.cross(structure, *read(message)))

    def _made(self, structure: int) -> Any:  # noqa: ANN401
        if structure not in self._plain:
            self._plain[structure] = _build(self._kind, self._folder, structure)
        return self._plain[structure]


def _build(kind: str, folder: Path, number: int) -> Any:  # noqa: ANN401
    """What an actor holds, from the firm's folder: large arguments of actors die with who gave them."""
    if kind == "monitor":
        from coordinator.live.monitor import Monitor

        return Monitor()
    from coordinator.live.book import Book
    from coordinator.workers.process import settle

    settle()
    book = Book(folder / "book.sqlite", reads=True)
    facts, structure = book.facts(), book.structure(number)
    seed, feed = facts["seed"], facts["settings"].get("feed")
    if kind == "critic":
        from coordinator.live.examiner import Examiner

        os.nice(_CRITIC_NICE)
        return Examiner(structure, seed, None if feed is None else book.observed)
    book.close()
    if feed is None:
        from coordinator.live.simulated import Simulated

        return Simulated(structure.firm, seed, structure.slots)
    from coordinator.live.fed import Fed

    return Fed(structure.firm, seed, FirmLayout.of(structure.frame), feed, structure.slots)


def create(firm: Path, namespace: str, departments: list[str], options: Mapping[str, Any]) -> list[Any]:
    """Make all actors of a firm, detached, and return what says that each is ready.

    The coordinator, and what it must reach quickly, stay on this node, where the folder is; departments take
    the nodes in turn.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from coordinator.live.tick_process import TickProcess

    node = ray.get_runtime_context().get_node_id()
    here = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
    actors = list(hired(namespace, departments).values())
    for kind in ("monitor", "environment", "critic"):
        actors.append(made(PlainActor, kind, namespace, here, kind, str(firm)))
    given = str(firm), namespace, dict(options)
    actors.append(made(TickProcess, "coordinator", namespace, here, *given, max_concurrency=16))
    return actors

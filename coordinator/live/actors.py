"""The running firm on Ray: named, detached actors.

This, `coordinator.live.actor_clients`, `coordinator.workers.ray_group` and `ray_session` are the files that know Ray.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coordinator.live.layout import FirmLayout
from coordinator.live.messages import read, written
from coordinator.live.process_info import ProcessInfo, here
from departments.serving.numpy_policy import PolicyBundle
from departments.serving.policy_server import PolicyServer

_CRITIC_NICE = 5  # it follows when the ticks leave time for it


class DepartmentActor:
    """A department's process."""

    def __init__(self) -> None:
        self._server, self._info = PolicyServer(), here()

    def ready(self) -> ProcessInfo:
        """Where it is."""
        return self._info

    def decide(self, message: bytes) -> bytes:
        """Where it is and its answer; None: the brief is needed.

        Args:
            message: tick, version and observation; then None, or the brief's parts and the memory.
        """
        tick, version, observation, bring = read(message)
        if bring is not None:
            about, arrays, memory = bring
            self._server.follow(PolicyBundle(about, arrays), tick, memory)
        return written((self._info, self._server.decide(tick, version, observation)))


class PlainActor:
    """A process that holds one plain object; every answer says which process it came from.

    The object is made when it is first needed: what fails then may be asked for again, while a process whose beginning
    fails is never started again.
    """

    def __init__(self, kind: str, folder: str) -> None:
        self._kind, self._folder, self._info = kind, Path(folder), here()
        self._plain: Any = None

    def ready(self) -> ProcessInfo:
        """Where it is, once its object is made."""
        self._made()
        return self._info

    def call(self, method: str, *arguments: Any) -> tuple[ProcessInfo, Any]:  # noqa: ANN401
        """Where it is, and the result."""
        return self._info, getattr(self._made(), method)(*arguments)

    def call_written(self, method: str, message: bytes) -> bytes:
        """The same with arguments and result as messages, for what is called every period."""
        return written(self.call(method, *read(message)))

    def _made(self) -> Any:  # noqa: ANN401
        if self._plain is None:
            self._plain = _build(self._kind, self._folder)
        return self._plain


def _build(kind: str, folder: Path) -> Any:  # noqa: ANN401
    """What an actor holds, from the firm's folder: large arguments of actors die with who gave them."""
    if kind == "monitor":
        from coordinator.live.monitor import Monitor

        return Monitor()
    from coordinator.live.book import Book
    from coordinator.workers.process import settle

    settle()
    book = Book(folder / "book.sqlite", reads=True)
    facts, firm = book.facts(), (folder / "firm.yaml").read_text()
    layout, feed = FirmLayout.of(facts["frame"]), facts["settings"].get("feed")
    if kind == "critic":
        from coordinator.live.examiner import Examiner

        os.nice(_CRITIC_NICE)
        return Examiner(firm, facts["seed"], layout, None if feed is None else book.observed)
    book.close()
    if feed is None:
        from coordinator.live.simulated import Simulated

        return Simulated(firm, facts["seed"])
    from coordinator.live.fed import Fed

    return Fed(firm, facts["seed"], layout, feed)


def create(firm: Path, namespace: str, departments: list[str], options: Mapping[str, Any]) -> list[Any]:
    """Make all actors of a firm, detached, and return what says that each is ready.

    The coordinator, and what it must reach quickly, stay on this node, where the folder is; departments take
    the nodes in turn.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from coordinator.live.tick_process import TickProcess
    from coordinator.workers.ray_session import node_by_node

    node = ray.get_runtime_context().get_node_id()
    here = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
    common = {
        "namespace": namespace,
        "lifetime": "detached",
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 0,
        "get_if_exists": True,
        "enable_task_events": False,  # a quarter of what a call takes; the book has more to tell
    }

    def make(kind: Any, name: str, where: dict[str, Any], *arguments: Any, **more: Any) -> Any:  # noqa: ANN401
        options = common | {"name": name} | where | more
        return ray.remote(kind).options(**options).remote(*arguments)

    places = zip(departments, node_by_node(), strict=False)
    made = [make(DepartmentActor, f"department-{name}", place) for name, place in places]
    made += [make(PlainActor, kind, here, kind, str(firm)) for kind in ("monitor", "environment", "critic")]
    made += [make(TickProcess, "coordinator", here, str(firm), namespace, dict(options), max_concurrency=16)]
    return made

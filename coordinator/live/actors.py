"""The running firm on Ray: named, detached actors.

This, `coordinator.live.staff`, `coordinator.workers.ray_group` and `ray_session` are the files that know Ray.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coordinator.live.messages import read, written
from departments.serving.numpy_policy import Brief
from departments.serving.policy_server import Desk

_CRITIC_NICE = 5  # it follows when the ticks leave time for it


def namespace_of(name: str) -> str:
    """The Ray namespace of a running firm."""
    return f"firmwide-live-{name}"


def taken(namespace: str) -> bool:
    """Whether a coordinator is there already."""
    import ray

    try:
        ray.get_actor("coordinator", namespace=namespace)
    except ValueError:
        return False
    return True


def gone(reference: Any) -> str | None:  # noqa: ANN401
    """Why a call that has ended failed, one line; None if it did not."""
    import ray

    try:
        ray.get(reference)
    except ray.exceptions.RayError as error:
        return _last_line(error)
    return None


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "Error: " in line]
    return (told or lines)[-1]


class Place(NamedTuple):
    """Where an actor is."""

    pid: int
    node: str
    restarts: int  # times that Ray has started it again


def here() -> Place:
    """The place of the actor that asks."""
    import ray
    from ray._private.state import actors  # what was_current_actor_reconstructed asks; it drops the number

    context = ray.get_runtime_context()
    about = actors(actor_id=context.get_actor_id())
    return Place(os.getpid(), str(context.get_node_id()), int(about["NumRestarts"]))


def session() -> str:
    """Names the actor that asks, through all its restarts."""
    import ray

    return str(ray.get_runtime_context().get_actor_id())


class DepartmentActor:
    """A department's process."""

    def __init__(self) -> None:
        self._desk, self._place = Desk(), here()

    def ready(self) -> Place:
        """Where it is."""
        return self._place

    def decide(self, message: bytes) -> bytes:
        """Where it is and its answer; None: the brief is needed.

        Args:
            message: tick, version and observation; then None, or the brief's parts and the memory.
        """
        tick, version, observation, bring = read(message)
        if bring is not None:
            about, arrays, memory = bring
            self._desk.follow(Brief(about, arrays), tick, memory)
        return written((self._place, self._desk.decide(tick, version, observation)))


class PlainActor:
    """A process that holds one plain object; every answer says which process it came from."""

    def __init__(self, kind: str, *arguments: Any) -> None:  # noqa: ANN401
        self._plain = _build(kind, arguments)
        self._place = here()

    def ready(self) -> Place:
        """Where it is."""
        return self._place

    def call(self, method: str, *arguments: Any) -> tuple[Place, Any]:  # noqa: ANN401
        """Where it is, and the result."""
        return self._place, getattr(self._plain, method)(*arguments)

    def call_written(self, method: str, message: bytes) -> bytes:
        """The same with arguments and result as messages, for what is called every period."""
        return written(self.call(method, *read(message)))


def _build(kind: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401
    if kind == "monitor":
        from coordinator.live.monitor import Monitor

        return Monitor()
    from coordinator.workers.process import settle

    settle()
    if kind == "environment":
        from coordinator.live.simulated import Simulated

        return Simulated(*arguments)
    if kind == "feed":
        from coordinator.live.fed import Fed

        return Fed(*arguments)
    from coordinator.live.appraisal import Appraiser

    os.nice(_CRITIC_NICE)
    return Appraiser(*arguments)


def create(firm: Path, namespace: str, firm_text: str, seed: int, frame: Any, options: Mapping[str, Any]) -> list[Any]:  # noqa: ANN401
    """Make all actors of a firm, detached, and return what says that each is ready.

    The coordinator, and what it must reach quickly, stay on this node, where the folder is; departments are spread.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from coordinator.live.coordinator import Coordinator

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    common = {
        "namespace": namespace,
        "lifetime": "detached",
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 0,
        "get_if_exists": True,
        "enable_task_events": False,  # a quarter of what a call takes; the book has more to tell
    }

    def make(kind: Any, name: str, where: Any, *arguments: Any, **more: Any) -> Any:  # noqa: ANN401
        options = common | {"name": name, "scheduling_strategy": where} | more
        return ray.remote(kind).options(**options).remote(*arguments)

    made = [make(DepartmentActor, f"department-{name}", "SPREAD") for name in frame.departments]
    made += [make(PlainActor, "monitor", here, "monitor")]
    feed = options.get("feed")
    environment = ("environment", firm_text, seed) if feed is None else ("feed", firm_text, seed, frame, feed)
    made += [make(PlainActor, "environment", here, *environment)]
    made += [make(PlainActor, "critic", here, "critic", firm_text, seed, frame, feed)]
    made += [make(Coordinator, "coordinator", here, str(firm), namespace, dict(options), max_concurrency=16)]
    return made

"""Departments' processes of a running firm: named, detached actors of Ray, made when it begins or is changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from coordinator.live.messages import read, written
from coordinator.live.process_info import ProcessInfo, here
from coordinator.workers.ray_session import node_by_node
from departments.serving.numpy_policy import PolicyBundle
from departments.serving.policy_server import PolicyServer

_DEPARTMENT = "department-"  # before the name of a department's actor


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


def made(kind: Any, name: str, namespace: str, where: dict[str, Any], *arguments: Any, **more: Any) -> Any:  # noqa: ANN401
    """An actor of a firm, as it is there or new; `where`: options that say on which node."""
    import ray

    options = {
        "namespace": namespace,
        "name": name,
        "lifetime": "detached",
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 0,
        "get_if_exists": True,
        "enable_task_events": False,  # a quarter of what a call takes; the book has more to tell
    }
    return ray.remote(kind).options(**options | where | more).remote(*arguments)


def hired(namespace: str, departments: Iterable[str]) -> dict[str, Any]:
    """Actors of departments, which take the nodes in turn."""
    places = zip(departments, node_by_node(), strict=False)
    return {name: made(DepartmentActor, f"{_DEPARTMENT}{name}", namespace, place) for name, place in places}


def found(namespace: str, department: str) -> Any:  # noqa: ANN401
    """A department's actor.

    Raises:
        ValueError: there is none.
    """
    import ray

    return ray.get_actor(f"{_DEPARTMENT}{department}", namespace=namespace)


def let_go(namespace: str, keep: Iterable[str]) -> None:
    """End the actors of all departments but these."""
    import ray

    kept = {f"{_DEPARTMENT}{name}" for name in keep}
    for actor in ray.util.list_named_actors(all_namespaces=True):
        name = actor["name"]
        if actor["namespace"] == namespace and name.startswith(_DEPARTMENT) and name not in kept:
            with contextlib.suppress(ValueError, ray.exceptions.RayError):  # it is gone already
                ray.kill(ray.get_actor(name, namespace=namespace))

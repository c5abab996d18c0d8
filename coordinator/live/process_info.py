"""Where actors of a running firm are: their names on Ray, process, node, and how often they were started again."""

from __future__ import annotations

import os
from typing import Any, NamedTuple


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
        return last_line(error)
    return None


def last_line(error: Exception) -> str:
    """What an error of Ray comes down to."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "Error: " in line]
    return (told or lines)[-1]


class ProcessInfo(NamedTuple):
    """Where an actor is."""

    pid: int
    node: str
    restarts: int  # times that Ray has started it again


def here() -> ProcessInfo:
    """The place of the actor that asks."""
    import ray
    from ray._private.state import actors  # what was_current_actor_reconstructed asks; it drops the number

    context = ray.get_runtime_context()
    about = actors(actor_id=context.get_actor_id())
    return ProcessInfo(os.getpid(), str(context.get_node_id()), int(about["NumRestarts"]))


def session() -> str:
    """Names the actor that asks, through all its restarts."""
    import ray

    return str(ray.get_runtime_context().get_actor_id())

"""How a process starts a local Ray or joins a standing one, with token authentication."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from coordinator.workers.process import interruptible
from departments import extensions

# What Ray would print in between, on stdout: how many processes it has, and deaths, which we tell ourselves.
_NO_NEWS = "^(?!.*(memory|disk|space))"
_ANYWHERE = [{"label_selector": dict[str, str]()}]
_CLUSTER = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # the name says less than it does: it holds on Linux too
_THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def connect(namespace: str, address: str | None, *, scratch: str | None = None, own: bool = False) -> tuple[Any, bool]:
    """Start a local Ray, or join the one at `address`, with token authentication set explicitly.

    Args:
        namespace: of whatever is named from here.
        address: of a standing Ray; None starts one.
        scratch: folder of a Ray that is started here, for its sockets and logs; a short path.
        own: it is a Ray of this machine alone, at its loopback.

    Returns:
        The module `ray`, which reads its environment when it is imported, so it must be imported here first; and
        whether it was not connected before.

    Raises:
        ValueError: nothing answers at the address, or this process works on another Ray.
    """
    if address is not None:
        _knock(address)
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # else whatever is asked after a stop starts a Ray
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # what fails after a death is repeated, not looked at
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", _NO_NEWS)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray announces that it will be so
    if address is None:
        os.environ.update(_THREADS)  # the local Ray's processes inherit it, which costs nothing
        # `local`: a Ray of its own, whatever stands on this machine or was once left in its address file
        where: dict[str, Any] = {"address": "local", "num_cpus": os.cpu_count(), "include_dashboard": False}
        if scratch is not None:
            where["_temp_dir"] = scratch
    else:
        where = {"address": address, "runtime_env": {"env_vars": dict(_THREADS)}}
    if names := extensions.names_for_others():
        environment = where.setdefault("runtime_env", {"env_vars": {}})
        environment["env_vars"][extensions.INHERITED] = os.pathsep.join(names)
        environment["worker_process_setup_hook"] = "departments.extensions.load_inherited"
    with interruptible():
        import ray

    if ray.is_initialized():
        there = ray.get_runtime_context().gcs_address
        if own and address not in (None, there):
            raise ValueError(
                f"this process works on the Ray at {there}, so it cannot join {address!r}: leave that first"
            )
        return ray, False
    _keep_token_private()
    try:
        with _at_loopback(own or address is None), interruptible():
            ray.init(namespace=namespace, log_to_driver=False, logging_level=logging.ERROR, **where)
    except ConnectionError as error:
        raise ValueError(f"--address must name a running Ray cluster, got {address!r}: {error}") from None
    _keep_token_private()  # it may have been made just now
    return ray, True


def node_by_node() -> Iterator[dict[str, Any]]:
    """Options that put actors onto the nodes in turn; Ray throws dice for whatever asks for no core.

    Where the node of an actor is lost, any other will do.
    """
    nodes = _nodes()
    computing = [node for node in nodes if node["Resources"].get("CPU")] or nodes
    names = sorted(node["NodeID"] for node in computing)
    return cycle({"label_selector": {"ray.io/node-id": name}, "fallback_strategy": _ANYWHERE} for name in names)


def must_have_gpus(wanted: float, option: str) -> None:
    """Refuse GPUs that this machine does not have; Ray would wait for them without a word.

    Raises:
        ValueError: one line that names the option.
    """
    if wanted > 0:
        import torch

        if wanted > (there := torch.cuda.device_count()):
            cure = "ask for less, or name a cluster that has them with --address"
            raise ValueError(f"{option}: {wanted:g} GPUs are asked for, and this machine has {there}: {cure}")


@contextlib.contextmanager
def _at_loopback(alone: bool) -> Iterator[None]:
    """Let all of a Ray that starts here, or is joined, speak on the loopback and nowhere else."""
    from ray._private import ray_constants  # it was read from the environment when ray was imported, maybe long ago

    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, not alone
    inherited = os.environ.pop(_CLUSTER, None)
    try:
        os.environ[_CLUSTER] = str(int(not alone))
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        del os.environ[_CLUSTER]
        if inherited is not None:
            os.environ[_CLUSTER] = inherited


def _keep_token_private() -> None:
    """Ray lets everybody read the token that it makes."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    with contextlib.suppress(OSError):  # none yet, or somebody else's
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


def broken() -> bool:
    """Whether the Ray that this process started has lost one of its own processes; it does not recover from that."""
    from ray._private import worker

    node = worker._global_node
    return node is None or bool(node.dead_processes())


def _nodes() -> list[dict[str, Any]]:
    """What Ray says of each node that it counts on."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def unreachable() -> list[str]:
    """Addresses of the nodes that Ray counts on and that cannot be reached; after a while it gives them up itself."""
    places = [(node["NodeManagerAddress"], node["NodeManagerPort"]) for node in _nodes()]
    return [host for host, port in places if _refusal(host, port, 1.0) is not None]


def _knock(address: str) -> None:
    """Refuse an address where nobody listens; Ray would take minutes to say so."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # a name such as auto
    if (error := _refusal(host.strip("[]"), int(port), 10.0)) is not None:
        raise ValueError(f"--address must name a running Ray cluster, got {address!r}: {error}")


def _refusal(host: str, port: int, seconds: float) -> Exception | None:
    """Why nobody answers there in so many seconds; None: somebody does."""
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except (OSError, OverflowError) as error:
        return error
    return None

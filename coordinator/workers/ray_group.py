"""Workers as named Ray actors that are restarted when they die.

This is the one file that knows how the actors of a training run are made; see `group.py` for what they are.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from coordinator.workers.group import Worker, WorkerFactories, WorkerLostError
from coordinator.workers.process import settle
from coordinator.workers.ray_session import connect, node_by_node, unreachable

_PATIENCE = 30.0  # s without a worker that becomes ready, until the user is told
_SILENCE = 10.0  # s without a result, until a look at which nodes can be reached


class _Asked(NamedTuple):
    """A call, one object to Ray, as every further argument takes time. Those that are references follow it."""

    pid: int  # of the process that it is meant for
    worker: str
    method: str
    args: tuple[Any, ...]
    places: tuple[int, ...] = ()  # of the references among the arguments


class _Host:
    """One process of workers: a Ray actor that holds plain objects by name.

    Ray hands calls that wait for their arguments to a restarted actor as if nothing had happened. Its workers are empty
    then, so every call says which process it is meant for, and another one refuses it.
    """

    def __init__(self, builds: Mapping[str, Callable[[], Any]]) -> None:
        settle()
        self._workers = {name: build() for name, build in builds.items()}

    def ready(self) -> int:
        """The process id, once everything is built."""
        return os.getpid()

    def call(self, asked: _Asked, *given: Any) -> Any:  # noqa: ANN401
        if asked.pid != os.getpid():
            raise WorkerLostError(f"{asked.worker} was restarted in the middle of a step")
        args = list(asked.args)
        for place, value in zip(asked.places, given, strict=True):
            args[place] = value
        result = getattr(self._workers[asked.worker], asked.method)(*args)
        return result[0] if isinstance(result, list) and len(result) == 1 else result


class _RayWorker:
    def __init__(self, host: Any, pid: Callable[[], int], name: str) -> None:  # noqa: ANN401
        self._pid, self._name = pid, name
        self._asking = functools.cache(lambda returns: host.call.options(num_returns=returns))

    def call(self, method: str, *args: Any, returns: int = 1) -> Any:  # noqa: ANN401
        return _ask(self._asking(returns), self._pid(), self._name, method, args)


def _ask(call: Any, pid: int, worker: str, method: str, args: tuple[Any, ...]) -> Any:  # noqa: ANN401
    from ray import ObjectRef

    places = tuple(place for place, given in enumerate(args) if isinstance(given, ObjectRef))
    told = tuple(None if isinstance(given, ObjectRef) else given for given in args)
    return call.remote(_Asked(pid, worker, method, told, places), *(args[place] for place in places))


class _RayMessages:
    """Department handles, picklable, for an environment actor that asks every department every period."""

    def __init__(self, hosts: Mapping[str, tuple[Any, int]]) -> None:
        self._hosts = hosts  # actor and process id by department

    def _call(self, department: str, method: str, args: tuple[Any, ...]) -> Any:  # noqa: ANN401
        host, pid = self._hosts[department]
        return _ask(host.call, pid, department, method, args)

    def __call__(self, department: str, method: str, *args: Any) -> Any:  # noqa: ANN401
        import ray

        return ray.get(self._call(department, method, args))

    def gather(self, method: str, arguments: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
        import ray

        references = [self._call(name, method, args) for name, args in arguments.items()]
        return dict(zip(arguments, ray.get(references), strict=True))


class RayGroup:
    """Every worker a named Ray actor in the run's namespace, restarted by Ray when it dies."""

    concurrent = True

    def __init__(
        self,
        factories: WorkerFactories,
        *,
        namespace: str,
        address: str | None = None,
        environments: int = 2,
        departments_per_process: int = 1,
        department_gpus: float = 0.0,
        critic_gpus: float = 0.0,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start or join Ray, create all actors at once and wait until they are ready."""
        report("starting Ray" if address is None else f"joining Ray at {address}")
        ray, self._started = connect(namespace, address)
        self._ray, self._namespace, self._report, self.restarts = ray, namespace, report, 0
        self._nodes = node_by_node()
        names = list(factories.departments)
        groups = [names[i : i + departments_per_process] for i in range(0, len(names), departments_per_process)]
        self._hosts: dict[str, Any] = {}
        self._pids: dict[str, int] = {}
        self._host_of: dict[str, str] = {}
        for group in groups:
            builds = {name: factories.departments[name] for name in group}
            host = self._create("department-" + "+".join(group), builds, department_gpus)
            self._host_of |= dict.fromkeys(group, host)
        critic = self._create("critic", {"critic": factories.critic}, critic_gpus)
        worlds = [self._create(f"environment-{i}", {"world": factories.environment}, 0.0) for i in range(environments)]
        self.departments: Mapping[str, Worker] = {
            name: self._worker(host, name) for name, host in self._host_of.items()
        }
        self.critic: Worker = self._worker(critic, "critic")
        self.environments: Sequence[Worker] = [self._worker(host, "world") for host in worlds]
        waiting = {host.ready.remote(): name for name, host in self._hosts.items()}
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1, timeout=_PATIENCE)
            for reference in done:
                name = waiting.pop(reference)
                self._pids[name] = ray.get(reference)
                report(f"{name} is ready ({len(self._pids)} of {len(self._hosts)})")
            if not done:
                asked = f"{department_gpus:g} GPUs a department process, {critic_gpus:g} the critic"
                free = {kind: amount for kind, amount in ray.available_resources().items() if kind in ("CPU", "GPU")}
                late = ", ".join(list(waiting.values())[:5]) + ", ..." * (len(waiting) > 5)
                report(f"Ray has not placed or not started {late} yet; asked for: {asked}; free: {free}")

    def _create(self, name: str, builds: Mapping[str, Callable[[], Any]], gpus: float) -> str:
        actor = self._ray.remote(_Host).options(
            name=name,
            namespace=self._namespace,
            num_cpus=0,
            num_gpus=gpus,
            max_restarts=-1,
            max_task_retries=0,
            enable_task_events=False,  # they take a quarter of what a call takes
            **({} if gpus else next(self._nodes)),
        )
        self._hosts[name] = actor.remote(builds)
        return name

    def _worker(self, host: str, name: str) -> _RayWorker:
        return _RayWorker(self._hosts[host], lambda: self._pids[host], name)

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each actor as last seen."""
        return dict(self._pids)

    def get(self, references: Any) -> Any:  # noqa: ANN401
        """Values; a death anywhere on the way is a `WorkerLostError`."""
        try:
            return self._awaited(references)
        except self._ray.exceptions.RayError as error:
            reason = self._reason(error)
            if reason is None:
                raise
            raise WorkerLostError(reason) from error

    def _awaited(self, references: Any) -> Any:  # noqa: ANN401
        """Values; says which nodes are out of reach while they do not come."""
        while True:
            try:
                return self._ray.get(references, timeout=_SILENCE)
            except self._ray.exceptions.GetTimeoutError:
                if silent := ", ".join(unreachable()):
                    self._report(
                        f"{silent} cannot be reached; waiting until it can, or until Ray starts its workers elsewhere"
                    )

    def _reason(self, error: BaseException | None) -> str | None:
        """What a failed call says about a death on its way, if that is why it failed."""
        errors = self._ray.exceptions
        while error is not None:
            if isinstance(error, (WorkerLostError, errors.RayActorError, errors.ObjectLostError)):
                return str(getattr(error, "cause", None) or error).splitlines()[0]
            error = getattr(error, "cause", None)
        return None

    def recover(self) -> None:
        """Wait for every actor; `ready` may be retried by Ray, since it changes nothing."""
        waiting = {name: host.ready.options(max_task_retries=-1).remote() for name, host in self._hosts.items()}
        for name, reference in waiting.items():
            pid = self._awaited(reference)
            self.restarts += pid != self._pids[name]
            self._pids[name] = pid

    def message(self) -> _RayMessages:
        """Handles of the departments."""
        return _RayMessages({name: (self._hosts[host], self._pids[host]) for name, host in self._host_of.items()})

    def close(self) -> None:
        """Kill the actors, then leave Ray if it was this crew that joined it."""
        for host in self._hosts.values():
            self._ray.kill(host)
        if self._started:
            self._ray.shutdown()

"""Workers of a run, and those that work in this process, one after the other or on threads.

The schemes see only `Worker.call` and `WorkerGroup.get`; references travel between workers, never through the driver.
`coordinator.workers.ray_group` makes Ray actors of the same workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Semaphore
from typing import Any, Protocol


class WorkerLostError(RuntimeError):
    """A worker died in the middle of a call. It is restarted empty; the caller brings its state back and repeats."""


class Worker(Protocol):
    """Something that answers calls, here or elsewhere."""

    def call(self, method: str, *args: Any, returns: int = 1) -> Any:  # noqa: ANN401
        """A reference to the result, or a list of `returns` references."""


class WorkerGroup(Protocol):
    """All workers of a run."""

    departments: Mapping[str, Worker]
    critic: Worker
    environments: Sequence[Worker]
    restarts: int  # of workers, so far
    concurrent: bool  # whether a call returns before it is done

    def get(self, references: Any) -> Any:  # noqa: ANN401
        """The values behind a reference or a list of them.

        Raises:
            WorkerLostError: a worker died; wait for `recover` and repeat.
        """

    def recover(self) -> None:
        """Wait until every worker is back."""

    def message(self) -> Any:  # noqa: ANN401
        """What an environment worker needs to reach the departments by message."""

    def close(self) -> None:
        """Let all workers go."""


@dataclass(frozen=True)
class WorkerFactories:
    """How to build each worker: plain classes and their arguments."""

    departments: Mapping[str, Callable[[], Any]]
    critic: Callable[[], Any]
    environment: Callable[[], Any]


class _LocalWorker:
    def __init__(self, build: Callable[[], Any]) -> None:
        self.plain = build()

    def call(self, method: str, *args: Any, returns: int = 1) -> Any:  # noqa: ANN401
        result = getattr(self.plain, method)(*args)
        return list(result) if returns > 1 else result[0] if isinstance(result, list) and len(result) == 1 else result


@dataclass(frozen=True)
class _Reference:
    """What a thread will have answered, or one part of it."""

    answer: Future[Any]
    part: int | None = None


def _value(given: Any) -> Any:  # noqa: ANN401
    if not isinstance(given, _Reference):
        return given
    answer = given.answer.result()
    return answer if given.part is None else answer[given.part]


class _ThreadWorker(_LocalWorker):
    """A worker with a thread of its own, which answers one call after another, as an actor does.

    A call waits for what it is given, then for one of the cores; what it is given was asked for before it, so somebody
    can always go on.
    """

    def __init__(self, build: Callable[[], Any], cores: Semaphore) -> None:
        super().__init__(build)
        self._cores, self._thread = cores, ThreadPoolExecutor(1)

    def call(self, method: str, *args: Any, returns: int = 1) -> Any:  # noqa: ANN401
        answer = self._thread.submit(self._answer, method, args, returns)
        return _Reference(answer) if returns == 1 else [_Reference(answer, part) for part in range(returns)]

    def _answer(self, method: str, args: tuple[Any, ...], returns: int) -> Any:  # noqa: ANN401
        given = list(map(_value, args))
        with self._cores:
            return super().call(method, *given, returns=returns)

    def close(self, wait: bool) -> None:
        """Forget the calls that have not begun; `wait` for the one that has."""
        self._thread.shutdown(wait=wait, cancel_futures=True)


class _LocalMessages:
    """Departments answer in whoever's thread asks: they are idle meanwhile, as they wait for the rollouts."""

    def __init__(self, departments: Mapping[str, _LocalWorker]) -> None:
        self._departments = departments

    def __call__(self, department: str, method: str, *args: Any) -> Any:  # noqa: ANN401
        return getattr(self._departments[department].plain, method)(*args)

    def gather(self, method: str, arguments: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
        return {name: self(name, method, *args) for name, args in arguments.items()}


class LocalGroup:
    """All workers in this process: the fastest way on one machine, and the one without Ray.

    With several threads every worker has one of its own; what takes long is done in C++ and PyTorch, side by side.
    """

    def __init__(self, factories: WorkerFactories, environments: int = 1, threads: int = 1) -> None:
        """Build every worker; `threads` is how many work at a time."""
        cores = Semaphore(threads)

        def worker(build: Callable[[], Any]) -> _LocalWorker:
            return _LocalWorker(build) if threads == 1 else _ThreadWorker(build, cores)

        self._departments = {name: worker(build) for name, build in factories.departments.items()}
        self.departments: Mapping[str, Worker] = self._departments
        self.critic: Worker = worker(factories.critic)
        self.environments: Sequence[Worker] = [worker(factories.environment) for _ in range(environments)]
        self.restarts, self.concurrent = 0, threads > 1

    def get(self, references: Any) -> Any:  # noqa: ANN401
        """Values; without threads references are the values themselves."""
        return list(map(_value, references)) if isinstance(references, list) else _value(references)

    def recover(self) -> None:
        """Nothing dies here."""

    def message(self) -> _LocalMessages:
        """Direct calls."""
        return _LocalMessages(self._departments)

    def close(self) -> None:
        """Let the threads go."""
        workers = (*self.departments.values(), self.critic, *self.environments)
        threaded = [worker for worker in workers if isinstance(worker, _ThreadWorker)]
        for wait in (False, True):
            for worker in threaded:
                worker.close(wait)


def spread(items: Iterable[Any], workers: int) -> list[list[Any]]:
    """Deal items out to workers in turn."""
    some = list(items)
    return [some[i::workers] for i in range(workers)]

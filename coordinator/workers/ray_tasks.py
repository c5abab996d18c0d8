"""Tasks side by side, on whatever Ray cluster there is, or one after the other here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from coordinator.workers.ray_session import connect, must_have_gpus

Argument = TypeVar("Argument")
Result = TypeVar("Result")
_TASK_RETRIES = 3  # of a task whose process died


def run_tasks(
    function: Callable[[Argument], Result],
    arguments: Sequence[Argument],
    *,
    name: str,
    address: str | None = None,
    workers: int | None = None,
    gpus: float = 0.0,
    tick: Callable[[int], None] = lambda _: None,
) -> Generator[tuple[Argument, Result | Exception], None, None]:
    """One Ray task on one core per argument, side by side on whatever cluster there is.

    A task whose process dies is started again; what it raises is handed over and stops nobody else. Whoever stops
    iterating cancels what is left.

    Args:
        function: can be imported where the tasks run.
        arguments: of the tasks, in the order in which they start.
        name: namespace.
        address: of a standing cluster; None starts a local one.
        workers: tasks at a time; None leaves it to the cluster, which may grow for those that wait.
        gpus: share of a GPU that a task needs.
        tick: called about once a second with the number of tasks that can run at a time.

    Returns:
        Arguments with their results or errors as they come; Ray runs when this returns.

    Raises:
        ValueError: nothing answers at the address.
    """
    if address is None:
        must_have_gpus(gpus, "--device cuda")
    ray, started = connect(name, address)
    task = ray.remote(function).options(num_cpus=1, num_gpus=gpus, max_retries=_TASK_RETRIES)

    def results() -> Generator[tuple[Argument, Result | Exception], None, None]:
        waiting = deque(arguments)
        running: dict[Any, Argument] = {}
        try:
            while waiting or running:
                while waiting and (workers is None or len(running) < workers):
                    argument = waiting.popleft()
                    running[task.remote(argument)] = argument
                done, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
                for reference in done:
                    try:
                        result = ray.get(reference)
                    except Exception as error:  # whatever it was, the other tasks go on
                        result = error
                    yield running.pop(reference), result
                cores = int(ray.cluster_resources().get("CPU", 1))
                tick(min(cores, workers or cores))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            if started:
                ray.shutdown()

    return results()


def run_tasks_here(
    function: Callable[[Argument], Result], arguments: Sequence[Argument]
) -> Generator[tuple[Argument, Result | Exception], None, None]:
    """The same, one after the other in this process."""
    for argument in arguments:
        try:
            result: Result | Exception = function(argument)
        except Exception as error:  # whatever it was, the other tasks go on
            result = error
        yield argument, result

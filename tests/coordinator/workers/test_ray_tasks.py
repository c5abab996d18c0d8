import os
import signal

import pytest

from coordinator.experiments.benchmark import run_benchmark
from coordinator.workers.ray_tasks import run_tasks, run_tasks_here
from tests.small_benchmarks import asked, results, written


def test_tasks_here_hand_over_results_and_errors():
    (one, five), (zero, error) = run_tasks_here(lambda x: 5 // x, [1, 0])
    assert (one, five, zero) == (1, 5, 0)
    assert isinstance(error, ZeroDivisionError)


@pytest.mark.ray
def test_tasks_on_ray_change_no_number(ray, tmp_path):
    files = written(tmp_path)
    here, there = (
        results(run_benchmark(asked(files, tmp_path / backend, backend=backend, workers=2, trials=1)).out)
        for backend in ("local", "ray")
    )
    assert here == there
    assert len(here) == 3, "a trial of each scheme and the rules"


@pytest.mark.ray
def test_a_killed_task_starts_again_and_an_error_stops_nobody_else(ray, tmp_path):
    def task(number):
        mark = tmp_path / f"{number}"
        if number == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 1:
            raise ValueError("one is not welcome")
        return number * 10

    slots = []
    came = dict(run_tasks(task, [0, 1, 2], name="tasks", workers=2, tick=slots.append))
    assert (came[0], came[2]) == (0, 20)
    assert isinstance(came[1], ValueError)
    assert "one is not welcome" in str(came[1])
    assert set(slots) == {2}
    assert ray.is_initialized(), "who did not start Ray leaves it running"


@pytest.mark.ray
def test_closing_the_tasks_cancels_what_is_left(ray, tmp_path):
    def task(number):
        import time

        time.sleep(0 if number == 0 else 30)
        (tmp_path / str(number)).touch()
        return number

    tasks = run_tasks(task, [0, 1, 2], name="tasks", workers=2)
    assert next(tasks) == (0, 0)
    tasks.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0"]

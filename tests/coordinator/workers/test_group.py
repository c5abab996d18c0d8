"""Workers of one process on threads."""

from concurrent.futures import CancelledError
from threading import Barrier, Event, Thread

import pytest

from coordinator.learning.settings import Wiring
from coordinator.workers.group import LocalGroup, WorkerFactories
from departments.learning.pathwise import PathwiseConfig
from tests.small_firms import pair, tree
from tests.small_runs import LOCAL, final_policies, settings

LIMIT = 30.0  # seconds that a thread waits for another before a test fails


class Meeting:
    """Answers in ways that show who runs beside whom, and when."""

    def __init__(self, barrier=None):
        self.barrier, self.heard = barrier, []

    def meet(self):
        self.barrier.wait(LIMIT)
        return "met"

    def hear(self, *words):
        self.heard.append(words)
        return tuple(self.heard)

    def halves(self, word):
        return word[: len(word) // 2], word[len(word) // 2 :]

    def stumble(self):
        raise ValueError("the roof came down")

    def wait(self, started, event):
        started.set()
        assert event.wait(LIMIT)
        return "waited"


def crew_of(threads, barrier=None):
    build = {name: lambda: Meeting(barrier) for name in ("ann", "bob")}
    return LocalGroup(
        WorkerFactories(build, lambda: Meeting(barrier), lambda: Meeting(barrier)), environments=1, threads=threads
    )


@pytest.fixture
def workers():
    workers = crew_of(2, Barrier(2))
    yield workers
    workers.close()


def test_two_workers_answer_at_the_same_time(workers):
    assert workers.get([worker.call("meet") for worker in workers.departments.values()]) == ["met", "met"]


def test_no_more_work_at_a_time_than_there_are_threads(workers):
    started, go, third = Event(), Event(), Event()
    calls = [workers.departments[name].call("wait", started, go) for name in ("ann", "bob")]
    assert started.wait(LIMIT)
    calls.append(workers.critic.call("wait", third, go))
    assert not third.wait(0.2)
    go.set()
    assert workers.get(calls) == ["waited"] * 3
    assert third.is_set()


def test_a_worker_answers_in_the_order_in_which_it_is_asked(workers):
    ann = workers.departments["ann"]
    answers = [ann.call("hear", word) for word in "abc"]
    assert workers.get(answers[2]) == (("a",), ("b",), ("c",))
    assert [len(heard) for heard in workers.get(answers)] == [1, 2, 3]


def test_what_one_answers_is_given_to_another_in_parts(workers):
    first, second = workers.departments["ann"].call("halves", "warehouse", returns=2)
    assert workers.get(workers.critic.call("hear", first, "and", second)) == (("ware", "and", "house"),)
    assert workers.get([first, second]) == ["ware", "house"]


def test_an_error_reaches_whoever_asks_for_the_answer_or_for_what_depends_on_it(workers):
    broken = workers.departments["ann"].call("stumble")
    after = workers.critic.call("hear", broken)
    for reference in (broken, after):
        with pytest.raises(ValueError, match="the roof came down"):
            workers.get(reference)
    assert workers.get(workers.critic.call("hear", "on")) == (("on",),)


def test_closing_waits_for_what_is_under_way_and_forgets_the_rest():
    workers, started, go = crew_of(2), Event(), Event()
    ann = workers.departments["ann"]
    under_way, never = ann.call("wait", started, go), ann.call("hear", "too late")
    depends = workers.critic.call("hear", never)
    assert started.wait(LIMIT)
    closing = Thread(target=workers.close)
    closing.start()
    for reference in (never, depends):
        with pytest.raises(CancelledError):
            workers.get(reference)
    assert closing.is_alive()
    go.set()
    closing.join(LIMIT)
    assert not closing.is_alive()
    assert workers.get(under_way) == "waited"
    assert ann.plain.heard == workers.critic.plain.heard == []


@pytest.mark.parametrize("execution", ["snapshot", "message"])
@pytest.mark.parametrize("side_by_side", [False, True])
def test_threads_change_no_bit_of_the_result(execution, side_by_side, tmp_path):
    given, firm = settings(iterations=7), tree() if side_by_side else pair()
    given = given.model_copy(update={"imarl": given.imarl.model_copy(update={"parallel": side_by_side})})
    one = final_policies(firm, given, tmp_path / "one", LOCAL)
    wiring = Wiring(backend="local", environments=2, threads=3, execution=execution)
    assert any(version for version, _ in one.values()), "something must be learned"
    assert final_policies(firm, given, tmp_path / "many", wiring) == one


def test_threads_change_no_bit_of_gradients_through_the_simulator(tmp_path):
    given = settings(scheme="pathwise", steps=None, pathwise=PathwiseConfig(updates=8, copies=32, learning_rate=0.02))
    one = final_policies(pair(), given, tmp_path / "one", LOCAL)
    assert any(version for version, _ in one.values()), "something must be learned"
    assert final_policies(pair(), given, tmp_path / "many", Wiring(backend="local", threads=2)) == one

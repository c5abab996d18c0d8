"""The running firm on Ray: named, detached actors, and the staff through which the coordinator reaches them.

This and `coordinator.cluster` are the files that know Ray.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coordinator.live.book import Event
from coordinator.live.moment import Arrays, Moment
from coordinator.live.operation import Question, Reply
from departments.desk import Answer, Desk
from departments.serving import Array, Brief

ACTORS = ("environment", "critic", "monitor")
_EMPTY_TRIES = 2  # questions a tick: the second one brings the brief along


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


def reborn() -> bool:
    """Whether this actor has died and was started again by Ray."""
    import ray

    return bool(ray.get_runtime_context().was_current_actor_reconstructed)


def _where() -> tuple[int, str]:
    import ray

    return os.getpid(), str(ray.get_runtime_context().get_node_id())


class DepartmentActor:
    """A department's process."""

    def __init__(self) -> None:
        self._desk, self._place = Desk(), _where()

    def ready(self) -> tuple[int, str]:
        """Process and node."""
        return self._place

    def decide(
        self, tick: int, version: int, observation: Array, brief: Brief | None, memory: Array | None
    ) -> tuple[tuple[int, str], Answer | None]:
        """Process and node, and the answer; None: the brief is needed."""
        if brief is not None and memory is not None:
            self._desk.follow(brief, tick, memory)
        return self._place, self._desk.decide(tick, version, observation)


class PlainActor:
    """A process that holds one plain object; every answer says which process it came from."""

    def __init__(self, kind: str, *arguments: Any) -> None:  # noqa: ANN401
        self._plain = _build(kind, arguments)
        self._place = _where()

    def ready(self) -> tuple[int, str]:
        """Process and node."""
        return self._place

    def call(self, method: str, *arguments: Any) -> tuple[int, Any]:  # noqa: ANN401
        """Process id and result."""
        return self._place[0], getattr(self._plain, method)(*arguments)


def _build(kind: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401
    if kind == "monitor":
        from coordinator.live.monitor import Monitor

        return Monitor()
    from coordinator.process import settle

    settle()
    if kind == "environment":
        from coordinator.live.simulated import Simulated

        return Simulated(*arguments)
    if kind == "feed":
        from coordinator.live.fed import Fed

        return Fed(*arguments)
    from coordinator.live.appraisal import Appraiser

    return Appraiser(*arguments)


class _Department:
    """What the coordinator knows of a department's process."""

    def __init__(self, actor: Any) -> None:  # noqa: ANN401
        self.actor = actor
        self.place: tuple[int, str] | None = None
        self.up = True
        self.knows: tuple[int, int] | None = None  # version and tick that it can be asked without its brief
        self.late: Any = None  # a question that has not been answered yet


class RayStaff:
    """Departments and environment of one firm."""

    def __init__(self, namespace: str, departments: list[str], deadline: float) -> None:
        """Find the actors and wait until all are ready once.

        Args:
            namespace: of the firm.
            departments: their names.
            deadline: seconds that departments have to answer.
        """
        import ray

        self._ray, self._deadline, self._events = ray, deadline, list[Event]()
        find = {name: ray.get_actor(f"department-{name}", namespace=namespace) for name in departments}
        self._departments = {name: _Department(actor) for name, actor in find.items()}
        self._others = {name: ray.get_actor(name, namespace=namespace) for name in ACTORS}
        self._pids: dict[str, int] = {}
        ready = {name: d.actor.ready.options(max_task_retries=-1).remote() for name, d in self._departments.items()}
        for name, reference in ready.items():
            self._departments[name].place = ray.get(reference)

    def places(self) -> dict[str, int]:
        """Process id of every worker as last seen."""
        return {name: d.place[0] for name, d in self._departments.items() if d.place} | self._pids

    def recall(self, places: Mapping[str, int]) -> None:
        """Take the process ids that a predecessor saw, so that a death in between is noticed."""
        for name, pid in places.items():
            department = self._departments.get(name)
            if department is None:
                self._pids[name] = pid
            elif department.place is not None and department.place[0] != pid:
                self._events.append(Event("restart", name, why="its process died"))

    def workers(self) -> dict[str, dict[str, Any]]:
        """Of each department, whether it answers, and its node."""
        return {n: {"up": d.up, "node": d.place[1] if d.place else ""} for n, d in self._departments.items()}

    def events(self) -> list[Event]:
        """Restarts since the last call."""
        events, self._events = self._events, []
        return events

    def decide(self, questions: Mapping[str, Question]) -> dict[str, Reply]:
        """Answers by department; those that did not come in time are left out."""
        started = time.perf_counter()
        asked: dict[Any, str] = {}
        tries = dict.fromkeys(questions, 0)
        for name, question in questions.items():
            if self._free(name):
                asked[self._ask(name, question)] = name
        replies: dict[str, Reply] = {}
        while asked:
            left = self._deadline - (time.perf_counter() - started)
            done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=max(left, 0.0))
            for reference, value in self._values(done):
                name = asked.pop(reference)
                answer = self._heard(name, value)
                if answer is not None:
                    replies[name] = Reply(answer, time.perf_counter() - started)
                    self._departments[name].knows = (questions[name].brief.version, questions[name].tick + 1)
                elif not isinstance(value, Exception) and tries[name] < _EMPTY_TRIES:
                    tries[name] += 1
                    asked[self._ask(name, questions[name])] = name
            if asked and (not done or left <= 0.0):
                break
        for reference, name in asked.items():
            self._departments[name].late, self._departments[name].up = reference, False
        for name in questions.keys() - replies.keys():
            self._departments[name].knows = None
        return replies

    def _free(self, name: str) -> bool:
        """Whether a department can be asked: not while it owes an answer."""
        department = self._departments[name]
        if department.late is None:
            return True
        done, _ = self._ray.wait([department.late], timeout=0)
        for _, value in self._values(done):
            self._heard(name, value)
            department.late = department.knows = None
        return department.late is None

    def _ask(self, name: str, question: Question) -> Any:  # noqa: ANN401
        department, brief = self._departments[name], question.brief
        knows = department.knows == (brief.version, question.tick)
        bring = (None, None) if knows else (brief, question.memory)
        return department.actor.decide.remote(question.tick, brief.version, question.observation, *bring)

    def _values(self, done: list[Any]) -> list[tuple[Any, Any]]:
        """Values of references, or the errors of those whose worker died."""
        try:
            return list(zip(done, self._ray.get(done), strict=True))
        except self._ray.exceptions.RayError:
            return [(reference, self._value(reference)) for reference in done]

    def _value(self, reference: Any) -> Any:  # noqa: ANN401
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return error

    def _heard(self, name: str, value: Any) -> Answer | None:  # noqa: ANN401
        department = self._departments[name]
        department.up = not isinstance(value, Exception)
        if isinstance(value, Exception):
            department.knows = None
            return None
        place, answer = value
        if place != department.place:
            if department.place is not None:
                details = {"node": place[1], "moved": place[1] != department.place[1]}
                self._events.append(Event("restart", name, why="its process died", details=details))
            department.place = place
        if answer is None:
            department.knows = None
        found: Answer | None = answer
        return found

    def step(self, tick: int, arrays: Arrays, order: Array, exposure: Array | None) -> Moment:
        """The next moment; waits until the environment is there."""
        moment: Moment = self._insist("step", tick, arrays, order, exposure)
        return moment

    def observe(self, tick: int, arrays: Arrays) -> Moment | str | None:
        """A fed firm's awaited period: its moment, nothing yet, or why its files cannot be read."""
        found: Moment | str | None = self._insist("observe", tick, arrays)
        return found

    def _insist(self, method: str, *arguments: Any) -> Any:  # noqa: ANN401
        while True:
            value = self._value(self.ask("environment", method, *arguments))
            if not isinstance(value, Exception):
                return self.heard("environment", value)
            self._must_be_death(value)
            self._value(self._others["environment"].ready.options(max_task_retries=-1).remote())

    def ask(self, name: str, method: str, *arguments: Any) -> Any:  # noqa: ANN401
        """A reference to the answer of environment, critic or monitor."""
        return self._others[name].call.remote(method, *arguments)

    def answered(self, reference: Any) -> bool:  # noqa: ANN401
        """Whether an answer is there, or will never be."""
        return bool(self._ray.wait([reference], timeout=0)[0])

    def result(self, name: str, reference: Any) -> Any:  # noqa: ANN401
        """The answer; None if its process died.

        Raises:
            Exception: what the worker raised.
        """
        value = self._value(reference)
        if isinstance(value, Exception):
            self._must_be_death(value)
            return None
        return self.heard(name, value)

    def heard(self, name: str, value: tuple[int, Any]) -> Any:  # noqa: ANN401
        """An answer, after a look at whose it is."""
        pid, result = value
        if self._pids.setdefault(name, pid) != pid:
            self._pids[name] = pid
            self._events.append(Event("restart", name, why="its process died"))
        return result

    def _must_be_death(self, error: Exception) -> None:
        errors = self._ray.exceptions
        if not isinstance(error, (errors.RayActorError, errors.ObjectLostError)):
            raise getattr(error, "cause", None) or error


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

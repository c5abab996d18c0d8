"""Through whom the coordinator reaches departments, environment, critic and monitor: Ray actors that may die."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from coordinator.live.book import Event, LostError
from coordinator.live.hiring import found, hired, let_go
from coordinator.live.messages import read, written
from coordinator.live.operation import Question, Reply
from coordinator.live.period_start import Arrays, PeriodStart
from coordinator.live.process_info import ProcessInfo, last_line
from coordinator.live.restarts import Restarts
from coordinator.live.shadow import Play
from departments.serving.numpy_policy import Array
from departments.serving.policy_server import Answer

_OTHERS = ("environment", "critic", "monitor")
_EMPTY_TRIES = 2  # questions a tick: the second one brings the brief along
_ROLL_CALL = 10.0  # s
_HIRING = 60.0  # s that departments which open have to be there


class _Department:
    """What the coordinator knows of a department's process."""

    def __init__(self, actor: Any) -> None:  # noqa: ANN401
        self.actor = actor
        self.place: ProcessInfo | None = None
        self.up = True
        self.knows: tuple[int, int] | None = None  # version and tick that it can be asked without its brief
        self.late: Any = None  # a question that has not been answered yet
        self.since = 0.0  # when that was asked


class ActorClients:
    """Departments and environment of one firm."""

    def __init__(
        self, namespace: str, structure: int, departments: list[str], deadline: float, patience: float
    ) -> None:
        """Find the actors; departments of which the firm knows nothing are ended.

        Args:
            namespace: of the firm.
            structure: of the firm, its number.
            departments: their names.
            deadline: seconds that departments have to answer.
            patience: seconds after which a process that is alive and does not answer is ended, to begin again.

        Raises:
            LostError: one is gone for good.
        """
        import ray

        self._ray, self._deadline, self.restarts_seen = ray, deadline, Restarts()
        self._patience, self._more = patience, dict[str, float]()
        self._namespace, self._structure = namespace, structure
        let_go(namespace, departments)
        try:
            find = {name: found(namespace, name) for name in departments}
            self._others = {name: ray.get_actor(name, namespace=namespace) for name in _OTHERS}
        except ValueError as error:
            raise LostError(f"one of its actors cannot be had: {last_line(error)}") from None
        self._departments = {name: _Department(actor) for name, actor in find.items()}

    def hire(self, departments: list[str]) -> None:
        """Have the processes of departments that open ready before they are asked.

        Raises:
            ValueError: one line; they cannot be had in time.
        """
        actors = hired(self._namespace, departments)
        waiting = [actor.ready.options(max_task_retries=-1).remote() for actor in actors.values()]
        done, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=_HIRING) if waiting else ([], [])
        ready = [value for _, value in self._values(done) if not isinstance(value, Exception)]
        if len(ready) < len(waiting):
            raise ValueError(f"departments that open are not ready after {_HIRING:g} s: ask again")
        self._departments = {name: _Department(actor) for name, actor in actors.items()} | self._departments

    def become(self, structure: int, departments: list[str]) -> None:
        """The firm is built so from here on; whoever is no department of it any more is ended."""
        self._structure = structure
        gone = self._departments.keys() - set(departments)
        self._departments = {name: d for name, d in self._departments.items() if name not in gone}
        if gone:
            let_go(self._namespace, departments)
            self.restarts_seen.forget(gone)

    def meet(self, within: float | None = None) -> None:
        """Wait until all departments are there, or so many seconds."""
        self._hear({name: d.actor for name, d in self._departments.items()}, within)

    def roll_call(self) -> None:
        """Hear once more from all who answer within some seconds, so that no death goes unnoticed."""
        self._hear({name: d.actor for name, d in self._departments.items()} | self._others, _ROLL_CALL)

    def _hear(self, actors: Mapping[str, Any], within: float | None) -> None:
        asked = {a.ready.options(max_task_retries=-1).remote(): name for name, a in actors.items()}
        done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=within)
        for reference, place in self._values(done):
            if isinstance(place, Exception):
                continue  # it dies again and again; its next life is heard of by a successor
            if asked[reference] in self._departments:
                self._met(asked[reference], place)
            else:
                self.restarts_seen.heard(asked[reference], place.restarts)

    def _met(self, name: str, place: ProcessInfo) -> None:
        department = self._departments[name]
        if place == department.place:
            return
        details: dict[str, Any] = {"node": place.node}
        if department.place is not None:
            details["moved"] = place.node != department.place.node
        self.restarts_seen.heard(name, place.restarts, details)
        department.place = place

    def workers(self) -> dict[str, dict[str, Any]]:
        """Of each department, whether it answers, and its node."""
        return {n: {"up": d.up, "node": d.place.node if d.place else ""} for n, d in self._departments.items()}

    def noticed(self) -> tuple[list[Event], dict[str, int]]:
        """See `Restarts.noticed`."""
        return self.restarts_seen.noticed()

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
                    self._departments[name].knows = (questions[name].bundle.version, questions[name].tick + 1)
                elif not isinstance(value, Exception) and tries[name] < _EMPTY_TRIES:
                    tries[name] += 1
                    asked[self._ask(name, questions[name])] = name
            if asked and (not done or left <= 0.0):
                break
        for reference, name in asked.items():
            self._departments[name].late, self._departments[name].since = reference, started
            self._departments[name].up = False
        for name in questions.keys() - replies.keys():
            self._departments[name].knows = None
        return replies

    def patience(self, name: str) -> float:
        """Seconds after which a process that is alive and does not answer is ended: twice as many after each time."""
        return self._more.get(name, self._patience)

    def _end(self, name: str, actor: Any) -> None:  # noqa: ANN401
        self._ray.kill(actor, no_restart=False)
        self._more[name] = 2 * self.patience(name)

    def _free(self, name: str) -> bool:
        """Whether a department can be asked: not while it owes an answer."""
        department = self._departments[name]
        if department.late is None:
            return True
        done, _ = self._ray.wait([department.late], timeout=0)
        if not done and time.monotonic() - department.since > self.patience(name):
            self._end(name, department.actor)
            department.since = time.monotonic()
        for _, value in self._values(done):
            self._heard(name, value)
            department.late = department.knows = None
        return department.late is None

    def _ask(self, name: str, question: Question) -> Any:  # noqa: ANN401
        department, bundle = self._departments[name], question.bundle
        knows = department.knows == (bundle.version, question.tick)
        bring = None if knows else (bundle.about, bundle.arrays, question.memory)
        return department.actor.decide.remote(written((question.tick, bundle.version, question.observation, bring)))

    def _values(self, done: list[Any]) -> list[tuple[Any, Any]]:
        """Values of references, or the errors of those whose worker died."""
        try:
            return list(zip(done, self._ray.get(done), strict=True))
        except self._ray.exceptions.RayError:
            return [(reference, self._value(reference)) for reference in done]

    def _value(self, reference: Any, within: float | None = None) -> Any:  # noqa: ANN401
        try:
            return self._ray.get(reference, timeout=within)
        except self._ray.exceptions.RayError as error:
            return error

    def _heard(self, name: str, value: Any) -> Answer | None:  # noqa: ANN401
        department = self._departments[name]
        department.up = not isinstance(value, Exception)
        if isinstance(value, Exception):
            department.knows = None
            return None
        place, answer = read(value)
        self._more.pop(name, None)
        self._met(name, ProcessInfo(*place))
        if answer is None:
            department.knows = None
            return None
        return Answer(*answer)

    def step(self, tick: int, arrays: Arrays, order: Array, exposure: Array | None) -> Callable[[], PeriodStart]:
        """Begin the step to the next moment; what is returned waits for it, and until the environment is there."""
        waiting = self._insist("call_written", "step", tick, arrays, order, exposure)
        return lambda: PeriodStart(*waiting())

    def observe(self, tick: int, arrays: Arrays) -> tuple[PeriodStart, dict[str, Any]] | str | None:
        """A fed firm's awaited period and what was told of it; nothing yet; or why its files cannot be read."""
        told: str | list[Any] | None = self._insist("call_written", "observe", tick, arrays)()
        return (PeriodStart(*told[0]), told[1]) if isinstance(told, list) else told

    def cross(
        self, structure: int, tick: int, moment: PeriodStart, stock: Mapping[str, str]
    ) -> tuple[PeriodStart, dict[str, Any]]:
        """The period as a structure that is prepared finds it, and what became of its units (`Crossing.told`)."""
        moment_there, told = self._insist(
            "cross_written", None, tick, moment.arrays, moment.account, stock, of=structure
        )()
        return PeriodStart(*moment_there), told

    def _insist(self, way: str, method: str | None, *arguments: Any, of: int | None = None) -> Callable[[], Any]:  # noqa: ANN401
        """Ask the environment; what is returned waits for the answer, and asks again whenever its process has died."""
        environment, structure = self._others["environment"], self._structure if of is None else of
        message = (written(arguments),) if method is None else (method, written(arguments))
        asked: Any = getattr(environment, way).remote(*message, structure)

        def answer() -> Any:  # noqa: ANN401
            value = self._awaited("environment", asked, self.patience("environment"))
            while isinstance(value, Exception):
                self._must_be_death("environment", value)
                back = self._awaited("environment", environment.ready.options(max_task_retries=-1).remote(), math.inf)
                if isinstance(back, self._ray.exceptions.ActorDiedError):
                    raise LostError(f"the environment cannot be had: {last_line(back)}")
                again = getattr(environment, way).remote(*message, structure)
                value = self._awaited("environment", again, self.patience("environment"))
            place, result = read(value)
            return self.heard("environment", (ProcessInfo(*place), result))

        return answer

    def _awaited(self, name: str, reference: Any, within: float) -> Any:  # noqa: ANN401
        """A value, or an error; who watches over the ticks is told what they wait for, and lets them."""
        until = time.monotonic() + within
        while (left := until - time.monotonic()) > 0:
            if self._ray.wait([reference], timeout=min(left, self._patience))[0]:
                break
            self._others["monitor"].call.remote("say", "waiting", f"the {name} does not answer yet")
        return self._value(reference, 0)

    def ask(self, name: str, method: str, *arguments: Any, structure: int = 0) -> Any:  # noqa: ANN401
        """A reference to the answer of critic or monitor; `structure`: of the firm, that the critic is asked about."""
        return self._others[name].call.remote(method, *arguments, structure=structure)

    def ask_to_cross(self, structure: int, play: Play) -> Any:  # noqa: ANN401
        """A reference to a firm in shadow that the critic takes over into a structure; see `Examiner.cross`."""
        return self._others["critic"].cross.remote(structure, play)

    def answered(self, reference: Any) -> bool:  # noqa: ANN401
        """Whether an answer is there, or will never be."""
        return bool(self._ray.wait([reference], timeout=0)[0])

    def result(self, name: str, reference: Any, within: float | None = None) -> Any:  # noqa: ANN401
        """The answer; None if its process died, or said nothing `within` so many seconds and was ended for it.

        Raises:
            Exception: what the worker raised.
        """
        value = self._value(reference, within)
        if isinstance(value, Exception):
            self._must_be_death(name, value)
            return None
        return self.heard(name, value)

    def heard(self, name: str, value: tuple[ProcessInfo, Any]) -> Any:  # noqa: ANN401
        """An answer, after a look at whose it is."""
        place, result = value
        self._more.pop(name, None)
        self.restarts_seen.heard(name, place.restarts)
        return result

    def _must_be_death(self, name: str, error: Exception) -> None:
        """Raise what a worker raised; one that is alive and says nothing is ended, and begins again."""
        errors = self._ray.exceptions
        if isinstance(error, errors.GetTimeoutError):
            self._end(name, self._others[name])
        elif not isinstance(error, (errors.RayActorError, errors.ObjectLostError)):
            raise getattr(error, "cause", None) or error


def tell(namespace: str, state: str, reason: str) -> None:
    """Tell a firm's monitor how it does while there are no figures; nobody waits for it."""
    import ray

    with contextlib.suppress(ValueError, ray.exceptions.RayError):
        ray.get_actor("monitor", namespace=namespace).call.remote("say", state, reason)

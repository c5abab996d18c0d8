"""What every scheme shares: an iteration of learning through the workers, evaluation on common chance, recovery.

An iteration is a transaction. Its inputs (snapshots, learners' states, seeds) are held here, so when a worker dies in
the middle it is restarted, given its state back, and the iteration is repeated with the same result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from coordinator.critic.value_function import values_of
from coordinator.learning.multipliers import Multipliers
from coordinator.learning.settings import Settings
from coordinator.workers.group import Worker, WorkerGroup, WorkerLostError, spread
from departments.department import Arrays
from departments.learning.pathwise import PathwiseConfig
from departments.learning.ppo import UpdateStats
from departments.play.episode import SHARD
from departments.policies.policy import Snapshot
from environment import State
from environment.streams import Stream

Array = NDArray[np.float32]
_TRIES = 8
_ACQUAINTED = 3  # rollouts from which the critic learns before anybody else does, where policies start good
_WORLD = "world/"  # a shard's state, among the learners' states in a checkpoint
_MULTIPLIERS = "service/multipliers"  # likewise those of service targets
_STRETCH = ("period", *State._fields)  # where a stretch of periods begins
Result = TypeVar("Result")


@dataclass(frozen=True)
class Iteration:
    """What one iteration brought."""

    snapshots: dict[str, Snapshot]
    updates: dict[str, UpdateStats]
    critic: dict[str, float]


def paired_gain(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[float, float]:
    """Saving on the same episodes, [E] costs each: mean and standard error, money."""
    saving = before.astype(np.float64) - after
    return float(saving.mean()), float(saving.std(ddof=1) / np.sqrt(len(saving)))


@dataclass(frozen=True)
class _Ahead:
    """Rollouts that were asked for before the policies that act in them had been learned."""

    learning: list[str]
    seed: tuple[int, ...]
    parts: list[Any]  # by shard


@dataclass
class Training:
    """The workers of a run and all that they would have to be given back."""

    workers: WorkerGroup
    settings: Settings
    published: dict[str, Snapshot]
    streams: Mapping[str, int]  # reward stream of each department
    train_periods: int
    by_message: bool = False
    owner: Mapping[str, str] = field(default_factory=dict)  # department -> the one whose policy it shares, if any
    report: Callable[[str], None] = lambda _: None
    multipliers: Multipliers | None = None  # of service targets and a cap on emissions, if the firm has some
    env_steps: int = 0
    started: float = field(default_factory=time.monotonic)
    spent: float = 0.0  # seconds before this process, when resumed
    _states: dict[str, Arrays] = field(default_factory=dict)
    _critic: Arrays = field(default_factory=dict)
    _sent: list[Any] = field(default_factory=list)  # what environments were told and have not answered yet
    _ahead: _Ahead | None = None
    _worlds: list[list[Array]] = field(default_factory=list)  # where the shards of `descend` go on

    def __post_init__(self) -> None:
        """Bring the workers into the state that is held here."""
        if not self._critic:
            self._critic = self._safely(lambda: self.workers.get(self.workers.critic.call("state")))
        self._safely(self._reinstall)

    @property
    def seconds(self) -> float:
        """Wall time spent on the run."""
        return self.spent + time.monotonic() - self.started

    @property
    def exhausted(self) -> bool:
        """Whether the budget of time or steps is used up."""
        return self.progress >= 1.0

    @property
    def progress(self) -> float:
        """How much of the budget of time or steps is used up, 0 where there is none."""
        budgets = ((self.seconds, self.settings.seconds), (self.env_steps, self.settings.steps))
        return max((spent / budget for spent, budget in budgets if budget is not None), default=0.0)

    @property
    def priced(self) -> int:
        """Steps of the multipliers so far: costs of before the last one are none of today."""
        return 0 if self.multipliers is None else self.multipliers.steps

    def publish(self, *snapshots: Snapshot) -> None:
        """Let everyone act with new policies."""
        self.published |= {snapshot.department: snapshot for snapshot in snapshots}
        self._ahead = None
        self._safely(lambda: self._send(snapshots))

    def adopt(self, *snapshots: Snapshot) -> None:
        """Let departments start learning from policies, with fresh optimisers."""
        workers = [self.workers.departments[snapshot.department] for snapshot in snapshots]

        def step() -> list[Arrays]:
            pairs = zip(workers, snapshots, strict=True)
            self.workers.get([worker.call("adopt", snapshot) for worker, snapshot in pairs])
            states: list[Arrays] = self.workers.get([worker.call("state") for worker in workers])
            return states

        states = self._safely(step)
        self._states |= {snapshot.department: state for snapshot, state in zip(snapshots, states, strict=True)}
        self.publish(*snapshots)

    def imitate(self, learning: Sequence[str], seed: Sequence[int]) -> None:
        """Fit departments to the rules' decisions; publish version 0 anew."""
        fitted = self._safely(lambda: self._imitate(list(learning), seed)) if learning else {}
        self._states |= {name: state for name, (_, state) in fitted.items()}
        self.publish(*(snapshot for snapshot, _ in fitted.values()))

    def acquaint(self, seed: Sequence[int]) -> None:
        """Let the critic learn what the published policies are worth, before anybody learns from it."""
        for number in range(_ACQUAINTED):
            self._critic = self._safely(partial(self._acquainted, (*seed, number)))

    def iterate(
        self, learning: Sequence[str], seed: Sequence[int], following: Sequence[int] | None = None
    ) -> Iteration:
        """Roll out, let the critic advise, let the departments learn side by side; publish what they learned.

        Args:
            learning: the departments.
            seed: names the rollout's chance.
            following: the seed of the next iteration if the same departments are to learn in it: its rollouts start as
                soon as the policies are there. If something else happens then, they are forgotten.
        """
        if self.multipliers is not None and self.multipliers.due:
            following = None  # it is played at another price
        result, states, critic_state, ahead = self._safely(lambda: self._iterate(list(learning), seed, following))
        self._states |= states
        self._critic = critic_state
        self.env_steps += self.settings.copies * self.train_periods
        if ahead is None:
            self.publish(*result.snapshots.values())
        else:
            self.published |= result.snapshots
            self._ahead = ahead
        self._move_multipliers()
        return result

    def begin_again(self, *snapshots: Snapshot) -> None:
        """`adopt`, and let the next stretch of `descend` begin with an episode."""
        self.adopt(*snapshots)
        self._worlds = []

    def descend(
        self, learning: Sequence[str], seed: Sequence[int], periods: int, teaching: PathwiseConfig, progress: float
    ) -> Iteration:
        """Differentiate through a stretch of `periods`, let the departments step; publish what they learned.

        `seed` names the stretch's chance, `teaching` says how many copies play it and how they learn; `progress`, 0..1,
        is how much of the budget is used up.
        """
        result, states, worlds, critic = self._safely(
            lambda: self._descend(learning, seed, periods, teaching, progress)
        )
        self._states |= states
        self._worlds, self._critic = worlds, critic
        self.env_steps += teaching.copies * periods
        self.publish(*result.snapshots.values())
        self._move_multipliers()
        return result

    def _move_multipliers(self) -> None:
        """After so many iterations, let multipliers follow what of their targets the published policies reach."""
        moving = self.multipliers
        if moving is None:
            return
        if moving.due:
            asked = moving.config.episodes, self.settings.seed, moving.steps
            environment = self.workers.environments[0]
            moving.move(*self._safely(lambda: self.workers.get(environment.call("service", *asked))))
            self._safely(self._reprice)
        moving.rounds += 1

    def _reprice(self) -> None:
        if self.multipliers is not None:
            prices = self.multipliers.short, self.multipliers.emission
            self.workers.get([worker.call("reprice", *prices) for worker in self.workers.environments])

    def costs(self, episodes: int, stream: Stream, *candidates: Snapshot) -> NDArray[np.float32]:
        """Cost of each evaluation episode, [E]; chance is the same for all, `candidates` stand in for the published."""
        environments = self.workers.environments

        def step() -> NDArray[np.float32]:
            shards = range(-(-episodes // SHARD))
            dealt = [some for some in spread(shards, len(environments)) if some]
            calls = [
                worker.call("costs", some, episodes, self.settings.seed, stream, *candidates)
                for worker, some in zip(environments, dealt, strict=False)
            ]
            costs = np.empty(episodes, dtype=np.float32)
            for some, part in zip(dealt, self.workers.get(calls), strict=True):
                for shard, piece in zip(some, np.split(part, range(SHARD, len(part), SHARD)), strict=True):
                    costs[shard * SHARD : shard * SHARD + len(piece)] = piece
            return costs

        return self._safely(step)

    def selection_costs(self, *candidates: Snapshot) -> NDArray[np.float32]:
        """Costs on the episodes that pick the best policy of a run."""
        return self.costs(self.settings.selection_episodes, Stream.SELECTION, *candidates)

    def acceptance_costs(self, *candidates: Snapshot) -> NDArray[np.float32]:
        """Costs on the episodes that decide whether a policy is saved."""
        return self.costs(self.settings.acceptance_episodes, Stream.ACCEPTANCE, *candidates)

    def ask_world(self, question: str) -> Any:  # noqa: ANN401
        """What the first environment worker answers to a call without arguments."""
        return self._safely(lambda: self.workers.get(self.workers.environments[0].call(question)))

    def learner_states(self) -> tuple[dict[str, Arrays], Arrays | None]:
        """States of the departments that have learned, and of the critic."""
        worlds = {f"{_WORLD}{i}": dict(zip(_STRETCH, parts, strict=True)) for i, parts in enumerate(self._worlds)}
        multipliers = {} if self.multipliers is None else {_MULTIPLIERS: self.multipliers.state()}
        return self._states | worlds | multipliers, self._critic

    def bring_back(self, states: dict[str, Arrays], critic: Arrays | None) -> None:
        """Go on from states that were kept."""
        if self.multipliers is not None and _MULTIPLIERS in states:
            self.multipliers.restore(states.pop(_MULTIPLIERS))
        worlds = sorted(name for name in states if name.startswith(_WORLD))
        none = {_STRETCH[0]: np.zeros(1, dtype=np.float32)}  # checkpoints of earlier versions do not tell
        self._worlds = [[(none | states[name])[part] for part in _STRETCH] for name in worlds]
        self._states = {name: state for name, state in states.items() if name not in worlds}
        self._critic = critic or self._critic
        self._safely(self._reinstall)

    def _iterate(
        self, learning: list[str], seed: Sequence[int], following: Sequence[int] | None
    ) -> tuple[Iteration, dict[str, Arrays], Arrays, _Ahead | None]:
        workers = self.workers
        streams = [self.streams[name] for name in learning]
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (ahead.learning, ahead.seed) == (learning, tuple(seed)):
            parts = ahead.parts
        else:
            parts = self._rollouts(learning, seed, values_of(self._calibrated(learning, seed)))
        fitted = workers.critic.call("learn", streams, *(part[-1] for part in parts), returns=3)
        owners = [self.owner.get(name, name) for name in learning]
        updates: dict[str, list[Any]] = {}
        for owner in dict.fromkeys(owners):
            slices = [part[i] for i, its in enumerate(owners) if its == owner for part in parts]
            updates[owner] = workers.departments[owner].call("learn", tuple(seed), *slices, returns=3)
        sent, ahead = self._sent, None
        if following is not None and workers.concurrent and not self.by_message and not self.owner:
            news = [update[0] for update in updates.values()]
            ahead = _Ahead(learning, tuple(following), self._rollouts(learning, following, fitted[2], news))
            self._send(news, workers.environments[self.settings.shards :])  # the others hear it with the question
        results = {owner: workers.get(update) for owner, update in updates.items()}
        critic_stats, critic_state = workers.get(fitted[:2])
        workers.get(sent)
        learned = [(name, results[owner]) for name, owner in zip(learning, owners, strict=True)]
        snapshots = {name: replace(result[0], department=name) for name, result in learned}
        states = {name: result[1] for name, result in learned}
        stats = {owner: result[2] for owner, result in results.items()}
        if self.by_message:  # those who act by a policy that another learned must hold it, too
            others = [name for name in learning if name not in results]
            workers.get([workers.departments[name].call("restore", states[name]) for name in others])
        return Iteration(snapshots, stats, critic_stats), states, critic_state, ahead

    def _imitate(self, learning: list[str], seed: Sequence[int]) -> dict[str, tuple[Snapshot, Arrays]]:
        workers = self.workers
        calls = [
            worker.call("demonstrate", learning, *shard[:2], returns=len(learning))
            for worker, shard in self._shards(seed)
        ]
        parts = calls if len(learning) > 1 else [[only] for only in calls]
        fits = {
            name: workers.departments[name].call("imitate", tuple(seed), *(part[i] for part in parts), returns=2)
            for i, name in enumerate(learning)
        }
        return dict(zip(fits, map(tuple, map(workers.get, fits.values())), strict=True))

    def _acquainted(self, seed: Sequence[int]) -> Arrays:
        """The critic's state after it learned from a rollout by which nobody else does."""
        learning, critic = list(self.streams), self.workers.critic
        parts = self._rollouts(learning, seed, values_of(self._calibrated(learning, seed)))
        streams = [self.streams[name] for name in learning]
        state: Arrays = self.workers.get(critic.call("learn", streams, *(part[-1] for part in parts), returns=3)[1])
        return state

    def _rollouts(
        self,
        learning: list[str],
        seed: Sequence[int],
        values: Any,  # noqa: ANN401
        news: Sequence[Any] = (),
    ) -> list[Any]:
        """By shard: references to the slices of the departments and to the critic's lesson; `news` is published."""
        streams, count = [self.streams[name] for name in learning], len(learning) + 1
        return [
            worker.call("rollout", learning, streams, values, *shard, *news, returns=count)
            for worker, shard in self._shards(seed)
        ]

    def _shards(self, seed: Sequence[int]) -> list[tuple[Worker, tuple[Any, ...]]]:
        """Who plays which: copies, seed and, if departments are to act by message, the way to them.

        By message all are played by one: a department acts in one episode at a time.
        """
        environments, shards = self.workers.environments[: 1 if self.by_message else None], self.settings.shards
        message = self.workers.message() if self.by_message else None
        copies = self.settings.copies // shards
        return [(environments[i % len(environments)], (copies, (*seed, i), message)) for i in range(shards)]

    def _calibrated(self, learning: list[str], seed: Sequence[int]) -> Arrays:
        """The critic's state with a scale for every stream: one that nobody has learned from gets that of a rollout."""
        streams = [self.streams[name] for name in learning]
        if self._critic["std"][streams].all():
            return self._critic
        rewards = [worker.call("rewards", learning, *shard) for worker, shard in self._shards(seed)]
        state: Arrays = self.workers.get(self.workers.critic.call("calibrate", streams, *rewards))
        return state

    def _descend(
        self, learning: Sequence[str], seed: Sequence[int], periods: int, teaching: PathwiseConfig, progress: float
    ) -> tuple[Iteration, dict[str, Arrays], list[list[Array]], Arrays]:
        workers, environments, shards = self.workers, self.workers.environments, self.settings.shards
        starts = self._worlds or workers.get([environments[0].call("start", teaching.copies // shards)] * shards)
        stretches = [(learning, periods, (*seed, i)) for i in range(shards)]
        dealt = [environments[i % len(environments)] for i in range(shards)]
        critic_state, values = self._critic, None
        if hybrid := any(self.published[name].config.hybrid for name in learning):
            if not critic_state["std"][0]:
                spent = [
                    worker.call("earned", *stretch, *start)
                    for worker, stretch, start in zip(dealt, stretches, starts, strict=True)
                ]
                critic_state = workers.get(workers.critic.call("calibrate", [0], *spent))
            values = values_of(critic_state)
        count = len(learning) + 2 + hybrid
        parts = [  # by shard: the departments' gradients, the cost, the critic's lesson, where the next stretch goes on
            worker.call("descend", *stretch, teaching.unit_bound, values, *start, returns=count)
            for worker, stretch, start in zip(dealt, stretches, starts, strict=True)
        ]
        owners = [self.owner.get(name, name) for name in learning]
        updates = {  # the mean of those who share a policy points where their sum does
            owner: workers.departments[owner].call(
                "descend",
                teaching,
                progress,
                *(part[i] for i, its in enumerate(owners) if its == owner for part in parts),
            )
            for owner in dict.fromkeys(owners)
        }
        told = dict[str, float]()
        if hybrid:
            lesson = workers.critic.call("learn", [0], *(part[-2] for part in parts), returns=3)
            told, critic_state = workers.get(lesson[:2])
        results = dict(zip(updates, workers.get(list(updates.values())), strict=True))
        ends = workers.get([part[-1] for part in parts])
        workers.get(self._sent)
        learned = [(name, results[owner]) for name, owner in zip(learning, owners, strict=True)]
        snapshots = {name: replace(result[0], department=name) for name, result in learned}
        stats = {owner: result[2] for owner, result in results.items()}
        states = {name: result[1] for name, result in learned}
        return Iteration(snapshots, stats, told), states, ends, critic_state

    def _send(self, snapshots: Sequence[Any], environments: Sequence[Worker] | None = None) -> None:
        """Tell all or some environments, by value or reference; they hear it before what they are asked next."""
        some = self.workers.environments if environments is None else environments
        self._sent = [worker.call("publish", *snapshots) for worker in some]

    def _reinstall(self) -> None:
        self._ahead = None
        calls: list[Any] = []
        for name, worker in self.workers.departments.items():
            state = self._states.get(name)
            calls.append(worker.call("adopt", self.published[name]) if state is None else worker.call("restore", state))
        if self._critic:
            calls.append(self.workers.critic.call("restore", self._critic))
        self.workers.get(calls)
        self._reprice()
        self._send(list(self.published.values()))

    def _safely(self, step: Callable[[], Result]) -> Result:
        """Do a step that may be repeated; bring dead workers back in between."""
        for _ in range(_TRIES):
            try:
                return step()
            except WorkerLostError as lost:
                self.report(f"a worker died ({lost}); restarting it")
                self._recover()
        raise RuntimeError(f"workers died {_TRIES} times in a row at the same step; see Ray's logs for the reason")

    def _recover(self) -> None:
        for _ in range(_TRIES):
            try:
                self.workers.recover()
                self._reinstall()
            except WorkerLostError:
                continue
            return
        raise RuntimeError("workers keep dying while they are brought back; see Ray's logs for the reason")

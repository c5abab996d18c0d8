"""Our own training, as the peers are judged: IMARL and other schemes through Ray actors, or in one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from judging import FIRM, HIDDEN, INITIAL_STD, LEARNING_RATE, SCALINGS, Judge

from coordinator.envs.core import REACH, Form
from coordinator.learning.iterations import Iteration, Training
from coordinator.learning.settings import Wiring
from coordinator.runs.train import build_workers
from coordinator.schemes.base import Progress
from coordinator.schemes.given_settings import part_used, settings_of
from coordinator.schemes.registry import names, scheme_of
from coordinator.schemes.setup import setup_of
from coordinator.workers.group import WorkerGroup
from coordinator.workers.process import settle
from departments.policies.firm_policy import FirmPolicy
from environment import load_firm

SELECT_EVERY = 5  # iterations; so often policies are judged, too
_TRIED_EVERY = 8  # updates of pathwise, which are judged more seldom


class Batch(NamedTuple):
    """How much is learned from at once, and how fast."""

    copies: int
    minibatch: int  # samples
    learning_rate: float = LEARNING_RATE  # of departments and critic
    seeing: bool = False  # departments see all positions; what PPO learns from is one shard


BATCHES = {
    "as-others": Batch(256, 4096),
    "wide": Batch(1024, 8192),
    "seeing": Batch(16, 256, seeing=True),
    # An action is one mean demand here, and REACH of them with the others: the same rate moves orders less.
    "one-agent": Batch(16, 512, REACH * LEARNING_RATE, seeing=True),
}


@dataclass
class _Timed(Training):
    """Training that knows how long its iterations took, evaluation not included as in the peers' speed."""

    rates: tuple[float, ...] = ()  # steps a second

    def iterate(self, *arguments: Any) -> Iteration:  # noqa: ANN401
        return self._timed(lambda: super(_Timed, self).iterate(*arguments))

    def descend(self, *arguments: Any) -> Iteration:  # noqa: ANN401
        return self._timed(lambda: super(_Timed, self).descend(*arguments))

    def _timed(self, step: Callable[[], Iteration]) -> Iteration:
        start, before = time.perf_counter(), self.env_steps
        result = step()
        self.rates = (*self.rates, (self.env_steps - before) / (time.perf_counter() - start))
        return result


def train(
    budget: float,
    form: Form,
    backend: Any = "ray",  # noqa: ANN401
    parallel: bool = True,
    batch: str = "as-others",
    scheme: str = "imarl",
    seed: int = 0,
) -> dict[str, Any]:
    """A scheme as by default, but from where the others start; what it selects by is part of its time.

    One agent has the network of the others. `pathwise` has a batch and a rate of its own.
    """
    judge, firm = Judge(form, budget), load_firm(FIRM)
    policy = {"form": form} if form == "residual" else {"form": form, "initial_std": INITIAL_STD[form]}
    given: dict[str, Any] = {"seed": seed, "imarl": {"parallel": parallel}, "select_every": SELECT_EVERY}
    copies, minibatch, rate, seeing = BATCHES[batch]
    learner = {"minibatch": minibatch, "learning_rate": rate}
    given |= {"copies": copies, "ppo": learner, "critic": learner, "single": {"hidden": HIDDEN, "learning_rate": rate}}
    if seeing:
        policy["observation"] = "everything"
        given |= {"shards": 2 if scheme == "pathwise" else 1, "select_every": 4 * SELECT_EVERY}
    tried_every = _TRIED_EVERY if scheme == "pathwise" else SELECT_EVERY
    start = "benchmark" if form == "residual" else "random"
    given |= {"scheme": scheme, "seconds": budget, "scaling": SCALINGS[form], "policy": policy, "base_policy": start}
    settings = settings_of(part_used(given, among=tuple(names())))
    settle()
    started = time.perf_counter()
    plan = setup_of(firm, settings)
    workers: WorkerGroup = build_workers(plan, Wiring(backend=backend), "peers", lambda _: None)
    try:
        training = _Timed(workers, settings, plan.base(settings), plan.streams, firm.periods.train)
        start_up, training.started = time.perf_counter() - started, time.monotonic()

        def watch(progress: Progress) -> None:
            if progress.iteration % tried_every:
                return
            seconds, paused = training.seconds, time.monotonic()
            acting = FirmPolicy(judge.world, judge.observer, list(training.published.values()))
            judge.note(judge.cost(acting)[0], seconds, training.env_steps)
            training.started += time.monotonic() - paused

        runner = scheme_of(scheme).runner.begin(plan.network, training)
        runner.run(watch, lambda *_: None, lambda: None)
        seconds = training.seconds
    finally:
        workers.close()
    saved = FirmPolicy(judge.world, judge.observer, runner.policies)
    judge.best = (judge.cost(saved)[0], saved)
    own = {"steps_per_second": float(np.median(training.rates[3:])), "seconds": seconds}
    return {**judge.verdict(), **own, "steps": training.env_steps, "start_up": start_up}

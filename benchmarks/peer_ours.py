"""Our own training, as the peers are judged: IMARL and other schemes through Ray actors, or in one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from judging import FIRM, HIDDEN, INITIAL_STD, LEARNING_RATE, SCALINGS, Judge

from coordinator.envs.core import Form
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

# Copies, and samples of a minibatch; `seeing` departments see all positions.
BATCHES = {"as-others": (256, 4096), "wide": (1024, 8192), "seeing": (16, 256)}
SELECT_EVERY = 5  # iterations
_TRIED_EVERY = 8  # updates of pathwise, which tries its policies more seldom


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
) -> dict[str, Any]:
    """A scheme as by default, but from where the others start; what it selects by is part of its time to beat DA.

    One agent has the network and the learning rate of the others. `pathwise` has a batch of its own.
    """
    judge, firm = Judge(form, budget), load_firm(FIRM)
    policy = {"form": form} if form == "residual" else {"form": form, "initial_std": INITIAL_STD[form]}
    given: dict[str, Any] = {"imarl": {"parallel": parallel}, "select_every": SELECT_EVERY}
    if batch in BATCHES:
        copies, minibatch = BATCHES[batch]
        given |= {"copies": copies, "ppo": {"minibatch": minibatch}, "critic": {"minibatch": minibatch}}
    if batch == "seeing":
        policy["observation"] = "everything"
        given |= {"single": {"hidden": HIDDEN, "learning_rate": LEARNING_RATE}, "select_every": 2 * SELECT_EVERY}
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
            if progress.cost is None and (scheme != "pathwise" or progress.iteration % _TRIED_EVERY):
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

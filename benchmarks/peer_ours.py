"""Our own training, as the peers are judged: IMARL through Ray actors, or in one process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from judging import FIRM, INITIAL_STD, SCALINGS, Judge

from coordinator.critic.value_function import CriticConfig
from coordinator.envs.core import Form
from coordinator.learning.iterations import Iteration, Training
from coordinator.learning.settings import Wiring
from coordinator.runs.train import build_workers
from coordinator.schemes.base import Progress
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.imarl import IMARL, IMARLSettings
from coordinator.schemes.setup import setup_of
from coordinator.workers.group import WorkerGroup
from coordinator.workers.process import settle
from departments.learning.ppo import PPOConfig
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig
from environment import load_firm

BATCHES = {"as-others": (256, 4096), "wide": (1024, 8192)}  # copies, and samples of a minibatch
SELECT_EVERY = 5  # iterations


@dataclass
class _Timed(Training):
    """Training that knows how long its iterations took, evaluation not included as in the peers' speed."""

    taken: tuple[float, ...] = ()

    def iterate(self, *arguments: Any) -> Iteration:  # noqa: ANN401
        start = time.perf_counter()
        result = super().iterate(*arguments)
        self.taken = (*self.taken, time.perf_counter() - start)
        return result


def train(
    budget: float,
    form: Form,
    backend: Any = "ray",  # noqa: ANN401
    parallel: bool = True,
    batch: str = "as-others",
) -> dict[str, Any]:
    """IMARL as by default, but from where the others start; what it selects by is part of its time to beat DA."""
    judge, firm = Judge(form, budget), load_firm(FIRM)
    policy = PolicyConfig(form=form) if form == "residual" else PolicyConfig(form=form, initial_std=INITIAL_STD[form])
    copies, minibatch = BATCHES[batch]
    start: Literal["benchmark", "random"] = "benchmark" if form == "residual" else "random"
    settings = settings_of(
        seconds=budget,
        scaling=SCALINGS[form],
        policy=policy,
        base_policy=start,
        imarl=IMARLSettings(parallel=parallel),
        copies=copies,
        select_every=SELECT_EVERY,
        ppo=PPOConfig(minibatch=minibatch),
        critic=CriticConfig(minibatch=minibatch),
    )
    settle()
    started = time.perf_counter()
    plan = setup_of(firm, settings)
    workers: WorkerGroup = build_workers(plan, Wiring(backend=backend), "peers", lambda _: None)
    try:
        training = _Timed(workers, settings, plan.base(settings), plan.streams, firm.periods.train)
        start_up, training.started = time.perf_counter() - started, time.monotonic()

        def watch(progress: Progress) -> None:
            if progress.cost is None:
                return
            seconds, paused = training.seconds, time.monotonic()
            acting = FirmPolicy(judge.world, judge.observer, list(training.published.values()))
            judge.note(judge.cost(acting)[0], seconds, training.env_steps)
            training.started += time.monotonic() - paused

        scheme = IMARL.begin(plan.network, training)
        scheme.run(watch, lambda *_: None, lambda: None)
        seconds = training.seconds
    finally:
        workers.close()
    saved = FirmPolicy(judge.world, judge.observer, list(scheme.saved.values()))
    judge.best = (judge.cost(saved)[0], saved)
    steps = settings.copies * firm.periods.train
    own = {"steps_per_second": steps / float(np.median(training.taken[3:])), "seconds": seconds}
    return {**judge.verdict(), **own, "steps": training.env_steps, "start_up": start_up}

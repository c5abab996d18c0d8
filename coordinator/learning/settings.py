"""Everything that decides a training run, in one frozen record that is saved with it."""

from __future__ import annotations

import os
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from coordinator.critic.value_function import CriticConfig
from departments.extensions import names
from departments.learning.pathwise import PathwiseConfig
from departments.learning.ppo import PPOConfig
from departments.learning.timescale import FAST, SLOW, StepLaw
from departments.numerics.graph import GraphConfig
from departments.policies.policy import PolicyConfig
from environment.fields import Checked
from environment.observation import Scaling

Scheme = Literal[
    "imarl",
    "marl",
    "sarl",
    "sarl-gnn",
    "marl-gnn",
    "pathwise",
    "mtma",
    "stma-fast",
    "stma-slow",
    "stsa-fast",
    "stsa-slow",
    "siloed",
]
SINGLE_SCHEMES = ("sarl", "sarl-gnn")  # one agent for the whole firm
LOOP_SCHEMES = ("mtma", "stma-fast", "stma-slow", "stsa-fast", "stsa-slow", "siloed")  # of firms with customers


class IMARLSettings(Checked):
    """The job list and when a new policy is accepted ([I], table 5)."""

    order: Literal["downstream-first", "upstream-first", "greedy"] = "upstream-first"
    base_policy: Literal["tuned", "benchmark", "random"] = "tuned"  # levels of base-stock, or a random network
    parallel: bool = True  # departments that are no neighbours learn side by side (ours); [I]: no
    share: float = Field(default=0.25, gt=0, le=1)  # of the budget that one turn may take (ours); [I]: 1
    iterations: int = Field(default=400, ge=1)  # at most, per turn
    patience: int = Field(default=4, ge=1)  # selections without a new best that end a turn
    significance: float = Field(default=3.0, ge=0)  # standard errors by which a policy must win to be accepted
    least_gain: float = Field(default=0.001, ge=0)  # share of the firm's cost that a win must save to wake neighbours


class SingleSettings(Checked):
    """The one agent of the schemes `sarl` and `sarl-gnn` [I]; the rest is as in `policy`."""

    hidden: tuple[int, ...] = (256, 256)  # sarl: units per layer
    learning_rate: float = Field(default=3e-4, gt=0)  # in place of the one of `ppo`: all actions share one ratio
    graph: GraphConfig = GraphConfig()  # sarl-gnn: attention, before as many units as `policy` says


class LoopSettings(Checked):
    """Firms with customers [M]: memory, timescales, and a critic that looks further ahead."""

    policy: PolicyConfig = PolicyConfig(memory="gru")  # each role has an observation set of its own
    ppo: PPOConfig = PPOConfig(minibatch=4096)  # the step laws give the learning rates
    critic: CriticConfig = CriticConfig(hidden=(128, 128), gamma=0.98, gae_lambda=0.9, minibatch=4096)
    fast: Literal["recommendation", "replenishment"] = "recommendation"  # mtma: who learns on the fast law
    fast_law: StepLaw = FAST
    slow_law: StepLaw = SLOW


class DepartmentSettings(Checked):
    """What one department has of its own; what is not given is the run's."""

    policy: PolicyConfig | None = None
    ppo: PPOConfig | None = None
    law: StepLaw | None = None  # firms with customers: a timescale of its own


class Settings(Checked):
    """A training run."""

    scheme: Scheme = "imarl"
    seed: int = Field(default=0, ge=0)
    scaling: Scaling | None = None  # of observations; None: standard, or benchmark where there are customers
    policy: PolicyConfig = PolicyConfig()
    ppo: PPOConfig = PPOConfig()
    critic: CriticConfig = CriticConfig()
    imarl: IMARLSettings = IMARLSettings()
    single: SingleSettings = SingleSettings()
    loop: LoopSettings = LoopSettings()
    pathwise: PathwiseConfig = PathwiseConfig()
    departments: dict[str, DepartmentSettings] = Field(default_factory=dict)  # by stock point
    reward_unit: float | None = Field(default=None, gt=0)  # money; None: what the benchmark's stock costs a period
    train_periods: int | None = Field(default=None, ge=2)  # of a rollout; None: the firm's
    copies: int = Field(default=64, ge=1)  # of the firm, in all shards together
    shards: int = Field(default=2, ge=1)  # rollouts that can run side by side; unlike the actors they decide the result
    select_every: int = Field(default=20, ge=1)  # iterations between evaluations of the learning policies
    selection_episodes: int = Field(default=2048, ge=2)
    acceptance_episodes: int = Field(default=4096, ge=2)
    iterations: int = Field(default=1600, ge=1)  # at most, of a scheme that teaches all departments at once
    seconds: float | None = Field(
        default=None, gt=0
    )  # budget of learning time: starting, compiling and tuning lie outside
    steps: float | None = Field(default=None, gt=0)  # budget of environment steps
    device: str = "cpu"
    extensions: tuple[str, ...] = Field(default_factory=lambda: tuple(names()))  # modules of a user's own that it needs
    compiled: bool = True  # learn and roll out in C++ where the machine has a compiler, and the firm and network allow

    @model_validator(mode="before")
    @classmethod
    def _customers_need_wider_rollouts(cls, given: Any) -> Any:  # noqa: ANN401
        """Sequences are learned from whole, so fewer of them are in a minibatch; what is set stays."""
        if isinstance(given, dict) and given.get("scheme") in LOOP_SCHEMES:
            return {"copies": 256, "select_every": 5, "iterations": 400} | given
        return given

    @model_validator(mode="after")
    def _shards_are_equal(self) -> Self:
        if self.copies % self.shards:
            raise ValueError(f"copies must be a multiple of shards ({self.shards}), got {self.copies}")
        if self.pathwise.copies % self.shards:
            raise ValueError(
                f"pathwise.copies must be a multiple of shards ({self.shards}), got {self.pathwise.copies}"
            )
        return self

    def law_of(self, department: str, recommends: bool) -> StepLaw:
        """The step law of a department of a firm with customers: its own, or what the scheme says."""
        own = self.departments.get(department)
        if own and own.law:
            return own.law
        loop = self.loop
        if self.scheme in ("stma-fast", "stsa-fast"):
            return loop.fast_law
        if self.scheme in ("stma-slow", "stsa-slow"):
            return loop.slow_law
        return loop.fast_law if recommends == (loop.fast == "recommendation") else loop.slow_law

    def policy_of(self, department: str) -> PolicyConfig:
        """A department's own policy settings, or the run's."""
        own = self.departments.get(department)
        return own.policy if own and own.policy else self.policy

    def ppo_of(self, department: str) -> PPOConfig:
        """A department's own learner settings, or the run's."""
        own = self.departments.get(department)
        if own and own.ppo:
            return own.ppo
        if self.scheme in SINGLE_SCHEMES:
            return self.ppo.model_copy(update={"learning_rate": self.single.learning_rate})
        return self.ppo


class Wiring(Checked):
    """Where the actors run; nothing here changes a result."""

    backend: Literal["ray", "local"] = "ray"
    address: str | None = None  # of a standing Ray cluster; None starts a local one
    environments: int = Field(default=2, ge=1)  # environment actors
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)  # of the local backend
    departments_per_process: int = Field(default=1, ge=1)
    execution: Literal["snapshot", "message"] = "snapshot"
    department_gpus: float = Field(default=0.0, ge=0)  # fraction of a GPU per department process
    critic_gpus: float = Field(default=0.0, ge=0)

"""What decides a training run, whatever the scheme, in one frozen record; schemes add sections of their own to it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from coordinator.critic.value_function import CriticConfig
from coordinator.learning.multipliers import ServiceConfig
from departments.extensions import names
from departments.learning.ppo import PPOConfig
from departments.learning.timescale import StepLaw
from departments.policies.policy import MANY_PRODUCTS, PolicyConfig
from environment import Firm
from environment.fields import Checked
from environment.observation import Scaling


class DepartmentSettings(Checked):
    """What one department has of its own; what is not given is the run's."""

    policy: PolicyConfig | None = None
    ppo: PPOConfig | None = None
    law: StepLaw | None = None  # firms with customers: a timescale of its own


class Settings(Checked):
    """A training run: what every scheme may use, each some of it. `schemes.given_settings.settings_of` makes them."""

    scheme: str
    seed: int = Field(default=0, ge=0)
    scaling: Scaling | None = None  # of observations; None: standard, or benchmark where there are customers
    policy: PolicyConfig = PolicyConfig(over_products="auto")
    ppo: PPOConfig = PPOConfig()
    critic: CriticConfig = CriticConfig()
    base_policy: Literal["tuned", "benchmark", "random"] = "tuned"  # levels of base-stock, or a random network
    tuning_seconds: float | None = Field(default=None, gt=0)  # budget of that tuning; None: until nothing is better
    departments: dict[str, DepartmentSettings] = Field(default_factory=dict)  # by stock point
    reward_unit: float | None = Field(default=None, gt=0)  # money; None: what the benchmark's stock costs a period
    train_periods: int | None = Field(default=None, ge=2)  # of a rollout; None: the firm's
    copies: int = Field(default=64, ge=1)  # of the firm, in all shards together
    shards: int = Field(default=2, ge=1)  # rollouts that can run side by side; unlike the actors they decide the result
    select_every: int = Field(default=20, ge=1)  # iterations between evaluations of the learning policies
    selection_episodes: int = Field(default=2048, ge=2)
    acceptance_episodes: int = Field(default=4096, ge=2)
    iterations: int = Field(default=1600, ge=1)  # at most, where all departments learn at once
    seconds: float | None = Field(default=None, gt=0)  # budget of learning; starting, compiling, tuning lie outside
    steps: float | None = Field(default=None, gt=0)  # budget of environment steps
    episodes: int | None = Field(default=None, ge=1)  # of training, or of a turn of imarl, instead of `iterations`
    service: ServiceConfig = ServiceConfig()  # of firms with service targets: how their multipliers move
    device: str = "cpu"
    extensions: tuple[str, ...] = Field(default_factory=lambda: tuple(names()))  # modules of a user's own that it needs
    compiled: bool = True  # learn and roll out in C++ where the machine has a compiler, and the firm and network allow

    @model_validator(mode="before")
    @classmethod
    def _parts_keep_the_rest(cls, given: Any) -> Any:  # noqa: ANN401
        """A section that is given in part has the scheme's defaults for the rest, a department's own the run's."""
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        whole = _completed(given, defaults)
        if isinstance(whole, Mapping) and isinstance(departments := whole.get("departments"), Mapping):
            of_all = {section: whole.get(section, defaults[section]) for section in ("policy", "ppo")}
            own = {name: _completed(settings, of_all) for name, settings in departments.items()}
            return {**whole, "departments": own}
        return whole

    @model_validator(mode="after")
    def _shards_are_equal(self) -> Self:
        must_be_shared(self.copies, self.shards, "copies")
        return self

    def for_firm(self, firm: Firm) -> Self:
        """The same for a firm of many products: where they share networks, each is a sample in every period.

        So of copies, episodes and periods of a rollout that nobody has set there are 8 / K times as many, but whole
        vectors of copies and 32 periods (ours). Where customers choose, a rollout stays an episode.
        """
        products = len(firm.products)
        if self.policy.over_products == "joint" or products <= MANY_PRODUCTS:
            return self
        units = {"copies": 16 * self.shards, "selection_episodes": 128, "acceptance_episodes": 128}
        changes = fewer(self, units, products)
        if "train_periods" not in self.model_fields_set and not firm.customers:
            changes["train_periods"] = _share(firm.periods.train, 32, products)
        return self.model_copy(update=changes)

    def rounds(self, iterations: int) -> int:
        """Iterations at most: as many as have `episodes`, or else these."""
        return iterations if self.episodes is None else -(-self.episodes // self.copies)

    def policy_of(self, department: str) -> PolicyConfig:
        """A department's own policy settings, or the run's."""
        own = self.departments.get(department)
        return own.policy if own and own.policy else self.policy

    def ppo_of(self, department: str) -> PPOConfig:
        """A department's own learner settings, or the run's."""
        own = self.departments.get(department)
        return own.ppo if own and own.ppo else self.ppo


def must_be_shared(copies: int, shards: int, name: str) -> None:
    """Refuse copies that cannot be dealt out evenly.

    Raises:
        ValueError: one line.
    """
    if copies % shards:
        raise ValueError(f"{name} must be a multiple of shards ({shards}), got {copies}")


def fewer(counts: BaseModel, units: Mapping[str, int], products: int) -> dict[str, int]:
    """8 / K times the counts that nobody has set, rounded up to whole units of each."""
    unset = {name: unit for name, unit in units.items() if name not in counts.model_fields_set}
    return {name: _share(getattr(counts, name), unit, products) for name, unit in unset.items()}


def _share(count: int, unit: int, products: int) -> int:
    return min(count, unit * math.ceil(count * MANY_PRODUCTS / (products * unit)))


def _completed(given: Any, rest: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Sections by name; those that are given in part have what they leave out from the `rest`."""
    if not isinstance(given, Mapping):
        return given
    whole = dict(given)
    for name, section in given.items():
        other = rest.get(name)
        other = other.model_dump(exclude_unset=True) if isinstance(other, BaseModel) else other
        if isinstance(section, Mapping) and isinstance(other, Mapping):
            whole[name] = {**other, **section}
    return whole


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

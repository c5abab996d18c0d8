"""Learning by gradients through the simulator: trained together, decided alone; no critic and no exploration.

The environment workers differentiate the firm's cost over a stretch of periods, each department takes a step against
its own part of the gradient, and the next stretch goes on where the last one ended. Where customers choose a stretch is
an episode, and recommendations learn, too (`departments.play.gradients`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

from pydantic import model_validator

from coordinator.critic.value_function import CriticConfig
from coordinator.learning.iterations import Training
from coordinator.learning.settings import DepartmentSettings, Settings, fewer, must_be_shared
from coordinator.schemes.base import Accepted, Keep, Progress, Roles, SchemeSpec, Watch, every_point
from coordinator.schemes.imarl import EARLIER, NO_CUSTOMERS
from coordinator.schemes.multi_timescale import fit_to_the_rules, observing
from coordinator.schemes.simultaneous import Simultaneous, passed
from departments.learning.pathwise import PathwiseConfig, window_of
from departments.policies.policy import RECOMMENDATION, PolicyConfig, Snapshot
from departments.rules.dual_sourcing import is_taught
from environment import Firm, Network
from environment.fields import shown

_EARLIEST = 16  # updates
_OFTEN = 100  # updates; a try costs three to six of them
_ENOUGH = 60  # updates that a budget of environment steps is to be worth
_LEAST = 8  # copies in a shard, a vector of them
_EPISODES = 16  # in a shard at a time, where customers choose: a vector of copies
_LOST = 0.05  # of the best cost: who is further above it than this goes back
# What only the other kind of firm has.
_CUSTOMERS = ("policy.clock", "policy.memory", "policy.memory_size", "policy.parts")
_WITHOUT_CUSTOMERS = {key: NO_CUSTOMERS[key] for key in _CUSTOMERS}
_WITH_CUSTOMERS = {
    "policy.hybrid": "departments there order in every period",
    "policy.over_points": "departments there follow demand of their own",
    "policy.observation": "each role has an observation set of its own",
    "pathwise.window": "whole episodes are differentiated",
    "base_policy": "policies start from the rules",
    "tuning_seconds": "policies start from the rules",
}


class PathwiseRun(Settings):
    """Settings of a run of `pathwise`."""

    scheme: str = "pathwise"
    pathwise: PathwiseConfig = PathwiseConfig()
    start: Literal["rules", "nothing"] = "rules"  # where plain policies begin if rules can teach them
    critic: CriticConfig = CriticConfig(gamma=0.99, gae_lambda=0.95)  # of hybrid policies, as it is; others need none

    @model_validator(mode="after")
    def _shards_are_equal(self) -> Self:
        must_be_shared(self.pathwise.copies, self.shards, "pathwise.copies")
        return self

    def for_firm(self, firm: Firm) -> Self:
        """See `Settings.for_firm`."""
        same, teaching = super().for_firm(firm), self.pathwise
        if firm.customers:
            few = {} if "copies" in teaching.model_fields_set else {"copies": _EPISODES * self.shards}
            clocked = {name: own.model_copy(update=_clock(own)) for name, own in self.departments.items()}
            seeing = _clock(same) | {"departments": clocked, "pathwise": teaching.model_copy(update=few)}
            return same.model_copy(update=seeing)
        few_products = same is self
        if is_taught(firm):
            free = {name: own.model_copy(update=_free(own)) for name, own in same.departments.items()}
            same = same.model_copy(update=_free(same) | {"departments": free})
        copies = {} if few_products else fewer(teaching, {"copies": 16 * self.shards}, len(firm.products))
        teaching = teaching.model_copy(update=copies | self._of_steps(firm, copies.get("copies", teaching.copies)))
        return same.model_copy(update={"pathwise": teaching})

    def _of_steps(self, firm: Firm, copies: int) -> dict[str, int]:
        """Half as many copies, again and again, until a budget of environment steps is worth enough updates (ours).

        Where steps are few it is updates that are missing, and not certainty about each of them.
        """
        if self.steps is None or "copies" in self.pathwise.model_fields_set:
            return {}
        periods = self.pathwise.window or window_of(Network.of(firm))
        while self.steps < _ENOUGH * periods * copies and copies >= 2 * _LEAST * self.shards:
            copies = copies // (2 * self.shards) * self.shards
        return {"copies": copies}


def _clock(section: PathwiseRun | DepartmentSettings) -> dict[str, PolicyConfig]:
    """A policy that sees the clock unless somebody said otherwise; where customers choose, episodes end."""
    if section.policy is None or "clock" in section.policy.model_fields_set:
        return {}
    return {"policy": section.policy.model_copy(update={"clock": True})}


def _free(section: PathwiseRun | DepartmentSettings) -> dict[str, PolicyConfig]:
    """A plain policy that sees its pipeline unless somebody said otherwise, and begins at a rule of dual sourcing.

    Base-stock parts orders into whole units, up and down by one, to which no smooth sum is the rule.
    """
    if section.policy is None:
        return {}
    free = {"form": "plain", "observation": "pipeline"}
    unset = {name: value for name, value in free.items() if name not in section.policy.model_fields_set}
    return {"policy": section.policy.model_copy(update=unset)}


def _departments(firm: Firm, settings: PathwiseRun) -> dict[str, PolicyConfig]:
    """One for each stock point, and one that recommends where there are customers.

    Raises:
        ValueError: one line; a setting that is for the other kind of firm.
    """
    refused, fresh = _WITH_CUSTOMERS if firm.customers else _WITHOUT_CUSTOMERS, PathwiseRun()
    policies = {"policy": settings.policy}
    policies |= {f"departments.{name}.policy": own.policy for name, own in settings.departments.items() if own.policy}
    for key, why in refused.items():
        section, _, name = key.rpartition(".")
        usual = getattr(getattr(fresh, section), name) if section else getattr(fresh, name)
        places = policies if section == "policy" else {section: getattr(settings, section) if section else settings}
        for place, given in places.items():
            if (got := getattr(given, name)) != usual:
                kind = "with" if firm.customers else "without"
                dotted = f"{place}.{name}".lstrip(".")
                raise ValueError(f"{dotted} is not for firms {kind} customers: {why}; leave it out, got {shown(got)}")
    return observing("recommendation", firm, settings) if firm.customers else every_point(firm, settings)


@dataclass
class Pathwise(Simultaneous):
    """Everybody's best policies so far."""

    pace: float = 1.0  # times the learning rate of the settings

    @classmethod
    def begin(cls, network: Network, training: Training) -> Self:
        """All start from what is published, or plain policies from what they make of the rules."""
        if cast(PathwiseRun, training.settings).start == "rules" and training.ask_world("teaches"):
            fit_to_the_rules(training)
        return super().begin(network, training)

    def run(self, watch: Watch, accepted: Accepted, keep: Keep) -> None:
        """See `Simultaneous.run`; the learning rate falls to 0 as the budget is used up.

        Policies that watch each other may lose their way for good, in b3 within ten updates. So they are also tried
        after 16, 32, 64, ... updates, and where they cost more than the best so far, all go back to those and to the
        start of an episode, and go on at half the rate (ours).
        """
        training = self.training
        for note in training.ask_world("gradient_notes"):
            training.report(note)
        own = cast(PathwiseRun, training.settings).pathwise
        updates, window = own.updates, own.window or window_of(self.network)
        if RECOMMENDATION in training.published:
            window = training.train_periods
        while (progress := max(self.iteration / updates, training.progress)) < 1.0:
            seed = training.settings.seed, 0, self.iteration
            teaching = own.model_copy(update={"learning_rate": own.learning_rate * self.pace})
            result = training.descend(self.learning, seed, window, teaching, progress)
            self.iteration += 1
            now = max(self.iteration / updates, training.progress)
            early = self.iteration >= _EARLIEST and self.iteration.bit_count() == 1
            often = self.iteration % _OFTEN == 0  # rounding lets costs jump from update to update
            cost = self._select() if early or often or passed(progress, now) else None
            if cost is not None and cost > self.best_cost + _LOST * abs(self.best_cost):
                self.pace /= 2.0
                training.begin_again(*self.best.values())
            watch(Progress("all", 0, self.iteration, cost, result))
            keep()
        if self.iteration < min(_EARLIEST, updates):
            told = f"the budget was used up after {self.iteration} of at least {_EARLIEST} updates that learning takes"
            training.report(f"{told}: policies are nearly as they began; give it more, or environment steps")
        self._accept(accepted)

    def record(self) -> tuple[dict[str, Any], dict[str, Snapshot]]:
        """What a checkpoint needs."""
        plain, snapshots = super().record()
        return plain | {"pace": self.pace}, snapshots

    @classmethod
    def resume(cls, network: Network, training: Training, plain: Mapping[str, Any], snapshots: Roles) -> Self:
        """Go on from a record."""
        resumed = super().resume(network, training, plain, snapshots)
        resumed.pace = plain.get("pace", 1.0)
        return resumed


PATHWISE_SCHEME = SchemeSpec(
    name="pathwise",
    summary="gradients through the simulator",
    runner=Pathwise,
    settings=PathwiseRun,
    takes_customers=True,
    departments=_departments,
    unused={
        key: why for key, why in NO_CUSTOMERS.items() if key not in (*_CUSTOMERS, "policy.hybrid", "policy.over_points")
    }
    | {
        "ppo": "no PPO; pathwise.learning_rate is where the rate starts",
        "critic": "there is none, and that of hybrid policies is as it is",
        "copies": "pathwise.copies",
        "iterations": "pathwise.updates",
        "episodes": "pathwise.updates",
        "select_every": f"policies are tried every {_OFTEN} updates, and twelve times in a budget",
        "reward_unit": "gradients are of the cost itself",
        "train_periods": "pathwise.window",
    },
    earlier=EARLIER,
    options={"observation": "policy.observation"},
    by_message=False,
    meets_targets=True,
    law=lambda *_: None,
    iterations=lambda settings: settings.pathwise.updates,
)

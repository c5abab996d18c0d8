"""What a scheme is: one record that says how departments are taught, and the protocol of what teaches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from coordinator.learning.iterations import Iteration, Training
from coordinator.learning.settings import Settings
from coordinator.schemes.rewards import reward_weights
from departments.learning.timescale import StepLaw
from departments.policies.policy import PolicyConfig, Snapshot
from environment import Firm, Network

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Progress:
    """One iteration, for whoever watches."""

    department: str
    job: int
    iteration: int  # within the job
    cost: float | None  # on selection episodes, where it was evaluated
    result: Iteration


Watch = Callable[[Progress], None]  # sees every iteration
Accepted = Callable[[Snapshot, float, float], None]  # sees what is kept, its gain and the gain's standard error, or NaN
Keep = Callable[[], None]  # called when the state may be checkpointed
Roles = Mapping[str, Snapshot]  # of a checkpoint


class Runner(Protocol):
    """What teaches: begun anew or resumed from a record, then run to its end."""

    held: set[str]  # departments that do not learn: somebody swapped in what shall stay

    @property
    def policies(self) -> list[Snapshot]:
        """The policies that count if training ends now."""

    @classmethod
    def begin(cls, network: Network, training: Training) -> Self:
        """Start from the policies that are published."""

    @classmethod
    def resume(cls, network: Network, training: Training, plain: Mapping[str, Any], snapshots: Roles) -> Self:
        """Go on from a record."""

    def run(self, watch: Watch, accepted: Accepted, keep: Keep) -> None:
        """Teach until the budget is used up or there is nothing left to teach."""

    def record(self) -> tuple[dict[str, Any], dict[str, Snapshot]]:
        """What a checkpoint needs: plain values, and snapshots by role."""

    def in_office(self, name: str) -> Snapshot:
        """The policy that a department would be left with."""

    def replace(self, snapshot: Snapshot, held: bool) -> None:
        """Let a department follow another policy from the next iteration on, and learn from there unless held."""


def every_point(firm: Firm, settings: Settings) -> dict[str, PolicyConfig]:
    """A department for each stock point, which sees what the settings say."""
    return {name: settings.policy_of(name) for name in firm.names}


def constant_rate(settings: Settings, department: str) -> StepLaw | None:
    """The learning rate of `ppo`, whatever was learned before."""
    return StepLaw.model_construct(initial=settings.ppo_of(department).learning_rate, decay=0.0)


@dataclass(frozen=True)
class SchemeSpec:
    """All that a scheme says of itself; `registry.register_scheme` makes it known.

    Functions of settings get the scheme's own model, an instance of `settings`.
    """

    name: str
    summary: str  # a few words for --help
    runner: type[Runner]
    settings: type[Settings] = Settings
    unused: Mapping[str, str] = field(default_factory=dict)  # dotted key that it does not use -> what says it instead
    earlier: Mapping[str, str] = field(default_factory=dict)  # section.key of the version before -> its name today
    options: Mapping[str, str] = field(default_factory=dict)  # option of `firmwide train` -> section.key that it sets
    needs_customers: bool = False
    takes_customers: bool = False  # teaches firms of both kinds: with customers, recommendations too
    departments: Callable[[Firm, Any], dict[str, PolicyConfig]] = every_point  # who they are and what each observes
    owners: Callable[[Network], dict[str, str]] = lambda _: {}  # department -> the one whose policy it shares
    # [N, N] what departments pay of the points' costs; of a network and settings.
    weights: Callable[[Network, Any], Weights] = lambda network, _: reward_weights(network)
    own_indicators: bool = False  # with customers: each is paid by its own indicators, not by the firm's profit
    attention: bool = False  # the critic attends over the supply network, even if `critic.graph` does not say so
    joint: bool = False  # one department decides for the whole firm, so none can be swapped or put into operation
    turns: bool = False  # departments learn one after another: curves are told apart by who learned
    by_message: bool = True  # departments can be asked one by one in rollouts
    law: Callable[[Any, str], StepLaw | None] = constant_rate  # of a department's learning rate; None: the budget's
    iterations: Callable[[Any], int | None] = lambda settings: settings.rounds(settings.iterations)  # None: unknown
    paper_episodes: Callable[[Firm], int] | None = None  # of training in [I], appendix B: of a turn, or of the run
    meets_targets: bool = False  # service targets, as costs are reckoned anew when `Training.priced` moved
    reference: bool = False  # what the others of a benchmark are compared with, if it is there

    def with_customers(self, firm: Firm) -> bool:
        """Whether it teaches the departments of a firm with customers: forecasts, recommendations, the clock."""
        return self.needs_customers or (self.takes_customers and bool(firm.customers))

    def share_done(self, settings: Settings, iteration: float, seconds: float, steps: float) -> float | None:
        """How much of a run is done, 0 to 1; None where it ends by itself and nobody knows when."""
        ends = ((iteration, self.iterations(settings)), (seconds, settings.seconds), (steps, settings.steps))
        shares = [done / end for done, end in ends if end is not None]
        return min(max(shares), 1.0) if shares else None

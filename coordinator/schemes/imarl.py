"""IMARL: departments take turns in learning.

One learns by PPO while all others act on their saved policies; a policy that beats the saved one significantly is
saved, and the neighbours get another turn. When nobody is left on the list, no department can improve alone, unless
turns were cut short by their share of the budget: those go on where they were. With `parallel`, all on the list that
are no neighbours of each other learn side by side, from the same rollouts; their policies are still tested and saved
one at a time.

Source: Ziegner et al., arXiv 2503.18201, table 5. The paired test before acceptance, the greedy order (there future
work), the least gain that wakes neighbours, turns side by side, turns that go on, and turns that end where nothing is
gained significantly are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from coordinator.learning.iterations import Training, paired_gain
from coordinator.schemes.base import Accepted, Keep, Progress, Roles, SchemeSpec, Watch
from coordinator.schemes.rewards import MixedReward, Paid, reward_weights
from departments.policies.policy import Snapshot
from environment import Network
from environment.fields import Checked

# What schemes without customers have in common: what they do not use, and what the version before called otherwise.
NO_CUSTOMERS = {
    "policy.graph": "the scheme says where attention is",
    "policy.clock": "episodes are cut off, not ended, where there are no customers",
    "policy.memory": "departments remember where there are customers",
    "policy.memory_size": "departments remember where there are customers",
    "policy.parts": "slots are of firms with customers",
    "policy.hybrid": "pathwise alone learns whether to order",
    "policy.over_points": "pathwise alone learns one network for all points",
    "law": "timescales are of firms with customers",
}
EARLIER = {"imarl.base_policy": "base_policy"}
_PLAIN = ("jobs", "number", "current", "iteration", "stale", "begun")  # of what a checkpoint holds


class IMARLSettings(Checked):
    """The job list and when a new policy is accepted ([I], table 5)."""

    order: Literal["downstream-first", "upstream-first", "greedy"] = "upstream-first"
    parallel: bool = True  # departments that are no neighbours learn side by side (ours); [I]: no
    share: float = Field(default=0.25, gt=0, le=1)  # of the budget that one turn may take (ours); [I]: 1
    paid: Paid = (
        "downstream"  # departments pay their `own` cost, and all `downstream` of them ([I]), or the `network`'s
    )
    iterations: int = Field(default=400, ge=1)  # at most, per turn
    turns: int | None = Field(default=None, ge=1)  # at most, in the whole run (ours); None: until the list is empty
    patience: int = Field(default=4, ge=1)  # selections without a gain that end a turn
    # Standard errors that count as one, over what gained last (ours); None: whatever is better on average ([I]).
    turn_significance: float | None = Field(default=None, ge=0)
    significance: float = Field(default=3.0, ge=0)  # standard errors by which a policy must win to be accepted
    least_gain: float = Field(default=0.001, ge=0)  # share of the firm's cost that a win must save to wake neighbours


class IMARLRun(MixedReward):
    """Settings of a run of `imarl`."""

    scheme: str = "imarl"
    imarl: IMARLSettings = IMARLSettings()


@dataclass
class IMARL:
    """The job list and the job at hand; everything here goes into a checkpoint."""

    network: Network
    training: Training
    saved: dict[str, Snapshot]
    jobs: list[str] = field(default_factory=list)
    estimates: dict[str, float] = field(default_factory=dict)  # money a turn is expected to save, for the greedy order
    number: int = 0  # turns begun
    current: list[str] = field(default_factory=list)  # who has a turn: one, or several that are no neighbours
    iteration: int = 0  # of the current turn
    best: dict[str, Snapshot] = field(default_factory=dict)  # of the current turn
    best_cost: float = np.inf  # on selection episodes
    gained: dict[str, Snapshot] = field(default_factory=dict)  # of the current turn: what a significant gain is over
    gained_costs: NDArray[np.float32] | None = None  # [E] theirs on selection episodes, at today's prices
    stale: int = 0  # selections since the last gain
    begun: float = 0.0  # share of the budget that was used up when the turn began
    unfinished: dict[str, Snapshot] = field(default_factory=dict)  # learners of turns that were cut short
    held: set[str] = field(default_factory=set)  # departments that get no turn: somebody swapped in what shall stay
    priced: int = 0  # steps of the multipliers of service targets when `best_cost` was told

    @classmethod
    def begin(cls, network: Network, training: Training) -> IMARL:
        """All departments on the list, in the order that the settings ask for."""
        estimates = {name: float("inf") for name in network.names}
        scheme = cls(network, training, dict(training.published), estimates=estimates)
        scheme.jobs = scheme._in_order(network.names)
        return scheme

    @property
    def settings(self) -> IMARLRun:
        """Of the run."""
        return cast(IMARLRun, self.training.settings)

    @property
    def policies(self) -> list[Snapshot]:
        """The saved policies."""
        return list(self.saved.values())

    def _in_order(self, names: Iterable[str]) -> list[str]:
        sign = 1 if self.settings.imarl.order == "downstream-first" else -1
        echelons = dict(zip(self.network.names, self.network.echelons(), strict=True))
        return sorted(names, key=lambda name: sign * echelons[name])

    def run(self, watch: Watch, accepted: Accepted, keep: Keep) -> None:
        """Work off the list until it is empty, the turns have been had, or the budget is used up."""
        last = self.settings.imarl.turns or np.inf
        while (self.current or (self.number < last and self._waiting())) and not self.training.exhausted:
            if not self.current:
                self.jobs = self.jobs or self._in_order(self._waiting())
                self._take_turn()
            self._learn(watch, keep)
            self._decide(accepted)
            keep()
        if self.current:
            self._decide(accepted)

    def _waiting(self) -> list[str]:
        """Who may have a turn: those on the list, or whose turn was cut short; while prices move everybody (ours)."""
        settings, everybody = self.settings, [name for name in self.network.names if name not in self.held]
        ends = settings.seconds or settings.steps or settings.imarl.turns
        return self.jobs or list(self.unfinished) or (everybody if self.training.multipliers and ends else [])

    def _take_turn(self) -> None:
        settings = self.settings.imarl
        if settings.order == "greedy":
            self.jobs.sort(key=lambda name: -self.estimates[name])
        self.current = [self.jobs.pop(0)]
        for name in list(self.jobs) if settings.parallel else ():
            if not any(name in self._neighbours(other) for other in self.current):
                self.current.append(name)
                self.jobs.remove(name)
        self.number += 1
        self.iteration, self.stale, self.begun = 0, 0, self.training.progress
        self.best = {name: self.saved[name] for name in self.current}
        self.gained = {} if settings.turn_significance is None else dict(self.best)
        self.training.adopt(*(self.unfinished.pop(name, self._start(name)) for name in self.current))
        self._cost_anew()

    def _cost_anew(self) -> None:
        """What the best of the turn cost on selection episodes, at today's prices."""
        self.best_cost = float(self.training.selection_costs(*self.best.values()).mean())
        self.priced, self.gained_costs = self.training.priced, None

    def _start(self, name: str) -> Snapshot:
        """What a turn starts from: the saved policy, or the fresh network behind a rule (see `as_rule`)."""
        saved, form = self.saved[name], self.training.settings.policy_of(name).form
        return replace(saved, config=saved.config.model_copy(update={"form": form}))

    def _learn(self, watch: Watch, keep: Keep) -> None:
        """Train those who have a turn; their best policies on the selection episodes stay in `best`."""
        training, settings = self.training, self.settings
        more = f" and {len(self.current) - 1} more" if len(self.current) > 1 else ""
        longest = settings.rounds(settings.imarl.iterations)
        while self.current and self.iteration < longest and self.stale < settings.imarl.patience:
            if self._over():
                self.unfinished |= {name: training.published[name] for name in self.current}
                return
            seed, selects = (settings.seed, self.number), (self.iteration + 1) % settings.select_every == 0
            following = None if selects else (*seed, self.iteration + 1)
            result = training.iterate(self.current, (*seed, self.iteration), following)
            self.iteration += 1
            cost = None
            if self.iteration % settings.select_every == 0 or self._over():
                costs = training.selection_costs(*result.snapshots.values())
                cost = float(costs.mean())
                if self.priced != training.priced:
                    self._cost_anew()
                better = cost < self.best_cost
                self.stale = 0 if self._gains(result.snapshots, costs, better) else self.stale + 1
                if better:
                    self.best, self.best_cost = dict(result.snapshots), cost
            watch(Progress(self.current[0] + more, self.number, self.iteration, cost, result))
            keep()

    def _gains(self, snapshots: Mapping[str, Snapshot], costs: NDArray[np.float32], better: bool) -> bool:
        """Whether policies of the turn gain, [E] costs on selection episodes; if so, the next ones must do over them.

        By `turn_significance`: over the last ones that did, so that small gains add up until they can be told.
        """
        least = self.settings.imarl.turn_significance
        if least is None:
            return better
        if self.gained_costs is None:
            self.gained_costs = self.training.selection_costs(*self.gained.values())
        gain, error = paired_gain(self.gained_costs, costs)
        if gain <= least * error:
            return False
        self.gained, self.gained_costs = dict(snapshots), costs
        return True

    def _over(self) -> bool:
        """Whether the budget, or a turn's share of it, is used up."""
        progress = self.training.progress
        return progress >= 1.0 or progress - self.begun >= self.settings.imarl.share

    def _decide(self, accepted: Accepted) -> None:
        """Save each policy of the turn that wins the paired test on fresh episodes; else everyone forgets it."""
        training, settings = self.training, self.settings.imarl
        before = None
        for name, best in self.best.items():
            if best.version == self.saved[name].version:
                continue
            kept = {other: self.saved[other] for other in self.current}
            before = training.acceptance_costs(*kept.values()) if before is None else before
            after = training.acceptance_costs(*(kept | {name: best}).values())
            gain, error = paired_gain(before, after)
            if gain > settings.significance * error:
                self.saved[name] = best
                accepted(best, gain, error)
                self.estimates[name] = 0.0
                if gain > settings.least_gain * abs(float(before.mean())):
                    self._wake_neighbours(name, gain)
                before = after
        # the departments too: asked by message, they must act on what counts
        training.adopt(*(self.saved[name] for name in self.current))
        self.current, self.best, self.gained = [], {}, {}

    def in_office(self, name: str) -> Snapshot:
        """The policy that counts for a department."""
        return self.saved[name]

    def replace(self, snapshot: Snapshot, held: bool) -> None:
        """Let a department follow another policy from the next iteration on (ours).

        What others learn against has changed: neighbours get a turn, and those who have one are judged anew. It gets a
        turn itself, starting from that policy, unless it is held.
        """
        name, infinite = snapshot.department, float("inf")
        self.saved[name] = snapshot
        self.unfinished.pop(name, None)
        self.jobs = [job for job in self.jobs if job != name]
        self.held = self.held | {name} if held else self.held - {name}
        self.training.adopt(snapshot)
        if name in self.current:
            self.best[name] = snapshot
            self.gained |= {name: snapshot} if self.gained else {}
            if held:
                self.current.remove(name)
                del self.best[name]
                self.gained.pop(name, None)
        elif not held:
            self.jobs.append(name)
            self.estimates[name] = infinite
        self._wake_neighbours(name, infinite)
        if self.best:
            self.stale = 0
            self._cost_anew()

    def _neighbours(self, name: str) -> list[str]:
        point = self.network.names.index(name)
        return [self.network.names[i] for i in [*self.network.predecessors(point), *self.network.successors(point)]]

    def _wake_neighbours(self, name: str, gain: float) -> None:
        for neighbour in self._neighbours(name):
            self.estimates[neighbour] = max(self.estimates[neighbour], gain)
            if neighbour not in self.jobs and neighbour not in self.held:
                self.jobs.append(neighbour)

    def record(self) -> tuple[dict[str, Any], dict[str, Snapshot]]:
        """What a checkpoint needs: plain values, and snapshots by role."""
        plain = {key: getattr(self, key) for key in _PLAIN} | {"held": sorted(self.held)}
        plain |= {"estimates": {name: value if np.isfinite(value) else None for name, value in self.estimates.items()}}
        plain |= {"best_cost": self.best_cost if np.isfinite(self.best_cost) else None, "priced": self.priced}
        roles = {"saved": self.saved, "turn": self.best, "gained": self.gained, "unfinished": self.unfinished}
        return plain, {f"{role}/{name}": snapshot for role, of in roles.items() for name, snapshot in of.items()}

    @classmethod
    def resume(cls, network: Network, training: Training, plain: Mapping[str, Any], snapshots: Roles) -> IMARL:
        """Go on from a record."""
        roles: dict[str, dict[str, Snapshot]] = {"saved": {}, "turn": {}, "gained": {}, "unfinished": {}}
        for key, snapshot in snapshots.items():
            role, name = key.split("/", 1)
            roles.setdefault(role, {})[name] = snapshot
        scheme = cls(network, training, roles["saved"], best=roles["turn"], unfinished=roles["unfinished"])
        scheme.gained = roles["gained"]
        for key in _PLAIN:
            setattr(scheme, key, plain[key])
        infinite = float("inf")
        scheme.estimates = {name: infinite if value is None else value for name, value in plain["estimates"].items()}
        scheme.best_cost = infinite if plain["best_cost"] is None else plain["best_cost"]
        scheme.held, scheme.priced = set(plain.get("held", ())), plain.get("priced", 0)
        return scheme


IMARL_SCHEME = SchemeSpec(
    name="imarl",
    summary="departments learn in turns",
    runner=IMARL,
    settings=IMARLRun,
    unused=NO_CUSTOMERS | {"iterations": "imarl.iterations is how many a turn has"},
    earlier=EARLIER,
    options={"observation": "policy.observation", "order": "imarl.order"},
    turns=True,
    meets_targets=True,
    weights=lambda network, settings: settings.mixed(reward_weights(network, settings.imarl.paid)),
    iterations=lambda _: None,
    paper_episodes=lambda _: 25_000,
)

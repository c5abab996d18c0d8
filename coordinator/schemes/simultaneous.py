"""Schemes in which all departments learn at once from the same rollouts, each from its own slice and reward.

`marl` ([I]): every department sees its own position; retailers share one policy and are paid by their own cost, all
others by the network's; one critic. With `own_share` retailers are paid by the network's cost in part, too (ours).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from coordinator.learning.iterations import Training
from coordinator.learning.settings import Settings
from coordinator.schemes.base import Accepted, Keep, Progress, Roles, SchemeSpec, Watch
from coordinator.schemes.imarl import EARLIER, NO_CUSTOMERS
from coordinator.schemes.rewards import MixedReward, retailers_by_their_own
from departments.policies.policy import PolicyConfig, Snapshot
from environment import Firm, Network

_TRIED = 3  # joint policies that were the best one after the other, and are tried again at the end
_SELECTIONS = 12  # times that the policies are tried on the selection episodes at least, evenly over a budget


def passed(before: float, now: float) -> bool:
    """Whether another selection has become due between two shares of the budget."""
    return int(min(now, 1.0) * _SELECTIONS) > int(before * _SELECTIONS)


@dataclass
class Simultaneous:
    """Everybody's best policies so far."""

    network: Network
    training: Training
    best: dict[str, Snapshot]
    best_cost: float
    iteration: int = 0
    held: set[str] = field(default_factory=set)  # departments that do not learn: somebody swapped in what shall stay
    priced: int = 0  # steps of the multipliers of service targets when `best_cost` was told
    earlier: list[dict[str, Snapshot]] = field(default_factory=list)  # the best ones before, the last one first

    @classmethod
    def begin(cls, network: Network, training: Training) -> Self:
        """All start from what is published."""
        training.adopt(*training.published.values())
        return cls(network, training, dict(training.published), float(training.selection_costs().mean()))

    def run(self, watch: Watch, accepted: Accepted, keep: Keep) -> None:
        """Learn until the budget is used up; the best joint policy is kept at the end, see `_accept`."""
        training, settings = self.training, self.training.settings
        while self.iteration < settings.rounds(settings.iterations) and (before := training.progress) < 1.0:
            seed = settings.seed, 0
            result = training.iterate(self.learning, (*seed, self.iteration), (*seed, self.iteration + 1))
            self.iteration += 1
            due = self.iteration % settings.select_every == 0 or passed(before, training.progress)
            cost = self._select() if due else None
            watch(Progress("all", 0, self.iteration, cost, result))
            keep()
        self._accept(accepted)

    @property
    def policies(self) -> list[Snapshot]:
        """The best joint policy."""
        return list(self.best.values())

    @property
    def learning(self) -> list[str]:
        """The departments that learn."""
        return [name for name in self.training.streams if name not in self.held]

    def in_office(self, name: str) -> Snapshot:
        """The policy that a department acts by."""
        return self.training.published[name]

    def replace(self, snapshot: Snapshot, held: bool) -> None:
        """Let a department follow another policy from the next iteration on, and learn from there unless held (ours).

        It takes its department's place in the best joint policy too, so what was best without it does not come back.
        """
        name = snapshot.department
        self.held = self.held | {name} if held else self.held - {name}
        learnable = snapshot.config.form == self.training.settings.policy_of(name).form
        (self.training.adopt if learnable else self.training.publish)(snapshot)  # a rule acts, and nobody learns it
        self.best, self.earlier = self.best | {name: snapshot}, []
        self._cost_anew()

    def _cost_anew(self) -> None:
        """What the best policy costs on selection episodes, at today's prices."""
        self.best_cost = float(self.training.selection_costs(*self.best.values()).mean())
        self.priced = self.training.priced

    def _select(self) -> float:
        """Cost of what is published on the selection episodes; the best is remembered."""
        if self.priced != self.training.priced:
            self._cost_anew()
        cost = float(self.training.selection_costs().mean())
        if cost < self.best_cost:
            self.earlier = [self.best, *self.earlier][: _TRIED - 1]
            self.best, self.best_cost = dict(self.training.published), cost
        return cost

    def _accept(self, accepted: Accepted) -> None:
        """Tell of the policies that count in the end: of the last best ones whichever costs least on others (ours).

        The winner of many tries on the same episodes owes some of it to luck, and now and then a policy stops ordering
        in so few episodes that none of these is among them.
        """
        if self.earlier:
            tried = [self.best, *self.earlier]
            costs = [float(self.training.acceptance_costs(*some.values()).mean()) for some in tried]
            self.best = tried[costs.index(min(costs))]
        for snapshot in self.best.values():
            accepted(snapshot, float("nan"), float("nan"))

    def record(self) -> tuple[dict[str, Any], dict[str, Snapshot]]:
        """What a checkpoint needs."""
        kept = {"best": self.best} | {f"earlier {number}": some for number, some in enumerate(self.earlier)}
        snapshots = {f"{role}/{name}": snapshot for role, some in kept.items() for name, snapshot in some.items()}
        plain = {"iteration": self.iteration, "best_cost": self.best_cost, "held": sorted(self.held)}
        plain["priced"] = self.priced
        return plain, snapshots

    @classmethod
    def resume(cls, network: Network, training: Training, plain: Mapping[str, Any], snapshots: Roles) -> Self:
        """Go on from a record."""
        kept: dict[str, dict[str, Snapshot]] = {}
        for role, snapshot in snapshots.items():
            of, _, name = role.partition("/")
            kept.setdefault(of, {})[name] = snapshot
        earlier = [kept[of] for of in sorted(kept) if of.startswith("earlier ")]
        held, priced = set(plain.get("held", ())), plain.get("priced", 0)
        return cls(network, training, kept["best"], plain["best_cost"], plain["iteration"], held, priced, earlier)


def own_position(firm: Firm, settings: Settings) -> dict[str, PolicyConfig]:
    """A department for each stock point, which sees its own position."""
    return {name: settings.policy_of(name).model_copy(update={"observation": "own"}) for name in firm.names}


def retailers_share(network: Network) -> dict[str, str]:
    """Every retailer's policy is that of the first one who is like it; all others own theirs.

    Those are alike who decide as many numbers, on the same days, and see of as many suppliers whether they are shut.
    """
    owner, leaders = {name: name for name in network.names}, dict[tuple[int, int, bytes, bytes], str]()
    cycle, days = network.reviews.cycle, network.reviews.days
    may_be_shut = network.edge_target[network.disruption[:, 1] > 0].tolist()
    for point in map(int, network.customer_facing):
        name, when = network.names[point], (cycle[point].tobytes(), days[point].tobytes())
        sizes = len(network.decisions_of(point)), may_be_shut.count(point)
        owner[name] = leaders.setdefault((*sizes, *when), name)
    return owner


def _marl(name: str, summary: str, attention: bool) -> SchemeSpec:
    return SchemeSpec(
        name=name,
        summary=summary,
        runner=Simultaneous,
        settings=MixedReward,
        unused=NO_CUSTOMERS | {"policy.observation": "every department sees its own position"},
        earlier=EARLIER,
        departments=own_position,
        owners=retailers_share,
        weights=lambda network, settings: settings.mixed(retailers_by_their_own(network)),
        attention=attention,
        meets_targets=True,
        paper_episodes=lambda _: 20_000,
    )


MARL_SCHEMES = (
    _marl("marl", "all learn at once, retailers share a policy", attention=False),
    _marl("marl-gnn", "and the critic attends over the network", attention=True),
)

"""The critic of a running firm: what the benchmark does on the same chance, and whether a policy may be let in.

Everything is a pure function of what it is given, so a critic that died and came back goes on at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coordinator.live.changes import planned
from coordinator.live.crossing import Crossing
from coordinator.live.fed import Observed, Shadow
from coordinator.live.layout import FirmLayout
from coordinator.live.period_start import Arrays
from coordinator.live.policy_bundles import PolicyBundles, departments_of
from coordinator.live.shadow import Canary, Play
from coordinator.live.simulated import PAIRS, Simulated, by_name
from coordinator.live.structures import Plan, Structure
from departments import extensions
from departments.policies.policy import RECOMMENDATION
from departments.serving.numpy_policy import Array, NumpyPolicy, PolicyBundle

_EXAMINATION = 12  # stream of chance of shadow runs
_COPIES, _PERIODS = 64, 40  # of a shadow run before a policy is let in
_STRIDE = 64  # ticks followed in one call at most


class Examiner:
    """Knows the firm, its benchmark and how to play it."""

    def __init__(self, structure: Structure, seed: int, observed: Observed | None = None) -> None:
        """Prepare a structure of the firm; `observed`: what a fed firm's book has."""
        firm, slots = structure.firm, structure.slots
        self._simulated = Simulated(firm, seed, slots) if observed is None else Shadow(firm, seed, observed, slots)
        self._structure, self._layout, self._fed = structure, FirmLayout.of(structure.frame), observed is not None
        self._bundles = PolicyBundles(self._simulated.firm, slots=slots)
        self._benchmark = {
            name: NumpyPolicy(self._bundles.benchmark(name)) for name in departments_of(self._simulated.firm)
        }

    def follow(self, shadow: Play, canaries: list[Canary], upto: int) -> tuple[Play, list[Canary]]:
        """Play the benchmark and the canaries on, to tick `upto` or as far as one call goes."""
        followed = [self._followed(canary, min(upto, canary.until)) for canary in canaries]
        return self.play(shadow, self._benchmark, min(upto, shadow.tick + _STRIDE)), followed

    def _followed(self, canary: Canary, end: int) -> Canary:
        try:
            office = {name: NumpyPolicy(bundle) for name, bundle in canary.bundles.items()}
            tried = office | {canary.command.department: NumpyPolicy(canary.candidate)}
            played = self.play(canary.office, office, end, PAIRS), self.play(canary.tried, tried, end, PAIRS)
        except Exception as error:  # of a rule of somebody's own
            return canary._replace(failed=" ".join(f"{type(error).__name__}: {error}".split()))
        return canary._replace(office=played[0], tried=played[1])

    def play(self, play: Play, deciders: Mapping[str, NumpyPolicy], upto: int, stream: int | None = None) -> Play:
        """Let departments decide period by period; the cost of every period after the first is counted."""
        tick, arrays, memories, cost = play
        layout, memories, cost = self._layout, dict(memories), cost.copy()
        chance = {} if stream is None else {"stream": stream}
        features = self._simulated.features(tick, arrays) if tick < upto else None
        while features is not None and tick < upto:
            wishes = {}
            for name, decider in deciders.items():
                wishes[name], memories[name] = decider.decide(features[decider.rows], memories[name], tick)
            held = arrays["inventory_position"]
            accepted = (layout.feasible_order(n, wishes[p], held[n], tick) for n, p in enumerate(layout.points))
            precedence = (layout.feasible_precedence(p, wishes[p], deciders[p].bundle.customers) for p in layout.points)
            order = np.concatenate((np.stack(list(accepted)), *precedence))
            exposure = layout.feasible_exposure(wishes[RECOMMENDATION]) if RECOMMENDATION in wishes else None
            moment = self._simulated.step(tick, arrays, order, exposure, **chance)
            tick, arrays, features = tick + 1, moment.arrays, moment.features
            period = moment.account["cost"]
            cost += period if cost.ndim == period.ndim else period.mean(-1)
        return Play(tick, arrays, memories, cost)

    def cross(self, before: Examiner, play: Play) -> tuple[Play, float]:
        """A firm in shadow taken over from the structure before, and the money of who is in it no more.

        What stock points that close have there, and nothing is said of, is written off.
        """
        stock = self._structure.details["stock"]
        arrays = Crossing(before._simulated.world, self._simulated.world, play.arrays, stock, strict=False).arrays()
        fresh = {name: decider.start() for name, decider in self._benchmark.items()}
        same = {
            name: memory
            for name, memory in play.memories.items()
            if name in fresh and memory.shape == fresh[name].shape
        }
        cost = by_name(play.cost, before._layout.points, self._layout.points)
        return Play(play.tick, arrays, fresh | same, cost), float(play.cost.sum() - cost.sum())

    def change(self, arguments: Mapping[str, Any], bundles: Mapping[str, PolicyBundle]) -> Plan:
        """What a change needs; see `planned`."""
        if self._fed:
            cure = "stop it, and begin another one with the new file by `firmwide live FILE --feed DIR --name OTHER`"
            raise ValueError(
                f"a firm that is fed cannot be changed, as its files have the columns of its points: {cure}"
            )
        return planned(self._bundles, self._structure.number + 1, arguments, bundles)

    def examine(
        self,
        department: str,
        policy: str,
        tick: int,
        arrays: Arrays,
        memories: Mapping[str, Array],
        bundles: Mapping[str, PolicyBundle],
        tolerance: float,
        modules: Sequence[str] = (),
    ) -> tuple[PolicyBundle, dict[str, Any]]:
        """Read a policy, check it, and let it run in shadow beside the benchmark from the firm's state of now.

        Args:
            department: who shall follow it.
            policy: as in `PolicyBundles.policy`.
            tick: the period of `arrays`.
            arrays: of the firm, one copy.
            memories: of all departments.
            bundles: in office.
            tolerance: share of the benchmark's cost by which the firm may do worse.
            modules: of the user's own, that the policy may need.

        Returns:
            The brief, without a version yet, and the figures of the shadow run.

        Raises:
            ValueError: one line; the policy is refused.
        """
        extensions.load(modules)
        bundle = self._bundles.policy(department, policy)
        lines = self._bundles.observer.lines
        if self._fed and any(row in lines for row in bundle.arrays["rows"].tolist()):
            raise ValueError(
                f"--policy {policy!r} observes what is owed on every line, which no feed tells; take another"
            )
        office = {name: NumpyPolicy(each) for name, each in bundles.items()}
        start = {name: np.repeat(memory, _COPIES, -1) for name, memory in memories.items()}
        many = {key: np.repeat(value, _COPIES, -1) for key, value in arrays.items()}
        nothing = np.zeros(len(self._layout.points))
        costs = {}
        for name, decider in (("policy", NumpyPolicy(bundle)), ("benchmark", self._benchmark[department])):
            with_it = start | {department: decider.start(_COPIES)}
            played = self.play(
                Play(tick, many, with_it, nothing), office | {department: decider}, tick + _PERIODS, _EXAMINATION
            )
            costs[name] = float(played.cost.sum())
        if not np.isfinite(costs["policy"]):
            raise ValueError(f"--policy {policy!r} decides what is not a number in a shadow run")
        allowed = costs["benchmark"] + tolerance * abs(costs["benchmark"])
        figures = {
            "cost": costs["policy"],
            "benchmark_cost": costs["benchmark"],
            "copies": _COPIES,
            "periods": _PERIODS,
        }
        if costs["policy"] > allowed:
            sign, word = (-1.0, "profit") if self._layout.earns else (1.0, "cost")
            raise ValueError(
                f"--policy {policy!r} brings the firm a {word} of {sign * costs['policy']:,.0f} in a shadow run of "
                f"{_PERIODS} periods, the benchmark in its place {sign * costs['benchmark']:,.0f}: more than "
                f"{tolerance:.0%} worse; "
                "take another, or raise --tolerance"
            )
        return bundle, figures

"""Why what has learned orders another amount than its rule: what each thing that it sees adds, in a few words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from coordinator.explain.line import order_parts
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.planning.learned import Sight
from coordinator.planning.policies import InTurn, Scaled
from coordinator.runs.folder import RunFolder
from departments.decisions import Policy
from departments.serving.numpy_policy import NumpyPolicy
from environment import State
from heuristics.attribution import integrated_gradients, outputs_of

Array = NDArray[np.float64]

_TOLD = 3  # parts of a sentence
_LEAST = 0.5  # units: a smaller part is not told
_SIGHT = (  # of `Sight.seen`
    *("what is missing to its level", "what is missing at the points below", "its stock on hand"),
    *("what arrives tomorrow", "what arrives within four days", "the forecast"),
)
_WORDS = {
    "inventory_position": "the position of",
    "owed": "what is owed,",
    "shut": "whether open,",
    "coming": "events,",
    "regime": "the regime",
}


@dataclass(frozen=True)
class Part:
    """An order before the firm's limits: rule, usual and parts sum to it."""

    rule: float  # units, level less position
    usual: float  # units that the network adds where all that it sees is as usual
    seen: dict[str, float]  # units that each thing seen adds

    def sentence(self, unit: float) -> str:
        """What comes to what, the largest parts first, in the measure of the tables."""
        added = self.usual + sum(self.seen.values())
        named = sorted(((units, what) for what, units in self.seen.items()), key=lambda part: -abs(part[0]))[:_TOLD]
        told = [f"{units * unit:+,.3g} for {what}" for units, what in named if abs(units) >= _LEAST]
        if abs(self.usual) >= _LEAST:
            told.append(f"{self.usual * unit:+,.3g} as usual")
        why = f" ({', '.join(told)})" if told else ""
        return f"the rule alone would order {self.rule * unit:,.3g}, and what is learned adds {added * unit:+,.3g}{why}"


def parts_of(policy: Policy, argument: str, state: State, period: int, note: Callable[[str], None]) -> list[list[Part]]:
    """Of every order [N][K] of what has learned; [] of a rule, or of a network whose orders have no parts.

    Args:
        policy: that decides.
        argument: its run folder, if it is of one.
        state: of one copy.
        period: that is decided.
        note: told why there are none.
    """
    if isinstance(policy, InTurn) and isinstance(sight := policy.policies[0], Sight):
        return _of_sight(sight, state, period)
    if not isinstance(policy, Scaled):
        return []
    try:
        return _of_run(Path(argument), state, policy.ratio[period - policy.first], period)
    except ValueError as error:
        note(f"no parts of its orders are told: {error}")
        return []


def _of_sight(sight: Sight, state: State, period: int) -> list[list[Part]]:
    level = sight.level(period)
    seen = sight.seen(state, level, period)[..., 0].double().numpy()
    rule = (level - state.inventory_position)[..., 0].tolist()
    _, into, shift, out, constant = (part.detach().double().numpy() for part in sight.parts)
    spread = sight.learned.spread[..., 0].tolist()

    def part(n: int, k: int) -> Part:
        layers = ((into[n], shift[n].ravel()), (out[n][None], constant[n].ravel()))
        end, unit = seen[:, n, k], spread[n][k]
        added = unit * integrated_gradients(layers, "relu", np.zeros_like(end), end)[0]
        usual = unit * float(outputs_of(layers, "relu", np.zeros_like(end))[0])
        return Part(rule[n][k], usual, dict(zip(_SIGHT, added.tolist(), strict=True)))

    return [[part(n, k) for k in range(len(row))] for n, row in enumerate(rule)]


def _of_run(path: Path, state: State, ratio: Tensor, period: int) -> list[list[Part]]:
    bundles, found = PolicyBundles(RunFolder(path).firm()), list[list[Part]]()
    own = State(*(part / ratio.to(part.dtype) for part in state))
    seen = bundles.observer.units(own, None, period)[:, 0].double().numpy()
    for point in bundles.firm.names:
        bundle = bundles.policy(point, str(path))
        policy, row = NumpyPolicy(bundle), list[Part]()
        for k, times in enumerate(ratio[:, 0].tolist()):
            whole, named = order_parts(bundle, policy, bundles, seen, k, period), dict[str, float]()
            for label, _, units in whole.parts:
                named[_words(label)] = named.get(_words(label), 0.0) + times * units
            row.append(Part(times * whole.rule, times * whole.usual, named))
        found.append(row)
    return found


def _words(label: str) -> str:
    """A label of `Observer.labels`, for people."""
    what, _, where = label.partition("/")
    if what in ("sine", "cosine"):
        return "the day"
    kind = f"what arrives in {what[9:]} days at" if what.startswith("arriving_") else what.replace("_", " ") + " of"
    return f"{_WORDS.get(what, kind)} {where.replace('/', ', ')}"

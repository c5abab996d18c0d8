"""Rules of orders that each department follows by itself, such as a user's own; neither firm nor torch is needed here.

A rule is a function from what one department sees to its wished orders. It acts in simulations and in the processes of
departments by the same numpy arrays, so both decide the same to the bit. What a department sees travels as rows of
numbers; `Local` knows which is which.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rule = TypeVar("Rule", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


class Seen(NamedTuple):
    """What a department sees in period t, after receipts and before orders; K products, E copies (in operation one)."""

    period: int  # t
    inventory_position: Array  # [K, E] units on hand and under way, less what is owed
    on_hand: Array  # [K, E] units
    arrivals: Array  # [A, K, E] units that arrive in 1, 2, .. periods; the last one holds all later ones
    backlog: Array | None  # [K, E] units owed to all customers; None unless registered with sees_backlog=True
    asked: Array | None  # [K, E] units that customers asked for in the last period; None in a firm without customers
    handed: Array | None  # [K, E] units that were handed over then; likewise
    level: Array  # [K, 1] units, the benchmark's base-stock level
    mean_demand: Array  # [K, 1] units a period through this point
    max_order: Array  # [K, 1] units


class RegisteredRule(NamedTuple):
    """A rule by its name."""

    function: Callable[..., Any]
    help: str
    sees_backlog: bool


REGISTERED: dict[str, RegisteredRule] = {}  # the explicit registry of users' rules


def register_rule(name: str, *, help: str = "", sees_backlog: bool = False) -> Callable[[Rule], Rule]:
    """Let the function below be a rule of orders by that name, in `evaluate`, `train`'s tables, `live` and `swap`.

        @register_rule("half-way", help="half-way[:SHARE]: a share of what is missing to the benchmark's level")
        def half_way(seen: Seen, share: float = 0.5) -> Array:
            return share * (seen.level - seen.inventory_position)

    Each department calls it with what it sees and with the numbers that are written behind the name (`half-way:0.4`, or
    `half-way:share=0.4`), and orders what it returns, [K, E] units.

    Args:
        name: lower-case letters, digits and '-'; none of our rules'.
        help: one line.
        sees_backlog: whether it reads `seen.backlog`, which no feed of a real firm tells.

    Raises:
        ValueError: one line; no such name, or it is another function's.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"rule must be named by lower-case letters, digits and '-', got {name!r}")

    def registered(function: Rule) -> Rule:
        known = REGISTERED.get(name)
        if known is not None and known.function.__module__ != function.__module__:
            raise ValueError(f"rule {name!r} is registered by {known.function.__module__}; give yours another name")
        REGISTERED[name] = RegisteredRule(function, help or (function.__doc__ or "").partition("\n")[0], sees_backlog)
        return function

    return registered


@dataclass(frozen=True)
class BoundRule:
    """A registered rule with its numbers."""

    name: str
    parameters: Mapping[str, float]
    rule: RegisteredRule

    def wish(self, seen: Seen) -> Array:
        """[K, E] units.

        Raises:
            ValueError: it returned something else.
        """
        wished = np.asarray(self.rule.function(seen, **self.parameters), dtype=np.float64)
        if wished.shape != seen.on_hand.shape:
            raise ValueError(f"rule {self.name!r} must return orders of shape {seen.on_hand.shape}, got {wished.shape}")
        return wished


def bound(name: str, given: str) -> BoundRule:
    """A registered rule with what is written behind its name: `0.4` for its first number, or `share=0.4,level=30`.

    Raises:
        ValueError: one line; no such rule or number.
    """
    if name not in REGISTERED:
        raise ValueError(f"rule {name!r} is not registered here: import the module that does with --import")
    rule, parameters = REGISTERED[name], dict[str, float]()
    _, *arguments = inspect.signature(rule.function).parameters.values()
    allowed = [argument.name for argument in arguments]
    for item in filter(None, given.split(",")):
        key, _, value = item.partition("=") if "=" in item else ("".join(allowed[:1]), "=", item)
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if key not in allowed or key in parameters or not np.isfinite(number):
            example = f"{name}:{allowed[0]}=0.5" if allowed else name
            raise ValueError(f"rule {name!r} is written as {example}, each number once, got {item!r}")
        parameters[key] = number
    needed = [argument.name for argument in arguments if argument.default is inspect.Parameter.empty]
    if missing := [key for key in needed if key not in parameters]:
        raise ValueError(f"rule {name!r} needs {', '.join(missing)}: write {name}:{missing[0]}=0.5")
    return BoundRule(name, parameters, rule)


class Local:
    """A rule at one stock point."""

    def __init__(self, rule: BoundRule, arrays: Mapping[str, Array]) -> None:
        """Prepare.

        Args:
            rule: with its numbers.
            arrays: `level`, `mean_demand`, `max_order` [K]; `sees` [3], how many periods of arrivals, lines of backlog
                and blocks of what was told lie, in that order, behind position and stock on hand in what is observed.
        """
        self._rule = rule
        self._level, self._mean, self._limit = (arrays[key][:, None] for key in ("level", "mean_demand", "max_order"))
        self._arrivals, self._lines, self._told = (int(count) for count in arrays["sees"])

    def wish(self, observation: Array, period: int) -> Array:
        """Wished orders [K, E] from the observed rows, K for each block."""
        blocks = observation.reshape(-1, len(self._level), observation.shape[-1])
        arrivals, end = blocks[2 : 2 + self._arrivals], 2 + self._arrivals + self._lines
        asked, handed = blocks[end : end + 2] if self._told else (None, None)
        backlog = blocks[2 + self._arrivals : end].sum(0) if self._rule.rule.sees_backlog else None
        facts = self._level, self._mean, self._limit
        return self._rule.wish(Seen(period, blocks[0], blocks[1], arrivals, backlog, asked, handed, *facts))

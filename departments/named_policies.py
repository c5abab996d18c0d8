"""Rules by their names, as they are written on the command line: NAME or NAME:ARGUMENT, one table for all.

A rule of one's own is a function in a module of one's own, registered there; see `departments.rules.local`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from departments.decisions import Policy
from departments.rules import local
from departments.rules.dual_sourcing import TwoSuppliers, index_rule
from departments.rules.forecast import DEFAULT_SMOOTHING, ForecastBaseStock
from departments.rules.local_policy import LocalPolicy
from departments.rules.optimum import Tabulated, optimum
from departments.rules.ordering import BaseStock, Levels, baseline_levels, echelon_weights, reorder_rule
from departments.rules.recommendation import DEFAULT_WEIGHT, OfferRule, Pair
from environment import Firm
from environment.episode_files import levels_of
from heuristics.dual_sourcing import DUAL_RULES

Note: TypeAlias = Callable[[str], None]

_FORECAST = "forecast-base-stock"  # what orders beside a recommendation rule if nothing else is said


def _quiet(_: str) -> None:
    """Nobody is told."""


class NamedRule(NamedTuple):
    """A rule of the table."""

    make: Callable[..., Any]  # from the firm, all that is written, and what stands behind the ':'
    help: str  # one line
    without: str = ""  # what may not stand behind the ':'
    searches: bool = False  # `make` takes a while and a function `note` that is told how far it is
    alone: bool = False  # it decides everything, and stands beside no other rule


def parse_policy(text: str, firm: Firm, note: Note = _quiet) -> Policy:
    """A rule by name, or RECOMMENDATION[+REPLENISHMENT] such as `inventory-aware:0.25+forecast-base-stock:0.2`.

    RECOMMENDATION is one of `RECOMMENDATIONS`; REPLENISHMENT is one of `ORDERS`, `forecast-base-stock` by default.
    `forecast-base-stock` alone recommends nothing. `note` is told how far a search for levels is.

    Raises:
        ValueError: one line; unknown rule or number, or a firm without customers.
    """
    first, plus, second = text.partition("+")
    kind = first.partition(":")[0]
    if kind == _FORECAST and not plus:
        first, second = "none", first
    elif kind not in RECOMMENDATIONS:
        if plus and not text.endswith(".csv"):
            raise ValueError(f"policy: before '+' stands one of {', '.join(RECOMMENDATIONS)}, got {first!r}")
        return parse_rule(text, firm, note)
    elif plus and not second:
        raise ValueError(f"policy: after '+' stands a replenishment rule such as {_FORECAST}, got {text!r}")
    if not firm.customers:
        raise ValueError(f"policy {text!r} needs a firm with customers who choose, and {firm.name} has none")
    if (whole := second.partition(":")[0]) in ORDERS and ORDERS[whole].alone:
        raise ValueError(f"policy {text!r}: {whole} recommends by itself; write {second} alone")
    return Pair(text, _made(RECOMMENDATIONS, first, firm), parse_rule(second or _FORECAST, firm, note))


def parse_rule(text: str, firm: Firm, note: Note = _quiet) -> Policy:
    """A rule of orders from its name on the command line, such as `base-stock:warehouse=60,retailer-1=33`.

    Levels that are not given are the benchmark's. A csv file gives all levels: stock_point,(product,)level.

    Raises:
        ValueError: one line; unknown rule, stock point or level, or a file that cannot be read.
    """
    if text.endswith(".csv"):
        return BaseStock(text, levels_of(Path(text), firm))
    if text.partition(":")[0] == _FORECAST and not firm.customers:
        raise ValueError(f"policy {text!r} needs a firm with customers who choose, and {firm.name} has none")
    rule: Policy = _made(order_rules(), text, firm, note)
    return rule


def order_rules() -> dict[str, NamedRule]:
    """All rules of orders: ours, and what was registered.

    Raises:
        ValueError: one that was registered has the name of one of ours.
    """
    if twice := sorted({*ORDERS, *RECOMMENDATIONS} & local.REGISTERED.keys()):
        raise ValueError(f"rule {twice[0]!r} is there already; give yours another name")
    own = {name: NamedRule(_registered, rule.help) for name, rule in local.REGISTERED.items()}
    return ORDERS | own


def _made(table: dict[str, NamedRule], text: str, firm: Firm, note: Note = _quiet) -> Any:  # noqa: ANN401
    kind, _, given = text.partition(":")
    if kind not in table:
        raise ValueError(f"policy must be {', '.join(table)}, or a run folder, got {text!r}")
    rule = table[kind]
    if rule.without and ":" in text:
        other = "; base-stock and echelon-base-stock do" if rule.without == "levels" else ""
        raise ValueError(f"policy {kind!r} takes no {rule.without}, got {given!r}{other}")
    return rule.make(firm, text, given, **({"note": note} if rule.searches else {}))


def _registered(firm: Firm, text: str, given: str) -> LocalPolicy:
    name = text.partition(":")[0]
    return LocalPolicy(text, local.bound(name, given), baseline_levels(firm))


def _number(text: str, given: str, highest: float) -> float:
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= highest:
        raise ValueError(f"policy {text!r}: the number after ':' must be from 0 to {highest:g}, got {given!r}")
    return value


def _base_stock(firm: Firm, text: str, given: str) -> BaseStock:
    return BaseStock(text, _levels(given, baseline_levels(firm), firm, "base-stock"))


def _echelon(firm: Firm, text: str, given: str) -> BaseStock:
    """Echelon levels are the sums of local levels over each echelon, so both rules start from the same stock."""
    weights = echelon_weights(firm)
    return BaseStock(text, _levels(given, weights @ baseline_levels(firm), firm, "echelon-base-stock"), weights)


def _tuned(firm: Firm, *_: str, note: Note) -> BaseStock:
    from departments.play.tuning import tuned_base_stock  # the search simulates, which rules themselves must not need

    return tuned_base_stock(firm, note=note)


def _tuned_echelon(firm: Firm, *_: str, note: Note) -> BaseStock:
    from departments.play.tuning import tuned_base_stock, tuned_echelon_base_stock

    return tuned_echelon_base_stock(firm, start=tuned_base_stock(firm, note=note).levels, note=note)


def _tuned_split(firm: Firm, *_: str, note: Note) -> Policy:
    from departments.play.splitting import tuned_split

    return tuned_split(firm, note=note)


def _optimum(firm: Firm, text: str, given: str) -> BaseStock | Tabulated | TwoSuppliers:
    if not re.fullmatch(r"[1-9][0-9]?", given or "1", re.ASCII):
        raise ValueError(f"policy {text!r}: the parts of a slot after ':' must be from 1 to 99, got {given!r}")
    if given and not firm.customers:
        raise ValueError(f"policy {text!r} divides a slot, and {firm.name} has no customers who are shown anything")
    return optimum(firm, text, steps=int(given or 1), clock=not text.startswith("optimum-blind"))


def _smoothed(firm: Firm, text: str, given: str) -> ForecastBaseStock:
    return ForecastBaseStock(text, firm, _number(text, given, 1.0) if ":" in text else DEFAULT_SMOOTHING)


def _aware(firm: Firm, text: str, given: str) -> OfferRule:
    return OfferRule(text, _number(text, given, 1000.0) if ":" in text else DEFAULT_WEIGHT)


def _levels(given: str, start: Levels, firm: Firm, kind: str) -> Levels:
    levels = start.copy()
    seen: set[str] = set()
    for item in filter(None, given.split(",")):
        place, equals, value = item.rpartition("=")
        place = place.strip()
        point, product = next(  # names may hold a '/' themselves
            ((name, place[len(name) + 1 :]) for name in firm.names if f"{place}/".startswith(f"{name}/")),
            (place.partition("/")[0], ""),
        )
        example = f"{kind}:{firm.names[0]}=60"
        if not equals:
            raise ValueError(f"{kind}: a level is written as {example}, got {item!r}")
        if point not in firm.names:
            raise ValueError(f"{kind}: {point!r} is not a stock point of {firm.name}; it has {', '.join(firm.names)}")
        if place in seen:
            raise ValueError(f"{kind}: {place} is given twice; remove one of the two levels")
        seen.add(place)
        if product and product not in firm.products:
            raise ValueError(f"{kind}: {product!r} is not a product of {firm.name}; it has {', '.join(firm.products)}")
        if not re.fullmatch(r"-?[0-9]{1,6}", value.strip(), re.ASCII):
            raise ValueError(f"{kind}: the level of {point} must be a whole number as in {example}, got {value!r}")
        columns = slice(None) if not product else firm.products.index(product)
        levels[firm.names.index(point), columns] = int(value)
    return levels


ORDERS: dict[str, NamedRule] = {
    "decomposition-aggregation": NamedRule(
        lambda firm, text, _: BaseStock(text, baseline_levels(firm)), "the benchmark's levels", "levels"
    ),
    "base-stock": NamedRule(_base_stock, "the same with levels of your own, such as base-stock:warehouse=60"),
    "tuned-base-stock": NamedRule(_tuned, "levels of least simulated cost, searched for a while", "levels", True),
    "echelon-base-stock": NamedRule(_echelon, "the same levels added up over each echelon, or your own"),
    "tuned-echelon-base-stock": NamedRule(_tuned_echelon, "echelon levels that are searched likewise", "levels", True),
    "tuned-split": NamedRule(_tuned_split, "levels, and shares of suppliers ordered from apart", "levels", True),
    "reorder": NamedRule(lambda firm, *_: reorder_rule(firm), "the best (s, S) of each point", "levels"),
    "optimum": NamedRule(_optimum, "the exact optimum of a small firm; optimum[:PARTS of a slot]", alone=True),
    "optimum-blind": NamedRule(_optimum, "the same in episodes that end, for who does not see the clock", alone=True),
    **{
        rule: NamedRule(
            lambda firm, text, _: index_rule(firm, text),
            f"two suppliers: {rule.replace('-', ' ')} at its best levels, found exactly",
            "levels",
        )
        for rule in DUAL_RULES
    },
    _FORECAST: NamedRule(_smoothed, "levels that follow demand and season; forecast-base-stock[:SMOOTHING]"),
}
RECOMMENDATIONS = {
    "none": NamedRule(lambda _, text, __: OfferRule(text, pushes=False), "nothing is shown", "number"),
    "margin-greedy": NamedRule(
        lambda _, text, __: OfferRule(text), "the largest expected margin, blind to stock", "number"
    ),
    "inventory-aware": NamedRule(_aware, "net of the shadow price of scarce stock; inventory-aware[:WEIGHT]"),
}

"""Rules by their names, as they are written on the command line."""

from __future__ import annotations

import re
from dataclasses import replace

from departments.decisions import Policy
from departments.rules.closed_loop import Pair, Recommender, Replenisher
from departments.rules.forecast import DEFAULT_SMOOTHING, ForecastBaseStock
from departments.rules.ordering import BaseStock, Levels, Rule, baseline_levels, echelon_base_stock, reorder_rule
from departments.rules.recommendation import (
    DEFAULT_WEIGHT,
    RECOMMENDATIONS,
    REPLENISHMENT,
    InventoryAware,
    NoRecommendation,
    Steady,
)
from environment import Firm

RULES = "decomposition-aggregation, base-stock, tuned-base-stock, echelon-base-stock or reorder"


def parse_policy(text: str, firm: Firm) -> Policy:
    """A rule by name, or RECOMMENDATION[+REPLENISHMENT] such as `inventory-aware:0.25+forecast-base-stock:0.2`.

    RECOMMENDATION is `none`, `margin-greedy` or `inventory-aware[:weight]`; REPLENISHMENT is any rule of orders or
    `forecast-base-stock[:smoothing]`, the default. `forecast-base-stock` alone recommends nothing.

    Raises:
        ValueError: one line; unknown rule or number, or a firm without customers.
    """
    first, plus, second = text.partition("+")
    kind = first.partition(":")[0]
    if kind == REPLENISHMENT and not plus:
        first, second = "none", first
    elif kind not in RECOMMENDATIONS:
        if plus:
            raise ValueError(f"policy: before '+' stands one of {', '.join(RECOMMENDATIONS)}, got {first!r}")
        return parse_rule(text, firm)
    elif plus and not second:
        raise ValueError(f"policy: after '+' stands a replenishment rule such as {REPLENISHMENT}, got {text!r}")
    if not firm.customers:
        raise ValueError(f"policy {text!r} needs a firm with customers who choose, and {firm.name} has none")
    return Pair(text, _recommender(first, firm), _replenisher(second or REPLENISHMENT, firm))


def _recommender(text: str, firm: Firm) -> Recommender:
    kind, colon, given = text.partition(":")
    if kind == "inventory-aware":
        return InventoryAware.of(text, firm, _number(text, given, 1000.0) if colon else DEFAULT_WEIGHT)
    if colon:
        raise ValueError(f"policy {kind!r} takes no number, got {given!r}")
    return NoRecommendation() if kind == "none" else InventoryAware.of(kind, firm, 0.0)


def _replenisher(text: str, firm: Firm) -> Replenisher:
    kind, colon, given = text.partition(":")
    if kind != REPLENISHMENT:
        return Steady(parse_rule(text, firm))
    return ForecastBaseStock(text, firm, _number(text, given, 1.0) if colon else DEFAULT_SMOOTHING)


def _number(text: str, given: str, highest: float) -> float:
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= highest:
        raise ValueError(f"policy {text!r}: the number after ':' must be from 0 to {highest:g}, got {given!r}")
    return value


def parse_rule(text: str, firm: Firm) -> Rule:
    """A rule from its name on the command line, such as `base-stock:warehouse=60,retailer-1=33`.

    Levels that are not given are the benchmark's.

    Raises:
        ValueError: one line; unknown rule, stock point or level.
    """
    kind, _, given = text.partition(":")
    if kind in ("base-stock", "echelon-base-stock"):
        local = BaseStock(text, baseline_levels(firm))
        rule = local if kind == "base-stock" else echelon_base_stock(firm, local.levels, text)
        return replace(rule, levels=_levels(given, rule.levels, firm, kind))
    if given:
        raise ValueError(f"policy {kind!r} takes no levels, got {given!r}; base-stock and echelon-base-stock do")
    if kind == "decomposition-aggregation":
        return BaseStock(kind, baseline_levels(firm))
    if kind == "reorder":
        return reorder_rule(firm)
    if kind == "tuned-base-stock":
        from departments.play.tuning import (
            tuned_base_stock,  # the search simulates, which rules themselves must not need
        )

        return tuned_base_stock(firm)
    raise ValueError(f"policy must be {RULES}, or a run folder, got {text!r}")


def _levels(given: str, start: Levels, firm: Firm, kind: str) -> Levels:
    levels = start.copy()
    seen: set[str] = set()
    for item in filter(None, given.split(",")):
        place, equals, value = item.partition("=")
        place = place.strip()
        point, _, product = place.partition("/")
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

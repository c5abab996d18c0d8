"""Stock against service, and cost against emissions: what rules come to for one target or price after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.evaluation.evaluate import evaluate
from coordinator.evaluation.table import Evaluation
from departments.named_policies import parse_policy
from departments.play.footprint import emissions
from departments.play.service import meet_targets
from departments.play.tuning import quiet
from departments.rules.ordering import BaseStock
from environment import Firm, Network
from environment.parts import TARGETS, Emissions, Target

PRICES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # of emissions, in what makes them as dear as holding a period's flow
_RULES = ("capped-dual-index", "reorder")  # that go by what emissions cost
AIMS = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)


@dataclass(frozen=True)
class Aim:
    """What levels for one target come to."""

    target: float  # of all that is sold
    reached: float  # share of demand served at once, or of cycles without a stock-out
    on_hand: float  # units, of the whole firm


@dataclass(frozen=True)
class Priced:
    """What a rule for one price of emissions comes to."""

    price: float  # money per unit of emission
    emissions: float  # a period
    cost: float  # money an episode, what emissions cost not included; profit is negative


def emissions_curve(
    firm: Firm, prices: Sequence[float] = PRICES, *, episodes: int = 4096, seed: int = 0
) -> tuple[str, list[Priced]]:
    """A rule at one price of emissions after the other, on the episodes of `evaluate`; which, and what it comes to.

    Two suppliers that are ordered from apart follow the best capped dual index, all others (s, S) of which an order
    costs its shipment's emissions, too (ours).

    Args:
        firm: with emissions.
        prices: increasing; 1 makes what is emitted at price 0 cost what holding a period's flow does.
        episodes: on which emissions and costs are measured.
        seed: of these.

    Raises:
        ValueError: one line; no rule goes by emissions here.
    """
    free, rule = _priced(firm, 0.0), _rule_of(firm)
    first = evaluate(free, [rule], episodes=min(episodes, 256), seed=seed, compiled=quiet).to_json()["policies"][rule]
    held = float((firm.amounts("holding_cost") * Network.of(firm).mean_flow()).sum())
    unit = max(held, 1e-6) / max(first["emissions"], 1e-6)
    policies = {f"{unit * price:.6g}": parse_policy(rule, _priced(firm, unit * price)) for price in prices}
    found = evaluate(free, policies, episodes=episodes, seed=seed, compiled=quiet)
    told = found.to_json()["policies"]
    return rule, [Priced(float(name), told[name]["emissions"], found.mean(name)[0]) for name in policies]


def cost_without_emissions(found: Evaluation, name: str) -> float:
    """Cost of a policy less what emissions cost in it, money an episode."""
    firm = found.firm
    counted = firm.periods.evaluate - 1 - max(firm.periods.warm_up - 1, 0)
    emitted = float(emissions(Network.of(firm), found.results[name]).sum())
    return found.mean(name)[0] - firm.emission_price * counted * emitted


def _rule_of(firm: Firm) -> str:
    """The rule that goes by what emissions cost here."""
    if firm.supplier_choice == "ordered" and len(firm.names) == 1:
        parse_policy(_RULES[0], _priced(firm, 1.0))  # raises why not
        return _RULES[0]
    if not firm.customers and any(edge.shipment_emissions for edge in firm.supply):
        return _RULES[1]
    raise ValueError("no rule goes by emissions unless shipments have some, or one point orders from two suppliers")


def _priced(firm: Firm, price: float) -> Firm:
    return firm.model_copy(update={"emissions": Emissions(price=price)})


def measure_of(firm: Firm) -> str:
    """The service that a firm's targets are of; the fill rate if it has none."""
    return firm.has_targets[0] if firm.has_targets else TARGETS[0]


def trade_off(firm: Firm, aims: Sequence[float] = AIMS, *, episodes: int = 4096, seed: int = 0) -> list[Aim]:
    """Levels of least holding cost for each target at all points that sell, on the episodes of `evaluate`.

    Args:
        firm: without customers, and whose products share nothing.
        aims: targets, increasing.
        episodes: on which what is reached and held is measured.
        seed: of these.

    Raises:
        ValueError: one line; levels of one product cannot meet a target by themselves here, or no levels meet one.
    """
    if firm.customers or firm.couples:
        what = "customers choose" if firm.customers else "products share a capacity"
        raise ValueError(f"stock against service is of levels product by product, and {what} here")
    found, measure = [], measure_of(firm)
    for aim in aims:
        name = f"{aim:g}"
        levels = meet_targets(_aimed(firm, measure, aim), seed=seed).levels
        played = evaluate(firm, {name: BaseStock(name, levels)}, episodes=episodes, seed=seed, compiled=quiet)
        own = played.to_json()["policies"][name]
        found.append(Aim(aim, own[measure], own["on_hand"]))
    return found


def _aimed(firm: Firm, measure: str, target: float) -> Firm:
    """The firm with one target for all that it sells."""
    points = {name: point.model_copy(update=dict.fromkeys(TARGETS)) for name, point in firm.stock_points.items()}
    return firm.model_copy(update={"service": Target.model_validate({measure: target}), "stock_points": points})

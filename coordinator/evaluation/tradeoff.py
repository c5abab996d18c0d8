"""Stock against service: what levels that meet one target after the other hold, in the same episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.evaluation.evaluate import evaluate
from departments.play.service import meet_targets
from departments.play.tuning import quiet
from departments.rules.ordering import BaseStock
from environment import Firm
from environment.parts import TARGETS, Target

AIMS = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)


@dataclass(frozen=True)
class Aim:
    """What levels for one target come to."""

    target: float  # of all that is sold
    reached: float  # share of demand served at once, or of cycles without a stock-out
    on_hand: float  # units, of the whole firm


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

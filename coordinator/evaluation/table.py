"""Results of several policies on the same episodes, as numbers and as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from coordinator.evaluation.check import drawn_warnings, warnings_of
from coordinator.shown import Shown
from departments.play.episode import Episodes
from environment import Firm


@dataclass(frozen=True, repr=False)
class Evaluation(Shown):
    """Results of several policies on the same episodes."""

    firm: Firm
    episodes: int
    results: dict[str, Episodes]

    def __rich__(self) -> RenderableType:
        """A table of all policies, with what each saves over the first."""
        return comparison(self, next(iter(self.results)))

    def difference(self, name: str, base: str) -> tuple[float, float]:
        """Cost of `name` less that of `base`: mean of paired differences, and its standard error, money an episode."""
        paired = self.results[name].cost - self.results[base].cost
        return float(paired.mean()), _standard_error(paired)

    def mean(self, name: str) -> tuple[float, float]:
        """Cost and its standard error, money an episode."""
        cost = self.results[name].cost
        return float(cost.mean()), _standard_error(cost)

    def to_json(self) -> dict[str, Any]:
        """The object that `evaluate --json` prints; profit instead of cost where prices are set."""
        sign, word = (-1.0, "profit") if self.firm.earns else (1.0, "cost")
        policies = {}
        for name, episodes in self.results.items():
            mean, error = self.mean(name)
            versus = {}
            for base in self.results:
                if base != name:
                    difference, spread = self.difference(name, base)
                    versus[base] = {"difference": sign * difference, "se": spread}
            policies[name] = {
                word: {"mean": sign * mean, "se": error},
                "fill_rate": fill_rate(episodes),
                "cycle_service_level": float(episodes.full_service.mean()),
                "on_hand": float(episodes.on_hand.sum()),
                "backlog" if self.firm.unmet == "backorder" else "lost_sales": float(episodes.unserved.sum()),
                "stock_points": self._stock_points(episodes),
                "versus": versus,
            }
        warnings = warnings_of(self.firm)
        return {"firm": self.firm.name, "episodes": self.episodes, "policies": policies, "warnings": warnings}

    def _stock_points(self, episodes: Episodes) -> dict[str, dict[str, float | None]]:
        facing = self.firm.customer_facing
        points: dict[str, dict[str, float | None]] = {}
        for n, name in enumerate(self.firm.names):
            points[name] = {
                "cost": float(episodes.point_cost[n]),
                "on_hand": float(episodes.on_hand[n]),
                "order_quantity": float(episodes.order_quantity[n]),
                "bullwhip_ratio": _known(episodes.bullwhip_ratio[n]),
                "inventory_turns": _known(episodes.inventory_turns[n]),
            }
            if name in facing:
                c = facing.index(name)
                points[name]["fill_rate"] = float(episodes.fill_rate[c])
                points[name]["cycle_service_level"] = float(episodes.full_service[c])
        return points


def fill_rate(episodes: Episodes) -> float:
    """Share of the whole firm's demand served from stock at once; 1 where nothing is asked for."""
    demand = episodes.demand.sum()
    return float(episodes.served_at_once.sum() / demand) if demand > 0 else 1.0


def _known(value: np.float64) -> float | None:
    """For JSON, which knows no nan."""
    return None if np.isnan(value) else float(value)


def _standard_error(values: np.typing.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def comparison(evaluation: Evaluation, base: str) -> RenderableType:
    """Cost (or profit) of every policy with the paired saving over `base`, then service and stock per stock point."""
    earns, firm = evaluation.firm.earns, evaluation.firm
    sign, word = (-1.0, "profit") if earns else (1.0, "cost")
    table = Table(
        title=f"{firm.name}: {evaluation.episodes:,} fresh episodes, the same for every policy", title_justify="left"
    )
    table.add_column("policy")
    for heading in (f"{word} ± se", "saving over the first", "%", "fill rate", "on hand"):
        table.add_column(heading, justify="right")
    reference, _ = evaluation.mean(base)
    for name, episodes in evaluation.results.items():
        mean, error = evaluation.mean(name)
        saving = "" if name == base else "{:+z,.1f} ± {:.1f}".format(*_saving(evaluation, name, base))
        percent = (
            "" if name == base else f"{100.0 * _saving(evaluation, name, base)[0] / (abs(reference) or 1.0):+z.2f}"
        )
        table.add_row(
            *(name, f"{sign * mean:z,.1f} ± {error:.1f}", saving, percent),
            *(f"{fill_rate(episodes):.4f}", f"{episodes.on_hand.sum():,.1f}"),
        )
    return Group(table, _points(evaluation), *drawn_warnings(warnings_of(evaluation.firm)))


def _saving(evaluation: Evaluation, name: str, base: str) -> tuple[float, float]:
    difference, error = evaluation.difference(name, base)
    return -difference, error


def _points(evaluation: Evaluation) -> Table:
    firm = evaluation.firm
    table = Table(title="per stock point (units a period; cost in money an episode)", title_justify="left")
    table.add_column("stock point")
    table.add_column("policy")
    for heading in ("cost", "on hand", "ordered", "fill rate", "periods without shortage", "bullwhip", "turns"):
        table.add_column(heading, justify="right")
    facing = firm.customer_facing
    for n, point in enumerate(firm.names):
        for i, (name, episodes) in enumerate(evaluation.results.items()):
            service = ("", "")
            if point in facing:
                c = facing.index(point)
                service = (f"{episodes.fill_rate[c]:.4f}", f"{episodes.full_service[c]:.4f}")
            table.add_row(
                point if i == 0 else "",
                name,
                f"{episodes.point_cost[n]:z,.1f}",
                f"{episodes.on_hand[n]:.1f}",
                f"{episodes.order_quantity[n]:.2f}",
                *service,
                *("" if np.isnan(x) else f"{x:.2f}" for x in (episodes.bullwhip_ratio[n], episodes.inventory_turns[n])),
                end_section=i == len(evaluation.results) - 1,
            )
    return table

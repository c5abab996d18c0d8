"""Results of several policies on the same episodes, as numbers and as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Column, Table

from coordinator.evaluation.check import drawn_warnings, warnings_of
from coordinator.shown import Shown
from departments.play.episode import Episodes
from departments.play.footprint import concentration, emissions, footprint
from departments.play.tail import WORST, tail
from environment import Firm, Network

_MEASURES = {  # of a stock point: what it is called in the table, and how many digits it has there
    "cost": ("cost", "z,.1f"),
    "on hand": ("on_hand", ".1f"),
    "ordered": ("order_quantity", ".2f"),
    "fill rate": ("fill_rate", ".4f"),
    "periods without shortage": ("period_service", ".4f"),
    "cycles without shortage": ("cycle_service", ".4f"),  # where these are not the periods
    "bullwhip": ("bullwhip_ratio", ".2f"),
    "turns": ("inventory_turns", ".2f"),
    "waste": ("waste", ".3f"),  # where something expires
    "emissions": ("emissions", ",.1f"),
    "suppliers' Herfindahl": ("supplier_concentration", ".3f"),  # where there are several
}

_FAR = 20  # times as far above the median as where the worst 5% begin: no law of demand goes there

_UNMET = {"backorder": "backlog", "lost": "lost_sales", "mixed": "unserved"}  # units of it, in `to_json`


@dataclass(frozen=True, repr=False)
class Evaluation(Shown):
    """Results of several policies on the same episodes."""

    firm: Firm
    episodes: int
    results: dict[str, Episodes]
    expected: dict[str, float] = field(default_factory=dict)  # money an episode costs, of policies that know it exactly

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

    def worst(self, name: str) -> tuple[float, float]:
        """Mean cost of the worst 5% of episodes and its standard error, money an episode."""
        adds = tail(self.results[name].cost)
        return float(adds.mean()), _standard_error(adds)

    def worst_difference(self, name: str, base: str) -> tuple[float, float]:
        """That of `name` less that of `base`, each in its own worst episodes, and the paired standard error."""
        paired = tail(self.results[name].cost) - tail(self.results[base].cost)
        return float(paired.mean()), _standard_error(paired)

    def to_json(self) -> dict[str, Any]:
        """The object that `evaluate --json` prints; profit instead of cost where prices are set."""
        sign, word = (-1.0, "profit") if self.firm.earns else (1.0, "cost")
        policies = {}
        for name, episodes in self.results.items():
            (mean, error), (_, worst_error) = self.mean(name), self.worst(name)
            late = episodes.recovery_time
            policies[name] = {
                word: {"mean": sign * mean, "se": error},
                "worst_5_percent": sign * episodes.worst,
                "worst_5_percent_se": worst_error,
                **({"recovery_time": None if np.isnan(late) else late} if self.firm.disrupted else {}),
                "fill_rate": _share(episodes.served_at_once, episodes.demand),
                "period_service": (periods := float(episodes.full_service.mean())),
                "cycle_service_level": periods,  # what it was called
                "cycle_service": _share(episodes.full_cycles * (episodes.cycles > 0), episodes.cycles),
                "on_hand": float(episodes.on_hand.sum()),
                **footprint(self.firm, episodes),
                _UNMET[self.firm.unmet_demand]: float(episodes.unserved.sum()),
                "stock_points": self._stock_points(episodes),
                **({"products": self._products(episodes)} if len(self.firm.products) > 1 else {}),
                **({"expected": sign * self.expected[name]} if name in self.expected else {}),
                "versus": {base: self._versus(name, base, sign) for base in self.results if base != name},
            }
        warnings = [*warnings_of(self.firm), *self._lost_their_way()]
        return {"firm": self.firm.name, "episodes": self.episodes, "policies": policies, "warnings": warnings}

    def _lost_their_way(self) -> Iterator[str]:
        """Policies that fail in a few episodes, and in nearly none that they were chosen on."""
        for name, episodes in self.results.items():
            cost = episodes.cost
            middle = float(np.median(cost))
            usual = float(np.quantile(cost, 1.0 - WORST)) - middle
            if usual > 0 and (lost := int((cost > middle + _FAR * usual).sum())):
                yield (
                    f"{name}: {lost:,} of {len(cost):,} episodes cost out of all proportion, over {_FAR} times as far "
                    "above the median as where the worst 5% begin: it may stop ordering in states that are rare"
                )

    def _versus(self, name: str, base: str, sign: float) -> dict[str, float]:
        (less, error), (worse, worse_error) = self.difference(name, base), self.worst_difference(name, base)
        worst = {"worst_5_percent_difference": sign * worse, "worst_5_percent_difference_se": worse_error}
        return {"difference": sign * less, "se": error} | worst

    def _products(self, episodes: Episodes) -> dict[str, dict[str, float]]:
        """Of each product, at all stock points together."""
        sold = episodes.cycles > 0
        return {
            name: {
                "on_hand": float(episodes.product_on_hand[:, k].sum()),
                "demand": float(episodes.product_demand[:, k].sum()),
                "fill_rate": _share(episodes.product_served_at_once[:, k], episodes.product_demand[:, k]),
                "cycle_service": _share((episodes.full_cycles * sold)[:, k], episodes.cycles[:, k]),
            }
            for k, name in enumerate(self.firm.products)
        }

    def _stock_points(self, episodes: Episodes) -> dict[str, dict[str, float | None]]:
        measures = ("order_quantity", "bullwhip_ratio", "inventory_turns")
        columns = {"cost": episodes.point_cost, "on_hand": episodes.on_hand}
        columns |= {name: getattr(episodes, name) for name in measures}
        points = {name: {key: _known(of[n]) for key, of in columns.items()} for n, name in enumerate(self.firm.names)}
        for c, name in enumerate(self.firm.customer_facing):
            points[name]["fill_rate"] = float(episodes.fill_rate[c])
            points[name]["period_service"] = points[name]["cycle_service_level"] = float(episodes.full_service[c])
            points[name]["cycle_service"] = float(episodes.cycle_service[c])
        for n, (name, point) in enumerate(self.firm.stock_points.items()):
            if point.shelf_life is not None:
                points[name]["waste"] = float(episodes.waste[n])
        network = Network.of(self.firm)
        emitted, concentrated = emissions(network, episodes), concentration(network, episodes)
        for n, name in enumerate(self.firm.names):
            if self.firm.emits:
                points[name]["emissions"] = float(emitted[n])
            if network.supplier_count[n] > 1:
                points[name]["supplier_concentration"] = _known(concentrated[n])
        return points


def _share(part: np.typing.NDArray[np.float64], whole: np.typing.NDArray[np.float64]) -> float:
    """All of the parts over all of the wholes; 1 of nothing."""
    return float(part.sum() / whole.sum()) if whole.sum() > 0 else 1.0


def _known(value: np.float64) -> float | None:
    """For JSON, which knows no nan."""
    return None if np.isnan(value) else float(value)


def _standard_error(values: np.typing.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _right(*headings: str) -> Iterator[Column]:
    return (Column(heading, justify="right") for heading in headings)


def comparison(evaluation: Evaluation, base: str) -> RenderableType:
    """Cost (or profit) of every policy with the paired saving over `base`, then service and stock per stock point."""
    sign, word = (-1.0, "profit") if evaluation.firm.earns else (1.0, "cost")
    found, title = evaluation.to_json(), "{firm}: {episodes:,} fresh episodes, the same for every policy"
    numbers = ["saving over the first", "%", "worst 5% ± se", "saving there", "fill rate", "on hand"]
    numbers += ["periods to recover"] * evaluation.firm.disrupted
    table = Table("policy", *_right(f"{word} ± se", *numbers), title=title.format(**found), title_justify="left")
    reference = abs(found["policies"][base][word]["mean"]) or 1.0
    for name, own in found["policies"].items():
        saving = percent = less = ""
        if name != base:
            paired = own["versus"][base]
            saved, error = -sign * paired["difference"], paired["se"]
            saving, percent = f"{saved:+z,.1f} ± {error:.1f}", f"{100.0 * saved / reference:+z.2f}"
            saved, error = -sign * paired["worst_5_percent_difference"], paired["worst_5_percent_difference_se"]
            less = f"{saved:+z,.1f} ± {error:.1f}"
        result = "{mean:z,.1f} ± {se:.1f}".format(**own[word])
        worst = f"{own['worst_5_percent']:z,.1f} ± {own['worst_5_percent_se']:.1f}"
        shown = [result, saving, percent, worst, less, f"{own['fill_rate']:.4f}", f"{own['on_hand']:,.1f}"]
        late = own.get("recovery_time")
        table.add_row(name, *shown, *["" if late is None else f"{late:.1f}"] * evaluation.firm.disrupted)
    exact = [
        f"{name}: exactly {own['expected']:z,.2f} an episode, of which {own[word]['mean']:z,.2f} is a sample"
        for name, own in found["policies"].items()
        if "expected" in own
    ]
    beside = _footprints(found["policies"])
    return Group(table, *exact, *beside, _points(found["policies"]), *drawn_warnings(found["warnings"]))


def _footprints(policies: dict[str, Any]) -> list[Table]:
    """Shipments, emissions, waste, and who is served how well, where a firm has more of it than shipments."""
    rows = {name: flat_footprint(own) for name, own in policies.items()}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    if not columns:
        return []
    table = Table("policy", *_right(*columns), title="footprint (a period) and fairness", title_justify="left")
    for name, row in rows.items():
        table.add_row(name, *(row.get(column, "") for column in columns))
    return [table]


def flat_footprint(own: dict[str, Any]) -> dict[str, str]:
    """The figures of `footprint` in a policy's object, by what they are called in tables; none of shipments alone."""
    shown = {"shipments": ",.2f", "emissions": ",.1f", "waste": ",.3f", "supplier_concentration": ".3f"}
    told = {key.replace("_", " "): f"{own[key]:{digits}}" for key, digits in shown.items() if own.get(key) is not None}
    for group in ("regions", "segments"):
        rates = own.get(group, {})
        told |= {f"fill rate {name}": f"{rate:.4f}" for name, rate in rates.items()}
        if len(rates) > 1:
            told[f"gap between {group}"] = f"{own['gaps'][group]:.4f}"
    return {} if list(told) == ["shipments"] else told


def _points(policies: dict[str, Any]) -> Table:
    """Of every stock point what each policy comes to; nothing where nothing is known."""
    title, places = "per stock point (units a period; cost in money an episode)", next(iter(policies.values()))
    told = {key for point in places["stock_points"].values() for key in point}
    rows = [row for own in policies.values() for row in own["stock_points"].values()]
    if all(row.get("cycle_service") == row.get("period_service") for row in rows):
        told -= {"cycle_service"}
    measures = {heading: shown for heading, shown in _MEASURES.items() if shown[0] in told}
    table = Table("stock point", "policy", *_right(*measures), title=title, title_justify="left")
    for point in places["stock_points"]:
        for i, (name, own) in enumerate(policies.items(), 1):
            values = [(own["stock_points"][point].get(key), digits) for key, digits in measures.values()]
            shown = ("" if value is None else f"{value:{digits}}" for value, digits in values)
            table.add_row(point if i == 1 else "", name, *shown, end_section=i == len(policies))
    return table

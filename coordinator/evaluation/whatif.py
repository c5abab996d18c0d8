"""`firmwide compare`: what a second supplier, a shorter lead time or another pack is worth, on the same demand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from coordinator.evaluation.evaluate import evaluate
from coordinator.shown import Shown
from departments.play.episode import Episodes
from departments.play.tuning import quiet
from environment import Firm, load_firm, parse_firm

_PART = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")
_WIDE = 1.96  # standard errors of a 95% interval


@dataclass(frozen=True, repr=False)
class WhatIf(Shown):
    """Firms on the same demand, each under its own policy; the first is what others are compared with."""

    policy: str
    firms: Mapping[str, Firm]
    results: Mapping[str, Episodes]  # [E] costs and measures, episode by episode the same demand

    def to_json(self) -> dict[str, Any]:
        """The object that `compare --json` prints; profit instead of cost where prices are set."""
        first, rows = next(iter(self.results.values())), {}
        for name, own in self.results.items():
            sign, word = (-1.0, "profit") if self.firms[name].earns else (1.0, "cost")
            less = sign * (own.cost - first.cost)
            asked = own.demand.sum()
            rows[name] = {
                word: {"mean": sign * float(own.cost.mean()), "±": _interval(own.cost)},
                "difference": {"mean": float(less.mean()), "±": _interval(less)},
                "fill_rate": float(own.served_at_once.sum() / asked) if asked > 0 else 1.0,
                "on_hand": float(own.on_hand.sum()),
            }
        return {"policy": self.policy, "episodes": len(first.cost), "firms": rows}

    def __rich__(self) -> RenderableType:
        """A row for each firm."""
        found, word = self.to_json(), "profit" if next(iter(self.firms.values())).earns else "cost"
        headings = (word, "± 95%", "difference", "± 95%", "fill rate", "on hand")
        table = Table("firm", *(Column(heading, justify="right") for heading in headings), show_edge=False)
        for place, (name, row) in enumerate(found["firms"].items()):
            apart = [f"{row['difference']['mean']:+z,.1f}", f"{row['difference']['±']:,.1f}"] if place else ["", ""]
            money = f"{row[word]['mean']:z,.1f}", f"{row[word]['±']:,.1f}"
            table.add_row(name, *money, *apart, f"{row['fill_rate']:.4f}", f"{row['on_hand']:,.1f}")
        head = f"{found['episodes']:,} episodes of the same demand, each firm under its own {self.policy}"
        return Group(Text(head, style="bold"), table)


def _interval(values: np.typing.NDArray[np.float64]) -> float:
    """Half of a 95% interval of the mean."""
    return float(_WIDE * values.std(ddof=1) / np.sqrt(len(values)))


def compare(
    sources: Sequence[str | Path | Firm],
    changes: Sequence[str] = (),
    *,
    policy: str = "tuned-base-stock",
    episodes: int = 4096,
    seed: int = 0,
    note: Callable[[str], None] = quiet,
) -> WhatIf:
    """Play firms on the same demand.

    Args:
        sources: firm files, or names of built-in firms; the first is what others are compared with.
        changes: each `PATH=VALUE`, such as `supply[0].lead_time=5`, of the first firm: all of them make one firm more.
        policy: a rule that each firm follows by itself.
        episodes: how many.
        seed: of the episodes.
        note: told how far a search for levels is.

    Raises:
        ValueError: one line; there is nothing to compare, a change names nothing, or demand is not the same.
    """
    firms = {str(source.name if isinstance(source, Firm) else source): load_firm(source) for source in sources}
    if len(firms) < len(sources):
        raise ValueError("FIRM: each must be given once")
    if changes:
        firms[" ".join(changes)] = changed(sources[0], changes)
    if len(firms) < 2:
        raise ValueError("compare needs two firms, or --set PATH=VALUE, such as --set supply[0].lead_time=5")
    longest = max((firm.periods for firm in firms.values()), key=lambda periods: (periods.evaluate, periods.warm_up))
    name, first = next(iter(firms.items()))
    for other, firm in firms.items():
        if _demand(firm) != _demand(first):
            raise ValueError(f"{other} has another demand than {name}, so the two cannot meet the same one")
    firms = {key: firm.model_copy(update={"periods": longest}) for key, firm in firms.items()}
    results = {}
    for key, firm in firms.items():
        note(f"playing {key}")
        results[key] = evaluate(firm, [policy], episodes=episodes, seed=seed, compiled=quiet, note=note).results[policy]
    return WhatIf(policy, firms, results)


def _demand(firm: Firm) -> tuple[Any, ...]:
    """All that decides what is drawn of demand."""
    rows = [None if (units := law.rows()) is None else units.tobytes() for of in firm.demand_laws() for law in of]
    laws = [mass.tobytes() for of in firm.demand_laws() for law in of for mass in law.phases()]
    customers = {name: clientele.model_dump_json() for name, clientele in firm.customers.items()}
    return firm.customer_facing, firm.products, laws, rows, customers, firm.correlation


def changed(source: str | Path | Firm, changes: Sequence[str]) -> Firm:
    """A firm with some fields of its file set.

    Raises:
        ValueError: one line; a change is not written as PATH=VALUE, names nothing, or makes no sense.
    """
    content = yaml.safe_load(load_firm(source).to_yaml())
    for change in changes:
        path, equals, value = change.partition("=")
        parts = [name or int(number) for name, number in _PART.findall(path)]
        if not equals or not parts:
            raise ValueError(f"--set is written as PATH=VALUE, such as supply[0].lead_time=5, got {change!r}")
        inner: Any = content
        for part in parts[:-1]:
            inner = _within(inner, part, path)
        if isinstance(inner, list):
            _within(inner, parts[-1], path)
        elif not isinstance(inner, dict) or isinstance(parts[-1], int):
            raise ValueError(f"--set {path}: there is no such field")
        try:
            inner[parts[-1]] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(f"--set {path}: the value must be as in a firm file, got {value!r}") from None
    return parse_firm(content)


def _within(inner: Any, part: str | int, path: str) -> Any:  # noqa: ANN401
    known = range(len(inner)) if isinstance(inner, list) else inner if isinstance(inner, dict) else ()
    if part not in known:
        raise ValueError(f"--set {path}: there is no {part!r}; there is {', '.join(map(str, known)) or 'nothing'}")
    return inner[part]

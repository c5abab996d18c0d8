"""A page of an evaluation: policies beside the curves of stock against service and of cost against emissions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from coordinator.evaluation.table import Evaluation, flat_footprint
from coordinator.evaluation.tradeoff import AIMS, cost_without_emissions, emissions_curve, measure_of, trade_off
from coordinator.report.charts import Line, lines
from coordinator.report.page import COLOURS, Block, Cell, Entry, Legend, Page, Section, Table, Text, numeric
from coordinator.storage.policies import write_atomically


def write_evaluation_page(found: Evaluation, path: Path, *, seed: int = 0) -> Path:
    """Draw policies beside levels tuned for one target after the other, on the same episodes; where it is.

    Raises:
        ValueError: one line; `path` is a folder.
    """
    if path.is_dir():
        raise ValueError(f"--html must be a file, got the folder {str(path)!r}")
    lead = Text(f"{found.episodes:,} fresh episodes, the same for every policy and for all levels.", "lead")
    sections = [Section("Policies", [_policies(found)]), Section("Stock against service", _curve(found, seed))]
    if found.firm.emits:
        sections.append(Section("Cost against emissions", _emissions(found, seed)))
    write_atomically(path, Page(f"Evaluation: {found.firm.name}", [lead], sections).html())
    return path


def _policies(found: Evaluation) -> Table:
    word = "profit" if found.firm.earns else "cost"
    body = [
        {
            "policy": Cell(name),
            f"{word} ± se": numeric(own[word]["mean"], 1, f"± {own[word]['se']:.1f}"),
            "worst 5% ± se": numeric(own["worst_5_percent"], 1, f"± {own['worst_5_percent_se']:.1f}"),
            "fill rate": numeric(own["fill_rate"], 4),
            "cycles without shortage": numeric(own["cycle_service"], 4),
            "on hand, units": numeric(own["on_hand"], 1),
            **{name: Cell(text) for name, text in flat_footprint(own).items()},
            **({"periods to recover": numeric(own["recovery_time"], 1)} if "recovery_time" in own else {}),
        }
        for name, own in found.to_json()["policies"].items()
    ]
    return Table(f"All policies, {word} in {found.firm.currency or 'money'} an episode", body, sortable=True)


def _curve(found: Evaluation, seed: int) -> list[Block]:
    firm, measure = found.firm, measure_of(found.firm)
    try:
        aims = trade_off(firm, AIMS, episodes=found.episodes, seed=seed)
    except ValueError as error:
        return [Text(f"There is no curve: {error}.", "note")]
    policies, word = found.to_json()["policies"], measure.replace("_", " ")
    drawn = [Line("ink", _share([aim.reached for aim in aims]), np.array([aim.on_hand for aim in aims]), marks=True)]
    entries = [Entry("base-stock levels, tuned for one target after the other", "ink")]
    for place, (name, own) in enumerate(policies.items()):
        colour = f"c{place % COLOURS}"
        drawn.append(Line(colour, _share([own[measure]]), np.array([own["on_hand"]]), marks=True))
        entries.append(Entry(name, colour))
    low, high = aims[0], aims[-1]
    reading = (
        f"From {low.on_hand:,.1f} units for {low.reached:.1%} to {high.on_hand:,.1f} for {high.reached:.2%}; what lies "
        "below the curve serves as well with less stock."
    )
    picture = lines("Stock that service takes", reading, drawn, f"{word}, %", "units on hand", size=(7.2, 4.0))
    body = [
        {"target": numeric(aim.target, 3), word: numeric(aim.reached, 4), "on hand, units": numeric(aim.on_hand, 1)}
        for aim in aims
    ]
    return [Legend(entries), picture, Table("Levels for one target at all points that sell", body)]


def _emissions(found: Evaluation, seed: int) -> list[Block]:
    """Each policy's cost without that of emissions, over what it emits, beside a rule for one price after the other."""
    drawn, entries, blocks = list[Line](), list[Entry](), list[Block]()
    try:
        rule, curve = emissions_curve(found.firm, episodes=found.episodes, seed=seed)
    except ValueError as error:
        blocks.append(Text(f"There is no curve: {error}.", "note"))
        reading = "Without what emissions cost."
    else:
        emitted, cost = np.array([at.emissions for at in curve]), np.array([at.cost for at in curve])
        drawn.append(Line("ink", emitted, cost, marks=True))
        entries.append(Entry(f"{rule} for one price of emissions after the other", "ink"))
        reading = (
            f"{rule} emits {emitted[0]:,.1f} a period at {cost[0]:,.1f} without a price, and {emitted[-1]:,.1f} at "
        )
        reading += f"{cost[-1]:,.1f} at {curve[-1].price:.3g} a unit; what lies below the curve costs less."
        columns = [{"price": numeric(at.price, 3), "emissions": numeric(at.emissions, 2)} for at in curve]
        body = [row | {"cost without it": numeric(at.cost, 1)} for row, at in zip(columns, curve, strict=True)]
        blocks.append(Table(f"{rule} by the price of emissions", body))
    for place, (name, own) in enumerate(found.to_json()["policies"].items()):
        at = np.array([own["emissions"]]), np.array([cost_without_emissions(found, name)])
        drawn.append(Line(f"c{place % COLOURS}", *at, marks=True))
        entries.append(Entry(name, f"c{place % COLOURS}"))
    money = f"cost without that of emissions, {found.firm.currency or 'money'} an episode"
    picture = lines("Cost that emissions save", reading, drawn, "emissions a period", money, size=(7.2, 4.0))
    return [Legend(entries), picture, *blocks]


def _share(values: list[float]) -> np.typing.NDArray[np.float64]:
    return 100.0 * np.array(values)

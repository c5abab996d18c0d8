"""The report of a training run: how departments learned, what was accepted, the final comparison, orders, settings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from coordinator.evaluation.table import flat_footprint
from coordinator.experiments.folder import read_json
from coordinator.experiments.options import flat
from coordinator.experiments.trial import samples_of
from coordinator.learning.settings import Settings
from coordinator.report.charts import Line, lines
from coordinator.report.order_curves import order_blocks
from coordinator.report.page import (
    COLOURS,
    Block,
    Cell,
    Entry,
    Facts,
    Figure,
    Fold,
    Grid,
    Legend,
    Page,
    Section,
    Table,
    Text,
    number,
    numeric,
    plus_minus,
)
from coordinator.report.service_section import service_section
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import settings_of, to_json
from coordinator.schemes.registry import scheme_of
from departments.policies.policy import JOINT, RECOMMENDATION
from environment import Firm

if TYPE_CHECKING:
    from pandas import DataFrame

_STEPS = "environment steps, millions"
_PAUSE = 1.5  # times its usual rest after which a learner has paused
MARKS = {"swapped": "dashdot", "rolled back": "dotted"}  # how events are drawn
MEASURES = {  # columns of metrics.csv: title, unit, digits
    "kl": ("KL divergence of an update", "nats", 4),
    "entropy": ("Entropy of the policy", "nats", 2),
    "clip_fraction": ("Clip fraction: samples whose ratio was clipped", "share", 3),
    "grad_norm": ("Norm of the gradient", "norm", 3),
    "learning_rate": ("Learning rate", "per step", 6),
}
CRITIC = {
    "value_loss": ("Value loss of the critic", "squared error", 3),
    "explained_variance": ("Variance of returns that the critic explains", "share", 2),
}


def run_page(path: Path) -> Page:
    """The whole report of a run, finished or in progress.

    Raises:
        ValueError: one line; a file of the run is damaged.
    """
    run = RunFolder(path)
    firm, settings = run.firm(), run.settings()
    metrics, events = run.table("metrics.csv"), run.table("events.csv")
    result = read_json(path / "result.json") if (path / "result.json").is_file() else None
    title = f"{firm.name} by {settings.scheme}, seed {settings.seed}"
    learners = dict.fromkeys([*firm.names, RECOMMENDATION, JOINT, *metrics.department])
    shown = [name for name in learners if (metrics.department == name).any()]
    colours = {name: f"c{place % COLOURS}" for place, name in enumerate(shown)}
    marks = _marks(metrics, events)
    sections = [
        Section("Result", _comparison(firm, settings, result, path)),
        Section("How it learned", _learning(firm, settings, metrics, colours, marks)),
        Section("Department by department", _departments(metrics, colours, marks)),
        *service_section(run),
        Section("Accepted policies", _accepted(firm, events)),
        Section("What the departments order", order_blocks(path)),
        Section("Settings", _settings(settings)),
    ]
    return Page(f"Run: {title}", _lead(metrics, result), sections)


def _lead(metrics: DataFrame, result: Any) -> list[Block]:  # noqa: ANN401
    blocks: list[Block] = []
    if rows := metrics.to_dict("records"):
        last, samples = rows[-1], samples_of(rows) / 1e6
        done = f"{last['iteration']:,.0f} iterations, {last['env_steps'] / 1e6:.2f} million environment steps"
        blocks.append(Text(f"{done} and {samples:.2f} million samples in {last['seconds']:,.0f} s.", "lead"))
    if result is None:
        cause = "no iteration is done yet" if metrics.empty else "the final comparison is not there yet"
        blocks.append(Text(f"This run is in progress, or was stopped: {cause}.", "warning"))
    return blocks


class Mark(NamedTuple):
    """A policy that was swapped in, or back."""

    department: str
    at: float  # million environment steps
    event: str  # of events.csv

    @property
    def line(self) -> str:
        """How it is drawn."""
        return MARKS[self.event]


def _marks(metrics: DataFrame, events: DataFrame) -> list[Mark]:
    found = []
    for event in events[events.event.isin(list(MARKS))].to_dict("records"):
        before = metrics.env_steps[metrics.iteration <= event["iteration"]]
        at = 0.0 if before.empty else float(before.iloc[-1]) / 1e6
        found.append(Mark(str(event["department"]), at, str(event["event"])))
    return found


def _marked(marks: Sequence[Mark]) -> list[Entry]:
    """What vertical lines mean."""
    return [
        Entry(f"a policy {event}", "muted", line) for event, line in MARKS.items() if event in {m.event for m in marks}
    ]


def line_of(colour: str, own: DataFrame, column: str, sign: float = 1.0, marks: bool = False) -> Line:
    """A measure over steps; where a learner rested longer than usual nothing is drawn between before and after."""
    x, y = own.env_steps.to_numpy() / 1e6, sign * own[column].to_numpy()
    rests = np.diff(own.iteration.to_numpy())
    if len(rests):
        after = np.flatnonzero(rests > _PAUSE * np.median(rests)) + 1
        x, y = np.insert(x, after, x[after]), np.insert(y, after, np.nan)
        marks = marks or bool(len(after))
    return Line(colour, x, y, marks=marks)


def _sign(firm: Firm) -> tuple[float, str]:
    return (-1.0, "profit") if firm.earns else (1.0, "cost")


def _learning(
    firm: Firm, settings: Settings, metrics: DataFrame, colours: Mapping[str, str], marks: Sequence[Mark]
) -> list[Block]:
    sign, unit = _sign(firm)
    rows = metrics.dropna(subset="cost")
    if rows.empty:
        return [Text("No policy has been evaluated yet.", "warning")]
    if not scheme_of(settings.scheme).turns or rows.department.nunique() == 1:
        rows = _once(rows).assign(department="all departments")
    learners = {str(name): own for name, own in rows.groupby("department", sort=False)}
    entries = [Entry(name, colours.get(name, "c0")) for name in learners]
    series = [
        line_of(entry.colour, own, "cost", sign, marks=True)
        for entry, own in zip(entries, learners.values(), strict=True)
    ]
    start = sign * float(metrics.benchmark_cost[0])
    best = float((sign * rows.cost).max() if firm.earns else rows.cost.min())
    change = 100.0 * abs(best - start) / abs(start) if start else math.nan
    word = "better" if (best > start) == firm.earns else "worse"
    reading = (
        f"From {number(start)} at the start to {number(best)} at best, {number(change)}% {word}, in "
        f"{rows.env_steps.iloc[-1] / 1e6:.2f} million steps."
    )
    title = f"{unit.capitalize()} on selection episodes; {'higher' if firm.earns else 'lower'} is better"
    label, levels = f"{unit}, {firm.currency or 'money'} an episode", [(start, "dashed")]
    at = [(mark.at, mark.line) for mark in marks]
    reading += "".join(f" {mark.department}: {mark.event} at {number(mark.at, 2)} million steps." for mark in marks)
    figure = lines(title, reading, series, _STEPS, label, levels=levels, marks=at, size=(7.2, 3.2))
    return [Legend([*entries, Entry("where training started", "ink", "dashed"), *_marked(marks)]), figure]


def _once(rows: DataFrame) -> DataFrame:
    """One row an iteration, where all departments learn at once."""
    return rows.drop_duplicates("iteration", keep="last")


def _departments(metrics: DataFrame, colours: Mapping[str, str], marks: Sequence[Mark]) -> list[Block]:
    if metrics.empty:
        return [Text("No iteration is done yet.", "warning")]
    at = [(mark.at, mark.line) for mark in marks]
    figures = [_measure(metrics, column, *about, colours, at) for column, about in MEASURES.items()]
    critic = _once(metrics).assign(department="critic")
    figures += [_measure(critic, column, *about, {"critic": "muted"}, at) for column, about in CRITIC.items()]
    entries = [*(Entry(name, colour) for name, colour in colours.items()), *_marked(marks)]
    return [Legend(entries), Grid([figure for figure in figures if figure is not None])]


def _measure(
    rows: DataFrame,
    column: str,
    title: str,
    unit: str,
    digits: int,
    colours: Mapping[str, str],
    marks: Sequence[tuple[float, str]],
) -> Figure | None:
    """A measure of each learner as it learned; None where nobody has it."""
    learners = {str(name): own for name, own in rows.groupby("department", sort=False) if own[column].notna().any()}
    if not learners:
        return None
    means = {name: own[column].mean() for name, own in learners.items()}
    high, low = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    reading = f"Mean {number(means[high], digits)}"
    if len(means) > 1:
        reading = f"Mean {number(means[low], digits)} ({low}) to {number(means[high], digits)} ({high})"
    ends = learners[high][column].dropna()
    reading += f"; {high} went from {number(ends.iloc[0], digits)} to {number(ends.iloc[-1], digits)}."
    series = [line_of(colours[name], own, column) for name, own in learners.items()]
    return lines(title, reading, series, _STEPS, unit, marks=marks, log=column == "learning_rate")


def _accepted(firm: Firm, events: DataFrame) -> list[Block]:
    unit = _sign(firm)[1]
    rows, blocks = events[events.event == "accepted"], list[Block]()
    if rows.empty:
        blocks.append(Text("No policy has been accepted yet.", "note"))
    else:
        body = [
            {
                "department": Cell(event["department"]),
                "version": numeric(event["version"], 0),
                "iteration": numeric(event["iteration"], 0),
                "after, s": numeric(event["seconds"], 1),
                f"gain in {unit} ± se, an episode": numeric(event["gain"], 1, f"± {number(event['standard_error'])}")
                if math.isfinite(event["gain"])
                else Cell("not tested"),
            }
            for event in rows.to_dict("records")
        ]
        gained = f", {number(rows.gain.sum())} of {unit} gained in all on acceptance episodes"
        reading = f"{len(rows)} accepted{gained if rows.gain.notna().any() else ''}."
        blocks.append(Table("Policies that were accepted", body, reading, sortable=True))
    if restarts := int((events.event == "restarted").sum()):
        blocks.append(Text(f"Workers were restarted {restarts} times; the iterations concerned were repeated.", "note"))
    return blocks


def _comparison(firm: Firm, settings: Settings, result: Any, path: Path) -> list[Block]:  # noqa: ANN401
    if result is None:
        return [Text("It is made when training ends.", "warning")]
    unit = _sign(firm)[1]
    try:
        if "scheme" in result:
            return [_trial_result(result, unit)]
        tables: list[Block] = [_compared(result, firm, settings.scheme), _places(result, firm)]
        return tables + ([_products(result, settings.scheme)] if _by_product(result) else [])
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ValueError(f"{path / 'result.json'} is damaged ({error!r}): resume the run to write it again") from None


def _trial_result(result: Mapping[str, Any], unit: str) -> Table:
    """A trial of a benchmark, which is compared with the rules there."""
    body = [
        {
            "policy": Cell(name),
            f"{unit} ± se": numeric(own["result"], 1, f"± {number(own['se'])}"),
            "fill rate": numeric(own["fill_rate"], 4),
            "order variability": numeric(own["order_variability"], 2),
        }
        for name, own in result["policies"].items()
    ]
    reading = (
        f"On {result['episodes']:,} fresh episodes; the report of the benchmark compares it with rules and schemes."
    )
    return Table("This trial", body, reading)


def _compared(result: Mapping[str, Any], firm: Firm, scheme: str) -> Table:
    policies, unit = result["policies"], _sign(firm)[1]
    base = next(iter(policies))
    body = []
    for name, own in policies.items():
        paired = own["versus"].get(base, {"difference": None, "se": None})
        share = None if name == base else 100.0 * paired["difference"] / abs(policies[base][unit]["mean"])
        row = {
            "policy": Cell(name),
            f"{unit} ± se": numeric(own[unit]["mean"], 1, f"± {number(own[unit]['se'])}"),
            f"{unit} less that of {base} ± se": numeric(paired["difference"], 1, f"± {number(paired['se'])}", sign="+"),
            "%": numeric(share, 2, sign="+"),
            "worst 5% ± se": _paired(own, "worst_5_percent", "worst_5_percent_se"),
            f"worst 5% less that of {base} ± se": _paired(
                paired, "worst_5_percent_difference", "worst_5_percent_difference_se", sign="+"
            ),
            "fill rate": numeric(own["fill_rate"], 4),
            "on hand, units": numeric(own["on_hand"], 1),
            **{name: Cell(text) for name, text in flat_footprint(own).items()},
            **({"periods to recover": numeric(own["recovery_time"], 1)} if "recovery_time" in own else {}),
        }
        body.append(row)
    against = policies[scheme]["versus"]
    found = (f"{plus_minus(own['difference'], own['se'], 1, '+')} to {name}" for name, own in against.items())
    reading = f"{scheme}, paired: {', '.join(found)} (± standard error)."
    money = firm.currency or "money"
    caption = f"{result['episodes']:,} fresh episodes, the same for every policy; {unit} in {money} an episode"
    return Table(caption, body, reading, sortable=True)


def _paired(values: Mapping[str, Any], value: str, error: str, sign: str = "") -> Cell:
    """A number and its standard error; nothing in runs of before, which do not tell them."""
    if values.get(value) is None:
        return Cell("")
    return numeric(values[value], 1, f"± {number(values[error])}", sign=sign)


def _places(result: Mapping[str, Any], firm: Firm) -> Table:
    """What every policy comes to at every stock point."""
    (sign, unit), measures = _sign(firm), {"on_hand": 1, "order_quantity": 2, "fill_rate": 4, "inventory_turns": 2}
    body = [
        {"stock point": Cell(point), "policy": Cell(name), unit: numeric(sign * own["cost"], 1)}
        | {measure.replace("_", " "): numeric(own.get(measure), digits) for measure, digits in measures.items()}
        for point in firm.names
        for name, policy in result["policies"].items()
        for own in [policy["stock_points"][point]]
    ]
    return Table(f"By stock point: {unit} an episode, units a period", body, sortable=True)


def _by_product(result: Mapping[str, Any]) -> bool:
    """Whether there are several products; runs of versions before do not tell of each."""
    return all("products" in policy for policy in result["policies"].values())


def _products(result: Mapping[str, Any], scheme: str) -> Table:
    """What every policy comes to with every product, those first that the trained departments serve worst."""
    measures = {"demand": 2, "on_hand": 1, "fill_rate": 4, "cycle_service": 4}
    own = result["policies"][scheme]["products"]
    body = [
        {"product": Cell(product), "policy": Cell(name)}
        | {
            measure.replace("_", " "): numeric(policy["products"][product][measure], d)
            for measure, d in measures.items()
        }
        for product in sorted(own, key=lambda product: float(own[product]["fill_rate"]))
        for name, policy in result["policies"].items()
    ]
    return Table("By product, at all stock points: units a period", body, sortable=True)


def _settings(settings: Settings) -> list[Block]:
    given, usual = (flat(to_json(some)) for some in (settings, settings_of(scheme=settings.scheme)))
    everything = {name: json.dumps(value) for name, value in given.items()}
    changed = [(name, text) for name, text in everything.items() if name not in usual or given[name] != usual[name]]
    return [
        Text("What differs from the defaults:" if changed else "All settings are the defaults.", "note"),
        Facts(changed),
        Fold("All settings", [Facts(list(everything.items()))]),
    ]

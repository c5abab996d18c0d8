"""The report of a training run: how departments learned, what was accepted, the final comparison, orders, settings."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.experiments.folder import read_json
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
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import settings_of, to_json
from coordinator.schemes.registry import scheme_of
from departments.policies.policy import JOINT, RECOMMENDATION
from environment import Firm

Rows = Sequence[Mapping[str, str]]
MEASURES = {  # columns of metrics.csv: title, unit, digits
    "kl": ("KL divergence of an update", "nats", 4),
    "entropy": ("Entropy of the policy", "nats", 2),
    "clip_fraction": ("Clip fraction: samples whose ratio was clipped", "share", 3),
    "grad_norm": ("Norm of the gradient", "norm", 3),
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
    metrics, events = _rows(run, "metrics.csv"), _rows(run, "events.csv")
    result = read_json(path / "result.json") if (path / "result.json").is_file() else None
    title = f"{firm.name} by {settings.scheme}, seed {settings.seed}"
    sections = [
        Section("How it learned", _learning(firm, settings, metrics)),
        Section("Department by department", _departments(firm, settings, metrics)),
        Section("Accepted policies", _accepted(firm, events)),
        Section("Final comparison", _comparison(firm, settings, result, path)),
        Section("What the departments order", order_blocks(path)),
        Section("Settings", _settings(settings)),
    ]
    return Page(f"Run: {title}", _lead(firm, settings, metrics, result), sections)


def _rows(run: RunFolder, name: str) -> Rows:
    try:
        rows, text = run.rows(name), (run.path / name).read_text()
        rows = rows if text.endswith("\n") else rows[:-1]  # a line that is being written
        for row in rows:
            float(row["iteration"]), float(row["seconds"])
        return rows
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{run.path / name} is damaged ({error!r}): resume the run, or take a copy") from None


def _lead(firm: Firm, settings: Settings, metrics: Rows, result: Any) -> list[Block]:  # noqa: ANN401
    blocks: list[Block] = []
    if metrics:
        last = metrics[-1]
        blocks.append(
            Text(
                f"{float(last['iteration']):,.0f} iterations, {float(last['env_steps']) / 1e6:.2f} million environment "
                f"steps and {samples_of(metrics) / 1e6:.2f} million samples in {float(last['seconds']):,.0f} s.",
                "lead",
            )
        )
    if result is None:
        cause = "no iteration is done yet" if not metrics else "the final comparison is not there yet"
        blocks.append(Text(f"This run is in progress, or was stopped: {cause}.", "warning"))
    return blocks


def _sign(firm: Firm) -> tuple[float, str]:
    return (-1.0, "profit") if firm.earns else (1.0, "cost")


def _learning(firm: Firm, settings: Settings, metrics: Rows) -> list[Block]:
    sign, unit = _sign(firm)
    rows = [row for row in metrics if row.get("cost")]
    if not rows:
        return [Text("No policy has been evaluated yet.", "warning")]
    learners = _by_department(rows if scheme_of(settings.scheme).turns else _once(rows))
    colours = _colours(firm, settings, metrics)
    series = []
    for name, own in learners.items():
        x, y = _column(own, "env_steps") / 1e6, sign * _column(own, "cost")
        series.append(Line(colours[name] if len(learners) > 1 else "c0", x, y, marks=True))
    start = sign * float(metrics[0]["benchmark_cost"])
    everything = np.concatenate([line.y for line in series])
    best = float(everything.max() if firm.earns else everything.min())
    change = 100.0 * abs(best - start) / abs(start) if start else math.nan
    word = "better" if (best > start) == firm.earns else "worse"
    reading = (
        f"From {number(start)} at the start to {number(best)} at best, {number(change)}% {word}, in "
        f"{float(rows[-1]['env_steps']) / 1e6:.2f} million steps."
    )
    title = f"{unit.capitalize()} on selection episodes; {'higher' if firm.earns else 'lower'} is better"
    label = f"{unit}, money an episode"
    svg = lines(
        series, f"{title}. {reading}", "environment steps, millions", label, [(start, "dashed")], size=(7.2, 3.2)
    )
    entries = [Entry(name, colours[name]) for name in learners] if len(learners) > 1 else []
    if not entries:
        entries = [Entry("all departments", "c0")]
    return [Legend([*entries, Entry("where training started", "ink", "dashed")]), Figure(title, reading, svg)]


def _once(rows: Rows) -> Rows:
    """One row an iteration, where all departments learn at once."""
    return list({row["iteration"]: row for row in rows}.values())


def _by_department(rows: Rows) -> dict[str, Rows]:
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        found.setdefault(row["department"], []).append(row)
    return {name: own for name, own in found.items()}


def _colours(firm: Firm, settings: Settings, metrics: Rows) -> dict[str, str]:
    names = list(dict.fromkeys([*firm.names, RECOMMENDATION, JOINT, *(row["department"] for row in metrics)]))
    shown = [name for name in names if any(row["department"] == name for row in metrics)]
    return {name: f"c{place % COLOURS}" for place, name in enumerate(shown)}


def _column(rows: Rows, name: str) -> np.typing.NDArray[np.float64]:
    return np.array([float(row.get(name) or "nan") for row in rows])


def _departments(firm: Firm, settings: Settings, metrics: Rows) -> list[Block]:
    if not metrics:
        return [Text("No iteration is done yet.", "warning")]
    learners, colours = _by_department(metrics), _colours(firm, settings, metrics)
    steps = {name: _column(own, "env_steps") for name, own in learners.items()}
    figures = []
    for column, (title, unit, digits) in MEASURES.items():
        values = {name: _column(own, column) for name, own in learners.items()}
        figures.append(_measure(title, unit, digits, steps, values, colours))
    rates = {name: _column(own, "learning_rate") for name, own in learners.items()}
    figures.append(_measure("Learning rate", "per step", 6, steps, rates, colours, log=True))
    once = {"critic": _once(metrics)}
    for column, (title, unit, digits) in CRITIC.items():
        values = {"critic": _column(once["critic"], column)}
        at = {"critic": _column(once["critic"], "env_steps")}
        figures.append(_measure(title, unit, digits, at, values, {"critic": "muted"}))
    shown = [figure for figure in figures if figure is not None]
    entries = [Entry(name, colour) for name, colour in colours.items()]
    return [Legend(entries), Grid(shown)]


def _measure(
    title: str,
    unit: str,
    digits: int,
    steps: Mapping[str, Any],
    values: Mapping[str, Any],
    colours: Mapping[str, str],
    log: bool = False,
) -> Figure | None:
    known = {name: own for name, own in values.items() if np.isfinite(own).any()}
    if not known:
        return None
    means = {name: float(np.nanmean(own)) for name, own in known.items()}
    high, low = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    reading = f"Mean {number(means[high], digits)}"
    if len(means) > 1:
        reading = f"Mean {number(means[low], digits)} ({low}) to {number(means[high], digits)} ({high})"
    ends = known[high][np.isfinite(known[high])]
    reading += f"; {high} went from {number(float(ends[0]), digits)} to {number(float(ends[-1]), digits)}."
    series = [Line(colours[name], steps[name] / 1e6, own) for name, own in known.items()]
    svg = lines(series, f"{title}. {reading}", "environment steps, millions", unit, log=log)
    return Figure(title, reading, svg)


def _accepted(firm: Firm, events: Rows) -> list[Block]:
    unit = _sign(firm)[1]
    rows = [event for event in events if event["event"] == "accepted"]
    restarts = sum(event["event"] == "restarted" for event in events)
    blocks: list[Block] = []
    if rows:
        body = []
        for event in rows:
            gain, error = float(event["gain"] or "nan"), float(event["standard_error"] or "nan")
            cells = [Cell(event["department"]), Cell(event["version"], float(event["version"]))]
            cells += [numeric(float(event["iteration"]), 0), numeric(float(event["seconds"]), 1)]
            cells.append(numeric(gain, 1, f"± {number(error)}") if math.isfinite(gain) else Cell("not tested"))
            body.append(cells)
        gains = [float(event["gain"]) for event in rows if event["gain"] not in ("", "nan")]
        reading = f"{len(rows)} accepted"
        reading += f", {number(sum(gains))} of {unit} gained in all on acceptance episodes." if gains else "."
        headings = ["department", "version", "iteration", "after, s", f"gain in {unit} ± se, an episode"]
        blocks.append(Table("Policies that were accepted", headings, body, reading, sortable=True))
    else:
        blocks.append(Text("No policy has been accepted yet.", "note"))
    if restarts:
        blocks.append(Text(f"Workers were restarted {restarts} times; the iterations concerned were repeated.", "note"))
    return blocks


def _comparison(firm: Firm, settings: Settings, result: Any, path: Path) -> list[Block]:  # noqa: ANN401
    if result is None:
        return [Text("It is made when training ends.", "warning")]
    unit = _sign(firm)[1]
    try:
        return [_trial_result(result, unit) if "scheme" in result else _compared(result, unit, settings.scheme)]
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ValueError(f"{path / 'result.json'} is damaged ({error!r}): resume the run to write it again") from None


def _trial_result(result: Mapping[str, Any], unit: str) -> Table:
    """A trial of a benchmark, which is compared with the rules there."""
    body = [
        [
            Cell(name),
            numeric(own["result"], 1, f"± {number(own['se'])}"),
            numeric(own["fill_rate"], 4),
            numeric(own["order_variability"], 2),
        ]
        for name, own in result["policies"].items()
    ]
    reading = (
        f"On {result['episodes']:,} fresh episodes; the report of the benchmark compares it with rules and schemes."
    )
    return Table("This trial", ["policy", f"{unit} ± se", "fill rate", "order variability"], body, reading)


def _compared(result: Mapping[str, Any], unit: str, scheme: str) -> Table:
    policies = result["policies"]
    base = next(iter(policies))
    headings = ["policy", f"{unit} ± se", f"{unit} less that of {base} ± se", "%", "fill rate", "on hand, units"]
    body = []
    for name, own in policies.items():
        cells = [Cell(name), numeric(own[unit]["mean"], 1, f"± {number(own[unit]['se'])}")]
        if name == base:
            cells += [Cell(""), Cell("")]
        else:
            paired = own["versus"][base]
            cells.append(numeric(paired["difference"], 1, f"± {number(paired['se'])}", sign="+"))
            cells.append(numeric(100.0 * paired["difference"] / abs(policies[base][unit]["mean"]), 2, sign="+"))
        body.append([*cells, numeric(own["fill_rate"], 4), numeric(own["on_hand"], 1)])
    against = policies[scheme]["versus"]
    found = (f"{plus_minus(own['difference'], own['se'], 1, '+')} to {name}" for name, own in against.items())
    reading = f"{scheme}, paired: {', '.join(found)} (± standard error)."
    caption = f"{result['episodes']:,} fresh episodes, the same for every policy; {unit} in money an episode"
    return Table(caption, headings, body, reading, sortable=True)


def _settings(settings: Settings) -> list[Block]:
    given, usual = (_flat(to_json(some)) for some in (settings, settings_of(scheme=settings.scheme)))
    changed = [(name, value) for name, value in given.items() if value != usual.get(name)]
    return [
        Text("What differs from the defaults:" if changed else "All settings are the defaults.", "note"),
        Facts(changed),
        Fold("All settings", [Facts(list(given.items()))]),
    ]


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in content.items():
        nested = isinstance(value, dict) and value
        flat |= _flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": json.dumps(value)}
    return flat

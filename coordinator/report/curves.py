"""Learning curves of a benchmark's report, and what information is worth."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from coordinator.experiments.benchmark import OBSERVATIONS
from coordinator.experiments.curves import on_common_grid
from coordinator.experiments.folder import BenchmarkFolder
from coordinator.experiments.trial import RULES
from coordinator.report.charts import Dots, Line, dots, lines
from coordinator.report.page import Block, Entry, Figure, Grid, Legend, Section, Text, listed, number, plus_minus

RULE_LINES = ("dashed", "dotted", "dashdot")
_LEAST_BAND = 3  # trials: the interval of two is some thirteen standard errors wide to each side
_STEPS = "environment steps, millions"
_NEAR = 0.25  # of the range of all curves: what ends so near the best is shown close up too


def learning_curves(
    found: BenchmarkFolder, firms: Sequence[str], colours: dict[str, str], legend: Sequence[Entry]
) -> list[Block]:
    """A picture per firm: mean over trials with 95% intervals, rules as horizontal lines."""
    rules = list(dict.fromkeys(rule for firm in firms for rule in found.rules(firm)))
    kinds = {rule: RULE_LINES[found.rules(firm).index(rule) % 3] for firm in firms for rule in found.rules(firm)}
    entries = [*legend, *(Entry(rule, "ink", kinds[rule]) for rule in rules)]
    note = (
        "Mean over trials, with its 95% interval from three trials on, on the selection episodes of the runs, as far "
        "as every trial of a scheme got; rules, on the report's episodes, as horizontal lines."
    )
    figures = [figure for firm in firms for figure in _curves_of(found, firm, colours, kinds)]
    return [Text(note, "note"), Legend(entries), Grid(figures)]


def _curves_of(found: BenchmarkFolder, firm: str, colours: dict[str, str], kinds: dict[str, str]) -> list[Figure]:
    """The curves of a firm, and once more those near the best where others are far away."""
    series: dict[str, Line] = {}
    for scheme in found.schemes[firm]:
        curves = [
            trial.about["curve"]
            for trial in found.trials[firm]
            if trial.about["scheme"] == scheme and len(trial.about.get("curve", ())) > 1
        ]
        if curves:
            grid, mean, half = on_common_grid(curves)
            band = (mean - half, mean + half) if len(curves) >= _LEAST_BAND else (None, None)
            series[scheme] = Line(colours[scheme], grid / 1e6, mean, *band)
    if not series:
        return []
    unit = found.rows[firm][0]["unit"]
    levels = [(row["result"], kinds[row["policy"]]) for row in found.rows[firm] if row["scheme"] == RULES]
    ends = {scheme: float(line.y[-1]) for scheme, line in series.items()}
    scheme = (max if unit == "profit" else min)(ends, key=ends.__getitem__)
    better = f"{unit}, {'higher' if unit == 'profit' else 'lower'} is better"
    label = f"{unit}, money an episode"
    limits = _limits(list(series.values()), [level for level, _ in levels], unit)
    beyond = [name for name in series if not limits[0] <= ends[name] <= limits[1]]
    reading = _curve_reading(scheme, series[scheme])
    reading += f" {listed(beyond)} ended beyond the picture." if beyond else ""
    title, drawn = f"{firm}: {better}", list(series.values())
    figures = [lines(title, reading, drawn, _STEPS, label, levels=levels, limits=limits)]
    near = [name for name in series if abs(ends[name] - ends[scheme]) < _NEAR * (limits[1] - limits[0])]
    if 1 < len(near) < len(series):
        close = [series[name] for name in near]
        limits = _limits(close, [], unit)
        apart = f"At the end {number(abs(max(ends[n] for n in near) - min(ends[n] for n in near)))} lie between them."
        title = f"{firm}: {listed(near)} close up"
        figures.append(lines(title, apart, close, _STEPS, label, levels=levels, limits=limits))
    return figures


def _limits(series: Sequence[Line], levels: Sequence[float], unit: str) -> tuple[float, float]:
    """What has to be seen: where curves start, the best that they reach, the rules; not how far a bad trial went."""
    best = [float(line.y.max() if unit == "profit" else line.y.min()) for line in series]
    seen = [*best, *(float(line.y[0]) for line in series), *levels]
    margin = max(0.3 * (max(seen) - min(seen)), 0.02 * abs(max(seen))) or 1.0
    return min(seen) - margin, max(seen) + margin


def _curve_reading(scheme: str, line: Line) -> str:
    mean = line.y
    half = math.nan if line.high is None else float(line.high[-1] - mean[-1])
    gained = (mean - mean[0]) / (mean[-1] - mean[0]) if mean[-1] != mean[0] else np.ones(len(mean))
    soon = float(line.x[int(np.argmax(gained >= 0.8))])
    return (
        f"{scheme} ends best, at {plus_minus(float(mean[-1]), half, 0)}, with four fifths of its gain after "
        f"{number(soon, 2)} of {number(float(line.x[-1]), 2)} million steps."
    )


def information(found: BenchmarkFolder, firms: Sequence[str]) -> list[Section]:
    """What departments see, where the folder holds a scheme with several observation sets."""
    blocks: list[Block] = []
    for firm in firms:
        seen: dict[str, dict[str, str]] = {}  # scheme of the settings -> observation -> name in the folder
        for scheme in found.schemes[firm]:
            settings = _settings(found, firm, scheme)
            seen.setdefault(settings[0], {})[settings[1]] = scheme
        for base, names in seen.items():
            if len(names) > 1 and found.rules(firm):
                blocks.append(_information_of(found, firm, base, names))
    if not blocks:
        return []
    note = "The same scheme, where only what the departments see differs. The rule sees each point's own position."
    return [Section("What information is worth", [Text(note, "note"), Grid(blocks)])]


def _settings(found: BenchmarkFolder, firm: str, scheme: str) -> tuple[str, str]:
    """Scheme and observation set as the settings of a trial say; none where the scheme says who sees what."""
    file = found.run(found.of(firm, scheme)[0]) / "settings.json"
    try:
        content: dict[str, Any] = json.loads(file.read_text())
        return str(content["scheme"]), str(content["policy"].get("observation", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} cannot be read as settings: {error!r}") from None


def _information_of(found: BenchmarkFolder, firm: str, base: str, names: dict[str, str]) -> Figure:
    rule = found.rules(firm)[0]
    order = sorted(names, key=lambda name: OBSERVATIONS.index(name) if name in OBSERVATIONS else len(OBSERVATIONS))
    column, rows, means = f"saving % over {rule}", [], []
    for place, observation in enumerate(order):
        values = np.array([row[column] for row in found.of(firm, names[observation])], dtype=np.float64)
        rows.append(Dots(observation, f"c{place}", values))
        means.append(f"{observation} {number(float(values.mean()), 1, '+')}%")
    reading = f"Mean saving by what is seen: {', '.join(means)}."
    title = f"{firm}: {base} by what departments see"
    return dots(title, reading, rows, f"saving over {rule}, %")

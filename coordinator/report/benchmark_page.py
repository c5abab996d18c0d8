"""The report of a benchmark: savings by scenario and scheme, trials, learning curves, orders, time, how it was done.

What [I] (Ziegner et al., arXiv 2503.18201) shows in its figures 5-10, with intervals; for firms with customers the same
of the schemes of [M] (Jiang et al., arXiv 2510.04272), with fill rate and order variability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from coordinator.experiments.folder import BenchmarkFolder
from coordinator.experiments.tables import SAVING
from coordinator.report.charts import Dots, dots
from coordinator.report.curves import information, learning_curves
from coordinator.report.firm_section import scenario, time_table
from coordinator.report.page import (
    COLOURS,
    Block,
    Cell,
    Entry,
    Facts,
    Figure,
    Fold,
    Grid,
    Page,
    Section,
    Table,
    Text,
    listed,
    number,
    plus_minus,
)


def benchmark_page(found: BenchmarkFolder) -> Page:
    """The whole report."""
    firms = [firm for firm in found.trials if found.schemes[firm]]
    schemes = found.all_schemes
    what = firms[0] if len(firms) == 1 else f"{len(firms)} scenarios"
    title = f"Benchmark: {what}, {len(schemes)} scheme{'s' * (len(schemes) != 1)}"
    colours = {scheme: f"c{number % COLOURS}" for number, scheme in enumerate(schemes)}
    if not firms:
        how = Section("How it was measured", how_measured(found))
        return Page("Benchmark: nothing is finished yet", _lead(found, firms), [how])
    legend = [Entry(scheme, colours[scheme]) for scheme in schemes]
    sections = [
        Section("What is saved", _heat_maps(found, firms)),
        Section("Every trial", _scatter(found, firms, colours)),
        Section("Learning curves", learning_curves(found, firms, colours, legend)),
        *information(found, firms),
        Section("Scenario by scenario", _scenarios(found, firms, colours)),
        Section("Time and samples", [time_table(found, firms)]),
        Section("How it was measured", how_measured(found)),
    ]
    return Page(title, _lead(found, firms), sections)


def _lead(found: BenchmarkFolder, firms: Sequence[str]) -> list[Block]:
    done = sum(len(found.of(firm, scheme)) for firm in firms for scheme in found.schemes[firm])
    count = f"{done} trial{'s' * (done != 1)} of {listed(found.all_schemes) or 'no scheme'}"
    claims = []
    for rule in found.rules(firms[0]) if len(firms) == 1 else ():
        savings = found.savings(firms[0], rule)
        best, saving = max(savings.items(), key=lambda item: item[1].mean)
        claims.append(f"{best} {plus_minus(saving.mean, saving.half, 1, '+')}% over {rule}")
    lead = f"{count} on {len(firms)} scenario{'s' * (len(firms) != 1)}."
    if claims:
        lead = f"Mean saving of the best scheme: {'; '.join(claims)}. {count}."
    blocks: list[Block] = [Text(lead, "lead")]
    if missing := [Text(str(trial)) for trial in found.missing]:
        blocks.append(
            Text(f"This is not all yet: {len(missing)} trial{'s' * (len(missing) != 1)} missing.", "warning"),
        )
        blocks.append(Fold("What is missing", missing))
    return blocks


def _heat_maps(found: BenchmarkFolder, firms: Sequence[str]) -> list[Block]:
    blocks: list[Block] = [
        Text(
            "Each rule and each trained policy played the same fresh episodes, on which nothing was chosen. Average: "
            "mean over trials ± half of its 95% interval over seeds. Best: the trial with the largest saving ± its "
            "standard error over paired episodes; the best of several flatters: it is chosen by what is measured.",
            "note",
        )
    ]
    for number_, rule in enumerate(dict.fromkeys(rule for firm in firms for rule in found.rules(firm))):
        own = [firm for firm in firms if rule in found.rules(firm)]
        maps = Grid([_heat_map(found, own, rule, best=False), _heat_map(found, own, rule, best=True)], wide=True)
        blocks.append(maps if number_ < 2 else Fold(f"Savings over {rule}", [maps]))
    if not blocks[1:]:
        blocks.append(Text("The rules have not been played yet, so there is nothing to compare with.", "warning"))
    return blocks


def _heat_map(found: BenchmarkFolder, firms: Sequence[str], rule: str, best: bool) -> Table:
    schemes = [scheme for scheme in found.all_schemes if any(scheme in found.schemes[firm] for firm in firms)]
    savings = {(firm, scheme): s for firm in firms for scheme, s in found.savings(firm, rule).items()}
    value = {key: saving.best if best else saving.mean for key, saving in savings.items()}
    scale = max(float(np.quantile(np.abs(list(value.values())), 0.95)), 1.0) if value else 1.0

    def cell(key: tuple[str, str]) -> Cell:
        if key not in savings:
            return Cell("–")
        spread = savings[key].best_se if best else savings[key].half
        note = f"± {number(spread)}" if math.isfinite(spread) else "1 trial"
        strength = 0.6 * min(abs(value[key]) / scale, 1.0)
        tint = f"rgba(var(--{'gain' if value[key] >= 0 else 'loss'}), {strength:.2f})"
        return Cell(number(value[key], 1, "+"), value[key], note, tint)

    rows = [{"scenario": Cell(firm)} | {scheme: cell((firm, scheme)) for scheme in schemes} for firm in firms]
    kind = "Best" if best else "Average"
    return Table(f"{kind} saving over {rule}, %", rows, _heat_reading(value, firms), heat=True)


def _heat_reading(value: dict[tuple[str, str], float], firms: Sequence[str]) -> str:
    if not value:
        return "No trial is finished."
    best = {firm: scheme for (firm, scheme), _ in sorted(value.items(), key=lambda item: item[1])}
    winners = list(best.values())
    most = max(winners, key=winners.count)
    firm, scheme = max(value, key=value.__getitem__)
    lost = sum(v < 0 for v in value.values())
    third = "none is below the rule." if not lost else f"{lost} of {len(value)} are below the rule."
    if len(firms) == 1:
        return f"The largest figure is {value[firm, scheme]:+.1f}% by {scheme}; {third}"
    first = f"{most} saves most on {winners.count(most)} of {len(winners)} scenarios"
    return f"{first}; the largest figure is {value[firm, scheme]:+.1f}% by {scheme} (on {firm}); {third}"


def _scatter(found: BenchmarkFolder, firms: Sequence[str], colours: dict[str, str]) -> list[Block]:
    blocks: list[Block] = [
        Text(
            "A dot is a trial, a bar the mean over a scheme's trials. Savings are over each scenario's strongest rule.",
            "note",
        )
    ]
    figures = []
    for firm in firms:
        if (rule := found.best(firm, rules=True)) is not None:
            title, label = f"{firm}: saving over {rule['policy']}", "saving, % of the rule's"
            figures.append(_dots(found, firm, colours, SAVING + rule["policy"], title, label))
        if found.rows[firm][0]["unit"] == "profit":
            word = "units served from stock at once, share"
            figures.append(_dots(found, firm, colours, "fill_rate", f"{firm}: fill rate", word, 3))
            word = "variance of orders over that of demand"
            figures.append(_dots(found, firm, colours, "order_variability", f"{firm}: order variability", word, 2))
    return [*blocks, Grid(figures)]


def _dots(
    found: BenchmarkFolder, firm: str, colours: dict[str, str], column: str, title: str, label: str, digits: int = 1
) -> Figure:
    rows = []
    for scheme in found.schemes[firm]:
        if values := [row[column] for row in found.of(firm, scheme) if row.get(column) is not None]:
            rows.append(Dots(scheme, colours[scheme], np.array(values, dtype=np.float64)))
    unit = "%" if column.startswith(SAVING) else ""
    top = max(rows, key=lambda row: float(row.values.mean()))
    reading = f"Highest mean: {top.label}, {number(float(top.values.mean()), digits)}{unit}"
    if several := [row for row in rows if len(row.values) > 1]:
        wide = max(several, key=lambda row: float(np.ptp(row.values)))
        low, high = float(wide.values.min()), float(wide.values.max())
        reading += f"; widest spread: {wide.label}, {number(low, digits)} to {number(high, digits)}{unit}"
    return dots(title, f"{reading}.", rows, label, zero=unit == "%", about=f"{title}, every trial")


def _scenarios(found: BenchmarkFolder, firms: Sequence[str], colours: dict[str, str]) -> list[Block]:
    return [
        Fold(firm if len(firms) > 1 else f"{firm}: all tables", scenario(found, firm, colours), open=len(firms) == 1)
        for firm in firms
    ]


def how_measured(found: BenchmarkFolder) -> list[Block]:
    """Commands, versions, episodes, seeds and budget."""
    settings = found.marks["settings"]
    budget = [f"{settings['steps']:,.0f} environment steps"] if settings.get("steps") else []
    budget += [f"{settings['seconds']:,.0f} s"] if settings.get("seconds") else []
    seeds = sorted({row["seed"] for rows in found.rows.values() for row in rows if row["seed"] is not None})
    facts = [("command", str(command.get("command", ""))) for command in found.asked]
    facts += [("version", f"firmwide {v}") for v in dict.fromkeys(str(c.get("version", "")) for c in found.asked)]
    facts += [("machine", m) for m in dict.fromkeys(str(c["machine"]) for c in found.asked if c.get("machine"))]
    facts += [
        ("budget of a trial", " or ".join(budget) or "until the scheme ends by itself"),
        ("fresh episodes", f"{found.marks.get('episodes', 0):,}, the same for all policies of a firm"),
        ("seeds", ", ".join(map(str, seeds)) or "none finished"),
        ("first seed", str(found.marks.get("seed", ""))),
        ("copies of the firm", str(settings.get("copies", ""))),
        ("selection episodes", f"{settings.get('selection_episodes', 0):,}"),
        ("acceptance episodes", f"{settings.get('acceptance_episodes', 0):,}"),
    ]
    if not found.asked:
        facts.append(("command, version", "not recorded by the version that wrote this folder"))
    note = (
        "Savings are of the rule's mean cost (of profit: what is gained, of the rule's mean profit). Standard errors "
        "come from differences paired by episode; for a percentage by the delta method, as the rule's mean is "
        "uncertain too. Intervals over seeds are Student's t. results.csv and results.parquet in the folder hold "
        "every number."
    )
    return [Facts(facts), Text(note, "note")]

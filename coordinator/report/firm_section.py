"""The tables of a benchmark's report: the policies of a scenario, every trial of it, time and samples of each cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from coordinator.experiments.folder import BenchmarkFolder
from coordinator.experiments.tables import SAVING, Line, Row, lines_of
from coordinator.experiments.trial import RULES
from coordinator.report.order_comparison import compared_orders
from coordinator.report.page import Block, Cell, Fold, Table, number, numeric

_Z = 1.959963984540054  # standard errors to each side of a 95% interval


def scenario(found: BenchmarkFolder, firm: str, colours: Mapping[str, str]) -> list[Block]:
    """Tables of one firm, and what its departments order under every policy; `colours` are those of the schemes."""
    orders = Fold(f"{firm}: orders of every department by all policies", compared_orders(found, firm, colours))
    return [_policies(found, firm), Fold(f"{firm}: every trial", [_trials(found, firm)]), orders]


def _policies(found: BenchmarkFolder, firm: str) -> Table:
    rules, table = found.rules(firm), lines_of(found.rows[firm], found.schemes[firm])
    unit, base = table[0].unit, table[0].base
    late = any(line.recovery_time is not None for line in table)
    body = [
        {
            "policy": Cell(line.policy),
            "trials": Cell(str(line.trials) if line.seconds is not None else "", line.trials),
            f"{unit} ± 95%": numeric(line.mean, 1, _spread(line.half)),
            **({"IQM (95%)": _middle(line)} if any(other.middle for other in table) else {}),
            **{f"saving over {rule}, % ± 95%": _saving(found, firm, line, rule) for rule in rules},
            f"difference to {base} ± 95%": Cell("")
            if line.policy == base
            else numeric(line.difference, 1, _spread(line.difference_half), sign="+"),
            "worst 5% ± 95%": numeric(line.worst, 1, _spread(line.worst_half)),
            f"worst 5% less that of {base} ± 95%": Cell("")
            if line.policy == base
            else numeric(line.worst_difference, 1, _spread(line.worst_difference_half), sign="+"),
            "fill rate": numeric(line.fill_rate, 4),
            "order variability": numeric(line.order_variability, 2),
            **({"periods to recover": numeric(line.recovery_time, 1)} if late else {}),
        }
        for line in table
    ]
    return Table(f"{firm}: all policies, {unit} in money an episode", body, _reading(table), sortable=True)


def _middle(line: Line) -> Cell:
    if line.middle is None:
        return Cell("")
    mean, low, high = line.middle
    return numeric(mean, 1, f"{low:,.1f} to {high:,.1f}")


def _saving(found: BenchmarkFolder, firm: str, line: Line, rule: str) -> Cell:
    if line.policy == rule:
        return Cell("")
    if line.seconds is None:
        row = next(row for row in found.of(firm, RULES) if row["policy"] == line.policy)
        return numeric(row[SAVING + rule], 2, _spread(_Z * row[f"{SAVING}{rule} se"], 2), sign="+")
    saving = found.saving(firm, line.policy, rule)
    return Cell("") if saving is None else numeric(saving.mean, 2, _spread(saving.half, 2), sign="+")


def _reading(table: Sequence[Line]) -> str:
    learned, rules = [line for line in table if line.seconds is not None], [x for x in table if x.seconds is None]
    better = max if table[0].unit == "profit" else min
    if not learned or not rules:
        return ""
    first, rule = better(learned, key=lambda line: line.mean), better(rules, key=lambda line: line.mean)
    ahead = first.mean - rule.mean
    apart = "ahead of" if (ahead > 0) == (table[0].unit == "profit") else "behind"
    return f"{first.policy} is the best scheme, {number(abs(ahead))} {apart} the best rule, {rule.policy}."


def _trials(found: BenchmarkFolder, firm: str) -> Table:
    rules, rows = found.rules(firm), found.rows[firm]
    unit = rows[0]["unit"]
    body = [
        {
            "policy": Cell(row["policy"]),
            "seed": Cell("" if row["seed"] is None else str(row["seed"]), row["seed"]),
            f"{unit} ± se": numeric(row["result"], 1, _spread(row["se"])),
            **{f"{unit} less that of {rule} ± se": _with_error(row, f"minus {rule}", 1) for rule in rules},
            **{f"saving over {rule}, % ± se": _with_error(row, SAVING + rule, 2) for rule in rules},
            "worst 5% ± se": Cell("") if row["worst"] is None else numeric(row["worst"], 1, _spread(row["worst_se"])),
            **{f"worst 5% less that of {rule} ± se": _with_error(row, f"worst minus {rule}", 1) for rule in rules},
            "fill rate": numeric(row["fill_rate"], 4),
            "order variability": numeric(row["order_variability"], 2),
            "training, s": numeric(row["seconds"], 0),
            "environment steps": numeric(row["env_steps"], 0),
            "samples": numeric(row["samples"], 0),
        }
        for row in rows
    ]
    reading = "Differences are paired by episode; standard errors are over episodes."
    return Table(f"{firm}: every trial on the same fresh episodes", body, reading, sortable=True)


def time_table(found: BenchmarkFolder, firms: Sequence[str]) -> Table:
    """Wall time, environment steps and samples of each scenario and scheme."""
    body, seconds = [], []
    for firm in firms:
        for scheme in found.schemes[firm]:
            rows = found.of(firm, scheme)
            took = [row["seconds"] for row in rows]
            seconds += took
            cells = {
                "scenario": Cell(firm),
                "scheme": Cell(scheme),
                "trials": Cell(str(len(rows)), len(rows)),
                "training, s": numeric(float(np.mean(took)), 1),
                "shortest to longest, s": Cell(f"{number(min(took))} to {number(max(took))}", max(took)),
                "final comparison, s": numeric(_mean(rows, "evaluation_seconds"), 1),
                "environment steps, millions": numeric(_mean(rows, "env_steps") / 1e6, 3),
                "samples, millions": numeric(_mean(rows, "samples") / 1e6, 3),
                "steps a second": numeric(_mean(rows, "samples_per_second"), 0),
            }
            body.append(cells)
    reading = (
        f"{number(sum(seconds) / 3600, 2)} hours of training in all, a trial {number(min(seconds), 0)} to "
        f"{number(max(seconds), 0)} s. Means over trials; training includes everything but the final comparison. A "
        "sample is one decision of one department that learned from it."
    )
    return Table("Wall time and samples of a trial", body, reading, sortable=True)


def _mean(rows: Sequence[Row], column: str) -> float:
    known = [float(row[column]) for row in rows if row.get(column) is not None]
    return float(np.mean(known)) if known else math.nan


def _with_error(row: Row, column: str, digits: int) -> Cell:
    if row.get(column) is None:
        return Cell("")
    return numeric(row[column], digits, _spread(row[f"{column} se"], digits), sign="+")


def _spread(value: float, digits: int = 1) -> str:
    return f"± {number(value, digits)}" if math.isfinite(value) else ""

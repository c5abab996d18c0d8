"""A benchmark in numbers: one row per trial and policy, then per firm a table over seeds with 95% intervals."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table

from coordinator.experiments.trial import RULES, Finished
from coordinator.schemes.registry import reference_of
from coordinator.storage.policies import write_atomically
from departments.play.tail import tail
from environment.streams import Stream, numpy_stream

HEADINGS = (
    "policy",
    "trials",
    "{unit}",
    "IQM",
    "difference to {base}",
    "%",
    "worst 5%",
    "difference in these",
    "fill rate",
    "order variability",
    "periods to recover",
    "seconds",
)
CAPTION = (
    "Mean over trials ± half of its 95% interval (Student's t over seeds; a rule is one policy, so its interval is "
    "over episodes). Differences are paired by seed. All policies of a firm play the same {episodes:,} fresh episodes. "
    "Worst 5% is the mean over these of each policy. Order variability is the variance of orders over that of what is "
    "asked for, mean over stock points; seconds are of training, on one core."
)
MIDDLE = (
    " IQM is the mean of the middle half of the trials, with its 95% interval over trials drawn again (percentile "
    "bootstrap; Agarwal et al. 2021)."
)
ENOUGH = 4  # trials have a middle half
_DRAWN = 10_000  # times
Row = dict[str, Any]
NAN = float("nan")
SAVING = "saving % over "  # columns of results.csv; of profit it is what is gained


@dataclass(frozen=True)
class Line:
    """A policy of a firm over all its trials; `half` is half of a 95% interval, NaN where one trial cannot tell."""

    firm: str
    unit: str  # cost or profit
    policy: str
    trials: int
    mean: float
    half: float
    middle: tuple[float, float, float] | None  # interquartile mean and its 95% interval, where trials are enough
    base: str  # what the difference is to
    difference: float  # mean over seeds of this policy less the base
    difference_half: float
    base_mean: float
    worst: float  # mean of the worst 5% of episodes; NaN in trials of before
    worst_half: float
    worst_difference: float  # likewise to the base
    worst_difference_half: float
    fill_rate: float
    order_variability: float
    recovery_time: float | None  # periods; None where nothing is ever shut
    seconds: float | None  # of training
    samples_per_second: float | None


def mean_and_half(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Mean and half of its 95% interval, t quantile · s / √n.

    Args:
        values: independent results, at least one.

    Returns:
        The mean, and NaN for the half where there is one value only.
    """
    from scipy.special import stdtrit

    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2:
        return float(sample.mean()), NAN
    return float(sample.mean()), float(stdtrit(len(sample) - 1, 0.975) * sample.std(ddof=1) / np.sqrt(len(sample)))


def interquartile_mean(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of what is left when a quarter, rounded down, is cut off either end, and its 95% interval.

    The interval is of the percentile bootstrap over `values` (Agarwal et al. 2021, Deep reinforcement learning at the
    edge of the statistical precipice; there stratified over tasks, of which there is one here).
    """
    sample = np.asarray(values, dtype=np.float64)
    cut = len(sample) // 4
    drawn = sample[numpy_stream(Stream.TRIALS).integers(len(sample), size=(_DRAWN, len(sample)))]
    means = [np.sort(some, axis=-1)[..., cut : len(sample) - cut].mean(axis=-1) for some in (sample, drawn)]
    low, high = np.quantile(means[1], (0.025, 0.975))
    return float(means[0]), float(low), float(high)


def paired(values: NDArray[np.float64], base: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of paired differences over episodes and its standard error."""
    difference = values - base
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))


def saving(values: NDArray[np.float64], base: NDArray[np.float64], unit: str) -> tuple[float, float]:
    """What is saved (of profit: gained) over the base, in % of the base's mean, and its standard error.

    The error is that of a ratio of means over paired episodes, to first order (delta method): the base's own
    uncertainty counts too. NaN where the base's mean is 0.

    Args:
        values: [E] cost or profit an episode, money.
        base: [E] the same of the base, on the same episodes.
        unit: cost or profit.
    """
    scale = abs(float(base.mean()))
    if scale == 0:
        return NAN, NAN
    won = base - values if unit == "cost" else values - base
    share = won.mean() / base.mean()
    spread = (won - share * base).std(ddof=1) / np.sqrt(len(base))
    return 100.0 * float(won.mean()) / scale, 100.0 * float(spread) / scale


def rows_of(trials: Iterable[Finished], first: str) -> list[Row]:
    """One row per trial and policy of one firm, rules first.

    Args:
        trials: of the firm, the rules among them or not yet.
        first: the scheme to which every trial's difference is taken, seed by seed.
    """
    done = sorted(trials, key=lambda trial: (trial.about["seed"] is not None, trial.about["seed"] or 0))
    played = [trial for trial in done if trial.about["scheme"] == RULES]
    rules = {name: trial.episodes[name] for trial in played for name in trial.about["policies"]}
    firsts = {trial.about["seed"]: trial.episodes[first] for trial in done if trial.about["scheme"] == first}
    rows = []
    for trial in done:
        about = trial.about
        for policy, measures in about["policies"].items():
            own, sign = trial.episodes[policy], 1.0 if about["unit"] == "cost" else -1.0
            row: Row = {key: about[key] for key in ("firm", "scheme", "seed")} | {"policy": policy}
            row |= {"unit": about["unit"], "episodes": about["episodes"]}
            row |= {key: measures[key] for key in ("result", "se", "fill_rate", "order_variability")}
            row |= {key: measures.get(key) for key in ("worst", "worst_se", "recovery_time")}
            trained = about["scheme"] != RULES
            steps, seconds = about.get("env_steps"), about["seconds"] if trained else None
            row |= {"seconds": seconds, "evaluation_seconds": about.get("evaluation_seconds")}
            row |= {"env_steps": steps, "samples": about.get("samples")}
            row |= {"samples_per_second": steps / seconds if seconds and steps is not None else None}
            bases = rules if not trained or about["seed"] not in firsts else rules | {first: firsts[about["seed"]]}
            for base, costs in bases.items():
                if base != policy:
                    row[f"minus {base}"], row[f"minus {base} se"] = paired(own, costs)
                    worst = [sign * tail(sign * some) for some in (own, costs)]
                    row[f"worst minus {base}"], row[f"worst minus {base} se"] = paired(*worst)
                if base != policy and base in rules:
                    percent = saving(own, costs, about["unit"])
                    row[f"{SAVING}{base}"], row[f"{SAVING}{base} se"] = percent
            row |= {f"result at {point}": each["result"] for point, each in measures["stock_points"].items()}
            rows.append(row)
    return rows


def lines_of(rows: Sequence[Row], schemes: Sequence[str]) -> list[Line]:
    """The table of one firm from its rows: rules, then schemes in the order given; differences to the reference."""
    base = reference_of(schemes)
    by_seed = {row["seed"]: row for row in rows if row["policy"] == base}
    base_mean = float(np.mean([row["result"] for row in by_seed.values()])) if by_seed else NAN
    lines = []
    for policy in dict.fromkeys([*(row["policy"] for row in rows if row["scheme"] == RULES), *schemes]):
        own = [row for row in rows if row["policy"] == policy]
        if not own:
            continue
        is_rule = own[0]["scheme"] == RULES
        results = [row["result"] for row in own]
        pairs = [(row, by_seed[row["seed"]]) for row in own if row["seed"] in by_seed]
        pairs = [(own[0], row) for row in by_seed.values()] if is_rule else pairs
        (mean, half), (difference, spread) = _over_seeds(own, pairs, "result", "se", is_rule)
        (worst, worst_half), (worse, worse_half) = _over_seeds(own, pairs, "worst", "worst_se", is_rule)
        line = Line(
            firm=own[0]["firm"],
            unit=own[0]["unit"],
            policy=policy,
            trials=len(own),
            mean=mean,
            half=half,
            middle=interquartile_mean(results) if len(own) >= ENOUGH else None,
            base=base,
            difference=difference,
            difference_half=spread,
            base_mean=base_mean,
            worst=worst,
            worst_half=worst_half,
            worst_difference=worse,
            worst_difference_half=worse_half,
            fill_rate=_mean(own, "fill_rate"),
            order_variability=_mean(own, "order_variability"),
            recovery_time=None if own[0]["recovery_time"] is None else _mean(own, "recovery_time"),
            seconds=None if is_rule else _mean(own, "seconds"),
            samples_per_second=None if is_rule else _mean(own, "samples_per_second"),
        )
        lines.append(line)
    return lines


def _over_seeds(
    rows: Sequence[Row], pairs: Sequence[tuple[Row, Row]], column: str, error: str, is_rule: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Mean of a column and of its paired differences, each with half of its interval; that of a rule is of episodes."""
    values = [NAN if row[column] is None else float(row[column]) for row in rows]
    mean, half = mean_and_half(values)
    if is_rule:
        half = 1.959964 * (NAN if rows[0][error] is None else float(rows[0][error]))
    known = [(one[column], other[column]) for one, other in pairs]
    differences = [one - other for one, other in known if one is not None and other is not None]
    return (mean, half), mean_and_half(differences) if differences else (NAN, NAN)


def _mean(rows: Sequence[Row], column: str) -> float:
    return float(np.mean([row[column] if row[column] is not None else np.nan for row in rows]))


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """results.csv and results.parquet, the same table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = ("result at ", "minus ", "worst minus ", SAVING)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    columns.sort(key=lambda column: [column.startswith(kind) for kind in kinds])
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "results.csv", text.getvalue())
    content = io.BytesIO()
    pq.write_table(pa.table({column: [row.get(column) for row in rows] for column in columns}), content)
    write_atomically(folder / "results.parquet", content.getvalue())


def _with_half(value: float, half: float, sign: str = "") -> str:
    if value != value:
        return ""
    digits = 1 if abs(value) < 100_000 else 0
    shown = f"{value:{sign},.{digits}f}"
    return shown if half != half else f"{shown} ± {half:,.{digits}f}"


def _middle(line: Line) -> str:
    if line.middle is None:
        return ""
    mean, low, high = (_with_half(value, NAN) for value in line.middle)
    return f"{mean} ({low} to {high})"


def _cells(line: Line, middle: bool, late: bool) -> tuple[str, ...]:
    alone = line.policy == line.base or line.difference != line.difference
    percent = f"{100 * line.difference / abs(line.base_mean):+.2f}" if not alone and line.base_mean else ""
    return (
        line.policy,
        str(line.trials) if line.seconds is not None else "",
        _with_half(line.mean, line.half),
        *([_middle(line)] if middle else []),
        "" if alone else _with_half(line.difference, line.difference_half, "+"),
        percent,
        _with_half(line.worst, line.worst_half),
        "" if alone else _with_half(line.worst_difference, line.worst_difference_half, "+"),
        f"{line.fill_rate:.4f}",
        f"{line.order_variability:.2f}",
        *(["" if line.recovery_time is None else f"{line.recovery_time:.1f}"] if late else []),
        "" if line.seconds is None else f"{line.seconds:,.0f}",
    )


def _tables(tables: Mapping[str, Sequence[Line]]) -> Iterator[tuple[str, str, list[str], list[tuple[str, ...]]]]:
    """The firms that have lines: what is better, headings and cells."""
    for firm, lines in tables.items():
        if lines:
            unit, base, middle = lines[0].unit, lines[0].base, any(line.middle for line in lines)
            late = any(line.recovery_time is not None for line in lines)
            better = f"{unit} an episode, {'higher' if unit == 'profit' else 'lower'} is better"
            left_out = ["IQM"] * (not middle) + ["periods to recover"] * (not late)
            headings = [text.format(unit=unit, base=base) for text in HEADINGS if text not in left_out]
            yield firm, better, headings, [_cells(line, middle, late) for line in lines]


def _caption(tables: Mapping[str, Sequence[Line]], episodes: int) -> str:
    middle = any(line.middle for lines in tables.values() for line in lines)
    return CAPTION.format(episodes=episodes) + MIDDLE * middle


def for_terminal(tables: Mapping[str, Sequence[Line]], episodes: int) -> RenderableType:
    """One table per firm."""
    drawn: list[RenderableType] = []
    for firm, better, (first, *others), rows in _tables(tables):
        columns = [Column(first, overflow="fold"), *(Column(name, justify="right", overflow="fold") for name in others)]
        table = Table(*columns, title=f"{firm}: {better}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        rules = sum(line.seconds is None for line in tables[firm])
        for number, row in enumerate(rows, 1):
            table.add_row(*row, end_section=number == rules < len(rows))
        drawn.append(table)
    return Group(*drawn, _caption(tables, episodes)) if drawn else "nothing is finished yet"


def as_markdown(tables: Mapping[str, Sequence[Line]], episodes: int) -> str:
    """The same for the docs."""
    parts = []
    for firm, better, headings, rows in _tables(tables):
        parts.append(f"**{firm}**: {better}\n\n{marked_down([headings, *rows])}")
    return "\n".join([*parts, _caption(tables, episodes) + "\n"])


def marked_down(rows: Sequence[Sequence[str]]) -> str:
    """A table of markdown; the first row is its headings."""
    marks = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (rows[0], marks, *rows[1:])) + "\n"

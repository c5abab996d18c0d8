"""Learning curves as pictures: of a run, and of a benchmark's trials with a 95% band per scheme."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coordinator.experiments.tables import mean_and_half
from coordinator.experiments.trial import RULES, Finished
from coordinator.runs.folder import RunFolder
from coordinator.schemes.registry import scheme_of
from coordinator.storage.files import write_picture

_POINTS = 200  # of the common grid
_STYLES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
Curve = Sequence[Sequence[float]]  # of (environment steps, result)


def learning_curve(run: RunFolder) -> Path:
    """Draw the result on selection episodes over environment steps, one colour a department, and what was accepted."""
    from matplotlib.figure import Figure

    metrics, events, firm, scheme = run.table("metrics.csv"), run.table("events.csv"), run.firm(), run.settings().scheme
    sign, word = (-1.0, "profit, higher is better") if firm.earns else (1.0, "cost, lower is better")
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    tried = metrics.dropna(subset="cost")
    if not scheme_of(scheme).turns:
        tried = tried.assign(department="all departments").drop_duplicates("env_steps")
    for learner, own in tried.groupby("department", sort=False):
        axes.plot(own.env_steps / 1e6, sign * own.cost, ".", markersize=5, label=f"{learner}, while learning")
    if len(start := sign * metrics.benchmark_cost.dropna()):
        benchmark, label = start.iloc[0], "start: every department on its benchmark"
        axes.axhline(benchmark, color="black", linestyle="--", linewidth=1, label=label)
        accepted = events[events.event == "accepted"].dropna(subset="gain")
        places = accepted.iteration.map(metrics.groupby("iteration").env_steps.last()) / 1e6
        kept, label = benchmark - sign * accepted.gain.cumsum(), "accepted policies (paired gains)"
        if len(kept):
            axes.step([0.0, *places], [benchmark, *kept], where="post", color="0.4", linewidth=1.5, label=label)
    axes.set_xlabel("environment steps of the learning departments, millions")
    axes.set_ylabel(f"{word}; money an evaluation episode")
    axes.set_title(
        f"{firm.name} by {scheme}: the firm's {word.split(',')[0]} on selection episodes as it learns", fontsize=10
    )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    return write_picture(run.path / "learning-curve.png", figure)


def on_common_grid(curves: Sequence[Curve]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean over trials and half of its 95% interval, as far as every trial got.

    Args:
        curves: one per trial, steps ascending from 0.

    Returns:
        Environment steps, means, halves (NaN for one trial), [P] each.
    """
    grid = np.linspace(0.0, min(curve[-1][0] for curve in curves), _POINTS)
    values = np.array([np.interp(grid, *np.transpose(np.asarray(curve, dtype=np.float64))) for curve in curves])
    pairs = np.array([mean_and_half(column) for column in values.T])
    return grid, pairs[:, 0], pairs[:, 1]


def learning_curves(trials: Sequence[Finished], schemes: Sequence[str], path: Path) -> None:
    """Draw the trials of one firm: a scheme's mean with its band, rules as horizontal lines."""
    from matplotlib.figure import Figure

    about = trials[0].about
    better = "higher" if about["unit"] == "profit" else "lower"
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    for number, scheme in enumerate(schemes):
        curves = [t.about["curve"] for t in trials if t.about["scheme"] == scheme and len(t.about["curve"]) > 1]
        if not curves:
            continue
        grid, mean, half = on_common_grid(curves)
        label = f"{scheme} ({len(curves)} trial{'s' * (len(curves) > 1)})"
        axes.plot(grid / 1e6, mean, color=f"C{number}", linewidth=1.6, label=label)
        if len(curves) > 1:
            axes.fill_between(grid / 1e6, mean - half, mean + half, color=f"C{number}", alpha=0.18, linewidth=0)
    played = {name: of for t in trials if t.about["scheme"] == RULES for name, of in t.about["policies"].items()}
    for number, (rule, of) in enumerate(played.items()):
        style = _STYLES[number % len(_STYLES)]
        axes.axhline(of["result"], color="0.25", linestyle=style, linewidth=1, label=rule)
    axes.set_xlabel("environment steps, millions")
    axes.set_ylabel(f"{about['unit']}, money an episode ({better} is better)")
    axes.set_title(f"{about['firm']}: mean over trials with 95% interval, on selection episodes", fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    write_picture(path, figure)

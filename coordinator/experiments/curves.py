"""Learning curves of a benchmark: mean over trials with a 95% band per scheme, rules as horizontal lines."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coordinator.experiments.tables import mean_and_half
from coordinator.experiments.trial import RULES, Finished
from coordinator.storage.policies import write_atomically

_POINTS = 200  # of the common grid
_STYLES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
Curve = Sequence[Sequence[float]]  # of (environment steps, result)


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
    """Draw the trials of one firm."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    about = trials[0].about
    better = "higher" if about["unit"] == "profit" else "lower"
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    drawn = False
    for number, scheme in enumerate(schemes):
        curves = [t.about["curve"] for t in trials if t.about["scheme"] == scheme and len(t.about["curve"]) > 1]
        if not curves:
            continue
        grid, mean, half = on_common_grid(curves)
        label = f"{scheme} ({len(curves)} trial{'s' * (len(curves) > 1)})"
        axes.plot(grid / 1e6, mean, color=f"C{number}", linewidth=1.6, label=label)
        if len(curves) > 1:
            axes.fill_between(grid / 1e6, mean - half, mean + half, color=f"C{number}", alpha=0.18, linewidth=0)
        drawn = True
    for number, (rule, result) in enumerate(_rules(trials).items()):
        axes.axhline(result, color="0.25", linestyle=_STYLES[number % len(_STYLES)], linewidth=1, label=rule)
        drawn = True
    axes.set_xlabel("environment steps, millions")
    axes.set_ylabel(f"{about['unit']}, money an episode ({better} is better)")
    axes.set_title(f"{about['firm']}: mean over trials with 95% interval, on selection episodes", fontsize=10)
    if drawn:
        axes.legend(fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomically(path, content.getvalue())


def _rules(trials: Sequence[Finished]) -> Mapping[str, float]:
    policies = [trial.about["policies"] for trial in trials if trial.about["scheme"] == RULES]
    return {name: measures["result"] for each in policies for name, measures in each.items()}

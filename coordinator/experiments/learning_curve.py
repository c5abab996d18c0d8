"""The learning curve of a run as a picture."""

from __future__ import annotations

import io
import itertools
import math
from pathlib import Path

from coordinator.runs.folder import RunFolder
from coordinator.schemes.registry import scheme_of
from coordinator.storage.policies import write_atomically


def learning_curve(run: RunFolder) -> Path:
    """Draw the result on selection episodes over environment steps, one colour a department, and what was accepted."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, firm, scheme = run.rows("metrics.csv"), run.firm(), run.settings().scheme
    sign, word = (-1.0, "profit, higher is better") if firm.earns else (1.0, "cost, lower is better")
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    evaluated: dict[str, dict[float, float]] = {}
    for row in rows:
        if row["cost"]:
            learner = row["department"] if scheme_of(scheme).turns else "all departments"
            evaluated.setdefault(learner, {})[float(row["env_steps"]) / 1e6] = sign * float(row["cost"])
    for learner, costs in evaluated.items():
        axes.plot(list(costs), list(costs.values()), ".", markersize=5, label=f"{learner}, while learning")
    accepted = [event for event in run.rows("events.csv") if event["event"] == "accepted" and event["gain"]]
    steps = {row["iteration"]: float(row["env_steps"]) / 1e6 for row in rows}
    benchmark = next((sign * float(row["benchmark_cost"]) for row in rows if row["benchmark_cost"]), None)
    if benchmark is not None:
        axes.axhline(
            benchmark, color="black", linestyle="--", linewidth=1, label="start: every department on its benchmark"
        )
    if benchmark is not None and accepted:
        gains = itertools.accumulate((float(event["gain"]) for event in accepted), initial=0.0)
        places = [0.0, *(steps.get(event["iteration"], math.nan) for event in accepted)]
        kept = [benchmark - sign * gain for gain in gains]
        axes.step(places, kept, where="post", color="0.4", linewidth=1.5, label="accepted policies (paired gains)")
    axes.set_xlabel("environment steps of the learning departments, millions")
    axes.set_ylabel(f"{word}; money an evaluation episode")
    axes.set_title(
        f"{firm.name} by {scheme}: the firm's {word.split(',')[0]} on selection episodes as it learns", fontsize=10
    )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    path = run.path / "learning-curve.png"
    write_atomically(path, content.getvalue())
    return path

"""The learning curve of a run as a picture."""

from __future__ import annotations

import io
import math
from pathlib import Path

from coordinator.run_folder import RunFolder
from coordinator.store import write_atomically


def learning_curve(run: RunFolder) -> Path:
    """Draw cost on selection episodes over environment steps, one colour a department, acceptances marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = run.rows("metrics.csv")
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    at = {int(row["iteration"]): (float(row["env_steps"]) / 1e6, row["cost"]) for row in rows}
    for department in dict.fromkeys(row["department"] for row in rows):
        points = [
            (float(row["env_steps"]) / 1e6, float(row["cost"])) if row["cost"] else (math.nan, math.nan)
            for row in rows
            if row["department"] == department and row["cost"]
        ]
        if points:
            axes.plot(*zip(*points, strict=True), ".-", linewidth=1, markersize=4, label=department)
    benchmark = next((float(row["benchmark_cost"]) for row in rows if row["benchmark_cost"]), None)
    if benchmark is not None:
        axes.axhline(benchmark, color="black", linestyle="--", linewidth=1, label="benchmark (decomposition-aggregation)")
    for event in run.rows("events.csv"):
        step, _ = at.get(int(event["iteration"]), (math.nan, ""))
        if event["event"] == "accepted" and not math.isnan(step):
            axes.axvline(step, color="0.85", linewidth=0.8, zorder=0)
    axes.set_xlabel("environment steps of the learning departments, millions")
    axes.set_ylabel("cost of an evaluation episode, money")
    axes.set_title(f"{run.firm().name}, {run.settings().scheme}: lower is better; grey lines mark accepted policies", fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, ncols=2)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    path = run.path / "learning-curve.png"
    write_atomically(path, content.getvalue())
    return path

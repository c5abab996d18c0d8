"""What `firmwide explain RUN` does and shows: a table of the directions, and two pictures in the run folder."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Column, Table

from coordinator.evaluation.evaluate import trained_policy
from coordinator.explain.curves import Panel, agent_panels, theory_panels
from coordinator.explain.exact import exact_of, picture
from coordinator.explain.propositions import (
    CLAIMS,
    STATES,
    Exact,
    Explanation,
    counted,
    decided,
    explain,
    segments_of,
)
from coordinator.runs.firm_policies import policy_of
from coordinator.runs.folder import RunFolder
from coordinator.schemes.registry import scheme_of, specs
from coordinator.schemes.setup import scaling_of
from coordinator.storage.files import write_picture
from departments.policies.firm_policy import FirmPolicy
from departments.rules.ordering import baseline_levels, delivered_cost
from environment import World
from environment.observation import Observer
from heuristics.coordination import recommendation_regions, relative_effect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SPAN = 4.0  # of the regions: RME and RMP from 1 / 4 to 4


def explain_run(path: Path, *, states: int = STATES, seed: int = 0) -> Explanation:
    """Measure a run's departments and leave explain.png, regions.png and perhaps optimum.png in its folder.

    Raises:
        ValueError: no run, a run of another kind of scheme, or one without trained policies.
    """
    run = RunFolder(path)
    firm, settings = run.firm(), run.settings()
    if not scheme_of(settings.scheme).with_customers(firm):
        needing = [spec.name for spec in specs() if spec.needs_customers or spec.takes_customers]
        raise ValueError(
            f"explain is for departments of a firm with customers ({', '.join(needing)}), and {str(path)!r} was "
            f"trained by {settings.scheme}"
        )
    levels = baseline_levels(firm)
    world = World(firm, levels)
    policy = trained_policy(run, world)
    if not isinstance(policy, FirmPolicy):
        raise RuntimeError(f"{str(path)!r} holds no departments")
    observer = Observer(world, levels, scaling_of(firm, settings))
    first = [policy_of(run, member.name, 0) for member in policy.members]
    start = FirmPolicy(world, observer.until(firm.periods.evaluate - 1), first)
    found = explain(world, policy, policy.members, start=start, states=states, seed=seed)
    found = replace(found, exact=exact_of(world, policy, policy.members, found.seen))
    return replace(found, pictures=draw(found, path))


def draw(explanation: Explanation, folder: Path) -> tuple[Path, ...]:
    """The curves beside theory's, the recommendation regions, and decisions beside the optimum's where there is one."""
    drawn = {"explain.png": _curves(explanation), "regions.png": _regions(explanation)}
    if isinstance(explanation.exact, Exact):
        drawn["optimum.png"] = picture(
            explanation.world, explanation.policy, explanation.exact.policy, explanation.seen
        )
    return tuple(write_picture(folder / name, figure) for name, figure in drawn.items())


def findings_table(explanation: Explanation) -> RenderableType:
    """Each finding on a line, then how many hold."""
    shown = sum(moment.state.on_hand.shape[-1] for moment in explanation.seen)
    title = f"{explanation.world.firm.name}: mean change of each decision over {shown} states, with 95% interval"
    exact = explanation.exact if isinstance(explanation.exact, Exact) else None
    headings = ("change ± 95%", "at the start", *["the optimum's"][: exact is not None])
    numbers = (Column(heading, justify="right") for heading in headings)
    table = Table(
        "", "department", "decision", "over", "theory", *numbers, "verdict", title=title, title_justify="left"
    )
    digits = {"recommendation": 4, "order": 3}
    best = exact.findings if exact else explanation.findings
    both = zip(explanation.findings, best, strict=True)
    for finding, ideal in sorted(both, key=lambda pair: list(CLAIMS).index(pair[0].direction)):
        places = digits[finding.decision]
        table.add_row(
            finding.direction,
            finding.department,
            finding.unit if finding.decision == "recommendation" else f"{finding.decision}, {finding.unit}",
            finding.over,
            "rises" if finding.expected > 0 else "falls",
            f"{finding.change:+.{places}f} ± {finding.half:.{places}f}",
            "" if finding.start is None else f"{finding.start:+.{places}f}",
            *[f"{ideal.change:+.{places}f}"][: exact is not None],
            finding.verdict,
        )
    lines = [
        f"({direction}) {CLAIMS[direction]}: {holds} of {count} hold"
        for direction, (holds, count) in explanation.summary.items()
    ]
    lines += [
        "Stock and pipeline are raised by one period's mean demand. Orders cannot see what is recommended: (iv)",
        "compares the last demand as it would be with the product pushed and with none (our reading).",
        "At the start: the same for the rules or the empty networks that training started from.",
    ]
    if exact:
        told = ", ".join(f"{direction} {holds} of {of}" for direction, (holds, of) in counted(exact.findings).items())
        apart = ", ".join(f"{units:.2f} ({product})" for product, units in exact.apart.items())
        lines += [
            f"The optimum earns {exact.profit:,.2f} an episode; of its own directions hold {told}.",
            f"Departments order {apart} units more or less, and show what it shows with chance {exact.agrees:.2f}.",
        ]
    elif explanation.exact:
        lines.append(str(explanation.exact))
    lines += [f"picture: {path}" for path in explanation.pictures]
    return Group(table, *lines)


def _curves(explanation: Explanation) -> Figure:
    from matplotlib.figure import Figure

    agent, theory = agent_panels(explanation), theory_panels()
    figure = Figure(figsize=(4.2 * len(agent), 7.6), layout="constrained")
    figure.suptitle(f"{explanation.world.firm.name}: what the departments learned (above), what theory says (below)")
    grid = np.atleast_2d(figure.subplots(2, len(agent)))
    reading = {panel.title.split()[0]: panel for panel in agent}
    for column, (direction, panel) in enumerate(reading.items()):
        holds, count = explanation.summary.get(direction, (0, 0))
        _plot(grid[0, column], panel, f"direction {direction}: {holds} of {count} hold")
        _plot(grid[1, column], theory[list(CLAIMS).index(direction)], "example firm of two products and two periods")
    return figure


def _plot(axes: Any, panel: Panel, reading: str) -> None:  # noqa: ANN401
    for number, curve in enumerate(panel.curves):
        dashed = curve.label in ("pipeline", "other")
        style = {"color": "black", "linestyle": "--"} if dashed else {"color": f"C{number}"}
        label = {"pipeline": "over pipeline", "other": "other products"}.get(curve.label, curve.label)
        axes.plot(curve.at, curve.mean, linewidth=1.5, label=label, **style)
        if curve.half:
            low, high = np.subtract(curve.mean, curve.half), np.add(curve.mean, curve.half)
            axes.fill_between(curve.at, low, high, alpha=0.2, linewidth=0, color=style["color"])
    axes.set_title(f"{panel.title}\n{reading}", fontsize=9)
    axes.set_xlabel(panel.over, fontsize=8)
    axes.set_ylabel(panel.decision, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=7)


def _regions(explanation: Explanation) -> Figure:
    """Proposition 2's regions; on them every pair of products, marked by which of the two the agent shows more."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    values = np.geomspace(1 / _SPAN, _SPAN, 257)
    axes.contourf(
        values, values, recommendation_regions(values, values), levels=[0.5, 1.5, 2.5], colors=["#cfe3f5", "#fbe3c8"]
    )
    axes.plot(values, 1 / values, color="black", linewidth=1)
    axes.text(2.0, 2.0, "recommend 1", ha="center", fontsize=11)
    axes.text(0.5, 0.5, "recommend 2", ha="center", fontsize=11)
    for (effect, margin), first in pairs(explanation):
        colour = "#1f77b4" if first else "#e08214"
        axes.plot(np.clip(effect, values[0], values[-1]), np.clip(margin, values[0], values[-1]), "o", color=colour)
    for colour, product in (("#1f77b4", 1), ("#e08214", 2)):
        axes.plot([], [], "o", color=colour, label=f"a pair of products; the agent shows product {product} of it more")
    axes.set(xscale="log", yscale="log", xlim=(values[0], values[-1]), ylim=(values[0], values[-1]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([0.25, 0.5, 1.0, 2.0, 4.0]))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("RME: relative effect of recommending product 1 instead of 2")
    axes.set_ylabel("RMP: relative margin of product 1")
    axes.set_title(
        f"{explanation.world.firm.name}: what one period's theory recommends (Prop. 2), and what the agent does\n"
        "stock is ample in this theory; where it is scarce, the agent may rightly differ",
        fontsize=9,
    )
    axes.legend(fontsize=8, loc="lower left")
    return figure


def pairs(explanation: Explanation) -> list[tuple[tuple[float, float], bool]]:
    """(RME, RMP) of each pair of products in each segment, and whether the agent shows the first one more.

    Effects are those of showing a product to the whole segment, from the choice probabilities; a pair with an effect or
    a margin that is not positive is left out.
    """
    world, choice = explanation.world, explanation.world.chosen()
    mean_shown = decided(world, explanation.policy, explanation.seen)[1].mean(-1)
    margin = world.firm.amounts("price") - delivered_cost(world.firm)
    nothing, effects = choice.standing * 0.0, []
    for product in range(world.products):
        exposure = nothing.clone()
        exposure[:, product] = 1.0
        rise = choice.probability(exposure) - choice.probability(nothing)
        effects.append(rise[..., 0].cpu().numpy())
    found = []
    for segment, facing in enumerate(choice.facing.tolist()):
        point = int(world.network.customer_facing[facing])
        sold = [k for k in range(world.products) if segments_of(world, point, k)[segment]]
        for first, second in combinations(sold, 2):
            of_first, of_second, two = effects[first][segment], effects[second][segment], margin[point, [first, second]]
            own = [float(of_first[first]), float(of_second[second])]
            cross = [[0.0, -float(of_first[second])], [-float(of_second[first]), 0.0]]
            if two.min() > 0 and min(own) > 0:
                place = relative_effect(own, cross), float(two[0] / two[1])
                found.append((place, bool(mean_shown[segment, first] > mean_shown[segment, second])))
    return found

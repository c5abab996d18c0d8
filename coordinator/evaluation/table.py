"""Results as tables for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from coordinator.evaluation.evaluate import Evaluation


def comparison(evaluation: Evaluation, base: str) -> RenderableType:
    """Cost (or profit) of every policy with the paired saving over `base`, then service and stock per stock point."""
    earns, firm = evaluation.firm.earns, evaluation.firm
    sign, word = (-1.0, "profit") if earns else (1.0, "cost")
    table = Table(
        title=f"{firm.name}: {evaluation.episodes:,} fresh episodes, the same for every policy", title_justify="left"
    )
    table.add_column("policy")
    for heading in (f"{word} ± se", "saving over the first", "%", "fill rate", "on hand"):
        table.add_column(heading, justify="right")
    reference, _ = evaluation.mean(base)
    for name, episodes in evaluation.results.items():
        mean, error = evaluation.mean(name)
        saving = "" if name == base else "{:+,.1f} ± {:.1f}".format(*_saving(evaluation, name, base))
        percent = "" if name == base else f"{100.0 * _saving(evaluation, name, base)[0] / abs(reference):+.2f}"
        fill = float((episodes.fill_rate * episodes.demand).sum() / max(episodes.demand.sum(), 1e-12))
        table.add_row(
            name, f"{sign * mean:,.1f} ± {error:.1f}", saving, percent, f"{fill:.4f}", f"{episodes.on_hand.sum():,.1f}"
        )
    return Group(table, _points(evaluation))


def _saving(evaluation: Evaluation, name: str, base: str) -> tuple[float, float]:
    difference, error = evaluation.difference(name, base)
    return -difference, error


def _points(evaluation: Evaluation) -> Table:
    firm = evaluation.firm
    table = Table(title="per stock point (units a period; cost in money an episode)", title_justify="left")
    table.add_column("stock point")
    table.add_column("policy")
    for heading in ("cost", "on hand", "ordered", "fill rate", "periods without shortage", "bullwhip", "turns"):
        table.add_column(heading, justify="right")
    facing = firm.customer_facing
    for n, point in enumerate(firm.names):
        for i, (name, episodes) in enumerate(evaluation.results.items()):
            service = ("", "")
            if point in facing:
                c = facing.index(point)
                service = (f"{episodes.fill_rate[c]:.4f}", f"{episodes.full_service[c]:.4f}")
            table.add_row(
                point if i == 0 else "",
                name,
                f"{episodes.point_cost[n]:,.1f}",
                f"{episodes.on_hand[n]:.1f}",
                f"{episodes.order_quantity[n]:.2f}",
                *service,
                f"{episodes.bullwhip_ratio[n]:.2f}",
                f"{episodes.inventory_turns[n]:.2f}",
                end_section=i == len(evaluation.results) - 1,
            )
    return table

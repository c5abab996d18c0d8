"""A running firm for the eye."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from coordinator.live.lines import Page

Record = dict[str, Any]


def status_table(figures: Record) -> RenderableType:
    """The firm in a few lines, and a row per department."""
    table = Table(title=_title(figures), title_justify="left")
    columns = ("department", "acts by", "last decision", "position", "on hand", "backlog", "fill rate", "cost")
    for column in columns:
        table.add_column(column, justify="left" if column in columns[:3] else "right")
    for column in ("ms", "swaps", "fallbacks", "restarts"):
        table.add_column(column, justify="right")
    for name, row in figures["departments"].items():
        count = row["latency"]["count"]
        table.add_row(
            name,
            _acts_by(row),
            _decision(row),
            *(
                f"{sum(row[key].values()):,.0f}" if row[key] else ""
                for key in ("inventory_position", "on_hand", "backlog")
            ),
            "" if row["fill_rate"] is None else f"{row['fill_rate']:.1%}",
            f"{row['cost']:,.0f}" if row["inventory_position"] else "",
            f"{1000 * row['latency']['sum'] / count:.1f}" if count else "",
            *(str(row[key]) for key in ("swaps", "fallbacks", "restarts")),
        )
    lines: list[RenderableType] = [table]
    for canary in figures["canaries"]:
        lines.append(
            f"canary: {canary['department']} by {canary['policy']}, {canary['done']} periods of "
            f"{canary['until'] - canary['since']}: {canary['money']:,.0f}, in office "
            f"{canary['incumbent_money']:,.0f}, so far {canary['verdict']}; "
            f"withdraw it with `firmwide cancel {figures['name']} {canary['command']}`"
        )
    return Group(*lines)


def orders_table(name: str, page: Page) -> RenderableType:
    """Lines with exceptions first, and how to go on."""
    table = Table(show_edge=False)
    for column in ("stock point", "product", "position", "target", "order", "exceptions", "why"):
        table.add_column(column, justify="right" if column in ("position", "target", "order") else "left")
    for line in page.lines:
        amounts = (line[key] for key in ("position", "target", "order"))
        shown = ("" if units is None else f"{units:,.0f}" for units in amounts)
        table.add_row(line["stock_point"], line["product"], *shown, "; ".join(line["exceptions"]), line["reason"])
    head = f"period {page.tick}: {page.matching} lines, {page.odd} with an exception"
    more = [f"... and {page.matching - len(page.lines)} more"] if page.matching > len(page.lines) else []
    if page.proposal is None:
        return Group(head, table, *more)
    way = f"they wait: `firmwide approve {name}`, with --line POINT/PRODUCT=UNITS or --reject POINT/PRODUCT"
    return Group(head, table, *more, way)


def _title(figures: Record) -> str:
    word, benchmark = "profit" if figures["earns"] else "cost", figures["benchmark"]
    reason = f" ({figures['reason']})" if figures["reason"] else ""
    return (
        f"{figures['name']}: {figures['state']}{reason}, period {figures['tick']:,}, "
        f"{figures['tick_rate']:.1f} periods/s; {word} {figures['money']:,.0f}; by period {benchmark['tick']:,} "
        f"{benchmark['saving']:+,.0f} against the benchmark's {benchmark['money']:,.0f}"
    )


def _acts_by(row: Record) -> str:
    policy = f"{row['policy']} v{row['version']}"
    state = "" if row["mode"] == "policy" else f" [{row['mode']}]"
    return policy + state + ("" if row["up"] else " (down)")


def _decision(row: Record) -> str:
    if row["kind"] == "recommendation":
        shown = ", ".join(row["exposure"])
        return shown if len(shown) <= 40 else f"{len(row['exposure'])} recommendations"
    return ", ".join(f"{units:g}" if len(row["order"]) == 1 else f"{p} {units:g}" for p, units in row["order"].items())

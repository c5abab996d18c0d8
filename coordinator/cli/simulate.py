"""`firmwide simulate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator import api
from coordinator.cli.options import FirmArgument, SeedOption


def _file(option: str, header: str) -> Any:  # noqa: ANN401
    return typer.Option(option, metavar="CSV", show_default=False, help=f"Given {header}.")


def simulate(
    firm: FirmArgument,
    out: Annotated[Path, typer.Option(metavar="CSV", show_default=False, help="Where the states go.")],
    policy: Annotated[
        str | None, typer.Option(metavar="RULE|RUN|CSV", help="Who decides (default: decomposition-aggregation).")
    ] = None,
    orders: Annotated[Path | None, _file("--orders", "period,stock_point,quantity")] = None,
    demand: Annotated[Path | None, _file("--demand", "period,stock_point,quantity")] = None,
    lead_times: Annotated[Path | None, _file("--lead-times", "period,from,to,periods")] = None,
    suppliers: Annotated[Path | None, _file("--suppliers", "period,stock_point,supplier")] = None,
    initial: Annotated[Path | None, _file("--initial", "stock_point,on_hand")] = None,
    periods: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="How many (default: as the files, or the firm's evaluation)."),
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """One episode, period by period; what is not given is drawn from the firm's laws.

    With several products every file has a column `product` too. Rows are needed for every period and stock point
    (demand: those that face customers; suppliers: those with several suppliers and something to order).
    """
    files = {"orders": orders, "demand": demand, "lead_times": lead_times, "suppliers": suppliers, "initial": initial}
    done = api.simulate(firm, policy=policy, **files, periods=periods, seed=seed, out=out)
    sys.stderr.write(f"{out}: cost of all periods {done.cost:.10g}\n")

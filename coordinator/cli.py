"""The `firmwide` command: arguments in, text out; what a command does stands in a module of its own.

Exit status: 0 done, 2 bad input (one line on stderr, nothing written), 1 a failure inside. What takes long to import is
imported by the command that needs it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

_UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # unknown options, missing arguments, bad values

app = typer.Typer(
    name="firmwide",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FirmArgument = Annotated[
    str, typer.Argument(metavar="FIRM", show_default=False, help="A built-in firm (see `scenarios`) or a firm file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")]


def main() -> None:
    """The entry point of the command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = app(list(arguments), prog_name="firmwide", standalone_mode=False)
    except _UsageError as error:
        return _refuse(f"{error.format_message()} (see `firmwide --help`)", 2)  # type: ignore[attr-defined]
    except ValueError as error:
        return _refuse(str(error), 2)
    except (typer.Abort, KeyboardInterrupt):
        return _refuse("interrupted", 130)
    except (RuntimeError, OSError) as error:
        return _refuse(str(error), 1)
    return status if isinstance(status, int) else 0


def _refuse(message: str, status: int) -> int:
    sys.stderr.write(f"firmwide: {' '.join(message.split())}\n")
    return status


def show(content: RenderableType | str) -> None:
    """Print for the eye: as wide as the terminal, or wide enough where there is none."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    console.print(content)


def show_json(content: Any) -> None:  # noqa: ANN401
    """Print one JSON object on stdout."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            sys.stdout.write(f"firmwide {version('firmwide')}\n")
        except PackageNotFoundError:
            sys.stdout.write("firmwide (not installed)\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def firmwide(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The departments of a firm, learning together and running together."""
    if context.invoked_subcommand is None:
        sys.stdout.write(f"{context.get_help()}\n")


@app.command()
def scenarios(
    name: Annotated[str | None, typer.Argument(show_default=False, help="Print this firm's file instead.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The built-in firms, one line each; with a name, that firm's file as a start for one's own."""
    import yaml

    from environment import built_in_firms, load_firm

    names = built_in_firms()
    if name is not None:
        if name not in names:
            raise ValueError(f"NAME must be one of {', '.join(names)}, got {name!r}")
        written = load_firm(name).to_yaml()
        return show_json(yaml.safe_load(written)) if as_json else print(written, end="")
    firms = [load_firm(name) for name in names]
    if as_json:
        rows = [{"name": f.name, "description": f.description, "stock_points": len(f.names)} for f in firms]
        return show_json({"firms": rows})
    width = max(map(len, names))
    for firm in firms:
        print(f"{firm.name:<{width}}  {firm.description}")
    return None


@app.command()
def check(firm: FirmArgument, as_json: JsonOption = False) -> None:
    """Validate a firm; show its network, benchmark levels, protection intervals and mean demands."""
    from coordinator.check import drawn, facts
    from environment import load_firm

    found = facts(load_firm(firm))
    if as_json:
        show_json(found)
    else:
        show(drawn(found))


def _file(option: str, header: str) -> Any:  # noqa: ANN401
    return typer.Option(option, metavar="CSV", show_default=False, help=f"Given {header}.")


@app.command()
def simulate(
    firm: FirmArgument,
    out: Annotated[Path, typer.Option(metavar="CSV", show_default=False, help="Where the states go.")],
    policy: Annotated[
        str | None, typer.Option(metavar="RULE|RUN", help="Who orders (default: decomposition-aggregation).")
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
    from coordinator.simulate import GivenFiles
    from coordinator.simulate import simulate as simulate_episode
    from environment import load_firm

    files = GivenFiles(orders, demand, lead_times, suppliers, initial)
    cost = simulate_episode(load_firm(firm), out, files, policy=policy, periods=periods, seed=seed)
    sys.stderr.write(f"{out}: cost of all periods {cost:.10g}\n")

"""The `firmwide` command: arguments in, text out; what a command does stands in a module of its own.

Exit status: 0 done, 2 bad input (one line on stderr, nothing written), 1 a failure inside. What takes long to import is
imported by the command that needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from errno import ENAMETOOLONG
from typing import Annotated, Any

import typer

from coordinator.cli.firms import check, compare, evaluate, scenarios, simulate
from coordinator.cli.interventions import approve, cancel, change, override, pause, resume, rollback, swap, versions
from coordinator.cli.learning import benchmark, explain, report, theory, train
from coordinator.cli.live import audit, backup, history, live, orders, status, stop
from coordinator.cli.options import CommandOfSchemes
from coordinator.cli.planning import backtest, forecast, import_firm, propose
from coordinator.cli.serving import monitor, office
from coordinator.cli.show import complain
from coordinator.version import program_version

COMMANDS = (
    *(import_firm, forecast, backtest, propose),
    *(scenarios, check, simulate, evaluate, compare, explain, theory, train, benchmark, report),
    *(live, status, orders, approve, versions, swap, cancel, rollback, override, pause, resume, change, stop),
    *(history, audit, backup, office, monitor),
)
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # unknown options, missing arguments, bad values

app = typer.Typer(
    name="firmwide",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    word = "import" if command is import_firm else None  # no function of Python may be called so
    app.command(word, cls=CommandOfSchemes if command in (train, benchmark) else None)(command)


def register_command(function: Callable[..., Any]) -> None:
    """Add a subcommand of a user's own; one of the same name from the same module takes its place.

    Raises:
        ValueError: there is a subcommand of that name already.
    """
    for known in app.registered_commands:
        if known.callback is not None and known.callback.__name__ == function.__name__:
            if known.callback.__module__ != function.__module__:
                raise ValueError(f"there is a subcommand {function.__name__!r} already: name yours otherwise")
            app.registered_commands.remove(known)
            break
    app.command()(function)


def main() -> None:
    """The entry point of the command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):  # bytes that are none, as Python carries them
            return _refuse(f"arguments must be text in UTF-8, got {argument!r:.80}", 2)
    try:
        rest = _with_extensions(list(arguments))
        status = app(rest, prog_name="firmwide", standalone_mode=False)
    except _UsageError as error:
        return _refuse(f"{error.format_message()} (see `firmwide --help`)", 2)  # type: ignore[attr-defined]
    except ValueError as error:
        return _refuse(str(error), 2)
    except (typer.Abort, KeyboardInterrupt):
        return _refuse("interrupted", 130)
    except (RuntimeError, OSError) as error:
        return _refuse(str(error), 2 if getattr(error, "errno", None) == ENAMETOOLONG else 1)
    return status if isinstance(status, int) else 0


def _with_extensions(arguments: list[str]) -> list[str]:
    """Load what `--import` names, before anything says which commands, schemes and laws there are; what is left."""
    while arguments and arguments[0].partition("=")[0] == "--import":
        _, equals, name = arguments.pop(0).partition("=")
        if not equals:
            if not arguments:
                raise ValueError("--import needs a module or a .py file")
            name = arguments.pop(0)
        from departments import extensions

        extensions.load([name])
    return arguments


def _refuse(message: str, status: int) -> int:
    complain(message)
    return status


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"firmwide {program_version()}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def firmwide(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    _import: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE|FILE",
            show_default=False,
            help="Rules, schemes, laws and subcommands of your own; stands first, repeatable.",
        ),
    ] = None,
) -> None:
    """The departments of a firm, learning together and running together."""
    if _import:
        raise ValueError("--import must stand first: firmwide --import MODULE|FILE ...")
    if context.invoked_subcommand is None:
        sys.stdout.write(f"{context.get_help()}\n")

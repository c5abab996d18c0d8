"""Arguments and options of commands, those that several share by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


def argument(metavar: str, help: str) -> Any:  # noqa: ANN401
    """What stands without a name, as the help calls it."""
    return typer.Argument(metavar=metavar, show_default=False, help=help)


def option(metavar: str, help: str, *names: str, **more: Any) -> Any:  # noqa: ANN401
    """An option with its value as the help calls it, by its parameter's name or these; `more` as typer has it."""
    return typer.Option(*names, metavar=metavar, help=help, **more)


FirmName = Annotated[str, argument("FIRM", "A built-in firm (see `scenarios`) or a firm file.")]
Name = Annotated[str, argument("NAME", "The running firm.")]
NameOrRun = Annotated[str, argument("NAME|RUN", "The running firm, or a run that is being trained.")]
Department = Annotated[str, argument("DEPARTMENT", "A stock point, or recommendation.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Device = Annotated[str, option("cpu|cuda", "Where tensors live.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")]
Config = Annotated[Path | None, option("YAML", "Settings that differ from the defaults.")]
Values = Annotated[
    list[str] | None, option("KEY=VALUE", "A setting, such as ppo.learning_rate=5e-4; repeatable.", "--set")
]
Log = Annotated[list[str] | None, option("TRACKER", "tensorboard (into the run folder), wandb or mlflow; repeatable.")]
Address = Annotated[str | None, option("auto|HOST", "A running Ray cluster; default: start one here.")]
Home = Annotated[Path, option("DIR", "Where running firms have their folders.", "--home")]
Why = Annotated[str, option("TEXT", "For the book.", show_default=False)]
Who = Annotated[str | None, option("NAME", "Who asks (default: you).")]
Id = Annotated[str | None, option("ID", "An id: repeated, it is carried out once.", "--command")]


class CommandOfSchemes(TyperCommand):
    """A command whose help tells of the schemes that there are when it is shown; to import them takes a while."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Fill in {schemes}, and {order} and the like: the schemes that have such an option."""
        from coordinator.schemes.registry import described

        for option in self.params:
            if (text := getattr(option, "help", None)) and "{" in text:
                told = {name: described(name) for name in ("order", "observation")}
                option.help = text.format(schemes=described(), **told)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def said(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of a command's arguments, by name; of what was not, the function that it calls has a default."""
    return {name: value for name, value in arguments.items() if value is not None}


def seconds(option: str, text: str) -> float:
    """A time such as 1s, 500ms or 15m.

    Raises:
        ValueError: it is none, or not above 0.
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|m|h)", text.strip(), re.ASCII)
    amount = float(found[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}[found[2]] if found else 0.0
    if amount <= 0:
        raise ValueError(f"{option} must be a time above 0 such as 1s, 500ms or 15m, got {text!r}")
    return amount

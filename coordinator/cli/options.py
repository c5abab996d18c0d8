"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

FirmArgument = Annotated[
    str, typer.Argument(metavar="FIRM", show_default=False, help="A built-in firm (see `scenarios`) or a firm file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
DeviceOption = Annotated[str, typer.Option(metavar="cpu|cuda", help="Where tensors live.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", show_default=False, help="A setting, such as ppo.learning_rate=5e-4; repeatable."
    ),
]
LogOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TRACKER", show_default=False, help="tensorboard (into the run folder), wandb or mlflow; repeatable."
    ),
]
RunOrNameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME|RUN", show_default=False, help="The running firm, or a run that is being trained."),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The running firm.")]
DepartmentArgument = Annotated[
    str, typer.Argument(metavar="DEPARTMENT", show_default=False, help="A stock point, or recommendation.")
]
HomeOption = Annotated[Path, typer.Option("--home", metavar="DIR", help="Where running firms have their folders.")]
WhyOption = Annotated[str, typer.Option(metavar="TEXT", show_default=False, help="For the book.")]
WhoOption = Annotated[str | None, typer.Option(metavar="NAME", show_default=False, help="Who asks (default: you).")]
CommandOption = Annotated[
    str | None,
    typer.Option("--command", metavar="ID", show_default=False, help="An id: repeated, it is carried out once."),
]


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

"""`firmwide swap`, `rollback`, `override`, `pause`, `resume`: what is asked of departments in operation or training."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.cli.options import (
    CommandOption,
    DepartmentArgument,
    HomeOption,
    NameArgument,
    RunOrNameArgument,
    WhoOption,
    WhyOption,
)
from coordinator.live.home import HOME


def swap(
    name: RunOrNameArgument,
    department: DepartmentArgument,
    policy: Annotated[str, typer.Option(metavar="RUN[@VERSION]|RULE|FILE", show_default=False, help="Whom to follow.")],
    canary: Annotated[int, typer.Option(min=0, max=100_000, help="Periods in shadow first; 0: none.")] = 0,
    tolerance: Annotated[
        float, typer.Option(min=0, help="By which the firm may do worse than by the benchmark.")
    ] = 0.2,
    hold: Annotated[bool, typer.Option("--hold", help="In training: it shall not learn on; rules never do.")] = False,
    why: WhyOption = "",
    who: WhoOption = None,
    command: CommandOption = None,
    home: HomeOption = HOME,
) -> int:
    """Let one department follow another policy, between two periods; refused if it does not fit or does much worse.

    In a run that is being trained it takes effect between two iterations, and is what the others learn against then.
    """
    if _in_training(name, home):
        if canary:
            raise ValueError("--canary is for running firms; in a run that is being trained --tolerance decides alone")
        asked = {"policy": policy, "hold": hold, "tolerance": tolerance}
        return _ask_run(name, "swap", department, why=why, who=who, command=command, **asked)
    if hold:
        raise ValueError("--hold is for runs that are being trained; in a running firm nobody learns")
    more: dict[str, Any] = {"canary": canary, "tolerance": tolerance}
    return _ask(home, name, "swap", department, policy, why=why, who=who, command=command, **more)


def rollback(
    name: RunOrNameArgument,
    department: DepartmentArgument,
    why: WhyOption = "",
    who: WhoOption = None,
    command: CommandOption = None,
    home: HomeOption = HOME,
) -> int:
    """Let a department follow again what it followed before."""
    if _in_training(name, home):
        return _ask_run(name, "rollback", department, why=why, who=who, command=command)
    return _ask(home, name, "rollback", department, why=why, who=who, command=command)


def override(
    name: NameArgument,
    department: DepartmentArgument,
    why: Annotated[str, typer.Option(metavar="TEXT", show_default=False, help="For the book.")],
    order: Annotated[
        str | None, typer.Option(metavar="40|p1=4,p2=0", show_default=False, help="Units, by product if several.")
    ] = None,
    exposure: Annotated[
        str | None,
        typer.Option(
            metavar="POINT/SEGMENT/PRODUCT=1,...",
            show_default=False,
            help="Of the recommendation department: shares 0 to 1; nothing else is shown. none: nothing is.",
        ),
    ] = None,
    periods: Annotated[int, typer.Option(min=1, help="How long.")] = 1,
    who: WhoOption = None,
    command: CommandOption = None,
    home: HomeOption = HOME,
) -> int:
    """Give a stock point's order, or what is recommended, by hand for some periods."""
    from coordinator.live.book import Book
    from coordinator.live.home import folder_of

    book = Book(folder_of(name, home) / "book.sqlite")
    layout = book.facts()["frame"]
    book.close()
    if department == layout["recommends"]:
        if exposure is None or order is not None:
            raise ValueError(f"{department} orders nothing: give --exposure POINT/SEGMENT/PRODUCT=1,... and no --order")
        given = _exposure(exposure)
    elif order is None or exposure is not None:
        raise ValueError(
            f"--order is needed for {department}, and --exposure is for the recommendation department alone"
        )
    else:
        given = _order(order, layout["products"])
    return _ask(home, name, "override", department, given, periods, why=why, who=who, command=command)


def pause(
    name: NameArgument,
    department: DepartmentArgument,
    why: WhyOption = "",
    who: WhoOption = None,
    command: CommandOption = None,
    home: HomeOption = HOME,
) -> int:
    """Let the benchmark's rule decide for a department."""
    return _ask(home, name, "pause", department, why=why, who=who, command=command)


def resume(
    name: NameArgument,
    department: DepartmentArgument,
    why: WhyOption = "",
    who: WhoOption = None,
    command: CommandOption = None,
    home: HomeOption = HOME,
) -> int:
    """Let a department decide by itself again."""
    return _ask(home, name, "resume", department, why=why, who=who, command=command)


def _in_training(name: str, home: Path) -> bool:
    """Whether NAME is a run folder, and no running firm of that name."""
    return (Path(name) / "settings.json").is_file() and not (home / name / "book.sqlite").is_file()


def _ask_run(name: str, kind: str, department: str, **asked: Any) -> int:  # noqa: ANN401
    """Ask a run that is being trained; exit status 2 where it is refused."""
    import getpass
    import time
    import uuid

    from coordinator.live.home import absolute
    from coordinator.runs.folder import RunFolder
    from coordinator.runs.hot_swap import must_have_departments
    from coordinator.runs.mailbox import Request, ask
    from departments import extensions

    must_have_departments(RunFolder(Path(name)))
    if "policy" in asked:
        asked |= {"policy": absolute(asked["policy"]), "extensions": extensions.names()}
    asked["who"], number = asked["who"] or getpass.getuser(), asked.pop("command") or uuid.uuid4().hex
    return _told(kind, ask(Path(name), Request(number, kind, department, time=time.time(), **asked)))


def _ask(home: Path, name: str, kind: str, *arguments: Any, **asked: Any) -> int:  # noqa: ANN401
    """Send a command; exit status 2 where it is refused."""
    from coordinator.live.running_firm import RunningFirm

    with RunningFirm.connect(name, home) as firm:
        answer = getattr(firm, kind)(*arguments, **asked)
    return _told(kind, answer)


def _told(kind: str, answer: dict[str, Any]) -> int:
    if answer["state"] == "refused":
        raise ValueError(answer["message"])
    if answer["state"] == "pending":
        sys.stderr.write(f"{kind} is under way; ask again with --command {answer['command']}\n")
    else:
        sys.stderr.write(f"{answer['message']}\n")
    return 0


def _exposure(text: str) -> dict[str, float]:
    given: dict[str, float] = {}
    for item in [] if text.strip() == "none" else text.split(","):
        key, equals, share = item.partition("=")
        if not equals or key.strip() in given or not re.fullmatch(r"[0-9]{0,3}\.?[0-9]{0,9}", share.strip(), re.ASCII):
            raise ValueError(f"--exposure must be shares such as store-1/families/p1=0.5, each once, got {text!r}")
        try:
            given[key.strip()] = float(share)
        except ValueError:
            raise ValueError(f"--exposure of {key.strip()} must be a number, got {share!r}") from None
    return given


def _order(text: str, products: list[str]) -> dict[str, float]:
    if len(products) == 1 and "=" not in text:
        text = f"{products[0]}={text}"
    given: dict[str, float] = {}
    for item in text.split(","):
        product, _, units = item.partition("=")
        if product.strip() not in products or not re.fullmatch(r"[0-9]{1,7}", units.strip(), re.ASCII):
            example = ",".join(f"{product}=4" for product in products)
            raise ValueError(f"--order must be whole units such as {example}, got {text!r}")
        given[product.strip()] = int(units)
    return given

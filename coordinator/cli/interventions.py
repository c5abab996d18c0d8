"""`firmwide swap`, `rollback`, `override`, `pause`, `resume`, `change`, `cancel`, `approve`: what firms are asked.

`firmwide versions`: the policies that they may be asked to follow.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.cli.options import AsJson, Department, Home, Id, Name, NameOrRun, Who, Why, argument, option
from coordinator.cli.show import say, show, show_json
from coordinator.live.home import HOME


def versions(name: NameOrRun, home: Home = HOME, as_json: AsJson = False) -> None:
    """The policies that a run or a running firm keeps: what `swap --policy RUN@VERSION` may name."""
    from rich.table import Table

    from coordinator.live.home import folder_of
    from coordinator.runs.policy_source import kept_versions

    rows = kept_versions(Path(name) if _is_run(name) else folder_of(name, home))
    if as_json:
        return show_json(rows)
    table = Table("department", "version", "policy", "counts", "came by", show_edge=False, pad_edge=False)
    for row in rows:
        came = ", ".join(f"{key} {value}" for key, value in row["came_by"].items() if key not in ("run", "policy"))
        table.add_row(row["department"], str(row["version"]), row["policy"], "yes" * row["counts"], came)
    return show(table)


def swap(
    name: NameOrRun,
    department: Department,
    policy: Annotated[str, option("[NAME=]RUN[@VERSION]|RULE|FILE", "Whom to follow; NAME= says what it is called.")],
    canary: Annotated[int, typer.Option(min=0, max=100_000, help="Periods in shadow first; 0: none.")] = 0,
    tolerance: Annotated[
        float, typer.Option(min=0, help="By which the firm may do worse than by the benchmark.")
    ] = 0.2,
    undecided: Annotated[
        str, option("refuse|accept", "A canary that is not to be told from who is in office.")
    ] = "refuse",
    hold: Annotated[bool, typer.Option("--hold", help="In training: it shall not learn on; rules never do.")] = False,
    why: Why = "",
    who: Who = None,
    command: Id = None,
    home: Home = HOME,
) -> None:
    """Let one department follow another policy, between two periods; refused if it does not fit or does much worse.

    In a run that is being trained it takes effect between two iterations, and is what the others learn against then.
    """
    asked: dict[str, Any] = {"tolerance": tolerance, "why": why, "who": who, "command": command}
    if not _in_training(name, home):
        if hold:
            raise ValueError("--hold is for runs that are being trained; in a running firm nobody learns")
        return _ask(home, name, "swap", department, policy, canary=canary, undecided=undecided, **asked)
    if canary:
        raise ValueError("--canary is for running firms; in a run that is being trained --tolerance decides alone")
    from coordinator.runs.policy_text import absolute
    from departments import extensions

    more: dict[str, Any] = {"policy": absolute(policy), "hold": hold, "extensions": extensions.names()}
    return _ask_run(name, "swap", department, **asked, **more)


def rollback(
    name: NameOrRun, department: Department, why: Why = "", who: Who = None, command: Id = None, home: Home = HOME
) -> None:
    """Let a department follow again what it followed before."""
    if _in_training(name, home):
        return _ask_run(name, "rollback", department, why=why, who=who, command=command)
    return _ask(home, name, "rollback", department, why=why, who=who, command=command)


def override(
    name: Name,
    department: Department,
    why: Annotated[str, option("TEXT", "For the book.")],
    order: Annotated[str | None, option("40|p1=4,p2=0", "Units, by product if several.")] = None,
    exposure: Annotated[
        str | None,
        option(
            "POINT/SEGMENT/PRODUCT=1,...",
            "Of the recommendation department: shares 0 to 1; nothing else is shown. none: nothing is.",
        ),
    ] = None,
    periods: Annotated[int, typer.Option(min=1, help="How long.")] = 1,
    who: Who = None,
    command: Id = None,
    home: Home = HOME,
) -> None:
    """Give a stock point's order, or what is recommended, by hand for some periods."""
    from coordinator.live.book import Book
    from coordinator.live.home import folder_of

    book = Book(folder_of(name, home) / "book.sqlite", reads=True)
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
    _ask(home, name, "override", department, given, periods, why=why, who=who, command=command)


def pause(
    name: Name, department: Department, why: Why = "", who: Who = None, command: Id = None, home: Home = HOME
) -> None:
    """Let the benchmark's rule decide for a department."""
    _ask(home, name, "pause", department, why=why, who=who, command=command)


def resume(
    name: Name, department: Department, why: Why = "", who: Who = None, command: Id = None, home: Home = HOME
) -> None:
    """Let a department decide by itself again."""
    _ask(home, name, "resume", department, why=why, who=who, command=command)


def change(
    name: Name,
    firm: Annotated[str, option("FIRM", "The firm file that holds from the next period on.")],
    stock: Annotated[
        list[str] | None, option("POINT=OTHER|write-off", "Who takes over what a point that closes has; repeatable.")
    ] = None,
    like: Annotated[
        list[str] | None, option("NEW=OLD", "A point that opens begins with this one's policy; repeatable.")
    ] = None,
    why: Why = "",
    who: Who = None,
    command: Id = None,
    home: Home = HOME,
) -> None:
    """Let a running firm go on as another firm file has it: other figures, stock points that open or close."""
    moves, neighbours = _named("--stock", stock), _named("--like", like)
    _ask(home, name, "change", firm, moves, neighbours, why=why, who=who, command=command)


def _named(option_name: str, given: list[str] | None) -> dict[str, str]:
    """Names by name, of NAME=NAME each."""
    found: dict[str, str] = {}
    for each in given or ():
        point, equals, other = each.partition("=")
        if not equals or not point or not other or point in found:
            raise ValueError(f"{option_name} must be NAME=NAME, each name once, got {each!r}")
        found[point] = other
    return found


def cancel(
    name: Name,
    command: Annotated[str, argument("COMMAND", "Its id, as `status` tells.")],
    why: Why = "",
    who: Who = None,
    home: Home = HOME,
) -> None:
    """Withdraw a command that is under way, such as the swap of a canary."""
    _ask(home, name, "cancel", command, why=why, who=who)


def approve(
    name: Name,
    line: Annotated[list[str] | None, option("POINT/PRODUCT=UNITS", "Order this instead; repeatable.")] = None,
    reject: Annotated[list[str] | None, option("POINT/PRODUCT", "Order nothing of this; repeatable.")] = None,
    period: Annotated[int | None, typer.Option(min=0, help="Default: the one that waits.", show_default=False)] = None,
    why: Why = "",
    who: Who = None,
    command: Id = None,
    home: Home = HOME,
) -> None:
    """Let orders leave that wait for approval, as `orders` shows them, or changed line by line."""
    from coordinator.live.book import Book
    from coordinator.live.home import folder_of

    book = Book(folder_of(name, home) / "book.sqlite", reads=True)
    layout, (tick, _, record) = book.facts()["frame"], book.now()
    book.close()
    waits = record.get("proposal")
    made = None if waits is None or period is not None else waits["made"]
    lines: dict[str, dict[str, float]] = {}
    given = [("--line", *each.rpartition("=")[::2]) for each in line or ()]
    for option_name, place, units in [*given, *(("--reject", each, "0") for each in reject or ())]:
        point, product = _place(option_name, place, layout)
        if not re.fullmatch(r"[0-9]{1,9}", units, re.ASCII):
            raise ValueError(f"--line must be POINT/PRODUCT=UNITS in whole units, got {place}={units}")
        if product in lines.setdefault(point, {}):
            raise ValueError(f"{option_name} {place} is given twice: leave one out")
        lines[point][product] = float(units)
    _ask(home, name, "approve", tick if period is None else period, lines, made=made, why=why, who=who, command=command)


def _place(option_name: str, text: str, layout: dict[str, Any]) -> tuple[str, str]:
    """The stock point and product of POINT/PRODUCT; of a firm with one product, POINT does."""
    for point in layout["points"]:
        for product in layout["products"]:
            if text == f"{point}/{product}" or (text == point and len(layout["products"]) == 1):
                return point, product
    example = f"{layout['points'][0]}/{layout['products'][0]}"
    raise ValueError(f"{option_name} must name a stock point and a product, such as {example}, got {text!r}")


def _is_run(name: str) -> bool:
    return (Path(name) / "settings.json").is_file()


def _in_training(name: str, home: Path) -> bool:
    """Whether NAME is a run folder, and no running firm of that name."""
    return _is_run(name) and not (home / name / "book.sqlite").is_file()


def _ask_run(name: str, kind: str, department: str, *, who: str | None, command: str | None, **asked: Any) -> None:  # noqa: ANN401
    """Ask a run that is being trained."""
    import getpass
    import time
    import uuid

    from coordinator.runs.folder import RunFolder
    from coordinator.runs.hot_swap import must_have_departments
    from coordinator.runs.mailbox import Request, ask

    must_have_departments(RunFolder(Path(name)))
    number, asker = uuid.uuid4().hex if command is None else command, who or getpass.getuser()
    _tell(kind, ask(Path(name), Request(number, kind, department, asker, time=time.time(), **asked)))


def _ask(home: Path, name: str, kind: str, *arguments: Any, **asked: Any) -> None:  # noqa: ANN401
    """Send a command to a running firm."""
    from coordinator.live.running_firm import RunningFirm

    with RunningFirm.connect(name, home) as firm:
        _tell(kind, getattr(firm, kind)(*arguments, **asked))


def _tell(kind: str, answer: dict[str, Any]) -> None:
    """Say what became of it; what is refused ends like bad input."""
    if answer["state"] == "refused":
        raise ValueError(answer["message"])
    pending = f"{kind} is under way; ask again with --command {answer['command']}"
    say(pending if answer["state"] == "pending" else answer["message"])


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

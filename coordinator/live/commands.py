"""The commands of a running firm: live, status, swap, rollback, override, pause, resume, history, stop."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.live.place import HOME

app = typer.Typer()

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
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.command()
def live(
    source: Annotated[
        str | None, typer.Argument(metavar="RUN|FIRM", show_default=False, help="Not needed to go on with --name.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", show_default=False, help="Default: as RUN|FIRM.")] = None,
    policies: Annotated[
        str | None, typer.Option(metavar="RULE|RUN", show_default=False, help="Whom departments follow at first.")
    ] = None,
    tick: Annotated[str, typer.Option(metavar="1s|500ms|max", help="Time from one period to the next.")] = "1s",
    ticks: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Periods in all; default: no end.")
    ] = None,
    feed: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="Real observations in, orders out, as csv.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", show_default=False, help="A standing Ray; default: one of its own."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated world.")] = 0,
    deadline: Annotated[str, typer.Option(metavar="500ms", help="In which departments must answer.")] = "500ms",
    home: HomeOption = HOME,
) -> None:
    """Put a firm into operation: it goes on after this command has ended. With --name alone, go on where it was."""
    from coordinator.live.opening import Opening, open_firm

    pace = 0.0 if tick == "max" else _seconds("--tick", tick)
    asked = Opening(source, name, home, policies, pace, ticks, feed, address, seed, _seconds("--deadline", deadline))
    with open_firm(asked, _say) as firm:
        sys.stderr.write(f"{firm.name} runs in {firm.folder}; see `firmwide status {firm.name}`\n")


@app.command()
def status(name: NameArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """How a running firm does."""
    from coordinator.live.running_firm import RunningFirm

    with RunningFirm.connect(name, home) as firm:
        figures = firm.metrics()
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=2).replace("Infinity", '"inf"') + "\n")
        return
    from coordinator.cli import show
    from coordinator.live.tables import status_table

    show(status_table(figures))


@app.command()
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


@app.command()
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


@app.command()
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
    from coordinator.live.place import folder_of

    book = Book(folder_of(name, home) / "book.sqlite")
    frame = book.facts()["frame"]
    book.close()
    if department == frame["recommends"]:
        if exposure is None or order is not None:
            raise ValueError(f"{department} orders nothing: give --exposure POINT/SEGMENT/PRODUCT=1,... and no --order")
        given = _exposure(exposure)
    elif order is None or exposure is not None:
        raise ValueError(
            f"--order is needed for {department}, and --exposure is for the recommendation department alone"
        )
    else:
        given = _order(order, frame["products"])
    return _ask(home, name, "override", department, given, periods, why=why, who=who, command=command)


@app.command()
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


@app.command()
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


@app.command()
def stop(
    name: NameArgument,
    why: WhyOption = "",
    who: WhoOption = None,
    now: Annotated[
        bool, typer.Option("--now", help="End its processes, whatever they do; the book stays true.")
    ] = False,
    home: HomeOption = HOME,
) -> None:
    """Stop a running firm after the period at hand; `live --name NAME` goes on with it."""
    from coordinator.live.running_firm import RunningFirm

    with RunningFirm.connect(name, home) as firm:
        if now:
            firm.dismiss()
            return
        sys.stderr.write(f"{firm.stop(why=why, who=who)['message']}\n")


@app.command()
def history(
    name: NameArgument,
    department: Annotated[str | None, typer.Option(show_default=False, help="Of this one alone.")] = None,
    events: Annotated[bool, typer.Option("--events", help="What was done to the firm, instead of decisions.")] = False,
    since: Annotated[int, typer.Option(min=0, help="First period (event).")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 1000,
    out: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", show_default=False, help="Write a file instead.")
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """What was decided and done, from the book; also of a firm that does not run."""
    from coordinator.live.book import Book
    from coordinator.live.place import folder_of

    book = Book(folder_of(name, home) / "book.sqlite")
    known = book.facts()["frame"]
    names = [*known["points"], *([known["recommends"]] if known["recommends"] else [])]
    if department is not None and department not in names:
        raise ValueError(f"--department must be one of {', '.join(names)}, got {department!r}")
    rows = book.events(since, limit) if events else book.decisions(department, since, limit)
    if events and department is not None:
        rows = [row for row in rows if row["department"] == department]
    book.close()
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    elif out is not None:
        with out.open("w", newline="", encoding="utf-8") as file:
            _write(file, rows)
    else:
        _write(sys.stdout, rows)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _write(file: Any, rows: list[dict[str, Any]]) -> None:  # noqa: ANN401
    writer = csv.writer(file, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow([json.dumps(v) if isinstance(v, (dict, list)) else v for v in row.values()])


def _in_training(name: str, home: Path) -> bool:
    """Whether NAME is a run folder, and no running firm of that name."""
    return (Path(name) / "settings.json").is_file() and not (home / name / "book.sqlite").is_file()


def _ask_run(name: str, kind: str, department: str, **asked: Any) -> int:  # noqa: ANN401
    """Ask a run that is being trained; exit status 2 where it is refused."""
    import getpass
    import time
    import uuid

    from coordinator.live.place import absolute
    from coordinator.runs.hot_swap import must_have_departments
    from coordinator.runs.mailbox import Request, ask
    from coordinator.runs.folder import RunFolder

    must_have_departments(RunFolder(Path(name)).settings())
    if "policy" in asked:
        asked["policy"] = absolute(asked["policy"])
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


def _seconds(option: str, text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|m|h)", text.strip(), re.ASCII)
    seconds = float(found[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}[found[2]] if found else 0.0
    if seconds <= 0:
        raise ValueError(f"{option} must be a time above 0 such as 1s, 500ms or 15m, got {text!r}")
    return seconds


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

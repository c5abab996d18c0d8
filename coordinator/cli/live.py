"""`firmwide live`, `status`, `stop`, `history`, `audit` and `backup`: a firm in operation."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.cli.options import AsJson, Home, Name, Who, Why, argument, option, seconds
from coordinator.cli.show import say, show, show_json
from coordinator.live.home import HOME, folder_of
from coordinator.shown import finite


def live(
    source: Annotated[str | None, argument("RUN|FIRM", "Not needed to go on with --name.")] = None,
    name: Annotated[str | None, option("NAME", "Default: as RUN|FIRM.")] = None,
    policies: Annotated[str | None, option("[NAME=]RULE|RUN|CSV", "Whom departments follow at first.")] = None,
    tick: Annotated[str, option("1s|500ms|max", "Time from one period to the next.")] = "1s",
    ticks: Annotated[int | None, typer.Option(min=1, help="Periods in all; default: no end.")] = None,
    feed: Annotated[Path | None, option("DIR", "Real observations in, orders out, as csv.")] = None,
    address: Annotated[str | None, option("HOST:PORT", "A standing Ray; default: one of its own.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated world.")] = 0,
    deadline: Annotated[str, option("500ms", "In which departments must answer.")] = "500ms",
    keep: Annotated[
        int | None, typer.Option(min=100, max=10**9, help="Periods in the book; older: daily sums.")
    ] = None,
    benchmark: Annotated[list[str] | None, option("DEPARTMENT", "Begin this one on its benchmark's rule.")] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Orders wait until somebody approves them.")] = False,
    home: Home = HOME,
) -> None:
    """Put a firm into operation: it goes on after this command has ended. With --name alone, go on where it was."""
    from coordinator.live.start import Opening, open_firm

    pace = 0.0 if tick == "max" else seconds("--tick", tick)
    asked = Opening(source, name, home, policies, pace, ticks, feed, address, seed, seconds("--deadline", deadline))
    asked = replace(asked, keep=keep, benchmark=tuple(benchmark or ()), approve=approve)
    with open_firm(asked, say) as firm:
        say(f"{firm.name} runs in {firm.folder}; see `firmwide status {firm.name}`")


def status(name: Name, home: Home = HOME, as_json: AsJson = False) -> None:
    """How a running firm does."""
    from coordinator.live.running_firm import RunningFirm

    with RunningFirm.connect(name, home) as firm:
        figures = firm.metrics()
    if as_json:
        show_json(finite(figures, "inf"))
        return
    from coordinator.live.tables import status_table

    show(status_table(figures))


def stop(
    name: Name,
    why: Why = "",
    who: Who = None,
    now: Annotated[
        bool, typer.Option("--now", help="End its processes, whatever they do; the book stays true.")
    ] = False,
    home: Home = HOME,
) -> None:
    """Stop a running firm after the period at hand; `live --name NAME` goes on with it."""
    from coordinator.live.home import leave
    from coordinator.live.running_firm import RunningFirm

    if now:
        folder = folder_of(name, home)
        with contextlib.suppress(ValueError), RunningFirm.connect(name, home) as firm:
            firm.dismiss()
        return leave(folder)
    with RunningFirm.connect(name, home) as firm:
        answer = firm.stop(why=why, who=who)
    if answer["state"] != "done":
        told = answer["message"] or "it has not stopped within a minute"
        raise RuntimeError(f"{told}; `firmwide stop {name} --now` ends its processes, whatever they do")
    return say(answer["message"])


def history(
    name: Name,
    department: Annotated[str | None, typer.Option(show_default=False, help="Of this one alone.")] = None,
    events: Annotated[bool, typer.Option("--events", help="What was done to the firm, instead of decisions.")] = False,
    since: Annotated[int, typer.Option(min=0, help="First period (event).")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 1000,
    out: Annotated[Path | None, option("FILE", "Write a file instead.", "--csv")] = None,
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """What was decided and done, from the book; also of a firm that does not run."""
    from coordinator.live.book import Book
    from coordinator.live.layout import FirmLayout

    book = Book(folder_of(name, home) / "book.sqlite", reads=True)
    frames = [FirmLayout.of(structure.frame) for structure in book.structures()]  # those that have closed, too
    names = list(dict.fromkeys(name for frame in frames for name in frame.departments))
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


def orders(
    name: Name,
    search: Annotated[str, option("WORDS", "Lines with these in point, product or exception.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many lines.")] = 40,
    out: Annotated[Path | None, option("FILE", "Write all lines to a file instead.", "--csv")] = None,
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """What waits for approval, or was ordered last, line by line, exceptions first; also of a firm that has stopped."""
    from coordinator.live.book import Book
    from coordinator.live.lines import Lines
    from coordinator.live.tables import orders_table

    folder = folder_of(name, home)
    with contextlib.closing(Book(folder / "book.sqlite", reads=True)) as book:
        lines = Lines(book.structures()[-1])
        page = lines.page(book, search=search, limit=None if as_json or out is not None else limit)
    if as_json:
        show_json(page._asdict())
    elif out is not None:
        with out.open("w", newline="", encoding="utf-8") as file:
            _write(file, [line | {"exceptions": "; ".join(line["exceptions"])} for line in page.lines])
    else:
        show(orders_table(name, page))


def audit(name: Name, home: Home = HOME, as_json: AsJson = False) -> int:
    """Play a firm's book again and compare: every stock and all money, every decision with swaps and overrides."""
    from coordinator.live.replay import replay

    found = replay(folder_of(name, home))
    if as_json:
        show_json(found)
    else:
        sys.stdout.writelines(f"{fault}\n" for fault in found["faults"])
        counted = f"{found['decisions']} decisions, {found['events']} events: {len(found['faults']) or 'no'} faults"
        say(f"periods {found['since']} to {found['ticks'] - 1}, {counted}")
    return 1 if found["faults"] else 0


def backup(name: Name, file: Annotated[Path, argument("FILE", "Where the copy shall be.")], home: Home = HOME) -> None:
    """Copy a firm's book, also while it runs; a firm that is stopped goes on from one put back as its book.sqlite."""
    from coordinator.live.book_file import copy

    if file.exists() or not file.parent.is_dir():
        raise ValueError(f"FILE must not be there yet, in a folder that exists, got {str(file)!r}")
    copy(folder_of(name, home) / "book.sqlite", file)
    say(f"{file} is the book of {name} as of now; policies/ and firm.yaml are files that never change")


def _write(file: Any, rows: list[dict[str, Any]]) -> None:  # noqa: ANN401
    writer = csv.writer(file, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow([json.dumps(v) if isinstance(v, (dict, list)) else v for v in row.values()])

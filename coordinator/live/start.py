"""What `firmwide live` does: found a firm or find one, start or join Ray, make the actors, wait until the ticks run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.live.book import Book
from coordinator.live.home import leave, running_at, write_home
from coordinator.live.keeper import start_keeper
from coordinator.live.layout import FirmLayout
from coordinator.live.running_firm import RunningFirm
from departments import extensions

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


@dataclass(frozen=True)
class Opening:
    """The options of the command."""

    source: str | None  # RUN or FIRM; None: a firm that was founded before
    name: str | None
    home: Path
    policies: str | None = None
    tick: float = 1.0  # s; 0: as fast as possible
    ticks: int | None = None
    feed: Path | None = None
    address: str | None = None
    seed: int = 0
    deadline: float = 0.5  # s


def open_firm(asked: Opening, report: Callable[[str], None] = lambda _: None) -> RunningFirm:
    """Put a firm into operation, or back into operation.

    Raises:
        ValueError: one line; nothing has been started.
    """
    from coordinator.live.actors import create
    from coordinator.live.process_info import gone, namespace_of, taken
    from coordinator.workers.ray_session import connect

    folder = _founded(asked, report)
    _must_not_run(folder)
    book = Book(folder / "book.sqlite")
    facts = book.facts()
    book.close()
    extensions.load(facts["settings"].get("extensions", ()))
    namespace = namespace_of(folder.name)
    address, keeper = asked.address, None
    report("starting Ray" if address is None else f"joining Ray at {address}")
    if address is None:
        address, keeper = start_keeper(folder)
    write_home(folder, address, keeper)
    try:
        ray, started = connect(namespace, address)
        if taken(namespace):
            raise ValueError(f"a firm named {folder.name!r} runs on that Ray already; give this one another --name")
        options = facts["settings"] | {"tick": asked.tick, "ticks": asked.ticks, "deadline": asked.deadline}
        text = (folder / "firm.yaml").read_text()
        layout = FirmLayout.of(facts["frame"])
        made = create(folder.resolve(), namespace, text, facts["seed"], layout, options)
        waiting: list[Any] = [actor.ready.options(max_task_retries=-1).remote() for actor in made]
        while waiting:
            (done,), waiting = ray.wait(waiting, num_returns=1)
            if (reason := gone(done)) is not None:
                raise RuntimeError(f"firm {folder.name!r} does not start: {reason}")
            report(f"{len(made) - len(waiting)} of {len(made)} actors are ready")
    except BaseException:
        leave(folder)
        raise
    return RunningFirm(folder.name, folder, ray, started)


def _must_not_run(folder: Path) -> None:
    """Refuse a second coordinator for the same book; what only live.json remembers does not run."""
    from coordinator.live.process_info import namespace_of, taken
    from coordinator.workers.ray_session import connect

    place = running_at(folder)
    if place is None:
        return
    try:
        ray, started = connect(namespace_of(folder.name), place["address"])
    except ValueError:
        return  # that Ray is gone
    try:
        if taken(namespace_of(folder.name)):
            raise ValueError(
                f"firm {folder.name!r} runs already; see `firmwide status {folder.name}`, or stop it first"
            )
    finally:
        if started:
            ray.shutdown()


def _founded(asked: Opening, report: Callable[[str], None]) -> Path:
    """The folder of the firm, founded now or before."""
    if asked.source is None and asked.name is None:
        raise ValueError("RUN|FIRM is missing: name a run folder, a built-in firm or a firm file")
    name = asked.name or Path(str(asked.source)).stem
    if not _NAME.fullmatch(name):
        raise ValueError(f"--name must be lower-case letters, digits and '-', at most 41 of them, got {name!r}")
    folder = asked.home / name
    if (folder / "book.sqlite").is_file():
        if asked.source is not None and asked.name is None:
            raise ValueError(
                f"firm {name!r} is there already: go on with `firmwide live --name {name}`, or give it another --name"
            )
        return folder
    if asked.source is None:
        raise ValueError(f"--name {name!r} is no firm in {asked.home} yet: say which RUN|FIRM it shall be")
    from coordinator.live.create import found, source_of

    firm, policies = source_of(asked.source, asked.policies)
    feed = None if asked.feed is None else str(asked.feed.resolve())
    settings = {"feed": feed, "extensions": extensions.names_for_others()}
    found(folder, firm, policies, seed=asked.seed, settings=settings)
    report(f"founded {name} in {folder}")
    return folder

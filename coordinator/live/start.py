"""What `firmwide live` does: found a firm or find one, start or join Ray, make the actors, wait until the ticks run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.live.book import Book, Event
from coordinator.live.home import leave, running_at, starting, write_home
from coordinator.live.keeper import SlowError, started_keeper
from coordinator.live.layout import FirmLayout
from coordinator.live.overrides import shortened
from coordinator.live.policies import keep_bundle, read_bundle, versions
from coordinator.live.running_firm import RunningFirm
from departments import extensions
from environment import load_firm

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_TRIES = 5  # of a start that nobody waits for


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
    keep: int | None = None  # periods that the book keeps at least
    benchmark: tuple[str, ...] = ()  # departments that begin on their benchmark's rule
    approve: bool = False  # a fed firm's orders wait for approval
    patience: float = 60.0  # s after which a process that is alive and silent is ended

    def options(self) -> dict[str, Any]:
        """How the firm is run, until it is stopped."""
        kept = ("tick", "ticks", "deadline", "keep", "patience", "address")
        return {key: getattr(self, key) for key in kept}


def open_firm(asked: Opening, report: Callable[[str], None] = lambda _: None) -> RunningFirm:
    """Put a firm into operation, or back into operation.

    Raises:
        ValueError: one line; nothing has been started.
    """
    name = _named(asked)
    with starting(asked.home / name) as folder:
        _found(folder, asked, report)
        facts = _must_be_sound(folder, asked.benchmark)
        _must_not_run(folder)
        leave(folder)  # what a start left behind that was killed
        if asked.address is not None:
            report(f"joining Ray at {asked.address}")
            try:
                return _opened(folder, asked, facts, asked.address, None, report)
            except BaseException:
                leave(folder)
                raise
        report("starting Ray")
        with started_keeper(folder) as (address, keeper):
            return _opened(folder, asked, facts, address, keeper, report)


def _opened(
    folder: Path,
    asked: Opening,
    facts: dict[str, Any],
    address: str,
    keeper: int | None,
    report: Callable[[str], None],
) -> RunningFirm:
    """Make the actors on a Ray, and wait until the ticks run."""
    from coordinator.live.actors import create
    from coordinator.live.process_info import gone, namespace_of, taken
    from coordinator.workers.process import interruptible
    from coordinator.workers.ray_session import connect

    namespace, options = namespace_of(folder.name), asked.options()
    write_home(folder, address, keeper, options)
    ray, started = connect(namespace, address, own=keeper is not None)
    write_home(folder, ray.get_runtime_context().gcs_address, keeper, options)  # `auto` may be another Ray tomorrow
    if taken(namespace):
        raise ValueError(f"a firm named {folder.name!r} runs on that Ray already; give this one another --name")
    firm = RunningFirm(folder.name, folder, ray, started)
    try:
        with interruptible():
            made = create(folder.resolve(), namespace, firm.departments, facts["settings"] | options)
            waiting: list[Any] = [actor.ready.options(max_task_retries=-1).remote() for actor in made]
            while waiting:
                (done,), waiting = ray.wait(waiting, num_returns=1)
                if (reason := gone(done)) is not None:
                    raise RuntimeError(f"firm {folder.name!r} does not start: {reason}")
                report(f"{len(made) - len(waiting)} of {len(made)} actors are ready")
    except BaseException:
        firm.dismiss()
        raise
    return firm


def _must_not_run(folder: Path) -> None:
    """Refuse a second coordinator for the same book; a firm that has stopped or failed gives way."""
    place = running_at(folder)
    if place is None:
        return
    try:
        firm = RunningFirm.connect(folder.name, folder.parent)
    except ValueError:
        return  # that Ray is gone
    with firm as there:
        if there.runs():
            raise ValueError(
                f"firm {folder.name!r} runs already; see `firmwide status {folder.name}`, or stop it first"
            )
        there.dismiss()


def _must_be_sound(folder: Path, benchmark: tuple[str, ...]) -> dict[str, Any]:
    """The facts of a founded firm whose files can all be read; departments in `benchmark` begin on that rule.

    Raises:
        ValueError: one line names the file and the way out.
    """
    book = Book(folder / "book.sqlite", reads=not benchmark)
    try:
        facts = book.facts()
        extensions.load(facts["settings"].get("extensions", ()))
        names = FirmLayout.of(facts["frame"]).departments
        for name in benchmark:
            if name not in names:
                raise ValueError(f"--benchmark must be one of {', '.join(names)}, got {name!r}")
            _to_benchmark(folder, book, name)
        posts = book.now()[2]["posts"]
    finally:
        book.close()
    load_firm(folder / "firm.yaml")
    for name, post in posts.items():
        read_bundle(folder / "benchmark", name, facts["structure"] + 1)
        try:
            read_bundle(folder / "policies", name, post["version"])
        except ValueError as error:
            way = (
                f"put the file back from a copy, or begin with `firmwide live --name {folder.name} --benchmark {name}`"
            )
            raise ValueError(f"{error}; {way}") from None
    return facts


def _to_benchmark(folder: Path, book: Book, name: str) -> None:
    """Let a department begin on its benchmark's rule, as if by a swap."""
    tick, arrays, record = book.take_over()
    policies, post = folder / "policies", record["posts"][name]
    structure = book.facts()["structure"]
    benchmark = read_bundle(folder / "benchmark", name, structure + 1)
    kept = benchmark.numbered(max(versions(policies, name), default=0) + 1, structure)
    keep_bundle(policies, kept, {"why": "begins on its benchmark", "tick": tick})
    details = {"from": post["version"], "to": kept.version, "policy": kept.label}
    post["version"] = kept.version
    memory = {f"memory/{name}": arrays[f"standin/{name}"]}
    book.amend(tick, arrays | memory, record, [Event("swap", name, why="begins on its benchmark", details=details)])


def _named(asked: Opening) -> str:
    """The name of the firm that is asked for."""
    if asked.source is None and asked.name is None:
        raise ValueError("RUN|FIRM is missing: name a run folder, a built-in firm or a firm file")
    name = Path(str(asked.source)).stem if asked.name is None else asked.name
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"--name must be lower-case letters, digits and '-', at most 41 of them, got {shortened(name)}"
        )
    if asked.source is None and not (asked.home / name / "book.sqlite").is_file():
        raise ValueError(f"--name {name!r} is no firm in {asked.home} yet: say which RUN|FIRM it shall be")
    return name


def _found(folder: Path, asked: Opening, report: Callable[[str], None]) -> None:
    """Found the firm, unless it was before."""
    name = folder.name
    if (folder / "book.sqlite").is_file():
        if asked.source is not None and asked.name is None:
            raise ValueError(
                f"firm {name!r} is there already: go on with `firmwide live --name {name}`, or give it another --name"
            )
        if asked.approve:
            raise ValueError(f"--approve is said when a firm begins, and {name!r} has: leave it out")
        return
    if asked.approve and asked.feed is None:
        raise ValueError("--approve needs --feed DIR: of a simulated firm no order leaves")
    from coordinator.live.create import found, source_of

    firm, policies = source_of(str(asked.source), asked.policies)
    feed = None if asked.feed is None else str(asked.feed.resolve())
    settings = {"feed": feed, "approve": asked.approve, "extensions": extensions.names_for_others()}
    found(folder, firm, policies, seed=asked.seed, settings=settings, report=report)
    report(f"founded {name} in {folder}")


def begin_again(folder: Path, options: dict[str, Any]) -> None:
    """Put a firm whose Ray was broken back into operation, as it was run before; for its keeper.

    Nobody is there who would try again where Ray is too slow to start.
    """
    for left in reversed(range(_TRIES)):
        try:
            return open_firm(Opening(None, folder.name, folder.parent, **options), print).close()
        except SlowError as error:
            if not left:
                raise
            print(f"{error}; it is tried again")


if __name__ == "__main__":
    begin_again(Path(sys.argv[1]), json.loads(sys.argv[2]))

"""A running firm from outside: what it does, and commands to it. docs/live.md states the shapes of all answers."""

from __future__ import annotations

import contextlib
import getpass
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from coordinator.live.book import Book
from coordinator.live.home import HOME, folder_of, leave, running_at
from coordinator.live.layout import FirmLayout
from coordinator.live.overrides import shortened
from coordinator.live.structures import Structure
from coordinator.runs.policy_text import absolute
from coordinator.storage.files import write_atomically
from departments import extensions

if TYPE_CHECKING:
    from coordinator.live.lines import Lines, Page
    from environment import Firm

Answer = dict[str, Any]
_WAIT = 60.0  # s that a command may take
_POLL = 0.02  # s between two looks for an answer
_LARGEST = 1_000_000  # letters of a command's arguments
_STREAM_PAUSE = 0.1  # s between two looks at the monitor


class RunningFirm:
    """Speaks to a running firm's coordinator and monitor; any number may do so side by side."""

    def __init__(self, name: str, folder: Path, ray: Any, started: bool) -> None:  # noqa: ANN401
        """Use `connect`."""
        from coordinator.live.process_info import namespace_of

        self.name, self.folder = name, folder
        self._ray, self._started, self._namespace = ray, started, namespace_of(name)
        self._book = Book(folder / "book.sqlite", reads=True)
        self.settings: dict[str, Any] = self._book.facts()["settings"]
        self._layout: tuple[int, FirmLayout] | None = None  # and of which structure they are
        self._lines: tuple[int, Lines] | None = None

    @classmethod
    def connect(cls, name: str, home: str | Path = HOME) -> Self:
        """Join a running firm's Ray.

        Raises:
            ValueError: one line; there is no such firm, or it does not run.
        """
        from coordinator.live.process_info import namespace_of
        from coordinator.workers.ray_session import connect

        folder = folder_of(name, Path(home))
        place = running_at(folder)
        if place is None:
            raise ValueError(f"firm {name!r} does not run; start it again with `firmwide live --name {name}`")
        ray, started = connect(namespace_of(name), place["address"], own=place["keeper"] is not None)
        return cls(name, folder, ray, started)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        self.close()

    def close(self) -> None:
        """Leave Ray; the firm goes on."""
        self._book.close()
        self._leave_ray()

    def _leave_ray(self) -> None:
        if self._started:
            self._ray.shutdown()
            self._started = False

    def structure(self) -> Structure:
        """How the firm is built now."""
        return self._book.structures()[-1]

    @property
    def layout(self) -> FirmLayout:
        """Names and bounds, as the firm is built now."""
        if self._layout is None or self._layout[0] != self._book.latest():
            structure = self.structure()
            self._layout = structure.number, FirmLayout.of(structure.frame)
        return self._layout[1]

    @property
    def departments(self) -> list[str]:
        """Names, stock points first."""
        return self.layout.departments

    def metrics(self) -> dict[str, Any]:
        """All figures of now, as the monitor was last told; see docs/live.md."""
        figures: dict[str, Any] | None = self._ask("monitor", "call", "metrics")[1]
        if figures is None:  # a monitor that was just started again
            figures = self._ask("coordinator", "metrics")
        return dict(figures)

    def ticks(self, since: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """The last ticks from `since` on, oldest first; older ones than the monitor keeps come from the book."""
        found: list[dict[str, Any]] = self._ask("monitor", "call", "ticks", since, limit)[1]
        if found and found[0]["tick"] == since:
            return found
        return self._book.ticks(since, limit)

    def stream(self, since: int | None = None) -> Iterator[dict[str, Any]]:
        """Ticks as they come, from `since` (default: the next one) until the firm stops."""
        at = self._book.tick() if since is None else since
        waiting = threading.Event()
        while running_at(self.folder) is not None:
            found = self.ticks(at)
            yield from found
            at = found[-1]["tick"] + 1 if found else at
            if not found and self.metrics()["state"] in ("stopped", "failed", "done"):
                return
            waiting.wait(_STREAM_PAUSE)

    def runs(self) -> bool:
        """Whether ticks follow, or may; not where the firm has stopped or failed, or nobody is there to say so."""
        try:
            return self._ask("coordinator", "state")[0] not in ("stopped", "failed")
        except RuntimeError:
            return False

    def committed(self) -> int:
        """How many ticks are committed, from the book."""
        return self._book.tick()

    def processes(self) -> dict[str, int]:
        """Process id of each actor, by its name (departments: department-NAME)."""
        names = ["coordinator", "environment", "critic", "monitor", *(f"department-{d}" for d in self.departments)]
        return {name: int(self._ask(name, "ready")[0]) for name in names}

    def history(self, department: str | None = None, since: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Decisions from tick `since` on, oldest first."""
        return self._book.decisions(department, since, limit)

    def events(self, since: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Events from number `since` on, oldest first."""
        return self._book.events(since, limit)

    def lines(self, **asked: Any) -> Page:  # noqa: ANN401
        """The lines of the proposal that waits for approval, or of the last decision; see `Lines.page`."""
        if self._lines is None or self._lines[0] != self._book.latest():
            from coordinator.live.lines import Lines  # knows laws

            structure = self.structure()
            self._lines = structure.number, Lines(structure)
        return self._lines[1].page(self._book, **asked)

    def series(self, point: str, product: str | None, number: int | None, most: int) -> Answer:
        """A stock point's whole history, thinned; see `Book.series`."""
        with contextlib.closing(Book(self.folder / "book.sqlite", reads=True)) as book:  # nobody waits for a long look
            return book.series(point, product, number, most)

    def deliver(self, period: int, observations: str, traffic: str | None = None) -> Answer:
        """Hand a fed firm one period's observations, as the text of its csv files (`coordinator.live.feed_files`).

        A period may be delivered again until it is read; what cannot be read stands in the events and in `reason`.

        Raises:
            ValueError: the firm is simulated, or that period is decided already.
        """
        feed, tick = self.settings.get("feed"), self.committed()
        if feed is None:
            raise ValueError(f"firm {self.name!r} is simulated; only one that was begun with --feed takes observations")
        if period < tick:
            raise ValueError(f"period must be {tick} or later, as all before are decided, got {period}")
        folder = Path(feed) / "in"
        if traffic is not None:
            write_atomically(folder / f"traffic-{period}.csv", traffic)
        write_atomically(folder / f"period-{period}.csv", observations)
        return {"period": period, "state": "done", "message": f"period {period} is delivered"}

    def swap(
        self,
        department: str,
        policy: str,
        *,
        canary: int = 0,
        tolerance: float = 0.2,
        undecided: str = "refuse",
        **asked: Any,  # noqa: ANN401
    ) -> Answer:
        """Let a department follow another policy.

        Args:
            department: name.
            policy: `RULE`, `RUN`, `RUN@VERSION`, a policy file of a run or a csv file of levels, on the node of the
                firm's folder; `NAME=` before it is its label.
            canary: periods that it must first prove itself in shadow; 0: none.
            tolerance: share of the benchmark's cost by which the firm may do worse in the shadow run.
            undecided: `refuse` or `accept` a canary that cannot be told apart from the policy in office.
            asked: `who`, `why`, `command` and `wait`, as everywhere.

        Returns:
            The answer of docs/live.md. Its state is `refused` where the policy cannot be followed.
        """
        own = {"extensions": names} if (names := extensions.names_for_others()) else {}
        given = {"policy": absolute(policy), "canary": canary, "tolerance": tolerance, "undecided": undecided} | own
        return self._command("swap", department, given, **asked)

    def rollback(self, department: str, **asked: Any) -> Answer:  # noqa: ANN401
        """Let a department follow the policy that it followed before."""
        return self._command("rollback", department, {}, **asked)

    def override(self, department: str, given: Mapping[str, float], periods: int = 1, **asked: Any) -> Answer:  # noqa: ANN401
        """Decide for a department for some periods.

        Args:
            department: name.
            given: of a stock point, units of its order by product; of the recommendation department, shares by
                `STOCK_POINT/SEGMENT/PRODUCT`: what is left out is not shown.
            periods: how long.
            asked: as everywhere.
        """
        what = "exposure" if department == self.layout.recommends else "order"
        return self._command("override", department, {what: dict(given), "periods": periods}, **asked)

    def pause(self, department: str, **asked: Any) -> Answer:  # noqa: ANN401
        """Let the benchmark's rule decide for a department until `resume`."""
        return self._command("pause", department, {}, **asked)

    def resume(self, department: str, **asked: Any) -> Answer:  # noqa: ANN401
        """Let a department decide by itself again."""
        return self._command("resume", department, {}, **asked)

    def change(
        self,
        firm: str | Path | Firm,
        stock: Mapping[str, str] | None = None,
        like: Mapping[str, str] | None = None,
        **asked: Any,  # noqa: ANN401
    ) -> Answer:
        """Let the firm go on as another firm file has it, from the next tick on.

        Args:
            firm: a firm file, a built-in firm's name or a firm; products must stay as they are.
            stock: by stock point that closes, who takes over what it has, or `write-off`.
            like: by stock point that opens, the neighbour whose policy it begins with; others begin on the benchmark's
                rule.
            asked: as everywhere.

        Raises:
            ValueError: one line; it is no firm.
        """
        from environment import load_firm

        given = {"firm": load_firm(firm).to_yaml(), "stock": dict(stock or {}), "like": dict(like or {})}
        return self._command("change", "", given, **asked)

    def cancel(self, number: str, **asked: Any) -> Answer:  # noqa: ANN401
        """Withdraw a command that is under way, such as a canary, by its id."""
        return self._command("cancel", "", {"command": number}, **asked)

    def approve(
        self,
        period: int,
        lines: Mapping[str, Mapping[str, float]] | None = None,
        *,
        made: int | None = None,
        **asked: Any,  # noqa: ANN401
    ) -> Answer:
        """Let the orders of a period leave that wait for approval.

        Args:
            period: that waits.
            lines: units by stock point and product of what is changed; 0 rejects a line.
            made: of the proposal that was looked at (`lines()`); another one is not approved. None: any.
            asked: as everywhere.
        """
        given = {name: dict(row) for name, row in (lines or {}).items()}
        return self._command("approve", "", {"period": period, "made": made, "lines": given}, **asked)

    def stop(self, **asked: Any) -> Answer:  # noqa: ANN401
        """Stop after the tick at hand, and end the firm's processes; what stands in its folder stays."""
        answer = self.halt(**asked)
        if answer["state"] == "done":
            self.dismiss()
        return answer

    def halt(self, **asked: Any) -> Answer:  # noqa: ANN401
        """Stop the ticks and leave the processes, to look at them."""
        return self._command("stop", "", {}, **asked)

    def dismiss(self) -> None:
        """End the firm's processes, whatever they do."""
        for name in ("coordinator", "environment", "critic", "monitor", *(f"department-{d}" for d in self.departments)):
            try:
                self._ray.kill(self._ray.get_actor(name, namespace=self._namespace))
            except (ValueError, self._ray.exceptions.RayError):
                continue  # it is gone already
        self._leave_ray()
        leave(self.folder)

    def _command(
        self,
        kind: str,
        department: str,
        arguments: dict[str, Any],
        *,
        who: str | None = None,
        why: str = "",
        command: str | None = None,
        wait: float = _WAIT,
    ) -> Answer:
        number = uuid.uuid4().hex if command is None else command
        if not number.isascii() or not number.isprintable() or not 0 < len(number) <= 64:
            raise ValueError(f"--command must be an id of 1 to 64 letters, got {shortened(number)}")
        asked = (who or getpass.getuser(), kind, department, arguments, why)
        _must_be_plain(kind, asked)
        answer: Answer = self._ask("coordinator", "command", number, *asked)
        waiting, until = threading.Event(), time.monotonic() + wait
        while answer["state"] == "pending" and time.monotonic() < until:
            waiting.wait(_POLL)  # the book tells, so that those who wait keep nobody from being heard
            answer = self._book.command(number).answer()
        return answer

    def _ask(self, name: str, method: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Ask an actor; one that has died and comes back is asked again. Commands may be: they are carried out once."""
        errors = self._ray.exceptions

        def ask() -> Any:  # noqa: ANN401
            try:
                actor = self._ray.get_actor(name, namespace=self._namespace)
            except (ValueError, errors.RaySystemError) as error:  # the latter: we have left
                raise self._gone(name, error) from None
            return self._ray.get(getattr(actor, method).options(max_task_retries=-1).remote(*arguments), timeout=_WAIT)

        try:
            return _again(ask, errors.ActorUnavailableError)
        except (errors.ActorDiedError, errors.GetTimeoutError) as error:
            raise self._gone(name, error) from None
        except errors.ActorUnschedulableError:
            raise self._gone(name, "its machine is lost") from None
        except errors.RayTaskError as error:
            raise getattr(error, "cause", None) or error from None

    def _gone(self, name: str, error: Exception | str) -> RuntimeError:
        reason = str(error).splitlines()[0]
        return RuntimeError(
            f"the {name} of firm {self.name!r} is gone ({reason}); end the rest with "
            f"`firmwide stop {self.name} --now`, and go on with `firmwide live --name {self.name}`"
        )


def _again(ask: Callable[[], Any], passing: type[Exception], tries: int = 20) -> Any:  # noqa: ANN401
    waiting = threading.Event()
    for _ in range(tries):
        try:
            return ask()
        except passing as error:
            last = error
            waiting.wait(0.25)
    raise RuntimeError(f"the firm does not answer: {last}")


def _must_be_plain(kind: str, asked: Any) -> None:  # noqa: ANN401
    """Refuse what the book could not hold, or not give back."""
    try:
        text = json.dumps(asked, ensure_ascii=False).encode()
        json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{kind} must be asked in plain values and texts in UTF-8: {error}") from None
    if len(text) > _LARGEST:
        raise ValueError(f"{kind} must be asked in at most {_LARGEST:,} letters")

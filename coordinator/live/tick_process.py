"""The process that runs a firm's ticks: loop, schedule, commands, and what critic and monitor are told.

It can be killed at any moment: its successor opens the book and goes on with the tick that was not committed.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.live.actor_clients import ActorClients
from coordinator.live.book import Book, Command, Event, OvertakenError
from coordinator.live.feed_files import write_decisions
from coordinator.live.layout import FirmLayout
from coordinator.live.metrics import canary_figures, figures
from coordinator.live.operation import Operation
from coordinator.live.period_start import PeriodStart
from coordinator.live.process_info import here, session
from coordinator.live.shadow import Canary, Play
from departments.serving.numpy_policy import PolicyBundle

_REPORT_EVERY = 0.25  # s between two reports to the monitor
_FOLLOW_EVERY = 0.25  # s between two calls of the critic, at most _BEHIND ticks
_BEHIND = 32
_FEED_EVERY = 0.1  # s between two looks for observations
_FAILURES = 5  # at the same tick, after which the loop stays where it is
_CRITIC_TRIES = 5
_RATE = 10.0  # s over which the tick rate is measured


class TickProcess:
    """Runs one firm. Commands come in on other threads and are carried out between two ticks."""

    def __init__(self, folder: str, namespace: str, options: dict[str, Any]) -> None:
        """Take the firm's book over and begin.

        Args:
            folder: of the firm.
            namespace: where its actors are.
            options: `tick` seconds from one to the next, 0: as fast as possible; `ticks` in all, or None; `deadline`
                seconds for an answer.
        """
        self._options, self._folder = options, Path(folder)
        self._book = Book(self._folder / "book.sqlite", durable=bool(options.get("feed")))
        facts = self._book.facts()
        self._clients = ActorClients(namespace, FirmLayout.of(facts["frame"]).departments, options["deadline"])
        self._operation = Operation(self._folder, self._book, self._clients)
        self._name, self._state, self._reason = facts["name"], "running", ""
        self._turn = threading.Condition()
        self._ready: deque[tuple[Command, PolicyBundle | None, str | None]] = deque()
        self._preparing: set[str] = set()
        self._canaries: list[Canary] = []
        self._told: list[dict[str, Any]] = []
        self._costs: dict[int, list[float]] = {}
        self._times: deque[float] = deque(maxlen=4096)
        self._following: Any = None
        self._reporting: Any = None
        self._reported = self._followed = 0.0
        self._attend()
        self._lag, self._begun, self._first = 0.0, time.monotonic(), self._operation.now.tick
        last = self._book.ticks(self._first - 1, 1) if self._first else []
        self._committed = last[0]["time"] if last else facts["founded"]
        self._recount()
        self._emit()
        for command in self._book.pending():
            self._prepare(command)
        threading.Thread(target=self._guarded, daemon=True, name="ticks").start()

    def _attend(self) -> None:
        """Begin, or go on from a predecessor that died; the deaths of all others in between are noticed too."""
        kept = self._operation.record["attendance"]
        if kept["session"] == session():
            self._clients.restarts_seen.recall(kept["restarts"])
        else:
            kept["session"] = session()
            self._operation.note(Event("start", why="begins"))
        self._clients.restarts_seen.heard("coordinator", here().restarts)
        self._clients.meet()
        self._operation.flush()

    def ready(self) -> tuple[int, int]:
        """Process id and the next tick, once the ticks run."""
        return os.getpid(), self._operation.now.tick

    def command(
        self, number: str, who: str, kind: str, department: str, arguments: dict[str, Any], why: str, wait: float
    ) -> dict[str, Any]:
        """Carry out a command once; see `RunningFirm`.

        Args:
            number: its id; of one that came before, the same answer.
            who: asks.
            kind: swap, rollback, override, pause, resume or stop.
            department: that it is for.
            arguments: of its kind.
            why: in the asker's words.
            wait: seconds; after them the answer is `pending`.
        """
        command = self._book.receive(Command(number, who, kind, department, arguments, why))
        if command.state == "pending":
            self._prepare(command)
        with self._turn:
            self._turn.wait_for(lambda: self._book.command(number).state != "pending", wait)
        return self._book.command(number).answer()

    def _prepare(self, command: Command) -> None:
        """Bring a command to where it can be carried out between two ticks: a swap must be examined first."""
        with self._turn:
            if command.id in self._preparing:
                return
            self._preparing.add(command.id)
        if command.kind == "swap":
            threading.Thread(target=self._examine, args=(command,), daemon=True).start()
        else:
            self._hand_over(command, None, None)

    def _hand_over(self, command: Command, bundle: PolicyBundle | None, refusal: str | None) -> None:
        with self._turn:
            self._ready.append((command, bundle, refusal))
            self._turn.notify_all()

    def _examine(self, command: Command) -> None:
        """Let the critic examine a policy; a canary goes on from there."""
        operation, given = self._operation, command.arguments
        if command.department not in operation.posts:
            self._hand_over(command, None, None)  # refused there, with the names that exist
            return
        for _ in range(_CRITIC_TRIES):
            now = operation.now
            reference = self._clients.ask(
                "critic",
                "examine",
                command.department,
                given["policy"],
                now.tick,
                now.moment.arrays,
                now.memories,
                now.bundles,
                given.get("tolerance", 0.2),
                given.get("extensions", ()),
            )
            try:
                found = self._clients.result("critic", reference)
            except ValueError as error:
                self._hand_over(command, None, str(error))
                return
            except Exception as error:  # a mistake of ours: the command must end, and say so
                reason = " ".join(str(error).split()) or type(error).__name__
                self._hand_over(command, None, f"the critic failed over it: {reason[-500:]}")
                return
            if found is not None:
                bundle, shown = found
                command = command._replace(arguments=given | {"figures": shown})
                self._hand_over(command, bundle, None)
                return
        self._hand_over(command, None, "the critic died again and again; try later")

    def _guarded(self) -> None:
        """The loop; a failure is written down and the process ends, so that a successor begins from the book."""
        try:
            self._loop()
        except OvertakenError as error:
            self._state, self._reason = "failed", str(error)
        except BaseException as error:
            tick = self._operation.now.tick
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            failures = self._book.fail(tick, reason, traceback.format_exc())
            if failures < _FAILURES:
                os._exit(1)
            self._state, self._reason = "failed", f"tick {tick} failed {failures} times: {reason}"
            self._report(True)

    def _loop(self) -> None:
        operation, limit = self._operation, self._options.get("ticks")
        while self._state != "stopped":
            self._carry_out()
            self._follow()
            self._report()
            if self._state == "stopped":
                break
            if limit is not None and operation.now.tick >= limit:
                self._state, self._reason = "done", f"all {limit} ticks are done"
                self._idle(0.1)
            elif operation.awaits and not self._arrived():
                self._idle(_FEED_EVERY)
            elif self._due():
                self._told.append(operation.tick())
                self._committed = self._told[-1]["time"]
                self._emit()
                self._times.append(time.monotonic())
                self._costs[operation.now.tick - 1] = list(operation.totals["cost"])
        self._report(True)

    def _arrived(self) -> bool:
        """Look for the awaited observations of a fed firm; what cannot be read is written down once."""
        operation = self._operation
        found = self._clients.observe(operation.now.tick, operation.now.moment.arrays)
        if isinstance(found, PeriodStart):
            operation.arrive(found)
            self._state, self._reason = "running", ""
            return True
        reason = found or f"the observations of period {operation.now.tick}"
        if found is not None and reason != self._reason:
            operation.note(Event("feed", why=reason))
            operation.flush()
        self._state, self._reason = "waiting", reason
        return False

    def _emit(self) -> None:
        """A fed firm's decisions leave when they are committed; after a death, once more."""
        feed, last = self._options.get("feed"), self._operation.now.tick - 1
        if feed is not None and last >= 0:
            rows = self._book.decisions(None, last, len(self._operation.posts))
            write_decisions(Path(feed), last, self._operation.layout, {r["department"]: r["decision"] for r in rows})

    def _idle(self, seconds: float) -> None:
        with self._turn:
            if not self._ready:
                self._turn.wait(seconds)

    def _due(self) -> bool:
        """Whether the next tick is due; waits for it a little, or until a command comes."""
        tick = self._options["tick"]
        due = self._begun + (self._operation.now.tick - self._first) * tick
        late = time.monotonic() - due
        if not tick or late >= 0:
            self._lag = late if tick else 0.0
            return True
        self._idle(min(-late, 0.2))
        return False

    def _carry_out(self) -> None:
        while self._ready:
            with self._turn:
                command, bundle, refusal = self._ready.popleft()
            canary = command.arguments.get("canary", 0)
            if bundle is not None and canary and "verdict" not in command.arguments:
                self._begin_canary(command, bundle, canary)
                continue
            answered = self._operation.carry_out(command, bundle, refusal)
            with self._turn:
                self._preparing.discard(command.id)
                self._turn.notify_all()
            if answered.kind == "stop" and answered.state == "done":
                self._state, self._reason = "stopped", answered.message

    def _begin_canary(self, command: Command, bundle: PolicyBundle, periods: int) -> None:
        now = self._operation.now
        zero = np.zeros(len(self._operation.layout.points))
        fresh = self._operation.fresh_memory(bundle)
        incumbent = Play(now.tick, now.moment.arrays, now.memories, zero)
        candidate = incumbent._replace(memories=now.memories | {command.department: fresh})
        until = now.tick + periods
        self._canaries.append(
            Canary(command, command.department, until, bundle, now.bundles, incumbent, candidate, now.tick)
        )
        details = {"until": until, "policy": bundle.label}
        self._operation.note(Event("canary", command.department, command.who, command.why, command.id, details))

    def _follow(self) -> None:
        """Let the critic play on, and take its verdicts."""
        operation = self._operation
        if self._following is not None:
            if not self._clients.answered(self._following):
                return
            found, self._following = self._clients.result("critic", self._following), None
            if found is not None:
                self._take(*found)
        shadow, committed = operation.record["shadow"], operation.now.tick - 1
        due = time.monotonic() - self._followed > _FOLLOW_EVERY or committed - shadow["tick"] >= _BEHIND
        if committed > shadow["tick"] and due:
            play = Play(
                shadow["tick"], operation.shadow["arrays"], operation.shadow["memories"], np.array(shadow["cost"])
            )
            self._following = self._clients.ask("critic", "follow", play, self._canaries, committed)
            self._followed = time.monotonic()

    def _take(self, play: Play, canaries: list[Canary]) -> None:
        operation = self._operation
        operation.shadow = {"arrays": play.arrays, "memories": play.memories}
        firm_cost = self._costs.get(play.tick, operation.record["shadow"]["firm_cost"])
        operation.record["shadow"] = {"tick": play.tick, "cost": play.cost.tolist(), "firm_cost": firm_cost}
        self._costs = {tick: cost for tick, cost in self._costs.items() if tick > play.tick}
        known = {canary.command.id for canary in canaries}
        begun_since = [canary for canary in self._canaries if canary.command.id not in known]
        self._canaries = begun_since
        for canary in canaries:
            if canary.candidate_play.tick < canary.until:
                self._canaries.append(canary)
                continue
            tried, office = (float(p.cost.sum()) for p in (canary.candidate_play, canary.incumbent_play))
            verdict = {"cost": tried, "incumbent_cost": office, "periods": canary.until - canary.since}
            command = canary.command._replace(arguments=canary.command.arguments | {"verdict": verdict})
            refusal = None
            sign, word = (-1.0, "profit") if operation.layout.earns else (1.0, "cost")
            if tried > office:
                refusal = (
                    f"the canary would have brought a {word} of {sign * tried:,.0f} in {verdict['periods']} periods, "
                    f"the policy in office {sign * office:,.0f}"
                )
            self._hand_over(command, canary.candidate, refusal)

    def _recount(self) -> None:
        """Costs so far after each tick that the critic has not followed yet, from the book."""
        costs = list(self._operation.totals["cost"])
        since = self._operation.record["shadow"]["tick"] + 1
        points = self._operation.layout.points
        for tick in reversed(self._book.ticks(since, 1_000_000)):
            self._costs[tick["tick"]] = list(costs)
            costs = [cost - tick["departments"][name]["cost"] for cost, name in zip(costs, points, strict=True)]

    def _report(self, now: bool = False) -> None:
        """Tell the monitor, now and then."""
        if not now and time.monotonic() - self._reported < _REPORT_EVERY:
            return
        if self._reporting is not None and (now or self._clients.answered(self._reporting)):
            self._clients.result("monitor", self._reporting)
            self._reporting = None
        if self._reporting is None:
            told, self._told = self._told, []
            self._reporting = self._clients.ask("monitor", "report", self.metrics(), told)
            self._reported = time.monotonic()
        if now:
            self._clients.result("monitor", self._reporting)

    def metrics(self) -> dict[str, Any]:
        """The figures of now; the monitor has them for everyone else."""
        operation = self._operation
        recent = [at for at in self._times if at > time.monotonic() - _RATE]
        span = time.monotonic() - recent[0] if len(recent) > 1 else 0.0
        firm = {
            "name": self._name,
            "state": self._state,
            "reason": self._reason,
            "time": self._committed,
            "told": time.time(),
            "interval": self._options["tick"],
            "tick_rate": (len(recent) - 1) / span if span else 0.0,
            "lag": max(self._lag, 0.0),
        }
        sign = -1.0 if operation.layout.earns else 1.0
        canaries = [canary_figures(canary, sign) for canary in self._canaries]
        return figures(operation, firm, self._clients.workers(), canaries)

"""One life of a firm: from the opening of its book to the next trouble. What is in memory here, the book has too."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.live.actor_clients import ActorClients
from coordinator.live.book import Book, Event
from coordinator.live.canaries import Canaries
from coordinator.live.counters import cost_of
from coordinator.live.inbox import Inbox
from coordinator.live.layout import FirmLayout
from coordinator.live.metrics import canary_figures, figures
from coordinator.live.operation import Operation
from coordinator.live.process_info import here, session
from coordinator.live.shadow import Canary, Play

_REPORT_EVERY = 0.25  # s between two reports to the monitor
_FOLLOW_EVERY = 0.25  # s between two calls of the critic, at most _BEHIND ticks
_BEHIND = 32
_RATE = 10.0  # s over which the tick rate is measured
_RESTART = 30.0  # s that departments have to be heard by a successor
PATIENCE = 60.0  # s after which a process that is alive and does not answer is ended, to begin again

Record = dict[str, Any]


class Life:
    """Everything that the loop of the ticks works with."""

    def __init__(self, folder: Path, namespace: str, options: Record, book: Book, turn: threading.Condition) -> None:
        """Take the book over; see `TickProcess`."""
        facts = book.facts()
        self.book, self._options, self._name = book, options, facts["name"]
        names, self._patience = FirmLayout.of(facts["frame"]).departments, options.get("patience", PATIENCE)
        self.clients = ActorClients(namespace, facts["structure"], names, options["deadline"], self._patience)
        self.operation = Operation(folder, book, self.clients)
        self.canaries = Canaries(self.operation)
        self._told: list[Record] = []
        self._costs: dict[int, float] = {}  # of the firm so far, after each tick
        self._times: deque[float] = deque(maxlen=4096)
        self._following: Any = None
        self._crossing = False  # whether it is a change that the critic follows
        self._reporting: Any = None
        self._reported = self._followed = 0.0
        self._attend()
        self._lag, self._begun, self._first = 0.0, time.monotonic(), self.operation.now.tick
        last = book.ticks(self._first - 1, 1) if self._first else []
        self._committed = last[0]["time"] if last else facts["founded"]
        self._recount()
        self.inbox = Inbox(self.operation, self.clients, turn)
        for command in book.pending():
            if command.id not in self.canaries.under_way:
                self.inbox.prepare(command)

    def _attend(self) -> None:
        """Begin, or go on from a predecessor that died; the deaths of all others in between are noticed too."""
        kept = self.operation.record["attendance"]
        succeeds = kept["session"] == session()
        if succeeds:
            self.clients.restarts_seen.recall(kept["restarts"])
        else:
            kept["session"] = session()
            self.operation.note(Event("start", why="begins"))
            self.set_aside("the firm ended before this was carried out; ask again")
        self.clients.restarts_seen.heard("coordinator", here().restarts)
        self.clients.meet(_RESTART if succeeds else None)
        self.operation.flush()

    def set_aside(self, why: str) -> None:
        """Commands belong to one run of the firm; only canaries go on in the next."""
        left = [command for command in self.book.pending() if command.id not in self.canaries.under_way]
        if left:
            self.operation.set_aside(left, why)

    def due(self, idle: Callable[[float], None]) -> bool:
        """Whether the next tick is due; waits for it a little, or until a command comes."""
        tick = self._options["tick"]
        late = time.monotonic() - self._begun - (self.operation.now.tick - self._first) * tick
        if not tick or late >= 0:
            self._lag = late if tick else 0.0
            return True
        idle(min(-late, 0.2))
        return False

    def tick(self) -> None:
        """Decide, step, commit."""
        self._told.append(self.operation.tick())
        self._committed = self._told[-1]["time"]
        self._times.append(time.monotonic())
        self._costs[self.operation.now.tick - 1] = cost_of(self.operation.totals)

    def needed(self) -> int:
        """The first tick that somebody in shadow has not played yet."""
        shadow: int = self.operation.record["shadow"]["tick"]
        return min(shadow, *(canary.tried.tick for canary in self.canaries.under_way.values()), shadow)

    def follow(self) -> None:
        """Let the critic play on, and take its verdicts."""
        operation = self.operation
        if self._following is not None:
            waited = time.monotonic() - self._followed
            if not self.clients.answered(self._following) and waited < self.clients.patience("critic"):
                return
            found, self._following = self.clients.result("critic", self._following, 0.1), None
            if found is not None and self._crossing:
                self._cross(*found)
            elif found is not None:
                self._take(*found)
            for ended in [] if found is not None else self.canaries.lost():
                self.inbox.hand_over(*ended)
        shadow, committed = operation.record["shadow"], operation.now.tick - 1
        number, under_way = shadow["structure"], list(self.canaries.under_way.values())
        until = committed
        if number < operation.structure:  # it follows through one structure after the other
            until, under_way = min(committed, operation.structures[number + 1].tick or 0), []
        due = time.monotonic() - self._followed > _FOLLOW_EVERY or committed - shadow["tick"] >= _BEHIND
        behind = committed > shadow["tick"] or any(c.tried.tick >= c.until for c in under_way)
        if behind and due:
            play = Play(
                shadow["tick"], operation.shadow["arrays"], operation.shadow["memories"], np.array(shadow["cost"])
            )
            self._crossing = number < operation.structure and shadow["tick"] == until
            if self._crossing:
                self._following = self.clients.ask_to_cross(number + 1, play)
            else:
                self._following = self.clients.ask("critic", "follow", play, under_way, until, structure=number)
            self._followed = time.monotonic()

    def _take(self, play: Play, canaries: list[Canary]) -> None:
        operation = self.operation
        operation.shadow = {"arrays": play.arrays, "memories": play.memories}
        shadow = operation.record["shadow"]
        firm_cost = [self._costs[play.tick]] if play.tick in self._costs else shadow["firm_cost"]
        operation.record["shadow"] = shadow | {
            "tick": play.tick,
            "cost": play.cost.tolist(),
            "firm_cost": firm_cost,
        }
        self._costs = {tick: cost for tick, cost in self._costs.items() if tick > play.tick}
        for ended in self.canaries.take(canaries):
            self.inbox.hand_over(*ended)

    def _cross(self, play: Play, past: float) -> None:
        """The benchmark in shadow goes on in the next structure; `past`: money of points that are in it no more."""
        operation, shadow = self.operation, self.operation.record["shadow"]
        operation.shadow = {"arrays": play.arrays, "memories": play.memories}
        number = shadow["structure"] + 1
        points = FirmLayout.of(operation.structures[number].frame).points
        new = {"structure": number, "points": points, "cost": play.cost.tolist(), "past": shadow["past"] + past}
        operation.record["shadow"] = shadow | new

    def _recount(self) -> None:
        """Money so far after each tick that the critic has not followed yet, from the book."""
        cost = cost_of(self.operation.totals)
        since = self.operation.record["shadow"]["tick"] + 1
        changes = self.operation.structures[1:]
        for tick in reversed(self.book.ticks(since, 1_000_000)):
            self._costs[tick["tick"]] = cost
            cost -= sum(row["cost"] for row in tick["departments"].values())
            cost -= sum(each.details["past"] for each in changes if each.tick == tick["tick"])

    def report(self, state: str, reason: str, now: bool = False) -> None:
        """Tell the monitor, now and then."""
        waited = time.monotonic() - self._reported
        if not now and waited < _REPORT_EVERY:
            return
        if self._reporting is not None and (now or self.clients.answered(self._reporting) or waited > self._patience):
            self.clients.result("monitor", self._reporting, self._patience if now else 0.1)
            self._reporting = None
        if self._reporting is None:
            told, self._told = self._told, []
            given = (self.metrics(state, reason), told, os.getpid(), self._patience)
            self._reporting = self.clients.ask("monitor", "report", *given)
            self._reported = time.monotonic()
        if now:
            self.clients.result("monitor", self._reporting, self._patience)

    def metrics(self, state: str, reason: str) -> Record:
        """The figures of now."""
        operation = self.operation
        recent = [at for at in self._times if at > time.monotonic() - _RATE]
        span = time.monotonic() - recent[0] if len(recent) > 1 else 0.0
        firm = {
            "name": self._name,
            "state": state,
            "reason": reason,
            "time": self._committed,
            "told": time.time(),
            "interval": self._options["tick"],
            "tick_rate": (len(recent) - 1) / span if span else 0.0,
            "lag": max(self._lag, 0.0),
        }
        sign = -1.0 if operation.layout.earns else 1.0
        canaries = [canary_figures(canary, sign) for canary in self.canaries.under_way.values()]
        return figures(operation, firm, self.clients.workers(), canaries)

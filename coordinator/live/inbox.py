"""Commands on their way: kept in the book, examined where they bring a policy, and carried out between two ticks."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from coordinator.live.actor_clients import ActorClients
from coordinator.live.book import Command
from coordinator.live.canaries import CRITIC_TRIES, DEADLY, UNDECIDED, Handed
from coordinator.live.operation import Operation
from coordinator.live.overrides import MOST, shortened
from coordinator.live.structures import Offered

_EXAMINATION = 600.0  # s that the critic may take over a policy


class Inbox:
    """Commands of one life; several threads bring them, the loop of the ticks takes them."""

    def __init__(self, operation: Operation, clients: ActorClients, turn: threading.Condition) -> None:
        """Empty; `turn` is notified when something is to be carried out."""
        self._operation, self._clients, self._turn = operation, clients, turn
        self._ready: deque[tuple[Handed, int]] = deque()  # and the structure of the firm when it was examined
        self._known: set[str] = set()
        self._closed = False

    @property
    def waiting(self) -> bool:
        """Whether something is to be carried out."""
        return bool(self._ready)

    def close(self) -> None:
        """This life is over; whoever examines still, examines for nobody."""
        self._closed = True

    def take(self) -> Handed | None:
        """The next command to be carried out; what was examined before the firm was changed is examined anew."""
        with self._turn:
            while self._ready:
                handed, structure = self._ready.popleft()
                if handed[1] is None or structure == self._operation.structure:
                    return handed
                self._known.discard(handed[0].id)
                self.prepare(handed[0])
        return None

    def hand_over(self, command: Command, offered: Offered, refusal: str | None, structure: int | None = None) -> None:
        """Bring a command to where it is carried out; `structure`: in which it was examined, by default that of now."""
        with self._turn:
            if not self._closed:
                found = (command, offered, refusal)
                self._ready.append((found, self._operation.structure if structure is None else structure))
                self._turn.notify_all()

    def prepare(self, command: Command) -> None:
        """Bring a command to where it can be carried out: swaps and changes must be examined first."""
        with self._turn:
            if command.id in self._known:
                return
            self._known.add(command.id)
        if command.kind in ("swap", "change"):
            threading.Thread(target=self._examine, args=(command,), daemon=True).start()
        else:
            self.hand_over(command, None, None)

    def _examine(self, command: Command) -> None:
        """Let the critic examine it; whatever happens, the command is answered."""
        structure = self._operation.structure
        try:
            self.hand_over(*(self._planned if command.kind == "change" else self._examined)(command), structure)
        except ValueError as error:
            self.hand_over(command, None, str(error))
        except Exception as error:  # a mistake of ours
            reason = " ".join(str(error).split()) or type(error).__name__
            self.hand_over(command, None, f"the critic failed over it: {reason[-500:]}")

    def _planned(self, command: Command) -> Handed:
        """The plan of a change; departments that open are ready to be asked."""
        now = self._operation.now
        plan = self._asked("change", now.structure, command.arguments, now.bundles)
        if plan is None:
            return command, None, DEADLY
        self._clients.hire([name for name in plan.begins if name not in now.bundles])
        return command, plan, None

    def _asked(self, method: str, structure: int, *arguments: Any) -> Any:  # noqa: ANN401
        """The critic's answer; None: it died over it again and again."""
        for _ in range(CRITIC_TRIES):
            reference = self._clients.ask("critic", method, *arguments, structure=structure)
            if (found := self._clients.result("critic", reference, _EXAMINATION)) is not None:
                return found
        return None

    def _examined(self, command: Command) -> Handed:
        operation, given = self._operation, command.arguments
        if command.department not in operation.posts:
            return command, None, None  # refused there, with the names that exist
        tolerance = _checked(given)
        now = operation.now
        firm = (now.tick, now.moment.arrays, now.memories, now.bundles)
        asked = (command.department, given["policy"], *firm, tolerance, given.get("extensions", ()))
        found = self._asked("examine", now.structure, *asked)
        if found is None:
            return command, None, DEADLY
        bundle, shown = found
        return command._replace(arguments=given | {"figures": shown}), bundle, None


def _checked(given: dict[str, object]) -> float:
    """The tolerance of a swap, after a look at all that it was given."""
    tolerance, canary, undecided = given.get("tolerance", 0.2), given.get("canary", 0), given.get("undecided")
    if not isinstance(given.get("policy"), str):
        raise ValueError(f"--policy must be a text, got {shortened(given.get('policy'))}")
    if type(canary) is not int or not 0 <= canary <= MOST:
        raise ValueError(f"--canary must be a whole number from 0 to {MOST:,}, got {shortened(canary)}")
    if not isinstance(tolerance, (int, float)) or isinstance(tolerance, bool) or not 0 <= tolerance <= MOST:
        raise ValueError(f"--tolerance must be a number from 0 to {MOST:,}, got {shortened(tolerance)}")
    if undecided not in (None, *UNDECIDED):
        raise ValueError(f"--undecided must be one of {', '.join(UNDECIDED)}, got {shortened(undecided)}")
    return float(tolerance)

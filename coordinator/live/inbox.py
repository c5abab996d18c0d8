"""Commands on their way: kept in the book, examined where they bring a policy, and carried out between two ticks."""

from __future__ import annotations

import threading
from collections import deque

from coordinator.live.actor_clients import ActorClients
from coordinator.live.book import Command
from coordinator.live.canaries import CRITIC_TRIES, DEADLY, UNDECIDED, Handed
from coordinator.live.operation import Operation
from coordinator.live.overrides import MOST, shortened
from departments.serving.numpy_policy import PolicyBundle

_EXAMINATION = 600.0  # s that the critic may take over a policy


class Inbox:
    """Commands of one life; several threads bring them, the loop of the ticks takes them."""

    def __init__(self, operation: Operation, clients: ActorClients, turn: threading.Condition) -> None:
        """Empty; `turn` is notified when something is to be carried out."""
        self._operation, self._clients, self._turn = operation, clients, turn
        self._ready: deque[Handed] = deque()
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
        """The next command to be carried out."""
        with self._turn:
            return self._ready.popleft() if self._ready else None

    def hand_over(self, command: Command, bundle: PolicyBundle | None, refusal: str | None) -> None:
        """Bring a command to where it is carried out."""
        with self._turn:
            if not self._closed:
                self._ready.append((command, bundle, refusal))
                self._turn.notify_all()

    def prepare(self, command: Command) -> None:
        """Bring a command to where it can be carried out: a swap must be examined first."""
        with self._turn:
            if command.id in self._known:
                return
            self._known.add(command.id)
        if command.kind == "swap":
            threading.Thread(target=self._examine, args=(command,), daemon=True).start()
        else:
            self.hand_over(command, None, None)

    def _examine(self, command: Command) -> None:
        """Let the critic examine a policy; whatever happens, the command is answered."""
        try:
            self.hand_over(*self._examined(command))
        except ValueError as error:
            self.hand_over(command, None, str(error))
        except Exception as error:  # a mistake of ours
            reason = " ".join(str(error).split()) or type(error).__name__
            self.hand_over(command, None, f"the critic failed over it: {reason[-500:]}")

    def _examined(self, command: Command) -> Handed:
        operation, given = self._operation, command.arguments
        if command.department not in operation.posts:
            return command, None, None  # refused there, with the names that exist
        tolerance = _checked(given)
        for _ in range(CRITIC_TRIES):
            now = operation.now
            firm = (now.tick, now.moment.arrays, now.memories, now.bundles)
            asked = (command.department, given["policy"], *firm, tolerance, given.get("extensions", ()))
            reference = self._clients.ask("critic", "examine", *asked)
            found = self._clients.result("critic", reference, _EXAMINATION)
            if found is not None:
                bundle, shown = found
                return command._replace(arguments=given | {"figures": shown}), bundle, None
        return command, None, DEADLY


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

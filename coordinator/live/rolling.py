"""A book that does not grow for ever: of periods long past only sums by day stay."""

from __future__ import annotations

from coordinator.live.operation import Operation

LEAST = 100  # periods


def roll(operation: Operation, keep: int | None, needed: int) -> None:
    """Now and then, keep the state and roll up what is older than a kept state that is itself `keep` periods old.

    Args:
        operation: the firm's, after a tick.
        keep: periods that the book keeps at least; None: all.
        needed: the first one that somebody still plays in shadow.
    """
    tick, book = operation.now.tick, operation.book
    if keep is None or tick % max(keep // 10, 10):
        return
    operation.keep_state()
    passed = [state for state in map(int, book.names("state")) if state <= min(tick - keep, needed)]
    if passed:
        book.roll(max(passed))

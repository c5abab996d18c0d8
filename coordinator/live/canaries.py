"""The canaries of a firm: policies that play in shadow before they are let in, kept in the book as they go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from coordinator.live.book import Command, Event
from coordinator.live.operation import Operation
from coordinator.live.shadow import COPIES, Canary, Play, many
from coordinator.live.structures import Offered
from departments.serving.numpy_policy import PolicyBundle

UNDECIDED = ("refuse", "accept")  # what becomes of a canary that cannot be told apart; the first is the default
CRITIC_TRIES = 5
DEADLY = "the critic died over it again and again"

Handed = tuple[Command, Offered, str | None]  # with what was found of it, or why it is refused


class Canaries:
    """Those under way."""

    def __init__(self, operation: Operation) -> None:
        """Go on with what the book has; those whose command is answered are over."""
        self._operation, self.under_way, self._deaths = operation, dict[str, Canary](), 0
        pending = {command.id: command for command in operation.book.pending()}
        for number in operation.book.names("canary"):
            if number not in pending:
                operation.book.drop("canary", number)
                continue
            arguments, (about, arrays), versions, since, until, *plays = operation.book.kept("canary", number)
            command = pending[number]._replace(arguments=arguments)
            bundles = {name: operation.kept(name, version) for name, version in versions.items()}
            office, tried = (Play(*play) for play in plays)
            candidate = PolicyBundle(about, arrays)
            self.under_way[number] = Canary(command, candidate, bundles, since, until, office, tried)

    def begin(self, command: Command, bundle: PolicyBundle, periods: int) -> str | None:
        """Let an examined policy play from the firm's state of now; why it cannot."""
        operation, now = self._operation, self._operation.now
        zero = np.zeros((len(operation.layout.points), COPIES))
        office = Play(now.tick, many(now.moment.arrays), many(now.memories), zero)
        try:
            fresh = many({command.department: operation.fresh_memory(bundle)})
        except Exception as error:  # of a rule of somebody's own
            return f"its canary cannot begin: {error}"
        tried, until = office._replace(memories=office.memories | fresh), now.tick + periods
        self._keep(Canary(command, bundle, now.bundles, now.tick, until, office, tried))
        details = {"until": until, "policy": bundle.label}
        operation.note(Event("canary", command.department, command.who, command.why, command.id, details))
        operation.flush()
        return None

    def take(self, played: list[Canary]) -> list[Handed]:
        """Take how far canaries have played; those at their end, with why one is refused."""
        ended, self._deaths = list[Handed](), 0
        for canary in played:
            if canary.command.id not in self.under_way:
                continue  # withdrawn meanwhile
            self._keep(canary)
            if canary.failed:
                ended.append((canary.command, canary.candidate, f"its canary failed: {canary.failed}"))
            elif canary.tried.tick >= canary.until:
                ended.append(self._judged(canary))
        return ended

    def lost(self) -> list[Handed]:
        """The critic died over them, and it may be one of theirs that kills it: then none of them goes on."""
        self._deaths += 1
        over = list(self.under_way.values()) if self._deaths >= CRITIC_TRIES else []
        return [(canary.command, canary.candidate, DEADLY) for canary in over]

    def drop(self, number: str) -> None:
        """A canary is over."""
        if self.under_way.pop(number, None) is not None:
            self._operation.book.drop("canary", number)

    def _keep(self, canary: Canary) -> None:
        self.under_way[canary.command.id] = canary
        versions = {name: bundle.version for name, bundle in canary.bundles.items()}
        command, candidate, times = canary.command, canary.candidate, (canary.since, canary.until)
        kept = (command.arguments, (candidate.about, candidate.arrays), versions, *times, canary.office, canary.tried)
        self._operation.book.keep("canary", command.id, kept)

    def _judged(self, canary: Canary) -> Handed:
        verdict, asked = canary.verdict(), canary.command.arguments
        command = canary.command._replace(arguments=asked | {"verdict": verdict})
        how = verdict["verdict"]
        taken = how == "better" or (how == "undecided" and asked.get("undecided", UNDECIDED[0]) == "accept")
        told = _told(verdict, self._operation.layout.earns)
        if how == "undecided" and not taken:
            told += "; let it play longer, or let it in all the same with --undecided accept"
        return command, canary.candidate, None if taken else told


def _told(verdict: Mapping[str, Any], earns: bool) -> str:
    """A verdict in one line."""
    sign, word = (-1.0, "profit") if earns else (1.0, "cost")
    found = "not to be told apart from" if verdict["verdict"] == "undecided" else f"{verdict['verdict']} than"
    return (
        f"the canary is {found} the policy in office: in {verdict['periods']} periods it brings a {word} "
        f"of {sign * verdict['cost']:,.0f} for {sign * verdict['incumbent_cost']:,.0f}, a saving of "
        f"{verdict['saving']:,.1f} ({verdict['low']:,.1f} to {verdict['high']:,.1f}, {verdict['pairs']} pairs)"
    )

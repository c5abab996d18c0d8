"""The ticks of a running firm: ask every department, step the world, commit; and commands, between two ticks.

This knows no Ray. All it holds is what the book holds, so a successor opens the book and goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from coordinator.live.approvals import checked_approval, nothing_waits
from coordinator.live.book import AgainError, Book, Command, Event, LostError
from coordinator.live.book_file import BookError
from coordinator.live.counters import (
    LATENCY,
    TICK,
    Record,
    add_account,
    cost_of,
    new_past,
    new_products,
    observe,
    stock_of,
    totals_after,
)
from coordinator.live.layout import FirmLayout
from coordinator.live.overrides import checked_override, given_decision, shortened
from coordinator.live.period_start import Arrays, PeriodStart, moment_in, packed, unpacked
from coordinator.live.policies import keep_bundle, read_bundle, versions
from coordinator.live.structures import Offered, Plan, Structure, moved_on, placed
from departments.serving.numpy_policy import Array, NumpyPolicy, PolicyBundle
from departments.serving.policy_server import Answer

_SHORT = json.JSONEncoder(separators=(",", ":"))
_PREVIOUS = 50  # versions that can be rolled back one after the other
_TRIES = 2  # of a command that fails
_DECIDES = (
    "swap",
    "rollback",
    "override",
    "pause",
    "resume",
    "change",
)  # commands after which somebody decides otherwise


class Question(NamedTuple):
    """What a department is asked, and what it needs if it has lost everything."""

    tick: int
    observation: Array  # its own rows, units
    bundle: PolicyBundle
    memory: Array


class Reply(NamedTuple):
    """What came back from a department."""

    answer: Answer
    seconds: float  # from question to answer


class Staff(Protocol):
    """Whoever carries questions to departments and the environment."""

    def decide(self, questions: Mapping[str, Question]) -> dict[str, Reply]:
        """Answers by department; those that did not come in time are left out."""

    def step(self, tick: int, arrays: Arrays, order: Array, exposure: Array | None) -> Callable[[], PeriodStart]:
        """Begin the step to the next period; what is returned waits for it, and until the environment is there."""

    def noticed(self) -> tuple[list[Event], dict[str, int]]:
        """Restarts of workers since the last call, and how often each was started again, these included."""

    def roll_call(self) -> None:
        """Hear once more from all who answer."""

    def cross(
        self, structure: int, tick: int, moment: PeriodStart, stock: Mapping[str, str]
    ) -> tuple[PeriodStart, Record]:
        """A period as a structure that the book has prepared finds it, and what became of its units."""

    def become(self, structure: int, departments: list[str]) -> None:
        """The firm is built so from here on, with these departments and no others."""


class Now(NamedTuple):
    """The firm before tick `tick`; replaced as a whole, so that other threads may read it."""

    tick: int
    moment: PeriodStart
    memories: dict[str, Array]
    standins: dict[str, Array]  # memories of the benchmark's rules, which follow all along
    bundles: dict[str, PolicyBundle]
    structure: int  # of the firm


def clipped(name: str, wished: Mapping[str, float], accepted: Mapping[str, float]) -> Event:
    """Of what was given by hand the firm takes something else: packs, minima, review days and room are its limits."""
    both = ", ".join(f"{accepted[product]:g} of {wished[product]:g}" for product in wished)
    return Event("clipped", name, why=f"the firm takes {both}", details={"wished": wished, "accepted": accepted})


class Made(NamedTuple):
    """What was decided for a tick that has not happened yet."""

    decided: dict[str, Record]  # by department: mode, decision, latency
    wishes: dict[str, Array]
    memories: dict[str, Array]  # after it
    standins: dict[str, Array]


class Operation:
    """One firm in operation."""

    def __init__(self, folder: Path, book: Book, clients: Staff) -> None:
        """Open the book and go on where it stands.

        Args:
            folder: of the firm; policies lie in it.
            book: the firm's.
            clients: departments and environment.
        """
        self.folder, self.book, self.clients = folder, book, clients
        self.structures = book.structures()
        self.layout = FirmLayout.of(self.structures[-1].frame)
        tick, arrays, self.record = book.take_over()
        self.posts: dict[str, Record] = self.record["posts"]
        self.totals: Record = self.record["totals"]
        self.record.setdefault("attendance", {"session": "", "restarts": {}})
        self.totals.setdefault("products", new_products(self.layout))
        self.totals.setdefault("past", new_past())
        self.record["shadow"] = {"structure": 0, "points": self.layout.points, "past": 0.0} | self.record["shadow"]
        try:
            bundles = {name: self.kept(name, post["version"]) for name, post in self.posts.items()}
        except ValueError as error:
            raise LostError(str(error)) from None
        number = self.structure + 1
        self._benchmarks = {
            name: NumpyPolicy(read_bundle(folder / "benchmark", name, number)) for name in self.layout.departments
        }
        parts = unpacked(arrays)
        self.shadow: dict[str, Any] = {"arrays": parts["shadow"], "memories": parts["shadow-memory"]}
        self.now = Now(tick, moment_in(parts), parts["memory"], parts["standin"], bundles, self.structure)
        self.record.setdefault("proposal", None)
        self._made = self._proposed(parts)
        self.last: Record = {}  # decisions of the last tick, by department
        self._handlers: dict[str, Callable[[Command, Offered], tuple[str, Record]]] = {
            "swap": self._swap,
            "rollback": self._rollback,
            "override": self._override,
            "pause": self._pause,
            "resume": self._resume,
            "stop": self._stop,
            "cancel": self._cancel,
            "approve": self._approve,
            "change": self._change,
        }
        self._withdrawn: list[Command] = []  # answered with the command at hand
        self._begins: Structure | None = None  # with it, too
        self._events: list[Event] = []

    def note(self, *events: Event) -> None:
        """Let events stand in the book with the next commit."""
        for event in events:
            self._events.append(event)
            counted = {"restart": "restarts", "fallback": "fallbacks", "refusal": "refusals"}.get(event.kind)
            if counted and event.department in self.totals["departments"]:
                self.totals["departments"][event.department][counted] += 1
            elif event.kind == "restart" and event.department in self.totals["actors"]:
                self.totals["actors"][event.department] += 1

    @property
    def structure(self) -> int:
        """The number of the one that holds."""
        return self.structures[-1].number

    def kept(self, name: str, version: int) -> PolicyBundle:
        """A policy that a department has followed, as the firm is built now."""
        return placed(read_bundle(self.folder / "policies", name, version), self.structures)

    @property
    def awaits(self) -> bool:
        """Whether a fed firm's observations have not come yet."""
        return "awaited" in self.now.moment.arrays

    def arrive(self, moment: PeriodStart, told: Record) -> None:
        """Take the awaited observations, which the book has from here on; shadow firms start from the first ones."""
        self.now = self.now._replace(moment=moment)
        if not self.now.tick:
            self.shadow["arrays"], first = moment.arrays, moment.account["cost"][:, 0].tolist()
            self.record["shadow"] |= {"cost": first, "firm_cost": first}
        self.flush(told)

    def _listen(self) -> None:
        """Take restarts and their numbers at once: they get into the book in the same commit."""
        events, self.record["attendance"]["restarts"] = self.clients.noticed()
        self.note(*events)

    def flush(self, observed: Record | None = None, commands: Sequence[Command] = ()) -> None:
        """Let what was noted stand in the book without waiting for a tick."""
        self._listen()
        self.book.amend(self.now.tick, self._packed(), self.record, self._events, commands, observed, self._begins)
        self._events, self._begins = [], None

    def tick(self) -> Record:
        """Decide, unless that was done by `propose`; step, commit.

        Returns:
            The account of the tick, as `ticks` in docs/live.md.
        """
        started, now = time.perf_counter(), self.now
        made = self._made or self._decide()
        before_step = time.perf_counter()
        stepping = self.clients.step(now.tick, now.moment.arrays, *self._given(made))
        rows = [self._row(name, made.wishes[name], entry) for name, entry in made.decided.items()]  # meanwhile
        add_account(self.totals, now.moment.account)
        account = self._account(now, made.decided)
        moment = stepping()
        stepped = time.perf_counter()
        self.totals["split"]["environment"] += stepped - before_step
        self._listen()
        self._made, self.record["proposal"] = None, None
        self.now = Now(now.tick + 1, moment, made.memories, made.standins, now.bundles, now.structure)
        self.book.commit(now.tick, self._packed(), self.record, account=account, decisions=rows, events=self._events)
        self._events, self.last = [], made.decided
        done = time.perf_counter()
        self.totals["split"]["log"] += done - stepped
        observe(self.totals["tick_seconds"], TICK, done - started)
        return {"tick": now.tick, "time": time.time(), "seconds": done - started} | account

    @property
    def proposal(self) -> Record | None:
        """What the departments propose for the tick, as the book has it: `made`, `decided`, `wished`, `approved`."""
        proposal: Record | None = self.record["proposal"]
        return proposal

    def propose(self) -> Record:
        """Let the departments decide; the book has it from here on, and `tick` waits until it is approved."""
        self._made = self._decide()
        wished = {name: wish.tolist() for name, wish in self._made.wishes.items()}
        self.record["proposals"] = self.record.get("proposals", 0) + 1
        proposal = {
            "made": self.record["proposals"],
            "decided": self._made.decided,
            "wished": wished,
            "approved": False,
        }
        self.record["proposal"] = proposal
        self.flush()
        return proposal

    def _proposed(self, parts: Mapping[str, Arrays]) -> Made | None:
        """What was proposed before this began, from the book."""
        if self.proposal is None:
            return None
        wishes = {name: np.array(wish) for name, wish in self.proposal["wished"].items()}
        return Made(self.proposal["decided"], wishes, parts["next-memory"], parts["next-standin"])

    def _decide(self) -> Made:
        """Ask every department; what counts as its decision, and what all remember then."""
        started, now, layout = time.perf_counter(), self.now, self.layout
        questions = {
            name: Question(now.tick, now.moment.features[bundle.arrays["rows"]], bundle, now.memories[name])
            for name, bundle in now.bundles.items()
        }
        replies = self.clients.decide(questions)
        asked = time.perf_counter()
        made = Made({}, {}, dict(now.memories), dict(now.standins))
        for name in layout.departments:
            wish, mode, reply = self._settle(name, questions[name], replies.get(name), made.memories, made.standins)
            if name == layout.recommends:
                decision = layout.shown(layout.feasible_exposure(wish)[..., 0])
            else:
                position = now.moment.arrays["inventory_position"][layout.points.index(name)]
                accepted = layout.feasible_order(layout.points.index(name), wish, position, now.tick)
                decision = layout.by_product(accepted[:, 0])
                customers = now.bundles[name].customers
                precedence = layout.by_customer(name, layout.feasible_precedence(name, wish, customers)[..., 0])
                wish = wish[: len(layout.products)]
                given = self.posts[name]["override"]["order"] if mode == "override" else {}
                if (taken := {product: decision[product] for product in given}) != given:
                    self.note(clipped(name, given, taken))
            seconds = None if reply is None else reply.seconds
            made.decided[name] = {"mode": mode, "decision": decision, "latency": seconds}
            if name in layout.allocates:
                made.decided[name]["precedence"] = precedence
            made.wishes[name] = wish
        self._count(replies, asked - started)
        return made

    def _given(self, made: Made) -> tuple[Array, Array | None]:
        """Orders and precedence [N + A, K, 1], and what is recommended [S, K, 1], as the firm does them."""
        layout = self.layout
        decided = {name: entry["decision"] for name, entry in made.decided.items()}
        order = layout.whole_order(decided, {name: made.decided[name]["precedence"] for name in layout.allocates})
        return order, None if layout.recommends is None else layout.feasible_exposure(made.wishes[layout.recommends])

    def _row(self, name: str, wish: Array, entry: Record) -> Sequence[Any]:
        """A decision as the book has it."""
        version, saw = self.posts[name]["version"], self.now.moment.features[self.now.bundles[name].arrays["rows"], 0]
        texts = map(_text, (entry["decision"], wish.reshape(-1), saw))
        return (name, version, entry["mode"], *texts, entry["latency"])

    def _settle(
        self,
        name: str,
        question: Question,
        reply: Reply | None,
        memories: dict[str, Array],
        standins: dict[str, Array],
    ) -> tuple[Array, str, Reply | None]:
        """What counts as a department's decision: an override, its benchmark while paused or silent, or its own."""
        post, benchmark = self.posts[name], self._benchmarks[name]
        seen = self.now.moment.features[benchmark.rows]
        rule, standins[name] = benchmark.decide(seen, standins[name], question.tick)
        good = reply is not None and bool(np.isfinite(reply.answer.wish).all())
        if reply is not None and good:
            memories[name] = reply.answer.memory
        override = post["override"]
        if override and question.tick >= override["until"]:
            post["override"] = override = None
        if override:
            own = rule if reply is None or not good or post["paused"] else reply.answer.wish
            return given_decision(self.layout, name, override, own), "override", reply
        if post["paused"]:
            return rule, "paused", reply
        if reply is not None and good:
            return reply.answer.wish, "policy", reply
        why = "it did not answer in time" if reply is None else "it answered with what is not a number"
        self.note(Event("fallback", name, why=why, details={"version": post["version"]}))
        return rule, "fallback", None

    def _count(self, replies: Mapping[str, Reply], asking: float) -> None:
        split = self.totals["split"]
        split["departments"] += asking
        for name, reply in replies.items():
            counted = self.totals["departments"][name]
            counted["decisions"] += 1
            observe(counted["latency"], LATENCY, reply.seconds)
            split["policy"] += reply.answer.seconds

    def _account(self, now: Now, decided: Mapping[str, Record]) -> Record:
        """A period as the book and the stream have it."""
        layout, account = self.layout, now.moment.account
        departments = {}
        for name, entry in decided.items():
            shown = {"mode": entry["mode"], "version": self.posts[name]["version"], "latency": entry["latency"]}
            orders = name != layout.recommends
            shown |= {"order": entry["decision"] if orders else {}, "exposure": {} if orders else entry["decision"]}
            shown |= {"precedence": entry["precedence"]} if name in layout.allocates else {}
            shown |= stock_of(layout, name, account)
            departments[name] = shown
        cost = float(account["cost"].sum())
        return {"money": -cost if layout.earns else cost, "departments": departments}

    def _packed(self) -> Arrays:
        now = self.now
        ahead = None if self._made is None else (self._made.memories, self._made.standins)
        return packed(now.moment, now.memories, now.standins, self.shadow["arrays"], self.shadow["memories"], ahead)

    def keep_state(self) -> None:
        """Keep the state before the next tick, from where a replay may begin."""
        self.book.keep("state", str(self.now.tick), self._packed())

    def carry_out(self, command: Command, offered: Offered = None, refusal: str | None = None) -> Command:
        """Carry out a command between two ticks, and let it stand in the book.

        Args:
            command: what was asked for.
            offered: what the critic found: the policy of a swap, the plan of a change.
            refusal: why it refused.

        Returns:
            The command with its answer.
        """
        failed = self.book.begin(command.id)
        try:
            if refusal is not None:
                raise ValueError(refusal)
            if failed >= _TRIES:
                raise ValueError(
                    f"set aside, as it failed {failed} times: {command.message or 'over it the firm died'}"
                )
            if command.kind not in self._handlers:
                raise ValueError(f"a command must be one of {', '.join(self._handlers)}, got {shortened(command.kind)}")
            message, details = self._handlers[command.kind](command, offered)
            state, kind = "done", command.kind
            if kind in _DECIDES:  # what was proposed is nothing that they propose now
                self._made, self.record["proposal"] = None, None
        except ValueError as error:
            state, kind, message, details = "refused", "refusal", " ".join(str(error).split()), {}
            details = {"asked": command.kind, "reason": message}
        except (BookError, OSError):
            raise  # nobody's mistake
        except Exception as error:
            self.book.complain(command.id, " ".join(f"{type(error).__name__}: {error}".split()))
            raise AgainError(f"{command.kind} {command.id} failed: {error}") from error
        answered = command._replace(state=state, tick=self.now.tick, message=message)
        self.note(Event(kind, command.department or None, command.who, command.why or message, command.id, details))
        totals = self.totals["departments"].get(command.department)
        counted = {"swap": "swaps", "rollback": "rollbacks", "override": "overrides", "pause": "pauses"}.get(kind)
        if totals and counted:
            totals[counted] += 1
        self.flush(commands=[answered, *self._withdrawn])
        self._withdrawn = []
        if command.kind == "change":  # also one that was refused: departments were there already
            self.clients.become(self.structure, self.layout.departments)
        return answered

    def set_aside(self, commands: Sequence[Command], why: str) -> None:
        """Answer commands that nobody will carry out any more."""
        answered = [c._replace(state="refused", tick=self.now.tick, message=why) for c in commands]
        for command in answered:
            details = {"asked": command.kind, "reason": why}
            self.note(Event("refusal", command.department or None, command.who, why, command.id, details))
        self.flush(commands=answered)

    def _post(self, command: Command) -> Record:
        if command.department not in self.posts:
            known = ", ".join(self.posts)
            raise ValueError(f"DEPARTMENT must be one of {known}, got {command.department!r}")
        return self.posts[command.department]

    def fresh_memory(self, bundle: PolicyBundle) -> Array:
        """The memory of one who begins to follow a brief now: nothing but the forecasts."""
        name = bundle.department
        return NumpyPolicy(bundle).start(1, self._benchmarks[name].forecast_in(self.now.standins[name]))

    def _follow(self, name: str, bundle: PolicyBundle) -> None:
        """Let a department follow a brief from the next tick on, with a fresh memory; forecasts are taken over."""
        memory = self.fresh_memory(bundle)
        self.posts[name]["version"] = bundle.version
        self.now = self.now._replace(
            bundles=self.now.bundles | {name: bundle}, memories=self.now.memories | {name: memory}
        )

    def _swap(self, command: Command, offered: Offered) -> tuple[str, Record]:
        post, name = self._post(command), command.department
        if not isinstance(offered, PolicyBundle):
            raise ValueError(f"{name} was offered no policy")
        kept = self._keep(offered, command, command.arguments)
        before = post["version"]
        post["previous"] = [*post["previous"], before][-_PREVIOUS:]
        self._follow(name, kept)
        message = f"{name} follows version {kept.version} ({kept.label}) from period {self.now.tick} on"
        figures = command.arguments.get("figures", {})
        return message, {"from": before, "to": kept.version, "policy": kept.label, **figures}

    def _keep(self, bundle: PolicyBundle, command: Command, more: Mapping[str, Any]) -> PolicyBundle:
        """Keep a policy as its department's next version, as the firm is built now."""
        folder = self.folder / "policies"
        kept = bundle.numbered(max(versions(folder, bundle.department), default=0) + 1, self.structure)
        provenance = {"who": command.who, "why": command.why, "command": command.id, "tick": self.now.tick}
        keep_bundle(folder, kept, {**provenance, **more})
        return kept

    def _change(self, command: Command, plan: Offered) -> tuple[str, Record]:
        if not isinstance(plan, Plan):
            raise ValueError("no firm file was examined")
        tick, before, after = self.now.tick, self.layout, FirmLayout.of(plan.structure.frame)
        stock = dict(command.arguments.get("stock", {}))
        self.book.prepare(plan.structure)
        moment, told = self.clients.cross(plan.structure.number, tick, self.now.moment, stock)
        totals = totals_after(self.totals, before, after, self.now.moment.account)
        details = plan.structure.details | {"stock": stock, "past": cost_of(totals) - cost_of(self.totals)}
        self._begins = plan.structure._replace(tick=tick, details=details)
        self.structures.append(self._begins)
        self.layout, self.totals, self.record["totals"] = after, totals, totals
        closed = [name for name in before.departments if name not in after.departments]
        opened = [name for name in after.departments if name not in before.departments]
        follows = self._staff(plan, command, opened)
        self.now = self.now._replace(moment=moment, structure=self.structure)
        canaries = self.book.names("canary")
        why = "the firm was changed before this canary had ended; ask again"
        self._withdrawn = [
            each._replace(state="refused", tick=tick, message=why)
            for each in self.book.pending()
            if each.id in canaries
        ]
        facts = {
            "structure": self.structure,
            "firm": after.firm,
            "opened": opened,
            "closed": closed,
            "follows": follows,
        }
        begins = [f"{name} begins on {self.now.bundles[name].label}" for name in follows]
        return _changed(tick, facts, begins, told), facts | told

    def _staff(self, plan: Plan, command: Command, opened: list[str]) -> dict[str, int]:
        """Who follows what after a change; versions of departments that do not go on as they were."""
        posts, follows = dict[str, Record](), dict[str, int]()
        bundles, memories, standins = dict[str, PolicyBundle](), Arrays(), Arrays()
        for name in self.layout.departments:
            benchmark = plan.benchmarks[name].numbered(self.structure + 1, self.structure)
            keep_bundle(self.folder / "benchmark", benchmark, {"why": "stands in", "tick": self.now.tick})
            decider = self._benchmarks[name] = NumpyPolicy(benchmark)
            fresh, known = decider.start(), self.now.standins.get(name)
            standins[name] = fresh if known is None or known.shape != fresh.shape else known
            post = posts[name] = new_post() if name in opened else self.posts[name]
            if name not in opened:
                try:
                    bundles[name] = moved_on(self.now.bundles[name], self.structures[-1])
                    memories[name] = self.now.memories[name]
                    continue
                except ValueError:  # it sees what is not there any more
                    post["previous"] = [*post["previous"], post["version"]][-_PREVIOUS:]
            bundle = bundles[name] = self._keep(plan.begins.get(name, benchmark), command, {})
            follows[name] = post["version"] = bundle.version
            memories[name] = NumpyPolicy(bundle).start(1, decider.forecast_in(standins[name]))
        self._benchmarks = {name: self._benchmarks[name] for name in posts}
        self.posts = self.record["posts"] = posts
        self.now = self.now._replace(bundles=bundles, memories=memories, standins=standins)
        return follows

    def _rollback(self, command: Command, _: Offered) -> tuple[str, Record]:
        post, name = self._post(command), command.department
        if not post["previous"]:
            raise ValueError(f"{name} has followed nothing before version {post['version']}; there is no way back")
        back = self.kept(name, post["previous"][-1])
        before, post["previous"] = post["version"], post["previous"][:-1]
        self._follow(name, back)
        message = f"{name} follows version {back.version} ({back.label}) again from period {self.now.tick} on"
        return message, {"from": before, "to": back.version, "policy": back.label}

    def _override(self, command: Command, _: Offered) -> tuple[str, Record]:
        post, name = self._post(command), command.department
        given, periods = checked_override(self.layout, name, command.arguments)
        until = self.now.tick + periods
        post["override"] = given | {"until": until}
        message = f"{name} does what was given in periods {self.now.tick} to {until - 1}"
        return message, given | {"until": until}

    def _pause(self, command: Command, _: Offered) -> tuple[str, Record]:
        self._post(command)["paused"] = True
        return f"the benchmark's rule decides for {command.department} from period {self.now.tick} on", {}

    def _resume(self, command: Command, _: Offered) -> tuple[str, Record]:
        self._post(command)["paused"] = False
        return f"{command.department} decides by itself again from period {self.now.tick} on", {}

    def _cancel(self, command: Command, _: Offered) -> tuple[str, Record]:
        asked = command.arguments.get("command")
        under_way = {each.id: each for each in self.book.pending() if each.id != command.id}
        if not isinstance(asked, str) or asked not in under_way:
            known = ", ".join(under_way) or "none is under way"
            raise ValueError(f"COMMAND must be one that is under way ({known}), got {shortened(asked)}")
        message = f"withdrawn by {command.who}"
        self._withdrawn = [under_way[asked]._replace(state="refused", tick=self.now.tick, message=message)]
        return f"{under_way[asked].kind} {asked} is withdrawn", {"withdrawn": asked}

    def _approve(self, command: Command, _: Offered) -> tuple[str, Record]:
        tick, made, proposal = self.now.tick, self._made, self.proposal
        if made is None or proposal is None:
            raise ValueError(nothing_waits(tick, command.arguments.get("period")))
        position = self.now.moment.arrays["inventory_position"]
        changed = checked_approval(self.layout, tick, position, proposal, command.arguments)
        for line in changed:
            entry = made.decided[line["stock_point"]]
            entry["mode"], entry["decision"] = "changed", entry["decision"] | {line["product"]: line["order"]}
        proposal |= {"decided": made.decided, "approved": True}
        lines = sum(units > 0 for name in self.layout.points for units in made.decided[name]["decision"].values())
        message = f"period {tick} is approved: {lines} lines order something, {len(changed)} were changed"
        return message, {"made": proposal["made"], "lines": lines, "changed": changed}

    def _stop(self, command: Command, _: Offered) -> tuple[str, Record]:
        self.clients.roll_call()
        return f"stopped after {self.now.tick} periods", {}


def new_post() -> Record:
    """Of a department that begins."""
    return {"version": 1, "previous": [], "paused": False, "override": None}


def _changed(tick: int, facts: Record, begins: list[str], told: Record) -> str:
    """What a change came to, in one line."""
    said = [f"{word} {', '.join(facts[word])}" for word in ("opened", "closed") if facts[word]] + begins
    for what, word in (
        ("units", "written off"),
        ("owed", "owed to customers cancelled"),
        ("ordered", "ordered cancelled"),
    ):
        if gone := sum(told[what]["gone"].values()):
            said.append(f"{gone:,g} units {word}")
    return f"the firm is built as {facts['firm']} from period {tick} on" + "".join(f"; {each}" for each in said)


def _text(value: Any) -> str:  # noqa: ANN401
    """Plain values as short json."""
    if isinstance(value, np.ndarray):
        value = value.astype(float).round(4).tolist()
    return _SHORT.encode(value)

"""Running firms without Ray: the process of the ticks in this process, with workers that answer at once."""

import contextlib
import threading
import time

from coordinator.live import life, tick_process
from coordinator.live.book import Book
from coordinator.live.create import found, source_of
from coordinator.live.examiner import Examiner
from coordinator.live.fed import Fed
from coordinator.live.layout import FirmLayout
from coordinator.live.monitor import Monitor
from coordinator.live.operation import Reply
from coordinator.live.process_info import ProcessInfo
from coordinator.live.restarts import Restarts
from coordinator.live.simulated import Simulated
from coordinator.live.tick_process import TickProcess
from departments.serving.policy_server import PolicyServer


class Workers:
    """Departments, environment, critic and monitor, as `ActorClients` has them."""

    def __init__(self, folder):
        book = Book(folder / "book.sqlite", reads=True)
        facts = book.facts()
        self.seed, self.feed, self.book = facts["seed"], facts["settings"]["feed"], book
        self.servers, self.restarts_seen, self.monitor = {}, Restarts(), Monitor()
        self.structure, self.staff, self.critics = facts["structure"], set(self.departments()), {}
        self.world = self.world_of(self.structure)

    def departments(self):
        return FirmLayout.of(self.book.facts()["frame"]).departments

    def world_of(self, number):
        built = self.book.structure(number)
        if self.feed is None:
            return Simulated(built.firm, self.seed, built.slots)
        return Fed(built.firm, self.seed, FirmLayout.of(built.frame), self.feed, built.slots)

    def critic_of(self, number):
        if number not in self.critics:
            observed = None if self.feed is None else self.book.observed
            self.critics[number] = Examiner(self.book.structure(number), self.seed, observed)
        return self.critics[number]

    def cross(self, number, tick, moment, stock):
        return self.world_of(number).cross(self.world_of(number - 1), tick, moment.arrays, moment.account, stock)

    def hire(self, departments):
        self.staff |= set(departments)

    def become(self, structure, departments):
        self.structure, self.staff = structure, self.staff & set(departments)
        self.world = self.world_of(structure)

    def ask_to_cross(self, structure, play):
        return self.critic_of(structure).cross(self.critic_of(structure - 1), play)

    def decide(self, questions):
        replies = {}
        for name, question in questions.items():
            server = self.servers.setdefault(name, PolicyServer())
            server.follow(question.bundle, question.tick, question.memory)
            answer = server.decide(question.tick, question.bundle.version, question.observation)
            replies[name] = Reply(answer, 0.001)
        return replies

    def step(self, tick, arrays, order, exposure):
        return lambda: self.world.step(tick, arrays, order, exposure)

    def observe(self, tick, arrays):
        return self.world.observe(tick, arrays)

    def noticed(self):
        return self.restarts_seen.noticed()

    def meet(self, within=None):
        pass

    def roll_call(self):
        pass

    def patience(self, name):
        return 60.0

    def workers(self):
        return {name: {"up": True, "node": "here"} for name in self.staff}

    def ask(self, name, method, *arguments, structure=0):
        asked = self.critic_of(structure) if name == "critic" else self.monitor
        return getattr(asked, method)(*arguments)

    def answered(self, reference):
        return True

    def result(self, name, reference, within=None):
        return reference


class Firm:
    """A firm whose ticks run in a thread of this process."""

    def __init__(self, folder, monkeypatch, session="first", **options):
        self.folder = folder
        self.workers = Workers(folder)
        monkeypatch.setattr(life, "ActorClients", lambda *_: self.workers)
        monkeypatch.setattr(life, "here", lambda: ProcessInfo(1, "here", 0))
        monkeypatch.setattr(life, "session", lambda: session)
        monkeypatch.setattr(tick_process, "tell", lambda _, state, reason: self.workers.monitor.say(state, reason))
        monkeypatch.setattr(tick_process.os, "_exit", self._died)
        self.deaths = []
        self.process = TickProcess(str(folder), "n", {"tick": 0.0, "ticks": None, "deadline": 1.0} | options)
        self.book = Book(folder / "book.sqlite", reads=True)
        self.process.ready()

    def _died(self, status):
        self.deaths.append(status)
        raise SystemExit(status)

    def ask(self, number, kind, department="", **arguments):
        """A command's answer, once there is one."""
        answer = self.process.command(number, "me", kind, department, arguments, "why")
        until(lambda: answer["state"] != "pending" or self.book.command(number).state != "pending")
        return answer if answer["state"] != "pending" else self.book.command(number).answer()

    def ticks(self):
        return self.book.now()[0]

    def goes_on(self):
        """Whether ticks follow."""
        at = self.ticks()
        until(lambda: self.ticks() > at + 2)

    def shown(self):
        """What whoever asks is shown."""
        figures = self.workers.monitor.metrics() or {}
        return figures.get("state"), figures.get("reason")


def until(true, seconds=30.0, pause=0.01):
    """Wait until something is true."""
    end, waiting = time.monotonic() + seconds, threading.Event()
    while not true():
        assert time.monotonic() < end, "it does not come true"
        waiting.wait(pause)


@contextlib.contextmanager
def running(folder, monkeypatch, firm="a1", feed=None, **options):
    """A firm, founded if it was not before, running until the block ends."""
    if not (folder / "book.sqlite").exists():
        loaded, policies = source_of(firm, None)
        found(folder, loaded, policies, seed=5, settings={"feed": feed})
    made = Firm(folder, monkeypatch, feed=feed, **options)
    try:
        yield made
    finally:

        def over():
            return made.process.state()[0] in tick_process.OVER

        until(
            lambda: (
                over() or made.process.command(f"end-{time.monotonic()}", "", "stop", "", {}, "")["state"] != "refused"
            )
        )
        until(over)


def zeros(layout, columns):
    """A period in which nothing happened, as csv."""
    keys = [(n, p) if len(layout.products) > 1 else (n,) for n in layout.points for p in layout.products]
    head = ",".join([*("stock_point", "product")[: len(keys[0])], *columns])
    return "\n".join([head, *(",".join([*key, *["0"] * len(columns)]) for key in keys)]) + "\n"

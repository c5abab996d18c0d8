"""Training runs small enough for a test, and watchers that write down what they see."""

from coordinator.critic.value_function import CriticConfig
from coordinator.learning.iterations import Training
from coordinator.learning.settings import Wiring
from coordinator.runs.mailbox import Mailbox
from coordinator.runs.train import train
from coordinator.runs.watcher import Watcher
from coordinator.schemes.given_settings import part_used, settings_of
from coordinator.schemes.imarl import IMARLSettings
from coordinator.schemes.registry import names
from coordinator.schemes.setup import setup_of
from coordinator.workers.group import LocalGroup
from departments.learning.ppo import PPOConfig
from departments.policies.policy import PolicyConfig

LOCAL = Wiring(backend="local", threads=1)
SEED = 2  # with which every scheme here learns something


def settings(iterations=8, **changes):
    """Eight iterations of 16 copies in turns of three from a random start, whatever looks better is accepted."""
    small = {
        "seed": SEED,
        "copies": 16,
        "shards": 2,
        "select_every": 1,
        "scaling": "benchmark",
        "selection_episodes": 40,
        "acceptance_episodes": 40,
        "steps": iterations * 16 * 12,
        "iterations": iterations,
        "policy": PolicyConfig(hidden=(8,)),
        "ppo": PPOConfig(minibatch=64, learning_rate=0.01),
        "critic": CriticConfig(hidden=(8,), minibatch=64),
        "imarl": IMARLSettings(parallel=False, share=1, iterations=3, patience=3, significance=0, least_gain=0),
        "base_policy": "tuned" if "imarl" in changes else "random",
    }
    return settings_of(part_used(small | changes, among=tuple(names())))


class Record(Watcher):
    """A watcher that remembers."""

    def __init__(self):
        self.notes, self.turns, self.seen, self.events, self.starts, self.results = [], [], [], [], [], []

    def started(self, run, settings):
        self.starts.append((run, settings))

    def note(self, line):
        self.notes.append(line)

    def iteration(self, seen):
        self.seen.append(seen)
        self.turns.append((seen.turn, seen.who))

    def event(self, event):
        self.events.append(event)

    def finished(self, result):
        self.results.append(result)


class Stop(Record):
    """A watcher that ends the process's work in the middle, as a kill would."""

    def __init__(self, after=None, at_note=None):
        super().__init__()
        self._after, self._at_note = after, at_note

    def note(self, line):
        super().note(line)
        if self._at_note and self._at_note in line:
            raise KeyboardInterrupt

    def iteration(self, *seen):
        super().iteration(*seen)
        if len(self.turns) == self._after:
            raise KeyboardInterrupt


class Asking(Record):
    """Asks for something after an iteration, and may end the work in the middle of one, as a kill would."""

    def __init__(self, run, asked, stop=None):
        super().__init__()
        self._mailbox, self._asked, self._stop = Mailbox(run), asked, stop

    def iteration(self, *seen):
        super().iteration(*seen)
        for request in self._asked.get(len(self.turns), ()):
            self._mailbox.post(request)
        if len(self.turns) == self._stop:
            raise KeyboardInterrupt


def training_of(firm, given, workers=None, plan=None, **wiring):
    """The plan of a run and its workers, in this process."""
    plan = plan or setup_of(firm, given)
    training = Training(
        workers(plan.factories) if workers else LocalGroup(plan.factories, **wiring),
        given,
        published=plan.base(given),
        streams=plan.streams,
        train_periods=firm.periods.train,
        owner=plan.owner,
    )
    return plan, training


def final_policies(firm, given, folder, wiring=LOCAL, watcher=None, **options):
    """Train; the policies at the end as bytes, by department."""
    policies = train(firm, given, wiring, folder, watcher or Record(), **options)
    return {policy.department: (policy.version, policy.parameters.tobytes()) for policy in policies}

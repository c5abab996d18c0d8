import numpy as np
import pytest

from coordinator.learning.iterations import paired_gain
from coordinator.schemes.imarl import IMARL
from coordinator.workers.group import LocalGroup, WorkerLostError
from departments.play.episode import run_costs, shards
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import Snapshot
from environment.streams import Stream
from tests.small_firms import pair, stirred, tree, world_of
from tests.small_runs import SEED, settings, training_of


class _FragileCrew(LocalGroup):
    """One worker dies at a chosen moment, all its state lost; the others have done their work by then."""

    def __init__(self, factories, victim, moment):
        super().__init__(factories, environments=2)
        self._blueprint, self._victim, self._moment, self.asked = factories, victim, moment, 0

    def get(self, references):
        self.asked += 1
        if self.asked == self._moment:
            if self._victim == "critic":
                self.critic.plain = self._blueprint.critic()
            elif self._victim == "environment":
                self.environments[1].plain = self._blueprint.environment()
            else:
                self.departments[self._victim].plain = self._blueprint.departments[self._victim]()
            self.restarts += 1
            raise WorkerLostError(f"{self._victim} died")
        return references


def _run(firm, given, victim="critic", moment=0):
    plan, training = training_of(firm, given, workers=lambda factories: _FragileCrew(factories, victim, moment))
    scheme = IMARL.begin(plan.network, training)
    accepted = []
    scheme.run(lambda _: None, lambda snapshot, gain, error: accepted.append((gain, error)), lambda: None)
    result = {name: (policy.version, policy.parameters.tobytes()) for name, policy in scheme.saved.items()}
    return result, accepted, training


@pytest.mark.parametrize("victim", ["critic", "environment", "shop", "warehouse"])
def test_whoever_dies_whenever_the_result_is_the_same_to_the_last_bit(victim):
    given = settings(iterations=5)
    expected, gains, undisturbed = _run(pair(), given)
    assert gains, "something must be learned for this to mean anything"
    first = 1 + ["critic", "environment", "shop", "warehouse"].index(victim)
    for moment in range(first, undisturbed.workers.asked + 1, 4):
        result, again, training = _run(pair(), given, victim, moment)
        assert training.workers.restarts == 1
        assert result == expected, f"death at call {moment}"
        assert again == gains


def test_a_worker_that_dies_at_every_try_ends_the_run_with_a_reason():
    class Hopeless(LocalGroup):
        def get(self, references):
            raise WorkerLostError("the disk is full")

    reports = []
    plan, training = training_of(pair(), settings())
    training.report, training.workers = reports.append, Hopeless(plan.factories)
    with pytest.raises(RuntimeError, match="keep dying"):
        training.costs(10, Stream.SELECTION)
    assert "the disk is full" in reports[0]


def test_an_error_in_a_worker_is_not_mistaken_for_a_death():
    _, training = training_of(pair(), settings())
    wrong = Snapshot("shop", 1, training.published["shop"].config, np.zeros(3, "f4"))
    with pytest.raises(ValueError, match="shop needs"):
        training.adopt(wrong)


def _direct(firm, snapshots, episodes, stream):
    world, observer = world_of(firm)
    policy = FirmPolicy(world, observer, snapshots)
    return np.concatenate([run_costs(world, policy, chance).sum(0) for chance in shards(world, episodes, SEED, stream)])


@pytest.mark.parametrize("environments", [1, 2, 3])
def test_costs_are_those_of_the_episodes_in_order_whoever_plays_them(environments):
    firm, episodes = pair(), 2 * 1024 + 37
    plan, training = training_of(firm, settings(), environments=environments)
    candidate = stirred(plan.base(settings())["shop"], 4)
    base = training.published
    np.testing.assert_array_equal(
        training.costs(episodes, Stream.SELECTION), _direct(firm, list(base.values()), episodes, Stream.SELECTION)
    )
    expected = _direct(firm, [base["warehouse"], candidate], episodes, Stream.SELECTION)
    np.testing.assert_array_equal(training.costs(episodes, Stream.SELECTION, candidate), expected)
    assert training.published["shop"].version == 0, "a candidate is not published"


def test_the_gain_of_a_candidate_is_the_mean_of_paired_differences_on_episodes_of_its_own():
    firm, given = pair(), settings(acceptance_episodes=300)
    plan, training = training_of(firm, given)
    base, candidate = training.published["shop"], stirred(plan.base(given)["shop"], 4)
    old = training.acceptance_costs(base)
    gain, error = paired_gain(old, training.acceptance_costs(candidate))
    before = _direct(firm, list(training.published.values()), 300, Stream.ACCEPTANCE).astype(float)
    saving = before - _direct(firm, [training.published["warehouse"], candidate], 300, Stream.ACCEPTANCE)
    assert gain == pytest.approx(saving.mean())
    assert error == pytest.approx(saving.std(ddof=1) / 300**0.5)
    np.testing.assert_array_equal(old, before)
    assert not np.array_equal(training.selection_costs()[:40], before[:40])


def test_an_iteration_counts_its_steps_and_publishes_what_was_learned():
    plan, training = training_of(tree(), settings())
    training.adopt(training.published["east"])
    result = training.iterate(["east"], (0, 3, 0))
    assert training.env_steps == 16 * 12
    assert training.published["east"].version == 1
    assert training.published["west"].version == 0
    assert set(result.snapshots) == set(result.updates) == {"east"}
    environment = training.workers.environments[0].plain
    cost = environment.costs([0], 20, SEED, Stream.SELECTION)
    np.testing.assert_array_equal(cost, _direct(tree(), list(training.published.values()), 20, Stream.SELECTION))
    assert not np.array_equal(cost, _direct(tree(), list(plan.base(settings()).values()), 20, Stream.SELECTION))


@pytest.mark.parametrize("between", ["nothing", "another policy", "other learners"])
def test_rollouts_that_were_asked_for_ahead_change_no_result(between, monkeypatch):
    """With workers that answer later the next rollouts start early; here that is as soon as they are asked for."""
    found = {}
    for ahead in (False, True):
        _, training = training_of(tree(), settings())
        training.workers.concurrent = ahead
        training.adopt(*training.published.values())
        (world,) = training.workers.environments
        played, real = [], world.plain.rollout
        monkeypatch.setattr(world.plain, "rollout", lambda *a, real=real, played=played: played.append(a) or real(*a))
        training.iterate(["east", "depot"], (0, 1, 0), (0, 1, 1))
        assert len(played) == (4 if ahead else 2)  # two shards each
        if between == "another policy":
            training.publish(stirred(training.published["west"], 5))
        learning = ["west"] if between == "other learners" else ["east", "depot"]
        last = training.iterate(learning, (0, 1, 1))
        assert len(played) == (6 if ahead and between != "nothing" else 4)
        states, critic = training.learner_states()
        found[ahead] = [training.selection_costs(), *critic.values(), *last.critic.values()]
        found[ahead] += [value for state in states.values() for value in state.values()]
    for one, other in zip(found[True], found[False], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("environments", [1, 2, 3])
def test_every_environment_hears_of_policies_that_were_learned_while_rollouts_were_asked_for_ahead(environments):
    _, training = training_of(tree(), settings(), environments=environments)
    training.workers.concurrent = True
    training.adopt(*training.published.values())
    result = training.iterate(["east", "depot"], (0, 1, 0), (0, 1, 1))
    expected = _direct(tree(), list(training.published.values()), 20, Stream.SELECTION)
    for worker in training.workers.environments:
        np.testing.assert_array_equal(worker.plain.costs([0], 20, SEED, Stream.SELECTION), expected)
    assert {snapshot.version for snapshot in result.snapshots.values()} == {1}


def test_the_budget_of_steps_ends_the_run_at_the_iteration_that_uses_it_up():
    given = settings(steps=2.5 * 16 * 12)
    _, _, training = _run(pair(), given)
    assert training.env_steps == 3 * 16 * 12
    assert training.exhausted

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from departments.learning import ppo
from departments.learning.ppo import PPOConfig, Slice, sequences, update
from departments.learning.timescale import FAST, SLOW, StepLaw
from departments.numerics.adam import Adam
from departments.numerics.heads import Head
from departments.numerics.memory import MemoryNetwork
from departments.play.rollout import chunk_length, rollout
from departments.policies.policy import PolicyConfig
from departments.policies.spec import DepartmentSpec
from environment.sampling import seeded_generator
from tests.small_markets import MEMORIES, Company, market


def rollout_of(company, copies=6, seed=(4,)):
    return rollout(
        company.world, company.observer, list(company.snapshots.values()), company.names, company.payment.account,
        copies=copies, seed=seed,
    )  # fmt: skip


def advantage_of(played, number, seed=0):
    return torch.tensor(np.random.default_rng(seed + number).normal(size=played.slices[number].log_prob.shape)).float()


def test_sequences_are_chunks_of_one_copy_each():
    value = torch.arange(12 * 2 * 3).view(12, 2, 3)
    found = sequences(value, 4)
    assert found.shape == (9, 4, 2)
    for chunk, copy, t, feature in itertools.product(range(3), range(3), range(4), range(2)):
        assert found[chunk * 3 + copy, t, feature] == value[chunk * 4 + t, feature, copy]


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("memory", MEMORIES)
def test_every_minibatch_starts_from_the_log_probabilities_of_the_policy_that_acted(memory, slots, monkeypatch):
    company = Company(memory, firm=market(slots=slots))
    played = rollout_of(company)
    kept = []
    monkeypatch.setattr(ppo, "improve", lambda *arguments, **_: kept.append(arguments))
    for number, (role, batch) in enumerate(zip(company.specs, played.slices, strict=True)):
        options = {"learning_rate": 1e-3, "generator": seeded_generator("cpu", 1)}
        update(
            company.flat(role.name), None, replace(role, compiled=False), batch, advantage_of(played, number), **options
        )
        _, _, evaluate, old_log_prob, advantage = kept.pop()
        length = chunk_length(24) if memory == "gru" else 1
        assert old_log_prob.shape == advantage.shape == (24 * 6 // length, length)
        generator = seeded_generator("cpu", 2)
        for index in torch.randperm(len(old_log_prob), generator=generator).tensor_split(5):
            log_prob, _, _ = evaluate(index)
            assert torch.allclose(log_prob, old_log_prob[index], atol=1e-4)


@pytest.mark.parametrize("memory", MEMORIES)
def test_advantages_stay_with_the_samples_they_belong_to(memory, monkeypatch):
    company = Company(memory)
    played = rollout_of(company)
    batch, role = played.slices[1], company.specs[1]
    kept = []
    monkeypatch.setattr(ppo, "improve", lambda *arguments, **_: kept.append(arguments))
    options = {"learning_rate": 1e-3, "generator": seeded_generator("cpu", 1)}
    update(company.flat(role.name), None, replace(role, compiled=False), batch, batch.log_prob * 2.0, **options)
    (_, _, _, old_log_prob, advantage) = kept.pop()
    assert torch.equal(advantage, old_log_prob * 2.0)


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_first_step_of_an_update_moves_nothing_but_the_parameters(memory):
    company = Company(memory)
    played = rollout_of(company)
    role, batch = company.specs[-1], played.slices[-1]
    before = [field.clone() for field in batch]
    flat = company.flat(role.name)
    stats = update(
        flat, Adam.like(flat), replace(role, ppo=PPOConfig(epochs=1, minibatch=10_000)), batch, advantage_of(played, 3),
        learning_rate=1e-3, generator=seeded_generator("cpu", 1),
    )  # fmt: skip
    assert abs(stats.kl) < 1e-5
    assert stats.clip_fraction == 0
    assert not torch.equal(flat, company.flat(role.name))
    assert all(torch.equal(a, b) for a, b in zip(before, batch, strict=True))


@pytest.mark.parametrize("memory", MEMORIES)
def test_another_step_law_of_one_department_changes_no_other_department_s_update(memory):
    company = Company(memory)
    played = rollout_of(company)

    def learned(laws):
        found = {}
        for number, name in enumerate(company.names):
            department = company.department(name, laws.get(name, FAST))
            for turn in range(2):
                found[name] = department.learn((1, turn), (*played.slices[number], advantage_of(played, number, turn)))[
                    0
                ]
        return {name: snapshot.parameters for name, snapshot in found.items()}

    base = learned({})
    for changed, law in (("recommendation", SLOW), ("east", StepLaw(initial=0.01, decay=0.6, delay=10))):
        other = learned({changed: law})
        for name in company.names:
            assert np.array_equal(other[name], base[name]) == (name != changed)


def test_a_department_s_learning_rate_follows_its_law_over_the_episodes_it_has_learned_from():
    company = Company()
    played = rollout_of(company)
    law = StepLaw(initial=0.01, decay=0.7, delay=10)
    department = company.department("east", law)
    rates = []
    for turn in range(3):
        rates.append(department.learning_rate)
        _, state, _ = department.learn((turn,), (*played.slices[1], advantage_of(played, 1, turn)))
    assert rates == pytest.approx([law.at(6 * turn) for turn in range(3)])
    successor = company.department("east", law)
    successor.restore(state)
    assert successor.learning_rate == pytest.approx(law.at(18))
    assert company.department("east").learning_rate == PPOConfig().learning_rate


def signal_role(memory):
    """One segment, two products; what is seen is one number."""
    config = PolicyConfig(form="plain", memory=memory, memory_size=4 if memory == "stack" else 8, hidden=(16,))
    head, learning = Head(0, 1, 2, 1), {"closed_loop": True, "ppo": PPOConfig(minibatch=512, epochs=4)}
    network = MemoryNetwork(1, memory, config.memory_size if memory != "none" else 0, config.hidden, head.outputs, 0)
    return DepartmentSpec("recommendation", 0, (), (), True, config, (0,), head, network, seed=3, **learning)


def learned_share(memory, updates=40, copies=256, periods=4):
    """Share of right last choices after learning; right is the product named by what was seen three periods before."""
    role = signal_role(memory)
    flat = torch.tensor(role.first_snapshot().parameters)
    optimiser, generator = Adam.like(flat), seeded_generator("cpu", 7)
    for turn in range(updates):
        named = torch.randint(0, 2, (copies,), generator=generator).float()
        observation = torch.zeros(periods, 1, copies)
        observation[0, 0] = 2 * named - 1
        acting = role.acting(flat)
        memory_now, rows = acting.start(copies), []
        for t, noise in enumerate(role.head.noise(periods, copies, generator)):
            output, recorded, memory_now = acting(observation[t], memory_now)
            rows.append((recorded, *role.head.act(output, None, noise)))
        recorded, action, log_prob = (torch.stack(part) for part in zip(*rows, strict=True))
        right = (action[-1, 0] == named).float()
        advantage = torch.zeros(periods, copies)
        advantage[-1] = right - 0.5
        batch = Slice(recorded, action, log_prob, torch.zeros(1, role.remembered, copies))
        update(
            flat,
            optimiser,
            role,
            batch,
            advantage,
            learning_rate=0.01,
            generator=seeded_generator("cpu", turn),
        )
    return float(right.mean())


@pytest.mark.parametrize("memory", ["stack", "gru"])
def test_a_department_with_memory_learns_to_act_on_what_it_saw_three_periods_before(memory):
    assert learned_share(memory) > 0.95


def test_a_department_without_memory_cannot():
    assert learned_share("none", updates=10) < 0.65

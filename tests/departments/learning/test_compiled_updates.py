"""Updates in C++ against autograd: gradients, whole updates and what is told of them, for all memories and heads."""

import shutil
from dataclasses import replace

import pytest
import torch

from departments.department import Department
from departments.learning.ppo import PPOConfig, Slice, sequences, update
from departments.numerics.adam import Adam
from departments.numerics.heads import Head
from departments.numerics.memory import MemoryNetwork
from departments.play.rollout import rollout as play
from environment.toolchain import COMPILERS
from tests import small_markets
from tests.small_firms import learner

pytestmark = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")

HEADS = {
    "orders": Head(3),
    "a choice": Head(0, 1, 3),
    "choices": Head(0, 3, 2),
    "pairs": Head(0, 2, 4, 2),
    "both": Head(2, 3, 3, 2),
    "all": Head(1, 2, 2, 3),
}
MEMORIES = {"none": 0, "stack": 3, "gru": 5, "long gru": 32, "wide gru": 33}
SEQUENCES = [("none", 1), ("stack", 1), ("gru", 4), ("gru", 1), ("long gru", 12), ("wide gru", 3)]
PERIODS, COPIES = 12, 37


def department(memory, head, masked=False, rule=False, seed=0, **ppo):
    """A department with random parameters, and its generator."""
    generator = torch.Generator().manual_seed(seed)
    seen = 6 + head.outputs if rule else 6
    network = MemoryNetwork(seen, memory.split()[-1], MEMORIES[memory], (9, 7), head.outputs, head.orders)
    mask = torch.rand(head.segments, head.products, 1, generator=generator) < 0.6 if masked else None
    spec = learner(network, head, mask, rule, True, ppo=PPOConfig(**{"minibatch": 100, "target_kl": 1e9} | ppo))
    return spec, torch.randn(network.count, generator=generator) * 0.4, generator


def periods_first(value, length):
    return sequences(value, length).transpose(0, 1)


def rollout(spec, flat, generator, length, apart=0.1):
    """What it may have seen and done, by a policy that is a little apart from it; and advantages."""
    new = {"generator": generator}
    observation = torch.randn(PERIODS, spec.recorded, COPIES, **new)
    memory = torch.randn(PERIODS // length, spec.remembered, COPIES, **new).tanh()
    kept = periods_first(observation, length), sequences(memory, 1)[:, 0]
    output = spec.with_rule(spec.network.sequence_outputs(flat, *kept), kept[0])
    noise = spec.head.noise(length, output.shape[1], torch.Generator().manual_seed(5))
    acted = [spec.head.act(o.T, spec.mask, n)[0] for o, n in zip(output, noise, strict=True)]  # [actions, B] by period
    action = torch.stack(acted, 1).view(spec.head.actions, length, PERIODS // length, COPIES)
    action = action.permute(2, 1, 0, 3).reshape(PERIODS, spec.head.actions, COPIES)
    log_prob, _ = spec.log_prob(flat, *kept, periods_first(action, length))
    log_prob = log_prob.view(length, PERIODS // length, COPIES).transpose(0, 1).reshape(PERIODS, COPIES)
    log_prob = log_prob + apart * torch.randn(PERIODS, COPIES, **new)
    return Slice(observation, action, log_prob, memory), torch.randn(PERIODS, COPIES, **new)


def updated(spec, flat, samples, advantage):
    """Parameters, Adam's state and what is told, after an update."""
    parameters, optimiser = flat.clone(), Adam.like(flat)
    rates = {"learning_rate": spec.ppo.learning_rate, "generator": torch.Generator().manual_seed(7)}
    stats = update(parameters, optimiser, spec, samples, advantage, **rates)
    return parameters, optimiser, torch.tensor(stats, dtype=torch.float64)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("memory", "length"), SEQUENCES)
def test_the_gradient_is_that_of_autograd_in_double_precision(memory, length, head, masked):
    whole = {"minibatch": 10**6, "epochs": 1, "max_grad_norm": 1e9, "entropy_coef": 0.3, "learning_rate": 1e-9}
    spec, flat, generator = department(memory, HEADS[head], masked, masked, **whole)
    samples, advantage = rollout(spec, flat, generator, length)
    _, optimiser, stats = updated(spec, flat, samples, advantage)

    leaf = flat.double().requires_grad_()
    observation, action = (periods_first(part.double(), length) for part in samples[:2])
    log_prob, entropy = spec.log_prob(leaf, observation, sequences(samples.memory.double(), 1)[:, 0], action)
    old, gain = (
        periods_first(part.double().unsqueeze(1), length).squeeze(-1) for part in (samples.log_prob, advantage)
    )
    gain = (gain - gain.mean()) / gain.std()
    ratio = (log_prob - old).exp()
    surrogate = torch.minimum(ratio * gain, ratio.clamp(0.8, 1.2) * gain).mean()
    (-surrogate - 0.3 * entropy).backward()
    torch.testing.assert_close(optimiser.first, leaf.grad.float() * 0.1, rtol=5e-5, atol=1e-7)
    clipped = ((ratio - 1).abs() > 0.2).double().mean()
    expected = [(ratio - 1 - (log_prob - old)).mean(), clipped, entropy, leaf.grad.norm(), 1e-9]
    torch.testing.assert_close(
        stats, torch.stack([torch.as_tensor(x).double().detach() for x in expected]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("memory", "length"), SEQUENCES)
@pytest.mark.parametrize("head", ["orders", "choices", "both"])
@pytest.mark.parametrize("changes", [{}, {"target_kl": 0.02, "learning_rate": 0.03}])
def test_an_update_is_that_of_autograd(memory, length, head, changes):
    spec, flat, generator = department(memory, HEADS[head], True, True, entropy_coef=0.01, **changes)
    samples, advantage = rollout(spec, flat, generator, length)
    one, other = (updated(replace(spec, compiled=compiled), flat, samples, advantage) for compiled in (True, False))
    assert not torch.equal(one[0], flat)
    assert not torch.equal(one[0], other[0])  # one of them is not in C++
    torch.testing.assert_close(one[0], other[0], rtol=1e-3, atol=2e-5)
    torch.testing.assert_close(one[1].second, other[1].second, rtol=1e-3, atol=1e-7)
    assert one[1].steps == other[1].steps
    torch.testing.assert_close(one[2], other[2], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("memory", small_markets.MEMORIES)
def test_departments_that_learn_in_cpp_and_in_pytorch_come_to_the_same_policies(memory):
    company = small_markets.Company(memory)
    played = play(
        company.world, company.observer, list(company.snapshots.values()), company.names, company.payment.account,
        copies=16, seed=(4,),
    )  # fmt: skip
    for number, (spec, batch) in enumerate(zip(company.specs, played.slices, strict=True)):
        advantage = torch.randn(batch.log_prob.shape, generator=torch.Generator().manual_seed(number))
        learned = []
        for compiled in (True, False):
            department = Department(replace(spec, ppo=PPOConfig(minibatch=64, target_kl=10), compiled=compiled))
            department.adopt(company.snapshots[spec.name])
            for turn in range(2):  # in more, rounding may decide whose ratio is clipped
                snapshot, _, _ = department.learn((1, turn), (*(part.numpy() for part in (*batch, advantage)),))
            learned.append(torch.tensor(snapshot.parameters))
        one, other = learned
        moved = other - company.flat(spec.name)
        assert (one - other).norm() < 0.01 * moved.norm()

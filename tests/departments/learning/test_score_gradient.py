"""What it is worth to order or not: the score function against expectations that are known."""

import math

import numpy as np
import pytest
import torch

from departments.learning.pathwise import score_gradient
from departments.numerics.heads import Head
from departments.numerics.memory import MemoryNetwork
from departments.play.gradients import descend
from departments.play.rollout import recorded
from departments.policies.policy import PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from environment import World, parse_firm
from environment.observation import Observer
from tests.small_firms import learner

PERIODS = 5
WAYS = 2**PERIODS  # to order or not in each of them


def shop():
    """Numbers so large that the rounding to whole units does not show in differences; what is ordered is there soon."""
    law = {"law": "uniform", "low": 12_000, "high": 41_000}
    point = {"holding_cost": 1, "backorder_cost": 7, "fixed_order_cost": 150_000, "max_order": 120_000, "demand": law}
    supply = [{"from": "outside", "to": "shop", "lead_time": 1}]
    return parse_firm({"name": "shop", "stock_points": {"shop": point}, "supply": supply})


def test_quantity_and_whether_there_is_one_have_together_the_gradient_of_the_expected_cost():
    """By enumeration: all ways to order or not are equally likely where the logit is 0, and each is a copy here.

    The network is two constants, so that nothing is left out by the cross term.
    """
    levels = np.array([[30_000.0]])
    world = World(shop(), levels, dtype=torch.float64)
    observer = Observer(world, levels, "benchmark")
    config = PolicyConfig(form="plain", hidden=(), hybrid=True, observation="own")
    spec = DepartmentSpec.of(world, observer, "shop", config)
    start = world.reset(WAYS)
    one = world.draw(PERIODS, 1, world.generator(4))
    chance = one._replace(demand=one.demand.expand(-1, -1, -1, WAYS).contiguous())
    placed = torch.tensor([[way >> t & 1 for way in range(WAYS)] for t in range(PERIODS)], dtype=torch.float64)
    noise = torch.stack((torch.zeros_like(placed), 20.0 * placed - 10.0), 1)  # [T, 2, E]

    def policy(quantity, logit=0.0):
        parameters = spec.first_snapshot().parameters.astype("float64")
        parameters[1 + 1 : 1 + 1 + 2] = quantity, logit
        return Snapshot("shop", 1, config, parameters)

    def cost(quantity, logit):
        """Expected, a period."""
        policies = [policy(quantity)]
        _, brought, _ = recorded(world, observer, policies, {"shop": noise}, chance, start)
        chance_of = torch.sigmoid(torch.tensor(logit, dtype=torch.float64))
        likely = torch.where(placed > 0, chance_of, 1.0 - chance_of).prod(0)
        return float((brought.cost.sum((1, 2)).sum(0) * likely).sum()) / PERIODS

    found = descend(world, observer, [policy(-0.4)], start, chance, noise={"shop": noise})
    _, brought, played = recorded(world, observer, [policy(-0.4)], {"shop": noise}, chance, start)
    spent = brought.cost.sum((1, 2))  # [T, E]
    assert torch.equal(played["shop"].action[:, 1], placed)
    saved = -spent.flip(0).cumsum(0).flip(0)
    baseline = torch.linspace(-3e5, 1e5, PERIODS, dtype=torch.float64)[:, None]  # knows nothing of what is drawn
    for advantage in (saved, saved - baseline):
        flat = torch.tensor(policy(-0.4).parameters)
        score = score_gradient(
            flat, spec.network, spec.head, played["shop"].observation, played["shop"].action, advantage
        )
        gradient = found.gradients[0] + score
        by_quantity = (cost(-0.4 + 1e-3, 0.0) - cost(-0.4 - 1e-3, 0.0)) / 2e-3
        by_logit = (cost(-0.4, 1e-4) - cost(-0.4, -1e-4)) / 2e-4
        assert float(gradient[2]) == pytest.approx(by_quantity, rel=2e-3)
        assert float(gradient[3]) == pytest.approx(by_logit, rel=1e-5)
        assert abs(by_logit) > 1e3


def test_it_is_the_gradient_of_the_weighted_log_probability():
    """By autograd, of a network with a hidden layer; quantities and standard deviations have none."""
    head = Head(2, hybrid=True)
    spec = learner(MemoryNetwork(3, "none", 0, (6,), head.outputs, head.orders), head)
    generator = torch.Generator().manual_seed(1)
    flat = 0.5 * torch.randn(spec.network.count, generator=generator)
    seen, advantage = torch.randn(4, 3, 9, generator=generator), torch.randn(4, 9, generator=generator)
    noise = head.noise(4, 9, generator)
    decide = spec.deciding(flat)
    action = torch.stack([decide(seen[t], seen[t, :0], noise[t]).action for t in range(4)])
    found = score_gradient(flat, spec.network, head, seen, action, advantage)
    leaf = flat.clone().requires_grad_()
    logit = spec.network.sequence_outputs(leaf, seen.transpose(1, 2), seen[0].T[:, :0])[..., head.placed]
    log_prob = torch.distributions.Bernoulli(logits=logit).log_prob(action[:, head.placed].transpose(1, 2)).sum(-1)
    (expected,) = torch.autograd.grad(-(log_prob * advantage).mean(), leaf)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert not found[-head.orders :].any()


def test_orders_are_placed_as_often_as_their_logits_say():
    head, generator = Head(3, hybrid=True), torch.Generator().manual_seed(2)
    logit, copies = torch.tensor([-1.5, 0.0, 0.7]), 40_000
    output = torch.cat((torch.zeros(3), logit))[:, None].expand(-1, copies)
    often = head.act(output, None, head.noise(1, copies, generator)[0])[0][head.placed].mean(1)
    for found, expected in zip(often.tolist(), torch.sigmoid(logit).tolist(), strict=True):
        assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / copies))
    assert head.act(output, None, None)[0][head.placed, 0].tolist() == [0.0, 1.0, 1.0]  # the likelier, and if in doubt

"""Gradients through customers who choose: of what is shown to them, and of orders, beside what the exact world does."""

from itertools import product

import numpy as np
import pytest
import torch

from departments.play.episode import run_costs
from departments.play.gradients import descend_episode
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import RECOMMENDATION, Snapshot
from tests.known_optima import tiny
from tests.small_markets import Company, market


def shares(company, output):
    """The mean that the chances of the places give, by enumeration, [S, K]."""
    spec, choice = company.spec[RECOMMENDATION], company.world.choice
    head = spec.head
    logits = head._logits(output.T, spec.mask)[0].double()  # [S, K + slots]
    found = torch.zeros(head.segments, head.products, dtype=torch.float64)
    for s in range(head.segments):
        for places in product(range(logits.shape[-1]), repeat=head.slots):
            if len(set(places)) < head.slots:
                continue
            left, chance = logits[s].exp(), torch.ones(())
            for place in places:
                chance = chance * left[place] / left.sum()
                left = left * (torch.arange(len(left)) != place)
            shown = torch.zeros(head.segments, head.products, 1)
            shown[s, [place for place in places if place < head.products]] = 1.0
            found[s] = found[s] + chance * choice.probability(shown)[s, :, 0]
    return found


def swayed(company, output, copies):
    """The gradient by one output of a weighted mean of what is bought, estimated from draws; and by enumeration."""
    spec, generator = company.spec[RECOMMENDATION], torch.Generator().manual_seed(3)
    weight = torch.rand(spec.head.segments, spec.head.products, generator=generator)
    many = output.expand(-1, copies)
    action, _ = spec.head.act(many.detach(), spec.mask, spec.head.noise(1, copies, generator)[0])
    means = spec.sway(company.world.choice, many, action).mean(-1), shares(company, output)
    return (torch.autograd.grad((mean * weight).sum(), output)[0].flatten() for mean in means)


@pytest.mark.parametrize("slots", [1, 2])
def test_what_demand_leans_on_is_the_gradient_of_the_mean(slots):
    """Half comes from either end of a swap, so it takes many draws; two slots change one at a time, which is biased."""
    company = Company(firm=market(slots=slots))
    outputs = company.spec[RECOMMENDATION].head.outputs
    output = torch.randn(outputs, 1, generator=torch.Generator().manual_seed(3), requires_grad=True)
    mine, theirs = swayed(company, output, 20_000)
    error = 0.03 if slots == 1 else 0.25
    assert float((mine - theirs).norm()) < error * float(theirs.norm())


@pytest.mark.parametrize("what", ["recommendation", "order"])
def test_gradients_are_the_slopes_of_what_the_exact_world_earns(what):
    """Up to the bias that is told of, on common chance; of so many customers that stock seldom just suffices."""
    coming = [{"from": "outside", "to": "shop", "initial_pipeline": 30, "lead_time": 1}]
    periods = {"train": 8, "evaluate": 9, "warm_up": 0}
    firm = tiny({"max_order": 400, "initial_on_hand": 40}, {"traffic": 70}, periods=periods, supply=coming)
    company = Company(firm=firm, stir=0.3)
    world, observer, copies = company.world, company.observer.until(8), 4_000
    everyone = dict(company.snapshots)
    chance = world.draw(8, copies, world.generator(7))
    noise = company.spec[RECOMMENDATION].exploration(company.flat(RECOMMENDATION), 8, copies, (3,))[0]
    department = RECOMMENDATION if what == "recommendation" else "shop"
    spec, own, number = company.spec[department], everyone[department], company.names.index(department)
    place = spec.network.count - spec.head.orders - spec.head.outputs  # of the first output's constant
    step = 0.2 if what == "recommendation" else 0.1

    def descent(by):
        parameters = own.parameters.copy()
        parameters[place] += by
        moved = list((everyone | {department: Snapshot(department, 1, own.config, parameters)}).values())
        return descend_episode(world, observer, moved, chance, noise)

    expected = (descent(step).cost - descent(-step).cost) / (2 * step)
    assert abs(expected) > 0.02
    found = np.mean([float(descent(by).gradients[number][place]) for by in (-step, 0.0, step)])
    assert found == pytest.approx(expected, rel=0.2)


def test_the_cost_is_that_of_the_exact_episode():
    company = Company(memory="gru")
    world, observer = company.world, company.observer.until(24)
    chance, everyone = world.draw(24, 40, world.generator(7)), list(company.snapshots.values())
    found = descend_episode(world, observer, everyone, chance, None)
    policy = FirmPolicy(world, observer, everyone, eager=True)
    assert found.cost == pytest.approx(float(run_costs(world, policy, chance).sum(0).mean()) / 24, rel=1e-5)
    assert all(float(gradient.norm()) > 0.0 for gradient in found.gradients), "memories are learned through"
    held = descend_episode(world, observer, everyone[:-1], chance, None, others=everyone[-1:])
    assert len(held.gradients) == len(everyone) - 1
    assert held.cost == pytest.approx(found.cost, rel=1e-5)

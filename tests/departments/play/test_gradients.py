import numpy as np
import pytest
import torch

from departments.play.gradients import descend
from departments.policies.policy import PolicyConfig, Snapshot
from environment import Exogenous, World, parse_firm
from environment.observation import Observer
from tests.small_firms import fresh, stirred, tree, world_of


def coarse(unmet, suppliers, shops, lead_time):
    """Demands of tens of thousands: the rounding to whole units does not show in differences."""
    law = {"law": "uniform", "low": 12_000, "high": 41_000}
    shop = {"holding_cost": 1, "backorder_cost": 7, "max_order": 120_000, "demand": law}
    points = {name: {"holding_cost": 0.5, "max_order": 200_000} for name in suppliers} | dict.fromkeys(shops, shop)
    supply = [{"from": "outside", "to": name, "lead_time": 2} for name in suppliers]
    supply += [{"from": name, "to": to, "lead_time": lead_time} for name in suppliers for to in shops]
    return parse_firm({"name": "coarse", "unmet": unmet, "stock_points": points, "supply": supply})


@pytest.mark.parametrize("observation", ["own", "downstream", "everything", "pipeline"])
@pytest.mark.parametrize(
    ("unmet", "suppliers", "shops", "lead_time"),
    [
        ("backorder", ["north"], ["east"], 1),
        ("lost", ["north", "south"], ["east"], 2),
        ("backorder", ["north", "south"], ["east"], {"law": "uniform", "low": 1, "high": 4}),
        ("lost", ["north"], ["east", "west"], {"law": "uniform", "low": 1, "high": 2}),
    ],
)
def test_the_gradient_is_that_of_central_differences(observation, unmet, suppliers, shops, lead_time):
    """Of the cost itself, in firms where no two customers compete for scarce stock: that order is taken as given."""
    firm = coarse(unmet, suppliers, shops, lead_time)
    scarce = 60_000.0 if len(shops) == 1 else 300_000.0
    levels = np.array([[scarce]] * len(suppliers) + [[60_000.0]] * len(shops))
    world = World(firm, levels, dtype=torch.float64)
    observer = Observer(world, levels, "standard")
    config = PolicyConfig(observation=observation, hidden=(6,), activation="tanh")
    policies = [stirred(snapshot, seed, 0.07) for seed, snapshot in enumerate(fresh(world, observer, config))]
    spread = torch.rand(world.points, 1, 2048, generator=world.generator(4), dtype=world.dtype)
    start = world.reset(2048, (2.0 * torch.tensor(levels)[:, :, None] * spread).round())
    chance = world.draw(14, 2048, world.generator(5))
    found = descend(world, observer, policies, start, chance)
    assert not found.end.on_hand.requires_grad

    def cost(step, department):
        way = found.gradients[department].numpy() / np.linalg.norm(found.gradients[department].numpy())
        moved = list(policies)
        own = moved[department]
        moved[department] = Snapshot(own.department, 1, own.config, own.parameters + step * way)
        return descend(world, observer, moved, start, chance).cost

    largest = max(float(gradient.norm()) for gradient in found.gradients)
    for department, gradient in enumerate(found.gradients):
        slope = (cost(2e-4, department) - cost(-2e-4, department)) / 4e-4
        assert slope == pytest.approx(float(gradient.norm()), rel=0.03, abs=0.04 * largest), firm.names[department]


def test_what_a_unit_is_worth_is_bounded():
    """A department of one constant: its gradient is the sum of what its orders' units are worth."""
    firm = coarse("backorder", ["north"], ["east"], 1)
    levels = np.array([[60_000.0], [20_000.0]])  # the shop is always short: another unit saves backlog for good
    world = World(firm, levels, dtype=torch.float64)
    observer = Observer(world, levels, "standard")
    policies = fresh(world, observer, PolicyConfig(observation="own", hidden=()))
    start, chance = world.reset(64), world.draw(14, 64, world.generator(5))
    free = descend(world, observer, policies, start, chance).gradients[1]
    most = float(observer.spread[1]) * (7.0 + 1.0)
    for bound in (0.01, 0.02):
        bounded = descend(world, observer, policies, start, chance, bound).gradients[1]
        assert float(bounded[1]) == pytest.approx(
            -bound * most * 11 / 14, rel=0.05
        )  # an order has no effect in the last three
        assert abs(float(free[1])) > 2 * abs(float(bounded[1]))
    unbounded = descend(world, observer, policies, start, chance, 1e9).gradients[1]
    torch.testing.assert_close(unbounded, free, rtol=1e-12, atol=0)


def test_the_stretch_goes_on_where_the_last_one_ended():
    world, observer = world_of(tree())
    policies = [stirred(s, 3) for s in fresh(world, observer, PolicyConfig(hidden=(8,)))]
    chance = world.draw(12, 16, world.generator(1))
    whole = descend(world, observer, policies, world.reset(16), chance)
    early, late = (Exogenous(*(f if f is None else f[some] for f in chance)) for some in (slice(5), slice(5, None)))
    first = descend(world, observer, policies, world.reset(16), early)
    second = descend(world, observer, policies, first.end, late)
    for a, b in zip(whole.end, second.end, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert (5 * first.cost + 7 * second.cost) / 12 == pytest.approx(whole.cost, rel=1e-6)

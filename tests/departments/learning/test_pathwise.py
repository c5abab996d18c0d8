import math

import pytest
import torch

from departments.learning.pathwise import PathwiseConfig, counted_from, take_step, window_of
from departments.numerics.adam import Adam
from environment import load_firm
from environment.parts import Disruption
from tests.small_firms import world_of


@pytest.mark.parametrize(("name", "periods"), [("toy", 16), ("a1", 16), ("a3", 32), ("s1", 32), ("c3", 48)])
def test_a_gradient_reaches_back_four_times_the_way_through_the_firm(name, periods):
    """a3: two edges of mean lead time 3, a period of review each: 4 (4 + 4); never below 16."""
    world, _ = world_of(load_firm(name))
    assert window_of(world.network) == periods
    assert counted_from(world.network, periods) == 0


def test_where_edges_may_be_shut_it_reaches_back_four_times_that_further_and_its_second_half_counts():
    firm = load_firm("toy")
    edges = [edge.model_copy(update={"disruption": Disruption(start=0.01, end=0.2)}) for edge in firm.supply]
    world, _ = world_of(firm.model_copy(update={"supply": tuple(edges)}))
    assert window_of(world.network) == 16 + 20
    assert counted_from(world.network, 36) == 18


def test_steps_are_adams_with_a_clipped_gradient_and_a_falling_rate():
    config = PathwiseConfig(learning_rate=0.1, max_grad_norm=2.0)
    ours, theirs = torch.tensor([1.0, -2.0]), torch.tensor([1.0, -2.0], requires_grad=True)
    optimiser = torch.optim.Adam([theirs], lr=0.1, eps=1e-8)
    adam = Adam.like(ours)
    for progress, gradient in ((0.0, [3.0, 4.0]), (0.5, [0.5, -0.25]), (0.9, [-30.0, 40.0])):
        norm, rate = take_step(ours, adam, torch.tensor(gradient), config, progress)
        assert norm == pytest.approx(math.hypot(*gradient))
        assert rate == pytest.approx(0.1 * (1 + math.cos(math.pi * progress)) / 2)
        theirs.grad = torch.tensor(gradient) * min(1.0, 2.0 / norm)
        optimiser.param_groups[0]["lr"] = 0.1 * (1 + math.cos(math.pi * progress)) / 2
        optimiser.step()
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)
    before = ours.clone()
    take_step(ours, adam, torch.tensor([1.0, 1.0]), config, 1.0)
    torch.testing.assert_close(ours, before, rtol=0, atol=0)

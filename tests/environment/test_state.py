import torch

from environment import Exogenous


def test_one_period_of_many_keeps_what_is_not_random():
    chance = Exogenous(torch.arange(6.0).view(3, 1, 1, 2), None, torch.zeros(3, 1, 1, 2), None)
    second = chance.at(1)
    assert second.demand.flatten().tolist() == [2, 3]
    assert second.lead_time is None
    assert second.supplier.shape == (1, 1, 2)
    assert second.cost_factor is None

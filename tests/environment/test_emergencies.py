"""What a point cannot serve comes at once from what its supplier has left: by hand, in the slow world, in C++."""

import numpy as np
import pytest
import torch

from environment import CompiledWorld, Exogenous, World, parse_firm
from tests.random_firms import run, slow_replay


def content(chances=(1.0, 0.4, 0.0), **shop):
    points = {"warehouse": {"holding_cost": 0.5, "max_order": 40}}
    points |= {
        name: {"holding_cost": 1, "backorder_cost": 9, "max_order": 20, "demand": 5} | shop for name in ("a", "b", "c")
    }
    supply = [{"from": "outside", "to": "warehouse"}]
    supply += [{"from": "warehouse", "to": to, "emergency": p} for to, p in zip("abc", chances, strict=True)]
    return {"name": "helped", "unmet": "lost", "stock_points": points, "supply": supply}


def test_shops_are_helped_in_their_order_as_far_as_there_is_stock():
    world = World(parse_firm(content((1.0, 1.0, 1.0))), np.zeros((4, 1)), dtype=torch.float64)
    stock = torch.tensor([7.0, 1.0, 5.0, 3.0], dtype=torch.float64)[:, None, None]  # short of 4, 0 and 2
    state, nothing = world.reset(1, stock), torch.zeros(4, 1, 1, dtype=torch.float64)
    chance = world.draw(1, 1, world.generator(0)).at(0)
    for left, delivered in ((7.0, [4, 0, 2]), (5.0, [4, 0, 1])):
        state = state._replace(on_hand=torch.cat((nothing[:1] + left, state.on_hand[1:])))
        after, outcome = world.step(state, nothing, chance)
        assert outcome.delivered.flatten().tolist() == delivered
        assert outcome.sales.flatten().tolist() == [1 + delivered[0], 5, 3 + delivered[2]]
        assert outcome.unserved.flatten().tolist() == [0, 0, 2 - delivered[2]]
        assert after.on_hand.flatten().tolist() == [left - sum(delivered), 0, 0, 0]
        assert world.asked(state, nothing, after, outcome).flatten().tolist() == [0, 5, 5, 5]
        assert outcome.cost.sum().item() == 0.5 * (left - sum(delivered)) + 9 * (2 - delivered[2])


def test_it_is_that_of_the_slow_world_in_both_worlds_and_comes_as_often_as_the_firm_file_says():
    episode = run(parse_firm(content()), copies=201, seed=3, periods=12)
    chance = Exogenous(*(None if field is None else field[:-1] for field in episode.chance))
    played = CompiledWorld(episode.world).play(episode.states[0], episode.orders[:-1], chance)
    assert all(map(torch.equal, played.state, episode.states[-1]))
    for copy in (0, 200):
        slow = slow_replay(episode, copy)
        for t, (state, expected) in enumerate(zip(episode.states, slow, strict=True)):
            assert state.on_hand[..., copy].flatten().tolist() == list(expected.on_hand.values())
            if t:
                sales = [expected.sales[name, "unit"] for name in "abc"]
                assert episode.outcomes[t].sales[..., copy].flatten().tolist() == sales
    came = (chance.emergency.to(torch.int32) + 32_768) < 0.4 * 65_536
    assert chance.emergency.shape == (11, 2, 1, 201)  # of edges that have a chance
    assert came.double().mean().item() == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda firm: firm["supply"][0].update(emergency=0.5), r"supply\[0\].emergency: .* outside is none"),
        (lambda firm: firm.update(unmet="backorder"), "customers wait there: set its unmet to lost"),
        (lambda firm: firm["supply"][1].update(disruption={"start": 0.1, "end": 0.5}), "the edge may be shut"),
        (lambda firm: firm["stock_points"]["a"].pop("demand"), "external customers, and a has none"),
        (lambda firm: firm["supply"].append({"from": "b", "to": "a", "emergency": 1}), "a has another one"),
        (lambda firm: firm["supply"][1].update(emergency=2), "emergency must be a number from 0 to 1, got 2"),
    ],
)
def test_what_does_not_go_with_it_is_refused_in_one_line(change, line):
    firm = content()
    change(firm)
    with pytest.raises(ValueError, match=line) as refused:
        parse_firm(firm)
    assert "\n" not in str(refused.value)

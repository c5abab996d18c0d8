"""Whoever orders keeps to what the firm accepts: 100,000 random periods of random firms, some replayed slowly."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from departments.decisions import Decision
from departments.play.stepping import play
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig
from departments.rules.ordering import BaseStock
from tests.random_firms import Episode, examples, firms, slow_replay
from tests.small_firms import fresh, stirred, world_of

PERIODS, COPIES = 8, 64


class ByHand:
    """Given orders, and what was wished."""

    def __init__(self, wishes):
        self.wishes = wishes

    def decide(self, world, state, feedback, period, memory):
        return Decision(self.wishes[period])


class Noted:
    """A policy whose wishes are kept."""

    def __init__(self, policy):
        self.policy, self.wishes = policy, []

    def decide(self, world, state, feedback, period, memory):
        decision = self.policy.decide(world, state, feedback, period, memory)
        wish = decision.order if len(decision.order) == world.decisions else world.parted(decision.order)
        self.wishes.append(wish.clone())
        return decision


def policies(world, observer, seed):
    rng, shape = np.random.default_rng(seed), (world.points, world.products)
    levels = rng.integers(0, 45, shape).astype(float)
    yield BaseStock("base-stock", levels)
    yield BaseStock("(s, S)", levels, reorder_points=levels - rng.integers(1, 9, shape))
    snapshots = [stirred(one, i, 0.3) for i, one in enumerate(fresh(world, observer, PolicyConfig(hidden=(5,))))]
    yield FirmPolicy(world, observer, snapshots)
    yield ByHand(torch.tensor(rng.integers(0, 21, (PERIODS, *shape, COPIES)), dtype=world.dtype))


def room_left(world, state, order):
    """What storage and trucks from outside have left, [limited, E]."""
    limits = world.limits
    after = state.inventory_position + world.by_point(order)
    stored = after.clamp_min(0.0).sum(1), state.inventory_position.clamp_min(0.0).sum(1)
    for n in np.flatnonzero(limits.storage >= 0):
        most = torch.maximum(torch.tensor(limits.storage[n], dtype=world.dtype), stored[1][n])  # if it was too full
        yield most - stored[0][n]
    for n in np.flatnonzero(limits.load >= 0):
        yield limits.load[n] - order[n].sum(0)


@torch.inference_mode()
@examples(50)
@given(firms(), st.integers(0, 10_000))
def test_orders_keep_to_packs_minima_review_days_and_room(firm, seed):
    world, observer = world_of(firm)
    points = firm.stock_points.values()
    of = world.network.order_point
    multiple, least = firm.amounts("order_multiple", 1.0)[of, :, None], firm.least_orders()[of, :, None]
    for policy in policies(world, observer, seed):
        noted, chance = Noted(policy), world.draw(PERIODS, COPIES, world.generator(seed))
        steps = list(play(world, noted, chance))
        orders = torch.stack([step.order[: world.orders] for step in steps])
        units = orders.numpy()
        assert (units % multiple == 0).all()
        assert ((units == 0) | (units >= least)).all()
        assert (units <= firm.amounts("max_order")[of, :, None]).all()
        for step in steps:
            for n, point in enumerate(points):
                if (
                    point.review_days is not None
                    and step.period % point.review_days.cycle not in point.review_days.days
                ):
                    assert not step.order[: world.orders][of == n].any()
            off = (step.period - firm.amounts("review_offset")) % firm.amounts("review_period", 1.0) != 0
            assert not step.order[: world.orders][torch.from_numpy(off[of])].any()
            assert all((left >= 0).all() for left in room_left(world, step.before, step.order))
            inside, carried = world.network.internal, world.limits.carried
            arriving = step.after.pipeline.sum((0, 2))[:inside] - step.before.pipeline[1:].sum((0, 2))[:inside]
            assert (arriving[carried >= 0] <= torch.from_numpy(carried[carried >= 0])[:, None]).all()
        states = [steps[0].before, *(step.after for step in steps[:-1])]
        outcomes = [None, *(step.outcome for step in steps[:-1])]
        episode = Episode(world, states, outcomes, orders, chance, None, torch.stack(noted.wishes).double())
        slow, copy = slow_replay(episode, seed % COPIES), seed % COPIES
        for t in range(PERIODS):
            ordered, held = slow[t].order, slow[t].on_hand
            asks = [(*e, k) for e in world.network.edge_names for k in firm.products] if len(of) > len(points) else held
            assert orders[t, ..., copy].flatten().tolist() == [ordered[ask] for ask in asks]
            assert states[t].on_hand[..., copy].flatten().tolist() == list(held.values())

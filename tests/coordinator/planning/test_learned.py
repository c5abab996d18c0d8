"""A policy that learns to meet a fill rate: where it starts, what it reaches, and that it knows only the past."""

import numpy as np
import pandas as pd
import pytest
import torch

import firmwide
from coordinator.planning.learned import AGAIN, STEPS, Sight, learn
from coordinator.planning.policies import InTurn
from coordinator.planning.reasons import Part, parts_of
from coordinator.planning.tuning import Past, drawn_episodes, fill_rates, plain_firm, tuned_to
from environment import World

DAYS = pd.date_range("2023-01-02", periods=200)
RATE = np.full(2, 0.95)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A depot, two shops and two items, in packs."""
    folder, rng = tmp_path_factory.mktemp("learner"), np.random.default_rng(3)
    rows = [
        (day.date(), store, item, rng.poisson(mean))
        for day in DAYS
        for store, means in {"north": (8, 3), "south": (4, 2)}.items()
        for item, mean in zip(("tea", "rice"), means, strict=True)
    ]
    pd.DataFrame(rows, columns=["date", "store", "item", "quantity"]).to_csv(folder / "sales.csv", index=False)
    supply = [(item, "maker", "depot", 4, 6, 12) for item in ("tea", "rice")]
    supply += [(item, "depot", store, 1, 1, 0) for item in ("tea", "rice") for store in ("north", "south")]
    columns = ["item", "from", "to", "lead_time", "order_multiple", "moq"]
    pd.DataFrame(supply, columns=columns).to_csv(folder / "supply.csv", index=False)
    return firmwide.import_firm([folder / "sales.csv", folder / "supply.csv"], out=folder / "shop")


@pytest.fixture(scope="module")
def known(shop):
    """Past, world and what a few steps teach."""
    past, world = Past.of(shop.tables), World(plain_firm(shop.tables), np.zeros((3, 2)))
    return past, world, learn(past, world, RATE, steps=12)


def played(past, world, learned, seed):
    """Fill rate in all, and stock, in fresh episodes."""
    demand, ahead = drawn_episodes(past, learned.forecaster, 140, 16, np.random.default_rng(seed))
    policy = Sight.of(learned, ahead, past.next_period)
    start = policy.level(policy.first).clamp_min(0).round()
    rate, held = fill_rates(world, policy, demand, start, 42, first=policy.first)
    weight = demand[42:].sum((0, 3)).numpy()
    return (rate[0] * weight).sum() / weight.sum(), held.sum()


def test_it_starts_as_tuned_levels_decide(known):
    past, world, learned = known
    tuned = tuned_to(past, world, RATE)
    parameters = torch.cat((torch.as_tensor(tuned.safety).ravel().float(), learned.parameters[6:]))
    parameters[6 + 3 * 16 * 7 :] = 0.0  # what leads out of the hidden units
    first = Sight.of(
        learned.__class__(**vars(learned) | {"parameters": parameters}),
        tuned.forecaster.over_interval(past.flow, past.days),
        0,
    )
    state = world.reset(1, torch.full((3, 2, 1), 5.0))
    levels = torch.as_tensor(tuned.levels(past)[7])[..., None].float()
    torch.testing.assert_close(first.decide(world, state, None, 7, None).order, levels - 5.0, atol=1e-3, rtol=1e-4)


def test_the_rate_is_reached_in_other_episodes(known):
    past, world, learned = known
    assert learned.reached.min() >= 0.95
    assert (learned.multiplier > 0).all()
    rate, _ = played(past, world, learned, 99)
    assert rate == pytest.approx(0.95, abs=0.01)


def test_products_of_one_rate_meet_it_together_and_others_their_own(shop):
    past, world = Past.of(shop.tables), World(plain_firm(shop.tables), np.zeros((3, 2)))
    learned = learn(past, world, np.array([0.9, 0.98]), steps=5)
    assert learned.reached[1] >= 0.98
    assert 0.9 <= learned.reached[0] < 0.95
    assert learned.multiplier[1] > learned.multiplier[0]


def test_what_it_does_follows_from_the_days_before(known):
    past, world, learned = known
    changed = past.flow.copy()
    changed[120:] += 50
    state = world.reset(1, torch.full((3, 2, 1), 5.0))
    before, after = (learned.sight(flow, past.days) for flow in (past.flow, changed))
    for day, same in ((120, True), (121, False)):
        orders = [sight.decide(world, state, None, sight.first + day, None).order for sight in (before, after)]
        assert torch.equal(*orders) == same


def test_it_goes_on_from_what_was_learned_when_less_was_known(known):
    past, world, learned = known
    later = learn(past, world, RATE, learned, steps=2)
    assert AGAIN < STEPS
    moved = (later.parameters[6:] - learned.parameters[6:]).abs().max()
    assert 0 < float(moved) < 0.05  # two steps away from where it was


def test_the_backtest_and_the_proposal_take_it(shop, monkeypatch):
    monkeypatch.setattr("coordinator.planning.learned.STEPS", 3)
    monkeypatch.setattr("coordinator.planning.learned.AGAIN", 2)
    done = firmwide.backtest(shop.folder, "2023-06-01", ["tuned:0.95", "trained:0.95"], every=91, progress=False)
    results = done.results.set_index("policy")
    assert results.loc["trained:0.95", "fill rate"] > 0.9
    assert set(np.unique(done.courses["trained:0.95"].ordered[:, 0] % 6)) == {0}
    proposed = firmwide.propose(shop.folder, "trained:0.95", progress=False)
    assert proposed.orders["order"].sum() > 0
    assert proposed.orders["reason"].str.contains("the rule alone would order .*, and what is learned adds").all()


def test_what_it_sees_adds_up_to_its_order(known):
    past, world, learned = known
    sight = learned.sight(past.flow, past.days)
    period = sight.first + 150
    state = world.reset(1, torch.tensor([30.0, 10.0]).view(1, 2, 1).expand(3, -1, -1))
    parts = parts_of(InTurn((sight,), period, 1), "", state, period, print)
    for n, k in np.ndindex(3, 2):
        wished = sight.decide(world, state, None, period, None).order[n, k, 0].item()
        part = parts[n][k]
        assert part.rule + part.usual + sum(part.seen.values()) == pytest.approx(wished, abs=1e-3)
    assert any(len(set(part.seen.values())) > 3 for row in parts for part in row)
    told = Part(12.0, -1.5, {"its stock on hand": 4.0, "the forecast": -0.2}).sentence(0.5)
    assert told == (
        "the rule alone would order 6, and what is learned adds +1.15 (+2 for its stock on hand, -0.75 as usual)"
    )

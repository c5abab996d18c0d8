from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heuristics.recommendation import Offers, exposure_candidates, shadow_price

UTILITY = np.array([[0.2, -0.2, -0.4], [-0.4, 0.2, 0.0]])
UPLIFT = 1.5
PRICE = np.array([10.0, 9.0, 8.0])
MARGIN = 0.4 * PRICE
TRAFFIC = np.array([14.0, 20.0])
seeds = st.integers(0, 2**32 - 1)


def slow_choice(utility, exposure):
    """One customer of one segment: chance of each product, by the definition."""
    weight = [np.exp(u + UPLIFT * a) for u, a in zip(utility, exposure, strict=True)]
    return [w / (1 + sum(weight)) for w in weight]


def slow_best(utility, value, slots):
    """Largest expected value of a segment over every 0/1 exposure that fits the slots."""
    options = [a for a in product((0, 1), repeat=len(utility)) if sum(a) <= slots]
    return max(np.dot(value, slow_choice(utility, a)) for a in options)


def arrays(utility=UTILITY, margin=MARGIN, weight=0.0, slots=1, amplitude=0.0):
    """Of two segments at one stock point."""
    offers = exposure_candidates(3, slots)
    return {
        "offers": np.stack([offers, offers]),
        "bought": np.array([[slow_choice(u, offer) for offer in offers] for u in utility]),
        "unmoved": np.array([slow_choice(u, (0, 0, 0)) for u in utility]),
        "traffic": np.stack([TRAFFIC, 0 * TRAFFIC + amplitude, 0 * TRAFFIC + 0.4]),
        "segment_point": np.zeros(2),
        "price": PRICE[None],
        "margin": np.asarray(margin)[None],
        "weight": np.array([weight]),
    }


def best(available=None, copies=1, period=0, **given):
    rule = Offers(arrays(**given))
    return rule.best(rule.scores(available, period, copies))


def test_the_candidates_are_nothing_and_every_set_that_fits_the_slots():
    assert exposure_candidates(3).tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert len(exposure_candidates(4, slots=2)) == 1 + 4 + 6
    assert exposure_candidates(2, slots=0).tolist() == [[0, 0]]
    with pytest.raises(ValueError, match=r"slots must lie in 0\.\.3.*got 4"):
        exposure_candidates(3, 4)


def test_the_silo_pushes_the_largest_margin_to_everyone_and_nothing_that_sells_at_a_loss():
    assert best()[..., 0].tolist() == [[1, 0, 0], [1, 0, 0]]
    assert not best(margin=[-1.0, -1.0, -1.0]).any()


@settings(deadline=None)
@given(seeds, st.integers(0, 3))
def test_no_other_exposure_has_a_larger_margin_net_of_shadow_prices(seed, slots):
    rng = np.random.default_rng(seed)
    utility, margin, stock = rng.normal(size=(2, 3)), rng.uniform(0, 5, 3), rng.integers(0, 40, (1, 3, 4)).astype(float)
    found = best(stock, 4, utility=utility, margin=margin, weight=0.25, slots=slots)
    assert found.shape == (2, 3, 4)
    assert np.all(found.sum(axis=1) <= slots)
    demand = TRAFFIC @ np.array([slow_choice(u, (0, 0, 0)) for u in utility])
    for s, e in product(range(2), range(4)):
        value = margin - 0.25 * PRICE * demand / np.maximum(stock[0, :, e], 1)
        most = slow_best(utility[s], value, slots)
        assert np.dot(value, slow_choice(utility[s], found[s, :, e])) == pytest.approx(most)


@pytest.mark.parametrize("period", [0, 3])
def test_scores_and_choices_are_the_same_in_numpy_and_in_torch(period):
    given = arrays(weight=0.3, slots=2, amplitude=0.3)
    plain, tensors = Offers(given), Offers({name: torch.from_numpy(value) for name, value in given.items()})
    stock = np.random.default_rng(0).integers(0, 40, (1, 3, 50)).astype(float)
    for available, seen in ((stock, torch.from_numpy(stock)), (None, None)):
        scores, same = plain.scores(available, period, 50), tensors.scores(seen, period, 50)
        assert same.numpy() == pytest.approx(scores, rel=1e-13)
        assert np.array_equal(tensors.best(same).numpy(), plain.best(scores))


def test_without_weight_or_without_stock_the_aware_rule_is_the_silo_in_every_copy():
    stock = np.random.default_rng(0).uniform(0, 50, (1, 3, 5))
    assert np.array_equal(best(stock, 5, weight=0.0), np.repeat(best(), 5, -1))
    assert np.array_equal(best(None, 5, weight=0.5), np.repeat(best(), 5, -1))


def test_the_season_of_the_traffic_makes_stock_scarcer():
    rule = Offers(arrays(weight=1.0, amplitude=0.5))
    low, high = (rule.scores(np.full((1, 3, 1), 12.0), period, 1) for period in (0, 4))  # sin(1.6) is almost 1
    assert np.all(high < low)


def test_the_shadow_price_is_the_price_where_stock_just_covers_demand():
    demand = np.array([7.0, 7.5, 6.0])
    assert shadow_price(PRICE, demand[:, None], demand)[:, 0] == pytest.approx(PRICE)
    assert shadow_price(PRICE, np.zeros((3, 2)), demand) == pytest.approx(np.stack([PRICE * demand] * 2, axis=1))


def test_the_shadow_price_falls_with_stock_and_rises_with_demand():
    stock, demand = np.broadcast_to(np.arange(1.0, 30.0), (3, 29)), np.array([7.0, 7.5, 6.0])
    assert np.all(np.diff(shadow_price(PRICE, stock, demand)) < 0)
    assert np.all(shadow_price(PRICE, stock, 2 * demand) > shadow_price(PRICE, stock, demand))


def test_the_aware_rule_pushes_a_product_only_from_some_stock_of_its_own_on():
    for k in range(3):
        stock = np.full((1, 3, 60), 12.0)
        stock[0, k] = np.arange(60)
        exposure = best(stock, 60, weight=0.25)
        assert np.all(np.diff(exposure[:, k], axis=-1) >= 0)
        assert not exposure[:, k, 0].any()
        assert exposure[:, k, -1].all()


def test_arguments_are_left_as_they_were():
    given, stock = arrays(weight=1.0), np.ones((1, 3, 2))
    rule = Offers(given)
    rule.best(rule.scores(stock, 0, 2))
    assert all(np.array_equal(given[name], value) for name, value in arrays(weight=1.0).items())
    assert np.array_equal(stock, np.ones((1, 3, 2)))

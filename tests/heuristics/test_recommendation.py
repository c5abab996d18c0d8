from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuristics.recommendation import (
    choice_probability,
    expected_demand,
    exposure_candidates,
    inventory_aware,
    margin_greedy,
    no_recommendation,
    shadow_price,
)

UTILITY = np.array([[0.2, -0.2, -0.4], [-0.4, 0.2, 0.0]])
UPLIFT = 1.5
PRICE = np.array([10.0, 9.0, 8.0])
MARGIN = 0.4 * PRICE
seeds = st.integers(0, 2**32 - 1)


def slow_choice(utility, uplift, exposure):
    """One customer of one segment: chance of each product, by the definition."""
    weight = [np.exp(u + uplift * a) for u, a in zip(utility, exposure, strict=True)]
    return [w / (1 + sum(weight)) for w in weight]


def slow_best(utility, uplift, value, slots):
    """Largest expected value of a segment over every 0/1 exposure that fits the slots."""
    options = [a for a in product((0, 1), repeat=len(utility)) if sum(a) <= slots]
    return max(np.dot(value, slow_choice(utility, uplift, a)) for a in options)


@given(seeds)
def test_the_choice_probabilities_are_those_of_the_definition_customer_by_customer(seed):
    rng = np.random.default_rng(seed)
    utility, exposure = rng.normal(size=(2, 3)), rng.uniform(size=(2, 3, 4))
    found = choice_probability(utility, UPLIFT, exposure)
    for s, e in product(range(2), range(4)):
        assert found[s, :, e] == pytest.approx(slow_choice(utility[s], UPLIFT, exposure[s, :, e]))


def test_one_product_as_good_as_leaving_is_bought_by_half():
    assert choice_probability([[0.0]], 1.0, [[0.0]]) == pytest.approx(0.5)
    assert choice_probability([[0.0]], np.log(3), [[1.0]]) == pytest.approx(0.75)


def test_large_utilities_do_not_overflow():
    assert choice_probability([[900.0, 900.0], [-900.0, -900.0]], 1.0, np.zeros((2, 2))) == pytest.approx(
        np.array([[0.5, 0.5], [0.0, 0.0]])
    )


def test_the_expected_demand_is_the_mean_of_multinomial_draws():
    rng = np.random.default_rng(3)
    probability = choice_probability(UTILITY, UPLIFT, np.eye(3)[[0, 2]])
    traffic = np.array([14.0, 20.0])
    drawn = sum(
        rng.multinomial(int(traffic[s]), [*probability[s], 1 - probability[s].sum()], 40_000)[:, :3] for s in (0, 1)
    )
    assert expected_demand(traffic, probability) == pytest.approx(drawn.mean(0), abs=0.05)
    many = expected_demand(np.stack([traffic, 2 * traffic], axis=1), probability)
    assert many == pytest.approx(np.stack([expected_demand(traffic, probability) * m for m in (1, 2)], axis=1))


def test_the_candidates_are_nothing_and_every_set_that_fits_the_slots():
    assert exposure_candidates(3).tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert len(exposure_candidates(4, slots=2)) == 1 + 4 + 6
    assert exposure_candidates(2, slots=0).tolist() == [[0, 0]]


def test_no_recommendation_exposes_nothing():
    assert not no_recommendation(UTILITY).any()


def test_the_silo_pushes_the_largest_margin_to_everyone_and_nothing_that_sells_at_a_loss():
    assert margin_greedy(UTILITY, UPLIFT, MARGIN).tolist() == [[1, 0, 0], [1, 0, 0]]
    assert margin_greedy([[0.0, 0.0]], UPLIFT, [-1.0, -1.0]).tolist() == [[0, 0]]


@settings(deadline=None)
@given(seeds, st.integers(0, 3))
def test_no_other_exposure_has_a_larger_margin_net_of_shadow_prices(seed, slots):
    rng = np.random.default_rng(seed)
    utility, margin, pi = rng.normal(size=(2, 3)), rng.uniform(0, 5, 3), rng.uniform(0, 20, (3, 4))
    found = inventory_aware(utility, UPLIFT, margin, pi, weight=0.25, slots=slots)
    assert found.shape == (2, 3, 4)
    assert np.all(found.sum(axis=1) <= slots)
    for s, e in product(range(2), range(4)):
        value = margin - 0.25 * pi[:, e]
        best = slow_best(utility[s], UPLIFT, value, slots)
        assert np.dot(value, slow_choice(utility[s], UPLIFT, found[s, :, e])) == pytest.approx(best)


def test_without_weight_the_aware_rule_is_the_silo_in_every_copy():
    pi = np.random.default_rng(0).uniform(0, 50, (3, 2, 5))
    found = inventory_aware(UTILITY, UPLIFT, MARGIN, pi, weight=0.0)
    assert np.array_equal(found, np.broadcast_to(margin_greedy(UTILITY, UPLIFT, MARGIN)[..., None, None], (2, 3, 2, 5)))


def test_the_shadow_price_is_the_price_where_stock_just_covers_demand():
    demand = np.array([7.0, 7.5, 6.0])
    assert shadow_price(PRICE, demand, demand) == pytest.approx(PRICE)
    assert shadow_price(PRICE, np.zeros((3, 2)), demand) == pytest.approx(np.stack([PRICE * demand] * 2, axis=1))


def test_the_shadow_price_falls_with_stock_and_rises_with_demand():
    stock, demand = np.broadcast_to(np.arange(1.0, 30.0), (3, 29)), np.array([7.0, 7.5, 6.0])
    assert np.all(np.diff(shadow_price(PRICE, stock, demand)) < 0)
    assert np.all(shadow_price(PRICE, stock, 2 * demand) > shadow_price(PRICE, stock, demand))


def test_the_aware_rule_pushes_a_product_only_from_some_stock_of_its_own_on():
    demand = np.array([7.0, 7.5, 6.0])
    for k in range(3):
        stock = np.full((3, 60), 12.0)
        stock[k] = np.arange(60)
        pi = shadow_price(PRICE, stock, demand)
        exposure = inventory_aware(UTILITY, UPLIFT, MARGIN, pi, weight=0.25)
        assert np.all(np.diff(exposure[:, k], axis=-1) >= 0)
        assert not exposure[:, k, 0].any()
        assert exposure[:, k, -1].all()


def test_arguments_are_left_as_they_were():
    pi = np.ones((3, 2))
    before = [x.copy() for x in (UTILITY, MARGIN, pi)]
    inventory_aware(UTILITY, UPLIFT, MARGIN, pi, weight=1.0)
    assert all(np.array_equal(x, y) for x, y in zip((UTILITY, MARGIN, pi), before, strict=True))


def test_bad_input_is_refused_with_what_is_allowed_and_what_came():
    with pytest.raises(ValueError, match=r"exposure \[S, K, ...\], got shapes \(2, 3\) and \(3, 2\)"):
        choice_probability(UTILITY, UPLIFT, np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"slots must lie in 0\.\.3.*got 4"):
        margin_greedy(UTILITY, UPLIFT, MARGIN, slots=4)
    with pytest.raises(ValueError, match="one entry per product, 3"):
        margin_greedy(UTILITY, UPLIFT, [1.0, 2.0])
    with pytest.raises(ValueError, match="weight must be at least 0, got -1"):
        inventory_aware(UTILITY, UPLIFT, MARGIN, np.ones(3), weight=-1)
    with pytest.raises(ValueError, match="available must be at least 0 everywhere, got -3"):
        shadow_price(PRICE, [1.0, -3.0, 2.0], [1.0, 1.0, 1.0])

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuristics.smoothing import EXAMPLE_FIRM, adaptive_order, smoothing_exposure, two_period_profit

STOCKS = (20.0, 20.0)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def example_share(on_hand):
    share = smoothing_exposure(EXAMPLE_FIRM, (on_hand, 20.0), incoming=(20.0, 20.0), later_exposure=0.5)
    return f"{round(share, 9):.2f}"


def test_the_smoothing_shares_are_those_of_the_worked_example():
    # reference example of Proposition 3 (numbers our reading, directions the paper's), printed to two decimals
    shares = [example_share(on_hand) for on_hand in (0, 10, 15, 20, 25, 30, 40)]
    assert shares == ["0.00", "0.12", "0.31", "0.50", "0.69", "0.88", "1.00"]


def slow_profit(firm, on_hand, supply, exposure, later):
    """Firm's expected profit: every noise of both periods in turn, product by product."""
    total = 0.0
    for i in range(2):
        share, later_share = (exposure, later) if i == 0 else (1 - exposure, 1 - later)
        for z1, z2 in product(firm.noise, repeat=2):
            d1 = max(firm.base_demand[i] + firm.exposure_effect[i] * share + z1, 0)
            d2 = max(firm.base_demand[i] + firm.exposure_effect[i] * later_share + z2, 0)
            left = max(on_hand[i] - d1, 0)
            stock = left + supply[i]
            sold = min(on_hand[i], d1) + min(stock, d2)
            value = firm.price[i] * sold - firm.lost_sale_penalty * (d1 + d2 - sold)
            value += firm.salvage * max(stock - d2, 0) - firm.holding_cost * left
            total += value / len(firm.noise) ** 2
    return total


amounts = st.tuples(st.integers(0, 45), st.integers(0, 45))


@settings(max_examples=25, deadline=None)
@given(amounts, amounts, st.floats(0, 1), st.floats(0, 1))
def test_the_two_period_profit_is_the_mean_over_all_noises(on_hand, supply, exposure, later):
    found = sum(two_period_profit(EXAMPLE_FIRM, i, on_hand[i], supply[i], exposure, later) for i in range(2))
    assert found == pytest.approx(slow_profit(EXAMPLE_FIRM, on_hand, supply, exposure, later))


@settings(max_examples=25, deadline=None)
@given(amounts, amounts, st.floats(0, 1))
def test_no_share_on_a_fine_grid_beats_the_smoothing_share(on_hand, incoming, later):
    def value(share):
        return sum(two_period_profit(EXAMPLE_FIRM, i, on_hand[i], incoming[i], share, later) for i in range(2))

    best = smoothing_exposure(EXAMPLE_FIRM, on_hand, incoming, later)
    assert value(best) >= value(np.linspace(0, 1, 2001)).max() - 1e-8


@pytest.mark.parametrize("later", SHARES)
@pytest.mark.parametrize("noise", [EXAMPLE_FIRM.noise, (-7.0, 1.0, 6.0), (0.0,)])
def test_the_smoothing_share_rises_with_stock_and_pipeline_of_product_1_and_falls_with_those_of_product_2(later, noise):
    firm, levels = replace(EXAMPLE_FIRM, noise=noise), range(0, 46, 9)
    share = np.array(
        [
            [[[smoothing_exposure(firm, (y1, y2), (x1, x2), later) for x2 in levels] for x1 in levels] for y2 in levels]
            for y1 in levels
        ]
    )
    for axis, sign in enumerate((1, -1, 1, -1)):
        assert np.all(sign * np.diff(share, axis=axis) >= -1e-9)
    assert len(noise) == 1 or all(np.ptp(share, axis=axis).max() > 0 for axis in range(4))


def test_the_orders_under_a_forced_recommendation_are_those_of_the_worked_example():
    # reference example of Proposition 4 (numbers our reading); the later recommendation is all for product 1
    orders = [adaptive_order(EXAMPLE_FIRM, STOCKS, (0, 0), share, later_exposure=1.0) for share in SHARES]
    assert orders == [(22, 14), (26, 14), (28, 12), (30, 9), (30, 6)]


def test_the_orders_under_an_anticipated_recommendation_are_those_of_the_worked_example():
    # reference example of Proposition 4 (numbers our reading); the current recommendation is split evenly
    orders = [adaptive_order(EXAMPLE_FIRM, STOCKS, (0, 0), 0.5, share) for share in SHARES]
    assert orders == [(12, 26), (16, 22), (20, 19), (24, 15), (28, 12)]


def test_no_other_pair_of_whole_orders_earns_more():
    on_hand, incoming, now, later = (17.0, 31.0), (3.0, 0.0), 0.3, 0.6
    value = {
        pair: slow_profit(EXAMPLE_FIRM, on_hand, np.add(incoming, pair), now, later) - 5 * sum(pair)
        for pair in product(range(8, 26), range(0, 18))
    }
    found = adaptive_order(EXAMPLE_FIRM, on_hand, incoming, now, later)
    assert value[found] == pytest.approx(max(value.values()))


def test_an_order_falls_with_the_own_stock_and_pipeline():
    for now, later in product(SHARES, SHARES):
        stock = [adaptive_order(EXAMPLE_FIRM, (y, y), (0, 0), now, later) for y in range(0, 46, 5)]
        pipeline = [adaptive_order(EXAMPLE_FIRM, STOCKS, (x, x), now, later) for x in range(0, 46, 5)]
        for orders in (stock, pipeline):
            assert np.all(np.diff(orders, axis=0) <= 0)


def test_an_order_rises_with_the_own_recommendation_and_falls_with_the_other_products():
    for stock, held in product(range(0, 46, 5), SHARES):
        now = [adaptive_order(EXAMPLE_FIRM, (stock, stock), (0, 0), share, held) for share in SHARES]
        later = [adaptive_order(EXAMPLE_FIRM, (stock, stock), (0, 0), held, share) for share in SHARES]
        for orders in (now, later):
            assert all(after[0] >= before[0] and after[1] <= before[1] for before, after in pairwise(orders))


def test_bad_input_is_refused_in_one_line_that_names_the_cure():
    with pytest.raises(ValueError, match="at least 0"):
        smoothing_exposure(EXAMPLE_FIRM, (-1.0, 0.0), (0.0, 0.0), 0.5)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        adaptive_order(EXAMPLE_FIRM, STOCKS, (0.0, 0.0), 0.5, 1.5)
    with pytest.raises(ValueError, match="between salvage and price"):
        replace(EXAMPLE_FIRM, salvage=6.0)
    with pytest.raises(ValueError, match="noise"):
        replace(EXAMPLE_FIRM, noise=())

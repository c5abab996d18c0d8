"""Closed days: what is under way gets on where all are open, counted day by day beside the world's tables."""

import re

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from departments.play.episode import run_episodes
from departments.rules.ordering import BaseStock
from environment import World, parse_firm
from environment.closures import Closures
from environment.network import Network
from environment.parts import ClosedDays
from environment.streams import Stream, torch_stream
from tests.oracles import arrival, chain_of
from tests.random_firms import examples, firms

SHOP = {"holding_cost": 1, "backorder_cost": 9, "max_order": 100, "demand": {"law": "poisson", "mean": 5}}


def shop(lead_time=1, point=None, **edge):
    """One point that buys outside."""
    supply = [{"from": "outside", "to": "shop", "lead_time": lead_time, **edge}]
    return parse_firm({"name": "shop", "stock_points": {"shop": SHOP | (point or {})}, "supply": supply})


def always_open(firm):
    """The same firm whose places never close."""
    points = {name: point.model_copy(update={"closed_days": None}) for name, point in firm.stock_points.items()}
    supply = tuple(edge.model_copy(update={"closed_days": None}) for edge in firm.supply)
    return firm.model_copy(update={"stock_points": points, "supply": supply})


@examples(60)
@given(firms(), st.integers(0, 10_000), st.sampled_from([None, 0, 2, 30]))
def test_lead_times_are_those_of_the_same_chance_counted_in_open_days(firm, seed, start):
    chain, plain = chain_of(firm), always_open(firm)
    levels = np.zeros((len(firm.names), len(firm.products)))
    drawn, days = (
        World(own, levels).draw(12, 3, torch_stream("cpu", Stream.SIMULATION, seed), start=start)
        for own in (firm, plain)
    )
    assert torch.equal(drawn.demand, days.demand)
    if not chain.closed:
        assert (drawn.lead_time is None) == (days.lead_time is None)
        return
    network = Network.of(firm)
    for e, edge in enumerate(network.edge_names):
        for k, product in enumerate(firm.products):
            closed = chain.closed.get((*edge, product), lambda day: False)
            for t in range(12):
                day, fixed = (start or 0) + t, int(network.lead_time_laws[e][k].mass().argmax())
                lasts = [fixed] * 3 if days.lead_time is None else days.lead_time[t, e, k].tolist()
                arrives = [day + each for each in drawn.lead_time[t, e, k].tolist()]
                assert arrives == [arrival(day, own, closed) for own in lasts]
                assert max(arrives) - day <= network.longest_lead_time()


def test_what_is_ordered_before_a_weekend_comes_on_monday_and_on_one_on_tuesday():
    for lead_time, by_day in ((0, [0, 0, 0, 0, 0, 2, 1]), (1, [1, 1, 1, 1, 3, 3, 2]), (5, [7, 7, 7, 7, 7, 9, 8])):
        chance = World(shop(lead_time, closed_days=[5, 6]), np.zeros((1, 1))).draw(14, 1, torch_stream("cpu", 1))
        assert chance.lead_time[:, 0, 0, 0].tolist() == by_day * 2


def test_a_holiday_is_one_day_and_weekends_return():
    firm = shop(1, point={"closed_days": {"periods": [2]}}, closed_days=[5, 6])
    chance = World(firm, np.zeros((1, 1))).draw(14, 1, torch_stream("cpu", 1))
    assert chance.lead_time[:, 0, 0, 0].tolist() == [1, 2, 2, 1, 3, 3, 2, 1, 1, 1, 1, 3, 3, 2]


CALENDARS = st.sampled_from([[5, 6], [0], {"cycle": 3, "days": [1]}, {"cycle": 5, "days": [0, 1, 3]}])
REVIEWS = st.sampled_from([{}, {"review_days": [0, 3]}, {"review_period": 2}, {"review_period": 3, "review_offset": 1}])


@examples(40)
@given(CALENDARS, CALENDARS, REVIEWS, st.integers(0, 6))
def test_the_protection_interval_is_that_of_orders_followed_day_by_day(own, edge, reviews, lead_time):
    firm = shop(lead_time, {"closed_days": own} | reviews, closed_days=edge)
    network, closed = Network.of(firm), chain_of(firm).closed["outside", "shop", "unit"]
    placed = [day for day in range(2_000) if network.reviews.at(day)[0, 0]]
    arrives = [arrival(day, lead_time, closed) for day in placed]
    cycle = int(np.lcm.reduce([network.closures.cycle, network.reviews.cycle[0, 0]]))
    since, taken = [], [arrives[i] - day for i, day in enumerate(placed) if 500 <= day < 500 + cycle]
    for day in range(500, 500 + cycle):
        since.append(day - max(order for order, there in zip(placed, arrives, strict=True) if there <= day))
    for found, counted in ((network.time_to_arrive(0, 0), since), (network.lead_time(0, 0), taken)):
        assert found == pytest.approx(np.bincount(counted) / len(counted))
    ends = {there - 1 for there in arrives}
    assert [bool(network.cycle_ends(day)[0, 0]) for day in range(500, 540)] == [d in ends for d in range(500, 540)]


def test_base_stock_costs_what_the_demand_of_its_intervals_says():
    firm = shop(2, point={"closed_days": [6]}, closed_days=[5])
    firm = firm.model_copy(update={"periods": firm.periods.model_copy(update={"evaluate": 7 * 13 + 1, "warm_up": 22})})
    world, mass = World(firm, np.full((1, 1), 20.0)), Network.of(firm).time_to_arrive(0, 0)
    units, level = np.arange(400), 25
    each = np.maximum(level - units, 0) + 9 * np.maximum(units - level, 0)
    expected = sum(share * (poisson.pmf(units, 5 * (n + 1)) @ each) for n, share in enumerate(mass))
    cost = run_episodes(
        world, BaseStock("", np.full((1, 1), float(level))), world.draw(7 * 13, 4096, world.generator(3))
    )
    counted = cost.cost / (firm.periods.evaluate - firm.periods.warm_up)
    assert counted.mean() == pytest.approx(expected, abs=4 * counted.std() / 64)


def test_a_firm_with_closed_days_stands_in_a_file_and_of_one_product(tmp_path):
    (tmp_path / "holidays.csv").write_text("date,name\n2026-01-01,New Year\n2026-03-04,Fair\n2025-12-25,over\n")
    table = {"days": [6], "file": "holidays.csv", "begins": "2026-01-01"}
    supply = [{"from": "outside", "to": "shop", "closed_days": {"tea": [5, 6]}}]
    given = {"name": "shop", "products": ["tea", "rice"], "stock_points": {"shop": SHOP | {"closed_days": table}}}
    firm = parse_firm(given | {"supply": supply}, tmp_path)
    assert firm.stock_points["shop"].closed_days == ClosedDays(days=(6,), periods=(0, 62))
    assert parse_firm(yaml.safe_load(firm.to_yaml())) == firm
    tea, rice = (Network.of(firm.of_product(product)).open_times[0, -7:, 1] for product in firm.products)
    assert tea.tolist() == [1, 1, 1, 1, 3, 3, 2]
    assert rice.tolist() == [1, 1, 1, 1, 1, 2, 2]


def test_departments_see_the_cycle_of_closed_days():
    from environment.observation import Observer

    firm = shop(closed_days=[5, 6])
    observer = Observer(World(firm, np.full((1, 1), 10.0)), np.full((1, 1), 10.0))
    assert len(observer.season_rows) == 2


REFUSED = {
    "closed_days must hold days, such as [5, 6], or periods, got neither: remove it": {"closed_days": []},
    "closed_days.days must leave a day of the cycle of 2 open, got all of them": {
        "closed_days": {"cycle": 2, "days": [0, 1]}
    },
    "closed_days.days must be from 0 to 6 in a cycle of 7, got 7": {"closed_days": [7]},
    "closed_days.periods must be whole numbers from 0 to 1000000, got -1": {"closed_days": {"periods": [-1]}},
    "on no day are outside, shop and the edge between them all open": {"closed_days": {"cycle": 2, "days": [0]}},
    "closed_days begin again after 1998 periods, at most 1000": {"closed_days": {"cycle": 999, "days": [0]}},
    "with closed_days lead times are up to 1203 periods, at most 1000": {
        "closed_days": {"cycle": 4, "days": [0]},
        "lead_time": 300,
    },
    "congestion makes lead times longer by periods, and closed_days by open ones": {
        "congestion": {"units": 3, "most": 2},
        "lead_time": 2,
    },
    "closed_days with a table must be such as {file: holidays.csv, begins: 2026-01-01}": {
        "closed_days": {"file": "holidays.csv"}
    },
    "closed_days.file must be a csv table with a date such as 2026-12-25 a line": {
        "closed_days": {"file": "nowhere.csv", "begins": "2026-01-01"}
    },
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_closed_days_cannot_mean_is_refused_in_a_line(line):
    with pytest.raises(ValueError, match=re.escape(line)) as error:
        shop(point={"closed_days": {"cycle": 2, "days": [1]}}, **REFUSED[line])
    assert "\n" not in str(error.value)


def test_a_stock_point_closes_for_all_products():
    point = SHOP | {"closed_days": {"tea": [1]}}
    with pytest.raises(ValueError, match=r"stock_points.shop.closed_days are of all products"):
        parse_firm({"name": "shop", "products": ["tea", "rice"], "stock_points": {"shop": point}})


def test_days_of_many_calendars_are_counted_once_each():
    calendar = (ClosedDays(days=(5, 6)),)
    closures = Closures([[calendar, ()], [(), calendar]])
    assert closures.of.tolist() == [[0, 1], [1, 0]]

"""Demand that depends on the period or on the demand beside it: against its own laws, period by period."""

import numpy as np
import pytest
import torch
import yaml
from scipy import stats

from coordinator.evaluation.check import warnings_of
from departments.rules.optimum import optimum
from environment import Network, World, parse_firm
from environment.observation import Observer
from environment.seasons import parse_demand
from environment.streams import Stream, torch_stream

POISSON = {"law": "poisson", "mean": 10}


def firm(demand, **more):
    """A depot that serves two shops."""
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 100}
    points = {"depot": {"holding_cost": 1, "max_order": 100}} | {
        name: shop | {"demand": law} for name, law in demand.items()
    }
    supply = [{"from": "depot", "to": name} for name in demand]
    return parse_firm({"name": "corner", "stock_points": points, "supply": supply} | more)


def drawn(firm, periods, copies, in_core=False, start=None, seed=0):
    """Demand, [T, C, K, E]."""
    world = World(firm, np.zeros((len(firm.names), len(firm.products))))
    if in_core:
        world.draw_in_core()
    chance = world.draw(periods, copies, torch_stream("cpu", Stream.SIMULATION, seed), start=start)
    return chance.demand


@pytest.mark.parametrize(
    ("season", "factors"),
    [
        ({"period": 7, "amplitude": 0.5}, 1 + 0.5 * np.sin(2 * np.pi * np.arange(7) / 7)),
        ({"period": 7, "profile": [1, 1, 1, 1, 1, 2, 2]}, np.array([1, 1, 1, 1, 1, 2, 2]) * 7 / 9),
    ],
)
def test_poisson_demand_has_the_mean_of_its_day(season, factors):
    seasonal = firm({"a": POISSON | {"season": season}, "b": POISSON})
    demand = drawn(seasonal, 14, 40_000)[:, :, 0].double()
    for t in range(14):
        mean, variance = demand[t, 0].mean(), demand[t, 0].var()
        assert float(mean) == pytest.approx(10 * factors[t % 7], abs=0.1)
        assert float(variance) == pytest.approx(10 * factors[t % 7], rel=0.04)  # Poisson's is its mean
    assert float(demand[:, 1].mean()) == pytest.approx(10, abs=0.02)
    assert float(Network.of(seasonal).mean_flow()[0, 0]) == pytest.approx(20, abs=1e-3)


def test_other_laws_are_scaled_and_keep_their_mean():
    law = parse_demand({"law": "uniform", "low": 0, "high": 4, "season": {"period": 2, "profile": [1, 2]}}, None)
    low, high = law.phases()
    assert np.arange(len(low)) @ low == pytest.approx(2 * 2 / 3)
    assert np.arange(len(high)) @ high == pytest.approx(2 * 4 / 3)
    # four thirds of 1 unit is 1 with 2/3 and 2 with 1/3, of 2 units 2 with 1/3 and 3 with 2/3, of 3 units 4
    expected = np.array([1, 2 / 3, 1 / 3 + 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]) / 5
    np.testing.assert_allclose(high, expected, atol=1e-9)


CALENDAR = {
    "season": {"period": 2, "profile": [1, 3]},
    "trend": {"growth": 0.02, "periods": 25},
    "events": [{"period": 4, "periods": 2, "factor": 3}, {"period": 1, "every": 5, "factor": 0, "known": False}],
}


def factors_of(t):
    """What a period's demand is times the mean of the law, written out."""
    season, trend = [0.5, 1.5][t % 2], 1 + 0.02 * min(t, 25)
    return season * trend * (3 if t in (4, 5) else 1) * (0 if t % 5 == 1 else 1)


@pytest.mark.parametrize("in_core", [False, True])
def test_trend_and_events_multiply_the_mean_and_what_is_over_does_not_return(in_core):
    known = firm({"a": POISSON | CALENDAR, "b": POISSON})
    law = known.stock_points["a"].demand
    assert (law.lead_in(), len(law.phases())) == (25, 35)  # then demand repeats every ten periods
    demand = drawn(known, 60, 20_000, in_core)[:, :, 0].double().mean(2)
    for t in range(60):
        assert float(demand[t, 0]) == pytest.approx(10 * factors_of(t), abs=0.15)
        assert float(demand[t, 1]) == pytest.approx(10, abs=0.15)
    late = drawn(known, 20, 20_000, in_core, start=47)[:, 0, 0].double().mean(1)
    np.testing.assert_allclose(late, [10 * factors_of(t) for t in range(47, 67)], atol=0.2)
    assert parse_firm(yaml.safe_load(known.to_yaml())) == known


def test_departments_see_what_trend_and_known_events_make_of_the_demand_ahead():
    """An order of a shop lasts for two periods, one of the depot for its own two and the two of the shops."""
    events = {
        "trend": {"growth": 0.1, "periods": 10},
        "events": [{"period": 5, "factor": 2}, {"period": 7, "factor": 9, "known": False}],
    }
    world = World(firm({"a": {"law": "uniform", "low": 0, "high": 60} | events, "b": 10}), np.zeros((3, 1)))
    observer = Observer(world, np.full((3, 1), 20.0))
    assert observer.labels()[-3:] == ["coming/depot", "coming/a", "coming/b"]
    total = np.array([(1 + 0.1 * min(t, 10)) * (2 if t == 5 else 1) for t in range(40)])
    mean = np.arange(len(mass := world.network.demand_laws[0][0].mass())) @ mass
    for t in (0, 3, 4, 5, 6, 30):
        depot, a, b = observer.phases(t).tolist()
        assert a == pytest.approx(total[t : t + 2].mean() - 1, abs=1e-6)
        assert b == 0
        assert depot == pytest.approx((total[t : t + 4].mean() - 1) * mean / (mean + 10), abs=1e-6)
    own = observer.rows("own", 1)
    assert [observer.labels()[row] for row in own] == ["inventory_position/a", "coming/a"]
    hidden = World(firm({"a": POISSON | {"events": [{"period": 5, "factor": 2, "known": False}]}}), np.zeros((2, 1)))
    assert not Observer(hidden, np.ones((2, 1))).timed


def test_events_stand_in_a_table_by_date_or_period(tmp_path):
    (tmp_path / "promotions.csv").write_text("date,periods,factor,known\n2026-03-05,3,1.5,\n2026-03-20,,0,false\n")
    given = POISSON | {"events": {"file": "promotions.csv", "begins": "2026-03-01"}}
    first, second = parse_demand(given, tmp_path).events
    assert (first.period, first.periods, first.factor, first.known) == (4, 3, 1.5, True)
    assert (second.period, second.periods, second.factor, second.known) == (19, 1, 0, False)
    for table, begins, said in [
        ("date,factor\n2026-03-05,2\n", None, "line 2: its dates need events.begins"),
        ("date,factor\nMarch,2\n", "2026-03-01", "line 2: Invalid isoformat string: 'March'"),
        ("week,factor\n1,2\n", None, "line 2: columns are date, period, periods, factor, every, known, got 'week'"),
        ("period,factor\n1,much\n", None, "line 2: could not convert string to float: 'much'"),
        ("period,factor\n-1,2\n", None, r"events\[0\].period must be a whole number from 0"),
    ]:
        (tmp_path / "promotions.csv").write_text(table)
        with pytest.raises(ValueError, match=said):
            parse_demand(POISSON | {"events": {"file": "promotions.csv", "begins": begins}}, tmp_path)


@pytest.mark.parametrize("periods", [7, 400])
def test_tables_bisection_and_the_core_draw_the_same(periods):
    profile = list(range(1, periods + 1))
    seasonal = firm({"a": POISSON | {"season": {"period": periods, "profile": profile}}, "b": POISSON})
    plain, in_core = (drawn(seasonal, 2 * periods, 3, core, start=5) for core in (False, True))
    torch.testing.assert_close(plain, in_core, rtol=0, atol=0)
    late = drawn(seasonal, 40, 2_000, start=periods - 20)[:, 0, 0].mean(1).numpy()
    scale = np.array(profile)[(periods - 20 + np.arange(40)) % periods] * 10 / np.mean(profile)
    np.testing.assert_allclose(late, scale, atol=6 * np.sqrt(scale.max() / 2_000))


def test_a_sequence_is_played_as_it_happened_from_a_drawn_day():
    played = {"law": "sequence", "values": [4, 0, 9]}
    demand = drawn(firm({"a": played, "b": {"law": "sequence", "values": [1, 2, 3]}}), 7, 600)[:, :, 0]
    first = [{4: 0, 0: 1, 9: 2}[int(units)] for units in demand[0, 0]]
    for copy, day in enumerate(first):
        assert demand[:, 0, copy].tolist() == [[4, 0, 9][(day + t) % 3] for t in range(7)]
        assert demand[:, 1, copy].tolist() == [[1, 2, 3][(day + t) % 3] for t in range(7)]  # the same days
    assert np.bincount(first).min() > 150
    later = drawn(firm({"a": played, "b": 1}), 2, 5, start=4)[:, 0, 0]
    assert later[:, 0].tolist() == [0, 9]  # where the number of a period is given, it is that row
    assert bool((later == later[:, :1]).all())


def test_a_history_in_sequence_stands_by_itself_and_carries_parts_of_units_over(tmp_path):
    (tmp_path / "sales.csv").write_text("day,tea\n1,5\n2,15\n3,10\n")
    law = {"law": "history", "file": "sales.csv", "column": "tea", "order": "sequence"}
    known = parse_demand(law, tmp_path)
    assert known.rows().tolist() == [5, 15, 10]
    assert known.resolved().rows().tolist() == [5, 15, 10]
    halved = parse_demand(law | {"scale_to_mean": 5}, tmp_path)
    assert halved.rows().tolist() == [3, 7, 5]  # 2.5, 7.5 and 5
    assert parse_demand(law | {"order": "independent"}, tmp_path).rows() is None


@pytest.mark.parametrize("given", [0.6, {"points": 0.6}])
def test_demands_hang_together_and_keep_their_laws(given):
    laws = {"a": {"law": "poisson", "mean": 40}, "b": {"law": "poisson", "mean": 40}}
    demand = drawn(firm(laws, correlation=given), 50, 4_000)[:, :, 0].transpose(0, 1).reshape(2, -1).numpy()
    # a copula's normal numbers have 0.6; those of a Poisson law that is nearly normal have nearly as much
    assert np.corrcoef(demand)[0, 1] == pytest.approx(0.6, abs=0.01)
    for own in demand:
        counts = np.bincount(own.astype(int), minlength=90)[:90]
        expected = stats.poisson.pmf(np.arange(90), 40) * len(own)
        seen = expected > 20
        assert ((counts - expected)[seen] ** 2 / expected[seen]).sum() < stats.chi2.ppf(0.9999, seen.sum())
    shifted = demand.reshape(2, 50, -1)
    assert abs(np.corrcoef(shifted[0, :-1].ravel(), shifted[1, 1:].ravel())[0, 1]) < 0.01  # periods stay independent


def test_points_and_products_correlate_as_they_are_told():
    laws = {"law": "poisson", "mean": 100}
    several = firm({"a": laws, "b": laws}, products=["tea", "rice"], correlation={"points": 0.5, "products": 0.8})
    demand = drawn(several, 40, 3_000).permute(1, 2, 0, 3).reshape(4, -1).numpy()  # a tea, a rice, b tea, b rice
    found = np.corrcoef(demand)
    np.testing.assert_allclose([found[0, 1], found[0, 2], found[0, 3], found[1, 2]], [0.8, 0.5, 0.4, 0.4], atol=0.02)


def test_a_firm_with_all_of_it_stands_in_a_file():
    seasonal = POISSON | {"season": {"period": 7, "amplitude": 0.5}}
    known = firm({"a": seasonal, "b": POISSON}, correlation=0.6)
    assert parse_firm(yaml.safe_load(known.to_yaml())) == known


def test_departments_see_the_phase_of_a_season():
    seasonal = firm({"a": POISSON | {"season": {"period": 4, "amplitude": 0.5}}, "b": POISSON})
    world = World(seasonal, np.zeros((3, 1)))
    observer = Observer(world, np.full((3, 1), 20.0))
    assert observer.labels()[-2:] == ["sine/4", "cosine/4"]
    rows = observer.rows("own", 1)
    seen = torch.stack([observer.all_features(world.reset(1), None, t)[rows[1:], 0] for t in range(5)])
    np.testing.assert_allclose(seen, [[0, 1], [1, 0], [0, -1], [-1, 0], [0, 1]], atol=1e-6)
    assert Observer(World(firm({"a": POISSON, "b": POISSON}), np.zeros((3, 1))), np.ones((3, 1))).season_rows == []


@pytest.mark.parametrize(
    ("law", "more", "said"),
    [
        ({"season": {"period": 7}}, {}, "demand.season: give amplitude, such as 0.5, or profile"),
        ({"season": {"period": 7, "amplitude": 2}}, {}, "demand.season.amplitude must be a number from 0 to 1, got 2"),
        ({"season": {"period": 3, "profile": [1, 2]}}, {}, "season.profile must hold 3 numbers, one .*, got 2"),
        ({"season": {"period": 2, "profile": [0, 0]}}, {}, "season.profile must hold a number above 0"),
        ({"season": {"period": 7.5, "amplitude": 0.1}}, {}, "season.period must be a whole number from 2"),
        (
            {"trend": {"growth": -0.5, "periods": 3}},
            {},
            "trend.growth takes demand below 0: it must be at least -0.3333",
        ),
        ({"trend": {"growth": 0.5}}, {}, "demand.trend.periods is missing"),
        ({"trend": {"growth": 0.01, "periods": 5000}}, {}, "trend.periods must be a whole number from 1 to 2000"),
        ({"events": [{"period": 3}]}, {}, r"demand.events\[0\].factor is missing"),
        ({"events": [{"period": 3, "factor": 2, "every": 3}]}, {}, "every must be at least 4, where it ends, got 3"),
        ({"events": []}, {}, "season, trend and events must hold something, or be left out"),
        ({"events": {"table": "x"}}, {}, "demand.events must be a list, or {file: promotions.csv}"),
        ({"events": {"file": "none.csv"}}, {}, "events.file must be a csv table, got 'none.csv'"),
        ({"season": {"period": 1999, "amplitude": 0.1}, "events": [{"period": 3, "factor": 2}]}, {}, "at most 2000"),
        ({"season": 7}, {}, "demand.season must be a mapping with the fields period, amplitude, profile, got 7"),
        ({}, {"correlation": 1.5}, "correlation.every must be a number from 0 to 1, got 1.5"),
        ({}, {"correlation": "high"}, "correlation must be a number from 0 to 1 or a mapping .* got 'high'"),
        ({}, {"correlation": {"shops": 1}}, "correlation.shops is not a known field"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(law, more, said):
    with pytest.raises(ValueError, match=said) as refusal:
        firm({"a": POISSON | law, "b": POISSON}, **more)
    assert "\n" not in str(refusal.value)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="correlation is of several demands, and the firm has one"):
        firm({"a": POISSON}, correlation=0.5)
    with pytest.raises(ValueError, match=r"correlation: a sequence happens as it happened"):
        firm({"a": {"law": "sequence", "values": [1]}, "b": 3}, correlation=0.5)
    with pytest.raises(ValueError, match=r"events: a sequence has its events already"):
        firm({"a": {"law": "sequence", "values": [1, 2], "events": [{"period": 2, "factor": 2}]}})
    with pytest.raises(ValueError, match=r"season: a sequence has its season already"):
        firm({"a": {"law": "sequence", "values": [1, 2], "season": {"period": 2, "amplitude": 0.5}}})
    with pytest.raises(ValueError, match=r"lead_time must be a number or a law that is drawn, got a sequence"):
        firm({"a": 3}, supply=[{"from": "depot", "to": "a", "lead_time": {"law": "sequence", "values": [1, 2]}}])


def test_what_knows_no_seasons_or_correlation_says_so():
    seasonal = firm({"a": POISSON | {"season": {"period": 7, "amplitude": 0.5}}})
    with pytest.raises(ValueError, match="no exact optimum here, as demand depends on the period"):
        optimum(seasonal)
    told = warnings_of(firm({"a": POISSON, "b": POISSON}, correlation=0.6))
    assert any("demands are correlated, which decomposition-aggregation does not know" in line for line in told)
    assert not any("correlated" in line for line in warnings_of(firm({"a": POISSON, "b": POISSON})))

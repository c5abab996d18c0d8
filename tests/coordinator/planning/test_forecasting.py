"""Forecasts of an imported firm: against the law that demand was drawn from, and errors against slow loops."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import firmwide
from coordinator.cli import run as command
from coordinator.planning.demand import candidates
from coordinator.planning.forecasting import _errors, _origins, _Smoothed

DAYS = pd.date_range("2023-01-02", periods=336)  # from a Monday on
WEEK = np.array([0.5, 0.8, 1.0, 1.0, 1.2, 1.6, 0.9])
MEANS = {"tea": 40.0, "rice": 9.0}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """One shop, two items with a week, in kilograms of which 0.5 are a unit."""
    folder, rng = tmp_path_factory.mktemp("ahead"), np.random.default_rng(11)
    rows = [(day.date(), item, rng.poisson(mean * WEEK[day.weekday()])) for day in DAYS for item, mean in MEANS.items()]
    pd.DataFrame(rows, columns=["date", "item", "quantity"]).to_csv(folder / "sales.csv", index=False)
    firmwide.import_firm([folder / "sales.csv"], out=folder / "shop")
    return folder / "shop"


def test_forecasts_are_those_of_the_law_and_its_interval_holds_what_it_says(shop, capsys):
    assert command(["forecast", str(shop), "--days", "14"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("14 days from 2023-12-04; tried 8 times on days before, which they did not know: ")
    rows = pd.read_csv(shop / "forecast" / "forecast.csv").set_index("item")
    assert rows["date"].unique().tolist() == [str(day.date()) for day in pd.date_range("2023-12-04", periods=14)]
    for item, mean in MEANS.items():
        own, days = rows.loc[item], np.tile(WEEK, 2)
        np.testing.assert_allclose(own["mean"], mean * days, rtol=0.12, atol=0.4)
        assert (own["low"] < own["mean"]).all()
        assert (own["mean"] < own["high"]).all()
    errors = pd.read_csv(shop / "forecast" / "errors.csv").set_index("item")
    for item, mean in MEANS.items():
        # who knows the law is off by a Poisson variable's mean distance from its mean
        least = np.mean([stats.poisson.expect(lambda x, m=mean * w: abs(x - m), (mean * w,)) for w in WEEK]) / mean
        assert errors.loc[item, "wape"] == pytest.approx(least, rel=0.25)  # of 63 days
        assert errors.loc[item, "coverage"] == pytest.approx(0.8, abs=0.12)
        assert errors.loc[item, "mase"] < 0.9  # last week's same day is off by a variable of twice the variance
        assert (errors.loc[item, "method"], errors.loc[item, "tried"]) == ("weekdays", "weekdays")
        assert errors.loc[item, "plain_wape"] == errors.loc[item, "wape"]
    assert "80% interval; 2 series weekdays" in " ".join(out.split())
    assert "What will be asked for" in (shop / "forecast" / "forecast.html").read_text()


def test_errors_are_those_of_slow_loops():
    rng, days = np.random.default_rng(2), 5
    demand, dates = rng.poisson([6.0, 2.0], (150, 2)).astype(float), DAYS[:150].to_numpy().astype("datetime64[D]")
    origins = _origins(150, days)
    tried = _Smoothed.of(demand, dates, origins[0], days)
    found, total = _errors(demand, tried, origins, days)
    for series in range(2):
        off, loss, inside = [], [], []
        for origin in origins:
            guess = {q: tried.at(origin, q)[:, series] for q in (None, 0.1, 0.5, 0.9)}
            for t in range(days):
                actual = demand[origin + t, series]
                off.append(abs(actual - guess[None][t]))
                for q in (0.1, 0.5, 0.9):
                    miss = actual - guess[q][t]
                    loss.append(q * miss if miss >= 0 else (q - 1) * miss)
                inside.append(guess[0.1][t] <= actual <= guess[0.9][t])
        step = np.mean([abs(demand[t, series] - demand[t - 7, series]) for t in range(7, origins[0])])
        actual = np.mean([demand[origin : origin + days, series].mean() for origin in origins])
        expected = (np.mean(off), np.mean(off) / actual, np.mean(off) / step, np.mean(loss), np.mean(inside))
        np.testing.assert_allclose([values[series] for values in found.values()], expected)
    naive = [abs(demand[o + t] - demand[o - 7 + t % 7]).sum() for o in origins for t in range(days)]
    assert total["naive_wape"] == pytest.approx(sum(naive) / sum(demand[o : o + days].sum() for o in origins))


def test_the_method_is_the_one_with_the_least_error_of_a_day_on_origins_before():
    rng, days, until = np.random.default_rng(7), 10, 200
    some = rng.random((250, 1)) < np.where(np.arange(250) // 50 % 2, 0.05, 0.6)[:, None]
    demand = np.concatenate([rng.poisson(9 * np.resize(WEEK, 250))[:, None], some * rng.integers(1, 40, (250, 1))], 1)
    demand, dates = demand.astype(float), DAYS[:1].to_numpy().astype("datetime64[D]") + np.arange(250)
    tried = _Smoothed.of(demand, dates, until, days)
    assert tried.methods == ["weekdays", "intermittent"]
    for series in range(2):
        off = []
        for one in candidates(demand[:until], dates[:until], np.ones(2, dtype=np.int64)):
            level, squares = one.levels(demand, dates)[:, series], []
            for origin in range(28, until - days + 1, 7):
                ahead = [level[origin] * one.profile[(origin + h) % 7, series] for h in range(days)]
                squares.append(np.mean((demand[origin : origin + days, series] - ahead) ** 2))
            off.append((np.mean(squares), len(off), level))
        np.testing.assert_allclose(tried.level[:, series], min(off)[2])


def test_what_is_tried_knows_nothing_of_the_days_after():
    rng = np.random.default_rng(4)
    demand, dates = rng.poisson(6.0, (150, 1)).astype(float), DAYS[:150].to_numpy().astype("datetime64[D]")
    changed = demand.copy()
    changed[120:] += 40
    for quantile in (None, 0.1, 0.9):
        one, other = (_Smoothed.of(each, dates, 120, 7).at(120, quantile) for each in (demand, changed))
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("days", "said"), [(300, "--days 300 needs at least 384 days of history, got 336"), (400, "from 1 to 365, got 400")]
)
def test_too_far_ahead_is_refused(shop, days, said):
    with pytest.raises(ValueError, match=said):
        firmwide.forecast(shop, days)

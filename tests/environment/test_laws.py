from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from environment import sampling
from environment.grid import DEMAND_CV, LEAD_TIME_CV
from environment.laws import LAW_NAMES, TABLE_SIZE, parse_law, quantile_table
from environment.sampling import LawTable, seeded_generator
from tests.traces import shared_file

LAWS = {
    "fixed": {"law": "fixed", "value": 7},
    "zero": {"law": "fixed", "value": 0},
    "uniform": {"law": "uniform", "low": 1, "high": 5},
    "poisson": {"law": "poisson", "mean": 10},
    "rare": {"law": "poisson", "mean": 0.05},
    "poisson_uniform": {"law": "poisson_uniform", "low": 0, "high": 15},
    "negative_binomial": {"law": "negative_binomial", "mean": 10, "cv": 1.02},
    "normal": {"law": "normal", "mean": 3, "deviation": 2.5},
    "gamma": {"law": "gamma", "mean": 3, "cv": 1.0, "low": 1, "high": 15},
    "mass": {"law": "mass", "values": [9, 0, 4], "probabilities": [0.5, 0.2, 0.3]},
    "sequence": {"law": "sequence", "values": [9, 0, 4, 4]},
}


def law(content, folder="."):
    return parse_law(content, Path(folder))


def moments(mass):
    values = np.arange(len(mass))
    mean = values @ mass
    return mean, np.sqrt(values**2 @ mass - mean**2)


@pytest.mark.parametrize("name", LAWS)
def test_probabilities_are_not_negative_and_sum_to_one(name):
    mass = law(LAWS[name]).mass()
    assert mass.min() >= 0
    assert mass.sum() == pytest.approx(1, abs=1e-12)
    assert mass[-1] > 0


def test_every_kind_of_law_is_covered():
    assert {content["law"] for content in LAWS.values()} | {"history"} == set(LAW_NAMES)


def test_a_plain_number_is_fixed():
    assert law(3).mass().tolist() == [0, 0, 0, 1]
    assert law(3.0) == law({"law": "fixed", "value": 3})


@pytest.mark.parametrize("mean", [0.05, 1, 10, 400])
def test_poisson_is_scipy_s(mean):
    mass = law({"law": "poisson", "mean": mean}).mass()
    np.testing.assert_allclose(mass, stats.poisson.pmf(np.arange(len(mass)), mean), atol=1e-11)


def test_uniform_is_flat_between_its_ends():
    assert law(LAWS["uniform"]).mass().tolist() == [0, 0.2, 0.2, 0.2, 0.2, 0.2]


def test_a_poisson_law_with_a_uniform_mean_is_the_mixture():
    mass = law({"law": "poisson_uniform", "low": 5, "high": 15}).mass()
    expected = np.mean([stats.poisson.pmf(np.arange(len(mass)), m) for m in range(5, 16)], axis=0)
    np.testing.assert_allclose(mass, expected, atol=1e-11)
    mean, std = moments(mass)
    assert mean == pytest.approx(10)
    assert std**2 == pytest.approx(10 + 10)  # the mean of the variances plus the variance of the means


@pytest.mark.parametrize(("mean", "deviation"), [(0, 20), (5, 1), (3, 2.5), (400, 60)])
def test_a_normal_law_is_that_number_rounded_and_cut_off_at_nothing(mean, deviation):
    mass = law({"law": "normal", "mean": mean, "deviation": deviation}).mass()
    rng, units = np.random.default_rng(1), np.arange(len(mass))
    drawn = np.maximum(np.rint(rng.normal(mean, deviation, 200_000)), 0).astype(int)
    assert np.bincount(drawn, minlength=len(mass)) / 200_000 == pytest.approx(mass, abs=0.005)
    expected = stats.norm.cdf(units + 0.5, mean, deviation) - np.where(
        units > 0, stats.norm.cdf(units - 0.5, mean, deviation), 0.0
    )
    np.testing.assert_allclose(mass, expected, atol=1e-12)


@pytest.mark.parametrize("cv", DEMAND_CV)
def test_a_negative_binomial_law_has_its_mean_and_variation(cv):
    mean, std = moments(law({"law": "negative_binomial", "mean": 10, "cv": cv}).mass())
    assert mean == pytest.approx(10, abs=1e-8)
    assert std / mean == pytest.approx(cv, abs=1e-7)


@pytest.mark.parametrize("cv", LEAD_TIME_CV)
def test_a_gamma_law_keeps_its_mean_after_rounding_and_clipping(cv):
    mass = law({"law": "gamma", "mean": 3, "cv": cv, "low": 1, "high": 15}).mass()
    assert len(mass) == 16
    assert mass[0] == 0
    assert moments(mass)[0] == pytest.approx(3, abs=1e-9)


def test_a_gamma_law_that_is_hardly_clipped_is_scipy_s_rounded():
    mass = law({"law": "gamma", "mean": 40, "cv": 0.2, "low": 0, "high": 200}).mass()
    mean, std = moments(mass)
    assert (mean, std / mean) == (pytest.approx(40), pytest.approx(0.2, abs=1e-3))


def test_given_probabilities_stand_as_given():
    assert law(LAWS["mass"]).mass().tolist() == pytest.approx([0.2, 0, 0, 0, 0.3, 0, 0, 0, 0, 0.5])


def test_a_history_is_scaled_rounded_and_counted(tmp_path):
    (tmp_path / "sales.csv").write_text("day,sold\n1,0\n2,1\n3,2\n4,5\n")
    scaled = law({"law": "history", "file": "sales.csv", "column": "sold", "scale_to_mean": 10}, tmp_path)
    assert np.flatnonzero(scaled.mass()).tolist() == [0, 5, 10, 25]
    assert scaled.mass()[[0, 5, 10, 25]].tolist() == [0.25] * 4
    plain = law({"law": "history", "file": "sales.csv", "column": "sold"}, tmp_path)
    assert plain.mass().tolist() == [0.25, 0.25, 0.25, 0, 0, 0.25]
    assert plain.resolved().mass().tolist() == plain.mass().tolist()


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1.000", "980"], r"row 1 holds '1\.000': write 1000 or 1$"),
        (["980", " 1.250 "], r"row 2 holds '1\.250': write 1250 or 1\.25$"),
        (["12.345"], r"row 1 holds '12\.345': write 12345 or 12\.3450$"),
        (["1.234.567"], r"row 1 holds '1\.234\.567': write 1234567$"),
        (["5", ""], r"row 2 holds ''$"),
        (["", ""], r"row 1 holds ''$"),
    ],
)
def test_a_sale_that_may_be_a_thousand_is_refused_with_what_to_write(cells, said, tmp_path):
    (tmp_path / "sales.csv").write_text("\n".join(["day,sold", *(f"{day},{cell}" for day, cell in enumerate(cells))]))
    with pytest.raises(ValueError, match=said):
        law({"law": "history", "file": "sales.csv", "column": "sold"}, tmp_path)


@pytest.mark.parametrize(
    ("cell", "unit", "units"),
    [
        *(("1.0000", 1, 1), ("12.3450", 0.005, 2469), ("0.125", 0.125, 1), ("1234.500", 0.5, 2469)),
        *(("1e3", 1, 1000), ("2.00", 1, 2), ("0.3", 0.1, 3), ("96", 12, 8)),
    ],
)
def test_a_sale_whose_point_is_plain_is_read_as_it_stands(cell, unit, units, tmp_path):
    (tmp_path / "sales.csv").write_text(f"sold\n{cell}\n")
    mass = law({"law": "history", "file": "sales.csv", "column": "sold", "unit": unit}, tmp_path).mass()
    assert np.flatnonzero(mass).tolist() == [units]


@pytest.mark.parametrize("scale", [0.1, 0.37, 3, 10])
def test_scaling_keeps_the_mean_of_slow_movers_exactly(scale, tmp_path):
    (tmp_path / "sales.csv").write_text("sold\n" + "0\n0\n0\n1\n" * 5)
    mean, _ = moments(
        law({"law": "history", "file": "sales.csv", "column": "sold", "scale_to_mean": scale}, tmp_path).mass()
    )
    assert mean == pytest.approx(scale, rel=1e-12)


def test_days_that_are_missing_in_a_history_are_told(tmp_path):
    (tmp_path / "sales.csv").write_text("date,sold\n2025-03-01,4\n2025-03-02,4\n2025-03-07,4\n2025-03-08,4\n")
    found = law({"law": "history", "file": "sales.csv", "column": "sold"}, tmp_path)
    assert "no row between 2025-03-02 and 2025-03-07" in found.note
    days = np.arange("2025-03-03", "2025-04-05", dtype="datetime64[D]")
    working = [f"{day},4" for day in days if np.is_busday(day)]
    (tmp_path / "sales.csv").write_text("\n".join(["date,sold", *working]))
    assert law({"law": "history", "file": "sales.csv", "column": "sold"}, tmp_path).note == ""


def test_the_built_in_variations_are_those_of_the_real_sales():
    path = shared_file("data/retail_demand.csv")
    sales = pd.read_csv(path)
    for product, cv in enumerate(DEMAND_CV):
        column = f"SKU{product}"
        mean, std = moments(law({"law": "history", "file": str(path), "column": column, "scale_to_mean": 10}).mass())
        assert mean == pytest.approx(10, rel=1e-9)
        assert std / mean == pytest.approx(cv, abs=0.03)
        assert (sales[column].std() / sales[column].mean()) == pytest.approx(cv, abs=0.02)


@pytest.mark.parametrize("name", LAWS)
def test_the_table_holds_each_value_as_often_as_it_is_likely(name):
    mass = law(LAWS[name]).mass()
    table = quantile_table(mass)
    assert len(table) == TABLE_SIZE
    frequency = np.bincount(table.astype(int), minlength=len(mass)) / TABLE_SIZE
    np.testing.assert_allclose(np.cumsum(frequency), np.cumsum(mass), atol=1 / TABLE_SIZE)


def test_draws_follow_their_laws_and_do_not_hang_together():
    laws = [law(content) for content in LAWS.values()]
    table = LawTable([*laws, laws[3]], torch.device("cpu"), torch.float64)
    draws = table.draw(200, 500, seeded_generator("cpu", 1)).numpy()
    assert draws.shape == (200, len(laws) + 1, 500)
    for i, one in enumerate(laws):
        expected = one.mass() * draws[:, i].size
        counts = np.bincount(draws[:, i].astype(int).ravel(), minlength=len(expected))
        assert len(counts) == len(expected)
        likely = expected > 20
        chi_square = ((counts - expected)[likely] ** 2 / expected[likely]).sum()
        assert chi_square < stats.chi2.isf(1e-4, max(likely.sum(), 1))
    poisson = draws[:, 3]
    pairs = [(poisson[1:], poisson[:-1]), (poisson[:, 1:], poisson[:, :-1]), (poisson, draws[:, -1])]
    for a, b in pairs:  # over periods, over copies, over two points with the same law
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


def test_streams_of_their_own_differ_and_repeat():
    first, again, other = (torch.rand(4, generator=seeded_generator("cpu", *seed)) for seed in ((1, 2), (1, 2), (2, 1)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_many_laws_take_little_memory_and_draw_the_same_units(monkeypatch):
    laws = [law({"law": "poisson", "mean": mean / 10}) for mean in range(1, 400)]
    laws += [law({"law": "uniform", "low": 2, "high": 2})]
    laws += laws[:40]
    many = LawTable(laws, torch.device("cpu"), torch.float32)
    assert many._ends.numel() < 442 * 200  # and no table of 65,536 each
    monkeypatch.setattr(sampling, "_MOST_TABLES", 1000)
    tables = LawTable(laws, torch.device("cpu"), torch.float32)
    assert tables._ends is None
    drawn = [of.draw(7, 96, seeded_generator("cpu", 3)) for of in (many, tables)]
    assert torch.equal(*drawn)
    assert drawn[0].dtype == torch.float32

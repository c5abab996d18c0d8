"""A planner's own rule: what it may say, and what it comes to day by day."""

import re

import numpy as np
import pandas as pd
import pytest

import firmwide
from coordinator.planning.expression import parsed, rule_levels
from coordinator.planning.policies import cover_levels, kind_of
from coordinator.planning.tuning import Past

DAYS = pd.date_range("2023-01-02", periods=100)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Kilograms in steps of a half, and pieces; ordered on Mondays and Thursdays, or on any day."""
    folder, demand = tmp_path_factory.mktemp("rule"), np.random.default_rng(4).poisson(6, (100, 2)) * [0.5, 1.0]
    rows = [
        f"{day.date()},{k},{n}" for day, row in zip(DAYS, demand, strict=True) for k, n in zip("ab", row, strict=True)
    ]
    (folder / "sales.csv").write_text("\n".join(["date,item,qty", *rows]))
    supply = "item,from,to,lead_time,multiple,moq,order_days\na,x,shop,3,2,5,Mo Do\nb,x,shop,2,6,0,\n"
    (folder / "supply.csv").write_text(supply)
    return firmwide.import_firm([folder / "sales.csv", folder / "supply.csv"], out=folder / "shop")


def test_days_of_cover_are_a_rule(shop):
    past = Past.of(shop.tables)
    np.testing.assert_allclose(rule_levels(past, "14 * mean", 60), cover_levels(past, 14.0)[60:])


def test_a_rule_is_worked_out_in_the_measure_of_the_tables(shop):
    past, t = Past.of(shop.tables), 80  # a Thursday
    found = rule_levels(
        past, "max(-ceil(mean) + interval ** 2 + 1.65*deviation*sqrt(lead_time), min(pack, minimum) / 3)", t
    )[0]
    for k, (lead, interval, pack, least) in enumerate(
        [(3, 7, 2, 5), (2, 3, 6, 0)]
    ):  # a: Monday's order is there on Thursday
        last = past.demand[t - 28 : t, 0, k] * shop.tables.unit[k]
        level = max(-np.ceil(last.mean()) + interval**2 + 1.65 * last.std() * lead**0.5, min(pack, least) / 3)
        assert found[0, k] == pytest.approx(level / shop.tables.unit[k])


def test_a_rule_orders_in_backtest_and_proposal(shop):
    rule = "max(mean * interval, 3)"
    played = firmwide.backtest(shop.folder, "2023-03-06", [f"mine=rule:{rule}", "rule:mean * 4"], progress=False)
    assert list(played.courses) == ["mine", "rule:mean * 4"]
    lines = firmwide.propose(shop.folder, f"rule:{rule}", progress=False).lines.set_index("item")
    level = np.rint(rule_levels(Past.of(shop.tables), rule, 100)[0, 0, 1])
    assert lines.loc["b", "target"] == level


@pytest.mark.parametrize(
    "text",
    [
        *("", "mean +", "stock", "__import__('os')", "mean.real", "max(mean)", "sqrt(mean, 2)", "max", "'a'"),
        *("mean if 1 else 2", "[1]", "mean < 3", "True", "max(mean, b=2)", "~1", "1" * 501),
    ],
)
def test_what_is_no_rule_is_refused_in_a_line(text):
    with pytest.raises(ValueError, match=r"^rule: [^\n]*$") as error:
        parsed(text)
    assert "numbers, mean, deviation, lead_time, interval, pack, minimum, + - * / **" in str(error.value)
    with pytest.raises(ValueError, match="rule: "):
        kind_of(f"mine=rule:{text}")


@pytest.mark.parametrize("text", ["mean / (pack - pack)", "9 ** 9 ** 9 ** 9", "sqrt(mean - 1000)"])
def test_a_rule_that_gives_no_number_is_refused(shop, text):
    line = "rule: gives no number for " + re.escape(f"{shop.tables.points[0]} a on 2023-03-03")
    with pytest.raises(ValueError, match=line):
        rule_levels(Past.of(shop.tables), text, 60)

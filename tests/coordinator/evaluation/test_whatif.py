"""What if: firms on the same demand, against costs that are known."""

import json

import numpy as np
import pytest
from scipy import stats

import firmwide
from coordinator.cli import run as command

SHOP = """
name: shop
stock_points:
  shop: {holding_cost: 1, backorder_cost: 9, max_order: 1000, demand: {law: poisson, mean: 10}}
supply:
  - {from: outside, to: shop, lead_time: LAG}
"""


@pytest.fixture
def shop(tmp_path):
    """Files of a shop that is supplied within one period, and within three."""
    for lag in ("1", "3"):
        (tmp_path / f"lag-{lag}.yaml").write_text(SHOP.replace("LAG", lag))
    return tmp_path


def least_cost(lead_time):
    """Of base-stock over a protection interval of lead time + 1 periods, money a period.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 4.3.
    """
    units = np.arange(200)
    mass = stats.poisson.pmf(units, 10 * (lead_time + 1))
    return min(
        ((np.maximum(level - units, 0) + 9 * np.maximum(units - level, 0)) * mass).sum() for level in range(20, 80)
    )


def test_a_longer_lead_time_costs_what_the_newsvendor_says(shop):
    done = firmwide.compare([shop / "lag-1.yaml"], ["supply[0].lead_time=3"], progress=False)
    first, second = done.to_json()["firms"].values()
    periods = next(iter(done.firms.values())).periods
    counted = periods.evaluate - periods.warm_up
    assert first["cost"]["mean"] == pytest.approx(counted * least_cost(1), abs=1.5 * first["cost"]["±"])
    more = second["difference"]
    assert more["mean"] == pytest.approx(counted * (least_cost(3) - least_cost(1)), abs=1.5 * more["±"])
    assert more["±"] < np.hypot(first["cost"]["±"], second["cost"]["±"])  # paired


def test_files_and_changes_meet_the_same_demand(shop, capsys):
    files = [str(shop / f"lag-{lag}.yaml") for lag in "13"]
    assert command(["compare", *files, "--set", "supply[0].lead_time=3", "--episodes", "64", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["firms"]
    assert list(rows) == [*files, "supply[0].lead_time=3"]
    assert rows[files[1]] == rows["supply[0].lead_time=3"]
    done = firmwide.compare(files, episodes=64, progress=False)
    one, two = done.results.values()
    assert one.demand.tolist() == two.demand.tolist()
    assert "64 episodes of the same demand, each firm under its own tuned-base-stock" in repr(done)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "compare needs two firms, or --set PATH=VALUE"),
        (["--set", "supply"], r"--set is written as PATH=VALUE, such as supply[0].lead_time=5, got 'supply'"),
        (["--set", "supply[1].lead_time=5"], "--set supply[1].lead_time: there is no 1; there is 0"),
        (["--set", "stock_points.depot.capacity=5"], "there is no 'depot'; there is shop"),
        (["--set", "supply[0].lead_time=-5"], "supply[0].lead_time must be a whole number"),
        (["--set", "supply[0].speed=5"], "supply[0].speed is not a known field"),
        (["--set", "stock_points.shop.demand.mean=11"], "has another demand than"),
        (["a1"], "a1 has another demand than"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(shop, arguments, said, capsys):
    assert command(["compare", str(shop / "lag-1.yaml"), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1

"""Days of history in blocks: what they keep, against slow loops, and what is refused."""

import numpy as np
import pytest
import torch
import yaml

from coordinator.evaluation.check import warnings_of
from environment import World, parse_firm
from environment.blocks import Blocks
from environment.observation import Observer

WEEK = [1, 2, 3, 4, 5, 6, 7]


def firm(law, other=None, **point):
    demand = {"a": law} if other is None else {"a": law, "b": other}
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 50, "demand": demand} | point
    supply = [{"from": "outside", "to": "shop", "lead_time": 1}]
    return parse_firm({"name": "f", "products": list(demand), "stock_points": {"shop": shop}, "supply": supply})


def drawn(law, periods, copies, start=None, seed=0, other=None):
    world = World(firm(law, other), np.zeros((1, 1 if other is None else 2)))
    return world.draw(periods, copies, world.generator(seed), start=start).demand[:, 0].numpy()  # [T, K, E]


def blocks(values, **given):
    return {"law": "sequence", "values": values, "blocks": given}


def test_every_period_is_of_its_place_in_the_cycle_and_blocks_are_whole():
    rows = np.arange(70)  # the first one a Wednesday
    demand = drawn(blocks(rows.tolist(), periods=14, first=2), 40, 200)[:, 0].astype(int)
    assert ((demand + 2) % 7 == np.arange(40)[:, None] % 7).all()
    within = np.arange(39) % 14 != 13
    assert (np.diff(demand, axis=0)[within] == 1).all()
    assert (np.diff(demand, axis=0)[~within] != 1).any()
    counts = np.bincount(demand[0], minlength=70)
    assert set(np.flatnonzero(counts)) == {5, 12, 19, 26, 33, 40, 47, 54}  # the Mondays from which 14 days are left
    assert counts[[5, 12, 19, 26, 33, 40, 47, 54]].tolist() == [25] * 8  # an equal part of the copies each


def test_all_demands_take_the_same_days():
    values = np.random.default_rng(3).integers(0, 20, 60).tolist()
    demand = drawn(blocks(values), 60, 50, other=blocks([2 * value for value in values]))
    np.testing.assert_array_equal(demand[:, 1], 2 * demand[:, 0])


def test_with_a_season_every_block_comes_from_its_part_of_the_year():
    rows = np.arange(300)
    law = blocks(rows.tolist(), periods=7, cycle=7, season=84, within=10)
    for start in (None, 5):
        demand = drawn(law, 90, 60, start=start)[:, 0].astype(int)
        first = demand[0]
        for t in range(90):
            apart = (demand[t] - first - t + 42) % 84 - 42
            assert np.abs(apart).max() <= 20  # both within 10 of the same day
        assert ((demand - np.arange(90)[:, None] - (start or 0)) % 7 == 0).all()
        assert len(np.unique(first % 84 // 7)) > 6  # and copies are all over the year
    again = drawn(law, 30, 60, start=5 + 28, seed=9)[:, 0].astype(int)
    before = drawn(law, 30, 60, start=5, seed=8)[:, 0].astype(int)
    assert np.abs((again[0] - before[0] - 28 + 42) % 84 - 42).max() <= 20  # a copy keeps its part of the year


def test_in_operation_days_follow_each_other_as_they_happened():
    law = blocks([10 * row for row in range(60)], first=3, periods=14)
    ticks = [int(drawn(law, 1, 2, start=tick, seed=tick)[0, 0, 1]) for tick in range(60)]
    assert ticks[:4] == [530, 540, 550, 0]  # 53 is the last Monday row of whole weeks
    assert ticks == [10 * ((tick - 3) % 56) for tick in range(60)]


def test_a_text_is_a_list_and_a_firm_stands_by_itself(tmp_path):
    asked = firm(blocks(" ".join(map(str, WEEK * 10))))
    assert asked == firm(blocks(WEEK * 10))
    assert parse_firm(yaml.safe_load(asked.to_yaml())) == asked
    (tmp_path / "sales.csv").write_text("tea\n" + "\n".join(map(str, WEEK * 10)))
    history = {"law": "history", "file": str(tmp_path / "sales.csv"), "column": "tea", "order": "sequence"}
    world = World(firm(history | {"blocks": {"first": 0}}), np.zeros((1, 1)))
    demand = world.draw(30, 5, world.generator(1)).demand[:, 0, 0]
    assert (demand == torch.tensor([*WEEK * 4, 1, 2])[:, None]).all()


def test_check_says_what_rules_do_not_know_of_it():
    told = [" ".join(warnings_of(firm(law))) for law in (blocks(WEEK * 10), {"law": "sequence", "values": WEEK * 10})]
    assert ["history is played in blocks" in line for line in told] == [True, False]


def test_departments_see_the_day_of_the_week():
    world = World(firm(blocks(WEEK * 10)), np.zeros((1, 1)))
    observer = Observer(world, np.ones((1, 1)))
    periods = ("7", "3.5", "2.33333")
    assert observer.labels()[-6:] == [f"{turn}/{days}" for days in periods for turn in ("sine", "cosine")]
    waves = torch.stack([observer.phases(t) for t in range(7)]).double()
    assert torch.linalg.matrix_rank(torch.cat((waves, torch.ones(7, 1)), 1)) == 7  # any week is a sum of them


@pytest.mark.parametrize(
    ("law", "said"),
    [
        (blocks(WEEK), r"demand\.a\.blocks are drawn from at least 56 values \(two blocks, .*\), got 7"),
        (blocks(WEEK * 10, first=7), r"blocks\.first must be below cycle \(7\), got 7"),
        (blocks(WEEK * 10, season=365), r"at least 410 values"),
        (blocks("1 2 x"), r"values\[2\] must be a whole number .* got 'x'"),
        (blocks(WEEK * 10) | {"blocks": 28}, r"blocks must be a mapping such as \{periods: 28, cycle: 7\}, got 28"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(law, said):
    with pytest.raises(ValueError, match=said):
        firm(law)


def test_places_beyond_history_are_those_of_the_year():
    found = Blocks(periods=7, season=50, within=3, cycle=1).rows(60, np.full(8, 130), 7, np.random.default_rng(0))
    assert set(found[0]) <= {27, 28, 29, 30, 31, 32, 33}  # 130 is 30 of the third year

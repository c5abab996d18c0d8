"""Costs of orders, shelf lives and lead time 0 of a planner's tables: in the firm, in play, and refused."""

import numpy as np
import pandas as pd
import pytest
import torch

import firmwide
from coordinator.cli import run as command
from coordinator.planning.tuning import UpTo, fill_rates, plain_firm
from departments.play.stepping import play
from environment import Exogenous, World, load_firm
from environment.parts import Fixed

SUPPLY = (
    "item,from,to,lead_time,Bestellkosten,delivery cost\n"
    "a,x,depot,0,4,30\nb,x,depot,2,2.5,\na,depot,shop,0,,\nb,depot,shop,1,,\n"
)
STOCK = "location,item,on_hand,on_order,Haltbarkeit,disposal_cost\ndepot,a,60,5,,\nshop,a,9,1,3,0.2\nshop,b,9,1,3,\n"
DAYS = pd.date_range("2023-01-02", periods=84)


def imported(folder, supply=SUPPLY, stock=STOCK, items="item,cost\na,73\nb,73\n"):
    rows = [f"{day.date()},shop,{item},{2 + day.weekday() % 3}" for day in DAYS for item in "ab"]
    tables = {"sales": "\n".join(["date,store,item,qty", *rows]), "supply": supply, "stock": stock, "items": items}
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return firmwide.import_firm([folder / f"{name}.csv" for name in tables], out=folder / "out")


def test_the_firm_has_what_the_tables_tell(tmp_path):
    firm = load_firm(imported(tmp_path).folder)
    depot, shop = (firm.stock_points[name] for name in ("depot", "shop"))
    assert depot.fixed_order_cost == {"a": 4.0, "b": 2.5}
    assert (depot.shelf_life, shop.shelf_life) == (None, 3)
    assert shop.waste_cost == {"a": 0.2, "b": 0.0}
    assert shop.fixed_order_cost == 0.0
    assert [edge.fixed_order_cost for edge in firm.supply] == [30.0, 0.0]
    assert [edge.lead_time for edge in firm.supply] == [
        {"a": Fixed(value=0), "b": Fixed(value=2)}, {"a": Fixed(value=0), "b": Fixed(value=1)},
    ]  # fmt: skip
    assert shop.fill_rate is None  # items that share the cost of an order cannot meet targets each
    assert shop.backorder_cost["a"] == pytest.approx(49 * shop.holding_cost["a"])


def test_what_takes_no_time_is_there_at_once_and_has_to_last_for_a_day(tmp_path):
    found = imported(tmp_path)
    assert found.tables.intervals(np.datetime64("2023-04-03"), 3).tolist() == [[[1, 3], [1, 2]]]
    feed = (found.folder / "feed" / "in" / "period-0.csv").read_text().splitlines()
    assert feed[1].startswith("depot,a,65,65,0,0,")  # on order was 5
    assert feed[4].startswith("shop,b,9,10,1,0,")
    alone = "item,from,to,lead_time\na,x,shop,{0}\nb,x,shop,{0}\n"
    for lead_time, reached in ((0, 1.0), (1, 8 / 15)):  # with one day's demand the longer one serves every other day
        folder = tmp_path / str(lead_time)
        folder.mkdir()
        done = imported(folder, alone.format(lead_time), "location,item,on_hand\nshop,a,0\n")
        assert (done.folder / "feed" / "in" / "period-0.csv").read_text().count("arriving_") == 1  # as the world has
        firm = plain_firm(done.tables)
        asked = torch.full((20, 1, 2, 1), 5.0)
        world, start = World(firm, np.zeros((1, 2))), torch.zeros(1, 2, 1)
        rates, _ = fill_rates(world, UpTo(asked), asked, start, 5)
        assert rates.ravel() == pytest.approx([reached] * 2)


def test_orders_and_waste_cost_in_the_world_what_the_tables_say(tmp_path):
    supply = "item,from,to,lead_time,order_cost,joint_order_cost\na,x,shop,0,4,30\nb,x,shop,0,2.5,30\n"
    stock = "location,item,on_hand,shelf_life,waste_cost\nshop,a,0,3,0.2\nshop,b,0,3,0.7\n"
    firm = plain_firm(imported(tmp_path, supply, stock).tables)
    world, nothing = World(firm, np.zeros((1, 2)), dtype=torch.float64), torch.zeros(12, 1, 2, 1, dtype=torch.float64)
    levels = torch.tensor([4.0, 0.0], dtype=torch.float64).view(1, 1, 2, 1).expand(12, 1, 2, 1)
    steps = list(play(world, UpTo(levels), Exogenous(nothing, None, None, None), world.reset(1, nothing[0])))
    ordered = [float(step.order.sum()) for step in steps]
    assert ordered == [4.0, 0.0, 0.0] * 4  # nobody buys, and what is there keeps for three days
    kept = [float(step.after.on_hand.sum()) for step in steps]
    waste = [before + new - after for before, new, after in zip([0.0, *kept], ordered, kept, strict=False)]
    assert waste == [0.0, 0.0, 4.0] * 4
    costs = [float(step.outcome.cost.sum()) for step in steps]
    holding = 0.25 / 365 * 73
    by_hand = [
        (4 + 30) * (order > 0) + 0.2 * lost + holding * held
        for order, lost, held in zip(ordered, waste, kept, strict=True)
    ]
    np.testing.assert_allclose(costs, by_hand)


def test_such_a_firm_is_played_and_proposed_for(tmp_path, capsys):
    folder = str(imported(tmp_path).folder)
    policies = ["--policy", "today=cover:5"]
    assert command(["backtest", folder, "--from", "2023-03-06", *policies]) == 0
    assert command(["propose", folder, "--policy", "cover:5"]) == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("supply", "a,x,depot,0,4,30", "a,x,depot,0,-4,30", "column 'Bestellkosten', row 1 must be at least 0"),
        ("supply", "2.5,\n", "2.5,20\n", "joint_order_cost must be the same in all rows of a"),
        ("stock", "9,1,3,\n", "9,1,4,\n", "shelf_life must be the same .*, got 3 and 4 at 'shop'"),
        ("stock", ",3,", ",2.5,", r"shelf_life must be a whole number .*, got 2\.5 at 'shop'"),
        ("stock", "60,5,,", "60,5,,0.1", "waste_cost at 'depot' needs a shelf_life there"),
        ("items", "item,cost", "item,shelf life", "'shelf life': shelf_life belongs in the table of stock"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path, name, old, new, told):
    given = {"supply": SUPPLY, "stock": STOCK, "items": "item,cost\na,73\nb,73\n"}
    assert old in given[name]
    with pytest.raises(ValueError, match=told):
        imported(tmp_path, **given | {name: given[name].replace(old, new)})

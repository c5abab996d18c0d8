"""Backtest and proposal of a small firm: against a slow loop, and what each line says."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

import firmwide
from coordinator.cli import run as command
from coordinator.learning.settings import Settings
from coordinator.planning.demand import drawn_days
from coordinator.planning.policies import Scaled, cover_levels, policy_of, world_for
from coordinator.planning.reasons import parts_of
from coordinator.planning.tuning import Past, UpTo, fill_rates, plain_firm, tuned_to
from coordinator.runs.folder import RunFolder
from environment import World, load_firm, parse_firm
from environment.calendars import period_of

DAYS = pd.date_range("2023-01-02", periods=364)
MEANS = {"Nord": (6.0, 1.2), "Süd": (3.0, 0.4)}
ITEMS = ("00123", "Tee")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A depot and two shops, two items, a year; what is on hand makes exceptions."""
    folder, rng = tmp_path_factory.mktemp("planner"), np.random.default_rng(5)
    week = np.array([0.7, 0.8, 0.9, 1.0, 1.4, 1.6, 0.6])
    rows = [
        (day.date(), store, item, rng.poisson(mean * week[day.weekday()]))
        for day in DAYS
        for store, means in MEANS.items()
        for item, mean in zip(ITEMS, means, strict=True)
    ]
    pd.DataFrame(rows, columns=["date", "store", "item", "quantity"]).to_csv(folder / "sales.csv", index=False)
    supply = [(item, "Hersteller", "Depot", 5, 10, 20, 4.0, 9.0) for item in ITEMS]
    supply += [(item, "Depot", store, 1, 2, 0, None, None) for item in ITEMS for store in MEANS]
    columns = ["item", "from", "to", "lead_time", "order_multiple", "moq", "unit_cost", "price"]
    pd.DataFrame(supply, columns=columns).to_csv(folder / "suppliers.csv", index=False)
    stock = [("Depot", "00123", 20, 0), ("Nord", "00123", 1, 0), ("Süd", "00123", 3, 0)]
    stock += [("Depot", "Tee", 60, 0), ("Nord", "Tee", 900, 0), ("Süd", "Tee", 4, 2)]
    pd.DataFrame(stock, columns=["location", "item", "on_hand", "on_order"]).to_csv(folder / "stock.csv", index=False)
    done = firmwide.import_firm(
        [folder / f"{name}.csv" for name in ("sales", "suppliers", "stock")], out=folder / "shop"
    )
    return done


def slowly(tables, levels, demand, opening):
    """One shop supplied from outside by days: receive, sell, then order; the demand of a day is sold on the next."""
    lead, multiple, minimum = (int(tables[key]) for key in ("lead_time", "multiple", "minimum"))
    on_hand, under_way, served, stock, asked_before, ordered = opening, [0] * lead, [], [], 0, []
    for t in range(len(demand)):
        position = on_hand + sum(under_way)
        wish = round(levels[t]) - position
        order = -(-max(wish, minimum) // multiple) * multiple if wish > 0 else 0
        ordered.append(order)
        asked_before = demand[t]
        under_way.append(order)
        on_hand += under_way.pop(0) if lead > 1 or len(under_way) > lead else 0
        sold = min(on_hand, asked_before)
        on_hand -= sold
        served.append(sold)
        stock.append(on_hand)
    return np.array(served), np.array(stock), np.array(ordered)


@pytest.fixture(scope="module")
def kiosk(tmp_path_factory):
    """One shop, one item, 140 days."""
    folder, demand = tmp_path_factory.mktemp("kiosk"), np.random.default_rng(2).poisson(5, 140)
    rows = "\n".join(f"{day.date()},a,{units}" for day, units in zip(DAYS[:140], demand, strict=True))
    (folder / "sales.csv").write_text(f"date,item,qty\n{rows}\n")
    (folder / "supply.csv").write_text("item,from,to,lead_time,multiple,moq\na,x,shop,3,6,12\n")
    return firmwide.import_firm([folder / "sales.csv", folder / "supply.csv"], out=folder / "shop")


def test_a_day_of_the_backtest_is_that_of_a_slow_loop(kiosk):
    tables, demand = kiosk.tables, kiosk.tables.demand[:, 0, 0]
    done = firmwide.backtest(kiosk.folder, "2023-03-27", ["cover:5"], progress=False)
    start, first = 56, 84
    levels = cover_levels(Past.of(tables), 5.0)[:, 0, 0]
    opening = round(cover_levels(Past.of(tables, start), 14.0)[-1, 0, 0])
    facts = {"lead_time": 3, "multiple": 6, "minimum": 12}
    served, stock, ordered = slowly(facts, levels[start:], demand[start:].tolist(), opening)
    course = done.courses["cover:5"]
    np.testing.assert_array_equal(course.served[:, 0, 0], served[first - start :])
    np.testing.assert_array_equal(course.on_hand[:, 0, 0], stock[first - start :])
    np.testing.assert_array_equal(course.ordered[:, 0, 0], ordered[first - start :])
    assert set(np.unique(course.ordered % 6)) == {0}
    assert course.ordered[course.ordered > 0].min() >= 12


def test_decisions_know_nothing_of_the_days_to_come(shop):
    whole = Past.of(shop.tables)
    for cover in (7.0, 14.0):
        early = cover_levels(Past.of(shop.tables, 200), cover)[-1]
        np.testing.assert_allclose(cover_levels(whole, cover)[200], early)


def test_tuned_levels_reach_their_fill_rate_also_in_other_episodes(shop):
    past, rate = Past.of(shop.tables), 0.95
    world = World(plain_firm(shop.tables), np.zeros((3, 2)))
    tuned = tuned_to(past, world, rate, seed=1)
    assert tuned.reached.min() > rate - 0.005
    first = past.days[-1] + 1
    rows = drawn_days(past.days, first, 140, 8, np.random.default_rng(9))
    demand = np.moveaxis(past.demand[rows], 1, -1)
    flow = np.moveaxis(shop.tables.flow(past.demand[rows]), 1, -1).reshape(140, -1, 8)
    levels = tuned.of(tuned.forecaster.over_interval(flow, first + np.arange(140))[:-1]).reshape(140, 3, 2, 8)
    policy = UpTo(torch.as_tensor(levels))
    start = torch.as_tensor(levels[0], dtype=world.dtype)
    found, _ = fill_rates(world, policy, torch.as_tensor(demand, dtype=world.dtype), start, 42)
    weights = past.demand.mean(0)
    assert (found[0] * weights).sum() / weights.sum() == pytest.approx(rate, abs=0.012)


def test_the_backtest_compares_policies_on_the_same_demand(shop, capsys):
    (shop.folder / "levels.csv").write_text(
        "stock_point,product,level\n" + "".join(f"{p},{k},60\n" for p in shop.tables.points for k in ITEMS)
    )
    asked = ["today=cover:14", "tuned:0.95", f"flat={shop.folder / 'levels.csv'}"]
    options = [part for text in asked for part in ("--policy", text)]
    assert command(["backtest", str(shop.folder), "--from", "2023-10-02", "--every", "91", *options]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2023-10-02 to 2023-12-31, 91 days, 2 items, the same demand")
    results = pd.read_csv(shop.folder / "backtest" / "results.csv").set_index("policy")
    assert list(results.index) == ["today", "tuned:0.95", "flat"]
    assert results.loc["tuned:0.95", "fill rate"] == pytest.approx(0.95, abs=0.03)
    assert results.loc["tuned:0.95", "stock difference"] < -3 * results.loc["tuned:0.95", "stock difference ±"]
    lines = pd.read_csv(shop.folder / "backtest" / "lines.csv", dtype={"item": str})
    sold = lines.dropna(subset=["fill_rate"]).groupby("policy")["demand"].sum()
    assert sold.nunique() == 1
    served = (lines["fill_rate"] * lines["demand"]).groupby(lines["policy"]).sum() / sold
    np.testing.assert_allclose(served[results.index], results["fill rate"], rtol=1e-4)
    groups = pd.read_csv(shop.folder / "backtest" / "groups.csv").set_index(["by", "policy", "name"])
    for by, part in groups.groupby("by"):
        for name, rows in lines.groupby(["policy", by]):
            sells, found = rows.dropna(subset=["fill_rate"]), part.loc[(by, *name)]
            assert found[["stock", "orders"]].tolist() == pytest.approx(
                rows[["stock", "orders"]].sum().tolist(), rel=1e-4
            )
            rate = (sells["fill_rate"] * sells["demand"]).sum() / sells["demand"].sum() if len(sells) else np.nan
            np.testing.assert_allclose(found["fill_rate"], rate, rtol=1e-4)
    page = (shop.folder / "backtest" / "backtest.html").read_text()
    assert "Worst first" in page
    assert "By location and supplier" in page
    assert page.count("<svg") > 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--from", "2023-01-10"],
            r"--from must leave 56 days of history before it .*, 2023-02-27 to 2023-12-30, got 2023-01",
        ),
        (["--from", "soon"], r"--from must be a day such as 2023-12-31, got 'soon'"),
        (["--from", "2023-10-02", "--policy", "cover:-1"], r"--policy is written as cover:DAYS"),
        (["--from", "2023-10-02", "--policy", "tuned:98"], r"tuned:FILL_RATE, from 0\.5 to below 1, got 'tuned:98'"),
        (
            ["--from", "2023-10-02", "--policy", "magic"],
            r"must be cover:DAYS, rule:EXPRESSION, tuned\[:FILL_RATE\], trained\[:FILL_RATE\], a csv .* got 'magic'",
        ),
        (["--from", "2023-10-02", *["--policy", "cover:9"] * 2], r"--policy: each needs a name of its own"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(shop, arguments, said, capsys):
    assert command(["backtest", str(shop.folder), *arguments]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("regimes: {calm: {next: {strike: .1}}, strike: {lead_time: 3, next: {calm: .5}}}", "regimes: days that happ"),
        ("sequence: geevers", "sequence: days that happened are played in the standard one"),
    ],
)
def test_what_days_that_happened_do_not_tell_is_refused_in_one_line(shop, line, said, tmp_path, capsys):
    folder = shutil.copytree(shop.folder, tmp_path / "shop")
    (folder / "firm.yaml").write_text((folder / "firm.yaml").read_text() + line + "\n")
    assert command(["check", str(folder)]) == 0  # episodes have it
    for arguments in (["backtest", str(folder), "--from", "2023-10-02"], ["propose", str(folder)]):
        capsys.readouterr()
        assert command(arguments) == 2
        error = capsys.readouterr().err
        assert f"firm.yaml: {said}" in error
        assert error.endswith(": remove it for `backtest` and `propose`\n")
        assert error.count("\n") == 1


OTHERS = {
    "regimes": {"regimes": {"calm": {"next": {"strike": 0.1}}, "strike": {"lead_time": 3, "next": {"calm": 0.5}}}},
    "disruption": {"supply": [{"from": "outside", "to": "shop", "disruption": {"start": 0.05, "end": 0.25}}]},
    "unmet demand is not lost": {"unmet": "backorder"},
}


@pytest.mark.parametrize("said", OTHERS)
def test_a_run_of_a_firm_that_is_not_played_is_refused_in_one_line(kiosk, said, tmp_path, capsys):
    firm = load_firm(kiosk.folder)
    content = {"name": "other", "unmet": "lost", "products": list(firm.products)}
    content |= {"stock_points": {"shop": {"holding_cost": 1, "max_order": 40, "demand": 5}}} | OTHERS[said]
    RunFolder(tmp_path / "run").create(parse_firm(content), Settings(scheme="pathwise"))
    for arguments in (
        ["backtest", str(kiosk.folder), "--from", "2023-03-27", "--policy", str(tmp_path / "run")],
        ["propose", str(kiosk.folder), "--policy", str(tmp_path / "run")],
    ):
        assert command(arguments) == 2
        error = capsys.readouterr().err
        assert f"was trained with {said}" in error or f"was trained where {said}" in error
        assert error.count("\n") == 1


def test_a_run_that_decides_more_than_orders_is_refused_in_one_line(shop, tmp_path, capsys):
    firm = load_firm(shop.folder)
    depot = firm.stock_points["Depot"].model_copy(update={"allocation": "learned"})
    other = firm.model_copy(update={"stock_points": dict(firm.stock_points) | {"Depot": depot}})
    RunFolder(tmp_path / "run").create(other, Settings(scheme="pathwise"))
    assert command(["propose", str(shop.folder), "--policy", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "stock_points.Depot.allocation learned: backtest and propose tell orders alone here" in error
    assert error.count("\n") == 1


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(ValueError, match="FOLDER must be one that `firmwide import` made"):
        firmwide.propose(tmp_path)


def test_tomorrows_orders_have_reasons_and_exceptions_stand_first(shop, capsys):
    assert command(["propose", str(shop.folder)]) == 0
    assert capsys.readouterr().out.startswith("orders for 2024-01-01 by tuned: ")
    folder = shop.folder / "orders" / "2024-01-01"
    lines = pd.read_csv(folder / "lines.csv", dtype={"item": str}, keep_default_na=False)
    odd = lines["exceptions"] != ""
    assert not odd[odd.to_numpy().nonzero()[0].max() + 1 :].any()
    at = lines.set_index(["location", "item"])
    assert "stock-out before arrival" in at.loc[("Nord", "00123"), "exceptions"]
    assert at.loc[("Nord", "Tee"), "exceptions"] == "excess"
    assert at.loc[("Nord", "Tee"), "order"] == 0
    depot = at.loc[("Depot", "00123")]
    assert depot["order"] % 10 == 0
    assert depot["order"] >= max(depot["target"] - depot["position"], 20)
    asked = at.loc[[("Nord", "00123"), ("Süd", "00123")]]
    assert asked["order"].sum() <= 20  # the depot has no more
    assert (asked["order"] % 2 == 0).all()
    cut = asked[asked["exceptions"].str.contains("cut by")]
    assert cut["reason"].str.contains("less, as Depot has no more").all()
    assert len(cut) > 0
    orders = pd.read_csv(folder / "orders.csv", dtype={"item": str})
    assert (orders["order"] > 0).all()
    assert list(orders["supplier"]) == sorted(orders["supplier"])
    assert pd.read_excel(folder / "orders.xlsx", dtype={"item": str})["item"].tolist() == orders["item"].tolist()
    assert "Look at these first" in (folder / "propose.html").read_text()


def test_a_policy_of_another_demand_acts_in_its_own_units(shop):
    world = World(plain_firm(shop.tables), np.zeros((3, 2)))
    levels = torch.as_tensor([[[60.0, 8.0]] * 3]).unsqueeze(-1)
    state = world.reset(1, torch.as_tensor([[[30.0], [5.0]]] * 3))
    plain = UpTo(levels).decide(world, state, None, 0, None).order
    ratio = torch.tensor([[[2.0], [0.5]]])
    scaled = Scaled(UpTo(levels), ratio).decide(world, state, None, 0, None).order
    torch.testing.assert_close(scaled, levels[0].float() * ratio[0] - state.inventory_position)
    torch.testing.assert_close(
        Scaled(UpTo(levels), torch.ones(1, 2, 1)).decide(world, state, None, 0, None).order, plain
    )


def test_a_trained_run_is_played_and_proposes(kiosk, tmp_path):
    small = {"selection_episodes": 20, "tuning_seconds": 1, "pathwise": {"copies": 8}}
    run = tmp_path / "run"
    firmwide.train(kiosk.folder, scheme="pathwise", run=run, budget="2e4", backend="local", config=small, episodes=20)
    done = firmwide.backtest(kiosk.folder, "2023-03-27", ["today=cover:14", f"learned={run}"], progress=False)
    assert set(done.courses) == {"today", "learned"}
    assert done.courses["learned"].served.sum() > 0
    assert set(np.unique(done.courses["learned"].ordered % 6)) == {0}
    proposed = firmwide.propose(kiosk.folder, str(run), progress=False)
    assert proposed.orders["order"].sum() > 0
    reason = proposed.lines["reason"].iloc[0]
    assert "of this policy" in reason
    world = world_for("run", str(run), kiosk.tables)
    policy = policy_of("run", str(run), world, kiosk.tables, 140, 1)
    state, period = world.reset(1, torch.zeros(1, 1, 1)), period_of(kiosk.tables.days[-1] + 1)
    (part,) = parts_of(policy, str(run), state, period, print)[0]
    wished = policy.decide(world, state, None, period, None).order.item()
    # a department in operation measures its scales from another start, so that the sum is near, not the same
    assert part.rule + part.usual + sum(part.seen.values()) == pytest.approx(wished, rel=2e-3)
    assert set(part.seen) == {"the position of shop", "the day"}
    assert f"the rule alone would order {part.rule:,.3g}, and what is learned adds " in reason


def test_where_nothing_is_to_be_ordered_and_nothing_is_odd_the_proposal_says_so(tmp_path):
    sold = [f"{day.date()},a,{n}" for day, n in zip(DAYS[:84], np.random.default_rng(3).poisson(5, 84), strict=True)]
    (tmp_path / "sales.csv").write_text("\n".join(["date,item,qty", *sold]))
    (tmp_path / "stock.csv").write_text("item,on_hand\na,40\n")
    done = firmwide.import_firm([tmp_path / "sales.csv", tmp_path / "stock.csv"], out=tmp_path / "shop")
    proposed = firmwide.propose(done.folder, "cover:7", progress=False)
    assert proposed.lines.empty
    assert "0 lines by cover:7. no exceptions." in (proposed.folder / "propose.html").read_text()


def test_weekdays_packs_and_room_of_master_data_hold_in_firm_backtest_and_proposal(tmp_path):
    demand = np.random.default_rng(2).poisson(5, (140, 2))
    rows = [
        f"{day.date()},{item},{n}"
        for day, row in zip(DAYS[:140], demand, strict=True)
        for item, n in zip("ab", row, strict=True)
    ]
    (tmp_path / "sales.csv").write_text("\n".join(["date,item,qty", *rows]))
    supply = "item,from,to,lead_time,multiple,moq,order_days\na,x,shop,3,6,12,Mo Do\nb,x,shop,2,1,0,\n"
    (tmp_path / "supply.csv").write_text(supply)
    (tmp_path / "stock.csv").write_text("location,item,on_hand,on_order,capacity\nshop,a,2,0,90\nshop,b,1,0,90\n")
    files = [tmp_path / f"{name}.csv" for name in ("sales", "supply", "stock")]
    done = firmwide.import_firm(files, out=tmp_path / "shop")
    point = load_firm(done.folder).stock_points["shop"]
    assert point.review_days["a"].days == (0, 3)
    assert (point.order_multiple, point.min_order) == ({"a": 6, "b": 1}, {"a": 12, "b": 0})
    assert point.capacity == 90
    played = firmwide.backtest(done.folder, "2023-03-27", ["cover:14"], progress=False)
    for course in played.courses.values():
        weekday = (pd.Timestamp("2023-03-27").weekday() + np.arange(len(course.ordered))) % 7
        assert not course.ordered[~np.isin(weekday, (0, 3)), 0, 0].any()
        assert course.ordered[np.isin(weekday, (0, 3)), 0, 0].any()
        assert set(np.unique(course.ordered[:, 0, 0] % 6)) == {0}
        assert course.on_hand.sum((1, 2)).max() <= 90
    lines = firmwide.propose(done.folder, "cover:14", progress=False).lines.set_index("item")  # for a Monday
    assert lines["order"].sum() == 87
    assert lines["reason"].str.contains("no room for more").any()
    (done.folder / "supply.csv").write_text((done.folder / "supply.csv").read_text().replace("Mo Do", "Tue"))
    lines = firmwide.propose(done.folder, "cover:14", progress=False).lines.set_index("item")
    assert lines.loc["a", "order"] == 0
    assert "nothing is ordered, as 2023-05-22 is no review day" in lines.loc["a", "reason"]
    (tmp_path / "supply.csv").write_text(supply.replace("Mo Do", "sometimes"))
    with pytest.raises(ValueError, match=r"supply.csv, column 'order_days', row 1 must be weekdays such as 'Mon Thu'"):
        firmwide.import_firm(files, out=tmp_path / "other")


def test_what_a_truck_carries_in_a_day_is_shared_by_all_items(tmp_path):
    demand = np.random.default_rng(2).poisson(5, (100, 2))
    rows = [
        f"{day.date()},{k},{n}" for day, row in zip(DAYS, demand, strict=False) for k, n in zip("ab", row, strict=True)
    ]
    (tmp_path / "sales.csv").write_text("\n".join(["date,item,qty", *rows]))
    supply = "item,from,to,lead_time,multiple,truck load\na,x,shop,3,6,26\nb,x,shop,2,1,26\n"
    (tmp_path / "supply.csv").write_text(supply)
    files = [tmp_path / f"{name}.csv" for name in ("sales", "supply")]
    done = firmwide.import_firm(files, out=tmp_path / "shop")
    firm = load_firm(done.folder)
    assert [edge.capacity for edge in firm.supply] == [26]
    assert not firm.has_targets  # items that share a truck cannot meet theirs one by one
    played = firmwide.backtest(done.folder, "2023-03-27", ["cover:14"], progress=False)
    assert played.courses["cover:14"].ordered.sum((1, 2)).max() <= 26
    table = firmwide.propose(done.folder, "cover:14", progress=False).lines
    assert 20 < table["order"].sum() <= 26
    assert (table["packs"] * [6 if item == "a" else 1 for item in table["item"]]).tolist() == table["order"].tolist()
    assert table["reason"].str.contains("less, as there is no room for more").all()
    (tmp_path / "supply.csv").write_text(supply.replace("2,1,26", "2,1,27"))
    with pytest.raises(ValueError, match=r"load must be the same in all rows of a location, got 26 and 27 at 'shop'"):
        firmwide.import_firm(files, out=tmp_path / "other")
    (tmp_path / "supply.csv").write_text(supply.replace("26", "0.5"))
    with pytest.raises(ValueError, match=r"load must be a whole number of at least 1, got 0.5 at 'shop'"):
        firmwide.import_firm(files, out=tmp_path / "other")

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from coordinator.cli import run
from coordinator.evaluation.simulate import GivenFiles, simulate
from coordinator.runs.folder import RunFolder
from departments.rules.ordering import baseline_levels
from environment import load_firm, parse_firm
from tests.random_firms import run as run_episode
from tests.small_firms import fresh, pair, world_of
from tests.small_markets import market
from tests.small_runs import settings
from tests.traces import TRACES, firm_file_of, load_trace

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=TRACES)
def trace(request):
    return load_trace(request.param)


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def read(path):
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def files_of(trace, folder, only_choices=False):
    """The files of `simulate` for a trace, and the arguments that name them."""
    periods, points = range(trace["periods"]), trace["stock_points"]
    (folder / "firm.yaml").write_text(yaml.safe_dump(firm_file_of(trace), sort_keys=False))
    several = {point for point in points if sum(target == point for _, target in trace["supply"]) > 1}
    suppliers = [
        (t, point, supplier)
        for t in periods
        for point, supplier in zip(points, trace["suppliers"][t], strict=True)
        if point in several or not only_choices
    ]
    by_point = ["period", "stock_point", "quantity"]
    named = {
        "--orders": (by_point, [(t, p, n) for t in periods for p, n in zip(points, trace["orders"][t], strict=True)]),
        "--demand": (
            by_point,
            [(t, p, n) for t in periods for p, n in zip(trace["customer_facing"], trace["demand"][t], strict=True)],
        ),
        "--lead-times": (
            ["period", "from", "to", "periods"],
            [(t, *e, n) for t in periods for e, n in zip(trace["supply"], trace["lead_times"][t], strict=True)],
        ),
        "--suppliers": (["period", "stock_point", "supplier"], suppliers),
        "--initial": (["stock_point", "on_hand"], zip(points, trace["initial_on_hand"], strict=True)),
    }
    arguments = ["simulate", str(folder / "firm.yaml"), "--out", str(folder / "states.csv")]
    for option, (header, rows) in named.items():
        if suppliers or option != "--suppliers":
            arguments += [option, write(folder / f"{option[2:]}.csv", header, rows)]
    return arguments


def check(trace, folder):
    rows = iter(read(folder / "states.csv"))
    facing = {point: i for i, point in enumerate(trace["customer_facing"])}
    for t, expected in enumerate(trace["expected"]):
        cost = 0.0
        for n, point in enumerate(trace["stock_points"]):
            row = next(rows)
            assert (row["period"], row["stock_point"]) == (str(t), point)
            for column in ("on_hand", "in_transit", "inventory_position"):
                assert row[column] == str(expected[column][n])
            for column, field in (("backlog", "backlog"), ("sales", "sales"), ("lost_sales", "lost")):
                assert row[column] == str(expected[field][facing[point]] if point in facing else 0)
            assert row["order_quantity"] == str(trace["orders"][t][n])
            assert row["demand"] == str(trace["demand"][t][facing[point]] if point in facing else 0)
            cost += float(row["cost"])
        assert round(cost, 9) == expected["cost"]
    assert next(rows, None) is None


def test_a_trace_is_replayed_through_files(trace, tmp_path):
    assert run(files_of(trace, tmp_path)) == 0
    check(trace, tmp_path)


def test_suppliers_are_needed_only_where_there_is_a_choice(trace, tmp_path):
    assert run(files_of(trace, tmp_path, only_choices=True)) == 0
    check(trace, tmp_path)


def test_given_lead_times_may_be_longer_than_the_firm_s_law_allows(tmp_path):
    trace = load_trace("a-lost-5")
    arguments = files_of(trace, tmp_path)
    firm = firm_file_of(trace)
    for edge in firm["supply"]:
        edge["lead_time"] = 1
    (tmp_path / "firm.yaml").write_text(yaml.safe_dump(firm, sort_keys=False))
    assert run(arguments) == 0
    check(trace, tmp_path)


def test_the_installed_command_replays_a_trace(tmp_path):
    trace = load_trace("b-backorder-5")
    command = [sys.executable, "-c", "from coordinator.cli import main; main()", *files_of(trace, tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout == ""
    assert "cost of all periods" in done.stderr
    check(trace, tmp_path)


def test_the_same_seed_writes_the_same_file_and_another_seed_another_one(tmp_path):
    written = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert run(["simulate", "b3", "--out", str(tmp_path / name), "--periods", "20", "--seed", seed]) == 0
        written.append((tmp_path / name).read_text())
    assert written[0] == written[1] != written[2]
    assert len(written[0].splitlines()) == 1 + 20 * 9


def test_a_firm_left_to_itself_runs_its_evaluation_with_the_benchmark(tmp_path):
    assert run(["simulate", "a1", "--out", str(tmp_path / "default.csv")]) == 0
    named = ["--policy", "decomposition-aggregation", "--periods", "75", "--seed", "0"]
    assert run(["simulate", "a1", "--out", str(tmp_path / "named.csv"), *named]) == 0
    assert (tmp_path / "default.csv").read_text() == (tmp_path / "named.csv").read_text()
    rows = read(tmp_path / "default.csv")
    assert len(rows) == 75 * 4
    start = {row["stock_point"]: row["on_hand"] for row in rows[:4]}
    assert start == {"warehouse": "60", "retailer-1": "34", "retailer-2": "34", "retailer-3": "34"}


def test_what_one_run_wrote_replays_as_what_another_is_given(tmp_path):
    assert run(["simulate", "b3", "--out", str(tmp_path / "first.csv"), "--periods", "30", "--seed", "9"]) == 0
    rows = read(tmp_path / "first.csv")
    orders = write(
        tmp_path / "orders.csv",
        ["quantity", "stock_point", "period"],
        [(row["order_quantity"], row["stock_point"], row["period"]) for row in reversed(rows)],
    )
    demand = write(
        tmp_path / "demand.csv",
        ["period", "stock_point", "quantity"],
        [(row["period"], row["stock_point"], row["demand"]) for row in rows],  # warehouses with 0, which says nothing
    )
    given = ["--orders", orders, "--demand", demand, "--seed", "9"]
    assert run(["simulate", "b3", "--out", str(tmp_path / "second.csv"), *given]) == 0
    assert (tmp_path / "second.csv").read_text() == (tmp_path / "first.csv").read_text()


def test_periods_take_the_first_of_longer_files(tmp_path):
    rows = [(t, point, 5) for t in range(12) for point in ("warehouse", "retailer-1", "retailer-2", "retailer-3")]
    orders = write(tmp_path / "orders.csv", ["period", "stock_point", "quantity"], rows)
    arguments = ["simulate", "a1", "--out", str(tmp_path / "states.csv"), "--orders", orders]
    assert run([*arguments, "--periods", "4"]) == 0
    assert len(read(tmp_path / "states.csv")) == 16
    assert run(arguments) == 0
    assert len(read(tmp_path / "states.csv")) == 48


PRODUCTS = {
    "name": "two-products",
    "unmet": "lost",
    "products": ["tea", "rice"],
    "stock_points": {
        "depot": {"holding_cost": 0.1, "max_order": 50},
        "shop": {
            "holding_cost": {"tea": 1, "rice": 0.3},
            "backorder_cost": 2,
            "price": {"tea": 7},
            "unit_cost": 0.7,
            "fixed_order_cost": 4,
            "max_order": 40,
            "demand": {"tea": {"law": "poisson", "mean": 4}},
        },
    },
    "supply": [{"from": "depot", "to": "shop", "lead_time": {"law": "uniform", "low": 1, "high": 3}}],
}


def test_every_product_has_a_row_and_a_cost_of_its_own(tmp_path):
    (tmp_path / "firm.yaml").write_text(yaml.safe_dump(PRODUCTS))
    header = ["period", "product", "stock_point", "quantity"]
    both = [(t, product, point, 3 + t) for t in range(4) for product in ("tea", "rice") for point in ("depot", "shop")]
    tea = [(t, "tea", "shop", 2) for t in range(4)]
    start = [(point, product, 10) for point in ("depot", "shop") for product in ("tea", "rice")]
    times = [(t, s, c, product, 2) for t in range(4) for s, c in (("depot", "shop"), ("outside", "depot"))
             for product in ("tea", "rice")]  # fmt: skip
    arguments = ["--orders", write(tmp_path / "orders.csv", header, both)]
    arguments += ["--demand", write(tmp_path / "demand.csv", header, tea)]
    arguments += ["--initial", write(tmp_path / "initial.csv", ["stock_point", "product", "on_hand"], start)]
    arguments += ["--lead-times", write(tmp_path / "times.csv", ["period", "from", "to", "product", "periods"], times)]
    assert run(["simulate", str(tmp_path / "firm.yaml"), "--out", str(tmp_path / "states.csv"), *arguments]) == 0
    rows = {(row["period"], row["stock_point"], row["product"]): row for row in read(tmp_path / "states.csv")}
    assert len(rows) == 4 * 2 * 2
    assert rows["1", "shop", "tea"] | {} == {
        **{"period": "1", "stock_point": "shop", "product": "tea", "on_hand": "8", "in_transit": "3"},
        **{"inventory_position": "11", "backlog": "0", "sales": "2", "lost_sales": "0", "order_quantity": "4"},
        **{"demand": "2", "cost": "0.1"},  # 8 on hand, 2 sold at 7, 3 ordered at 0.7 each and 4 in all
    }
    assert rows["1", "shop", "rice"]["cost"] == "9.1"  # 10 on hand at 0.3, 3 ordered
    assert rows["3", "shop", "tea"]["on_hand"] == "7"


def test_the_columns_agree_with_the_world(tmp_path):
    episode = run_episode(load_firm("a5"), 1, seed=2, periods=6)
    orders = [
        (t, point, int(episode.orders[t, n, 0, 0]))
        for t in range(6)
        for n, point in enumerate(episode.world.firm.names)
    ]
    start = [(point, int(episode.states[0].on_hand[n, 0, 0])) for n, point in enumerate(episode.world.firm.names)]
    arguments = ["--orders", write(tmp_path / "orders.csv", ["period", "stock_point", "quantity"], orders)]
    arguments += ["--initial", write(tmp_path / "initial.csv", ["stock_point", "on_hand"], start), "--seed", "2"]
    assert run(["simulate", "a5", "--out", str(tmp_path / "states.csv"), *arguments]) == 0
    rows = read(tmp_path / "states.csv")
    for t, state in enumerate(episode.states):
        assert [float(row["on_hand"]) for row in rows[4 * t : 4 * t + 4]] == state.on_hand.flatten().tolist()
    for t, outcome in enumerate(episode.outcomes[1:], 1):
        costs = [float(row["cost"]) for row in rows[4 * t : 4 * t + 4]]
        assert costs == pytest.approx(outcome.cost.flatten().tolist())


def test_the_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    from coordinator.evaluation import simulate as module

    out = tmp_path / "states.csv"
    out.write_text("before")
    monkeypatch.setattr(module, "_number", lambda value: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(["simulate", "a1", "--out", str(out)])
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["states.csv"]


def test_a_run_decides_as_the_rule_that_it_starts_as(tmp_path):
    firm = pair()
    kept = RunFolder(tmp_path / "run")
    kept.create(firm, settings())
    for snapshot in fresh(*world_of(firm), settings().policy):
        kept.save_snapshot(snapshot, {})
    file = tmp_path / "levels.csv"
    levels = zip(firm.names, baseline_levels(firm)[:, 0].astype(int), strict=True)
    write(file, ["stock_point", "level"], levels)
    policies = [tmp_path / "run", f"today={file}", "decomposition-aggregation"]
    by_run, by_file, by_rule = (simulate(firm, GivenFiles(), policy=str(policy), seed=4).states for policy in policies)
    assert by_run.equals(by_rule)
    assert by_file.equals(by_rule)
    assert by_run.order_quantity.nunique() > 2


def test_who_orders_where_nobody_named_a_policy_is_said_with_the_reason(tmp_path, capfd):
    (tmp_path / "pair.yaml").write_text(pair().to_yaml())
    by_default, named = (simulate(pair(), GivenFiles(), policy=p, seed=4) for p in (None, "decomposition-aggregation"))
    assert by_default.states.equals(named.states)
    assert named.default == ""
    assert run(["simulate", str(tmp_path / "pair.yaml"), "--seed", "4", "--out", str(tmp_path / "o.csv")]) == 0
    said = "ordered by decomposition-aggregation, the default where unmet demand is backordered"
    assert said in capfd.readouterr().err.splitlines()
    assert by_default.default == said.removeprefix("ordered by ")


def test_rules_that_recommend_move_demand_in_a_firm_with_customers():
    rules = ("none", "forecast-base-stock", "margin-greedy")
    nothing, alone, shown = (simulate(market(), GivenFiles(), policy=rule, seed=4).states for rule in rules)
    assert nothing.equals(alone)
    assert shown.demand.sum() > nothing.demand.sum() > 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("warehouse", 9)], "has no row for stock_point shop: add the row"),
        ([("warehouse", 9), ("shop", "1.5")], "line 3: level must be a whole number"),
        ([("depot", 9)], "stock_point must be one of warehouse, shop"),
    ],
)
def test_a_file_of_levels_that_is_none_is_refused(rows, said, tmp_path):
    write(tmp_path / "levels.csv", ["stock_point", "level"], rows)
    with pytest.raises(ValueError, match=said):
        simulate(pair(), GivenFiles(), policy=str(tmp_path / "levels.csv"))


def test_a_quantity_that_may_be_a_thousand_is_refused(tmp_path):
    write(tmp_path / "demand.csv", ["period", "stock_point", "quantity"], [(0, "shop", "1.000")])
    with pytest.raises(ValueError, match=r"quantity must be a whole number .* got '1\.000': write 1000 or 1$"):
        simulate(pair(), GivenFiles(demand=tmp_path / "demand.csv"))


def test_given_orders_that_the_firm_does_not_take_are_refused(tmp_path):
    limits = {"order_multiple": 6, "review_period": 2}
    firm = parse_firm(
        {"name": "s", "stock_points": {"shop": {"holding_cost": 1, "max_order": 60, "demand": 5} | limits}}
    )
    orders = tmp_path / "orders.csv"
    for given, said in (((7, 0), "7 in period 0, and would get 12"), ((6, 6), "6 in period 1, and would get 0")):
        orders.write_text("period,stock_point,quantity\n" + "".join(f"{t},shop,{n}\n" for t, n in enumerate(given)))
        expected = f"--orders: shop orders {said}: keep to its order_multiple and review_period"
        with pytest.raises(ValueError, match=expected):
            simulate(firm, GivenFiles(orders=orders), periods=2)

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from coordinator.cli import run
from environment import built_in_firms, load_firm, parse_firm

ROOT = Path(__file__).parents[3]
HEADER = "period,stock_point,quantity\n"
POINTS = ("warehouse", "retailer-1", "retailer-2", "retailer-3")
ORDERS = HEADER + "".join(f"{t},{point},5\n" for t in range(3) for point in POINTS)
DEMAND = HEADER + "".join(f"{t},{point},5\n" for t in range(3) for point in POINTS[1:])
EDGES = (("outside", "warehouse"), *(("warehouse", point) for point in POINTS[1:]))
LEAD_TIMES = "period,from,to,periods\n" + "".join(f"{t},{a},{b},2\n" for t in range(3) for a, b in EDGES)
SUPPLIERS = "period,stock_point,supplier\n0,retailer-1,warehouse\n"
INITIAL = "stock_point,on_hand\n" + "".join(f"{point},9\n" for point in POINTS)


def refused(arguments, capfd, status=2):
    assert run(arguments) == status
    stdout, stderr = capfd.readouterr()
    assert stdout == ""
    assert stderr.count("\n") == 1
    assert stderr.endswith("\n")
    assert stderr.startswith("firmwide: ")
    assert "Traceback" not in stderr
    return stderr


# option, content of its file, what the line says
FILES = {
    "empty": (
        "--orders",
        "",
        r"orders\.csv: column 'period' is missing; the header must be period,stock_point,quantity",
    ),
    "header only": ("--orders", HEADER, r"orders\.csv has no rows below its header: add them"),
    "unknown column": (
        "--orders",
        ORDERS.replace("quantity", "amount"),
        r"orders\.csv: column 'amount' is not known; the header must be period,stock_point,quantity",
    ),
    "missing column": (
        "--orders",
        "period,quantity\n0,3\n",
        r"orders\.csv: column 'stock_point' is missing; the header",
    ),
    "column twice": ("--orders", "period,period,stock_point,quantity\n0,0,warehouse,3\n", r"'period' is there twice"),
    "short row": ("--orders", ORDERS + "3,warehouse\n", r"orders\.csv line 14 has 2 cells, but the header has 3"),
    "unknown stock point": (
        "--orders",
        ORDERS + "3,shop,1\n",
        r"orders\.csv line 14: stock_point must be one of warehouse, retailer-1, .*got 'shop'",
    ),
    "unknown product": (
        "--orders",
        "period,stock_point,product,quantity\n0,warehouse,tea,1\n",
        r"orders\.csv line 2: product must be one of unit, got 'tea'",
    ),
    "row twice": (
        "--orders",
        ORDERS + "1,warehouse,5\n",
        r"orders\.csv line 14: period 1, stock_point warehouse stands on line 6 already; remove one",
    ),
    "row missing": (
        "--orders",
        ORDERS.replace("1,retailer-2,5\n", ""),
        r"orders\.csv has no row for period 1, stock_point retailer-2: add the row \(quantity 0 is a value too\)",
    ),
    "fraction": (
        "--orders",
        ORDERS.replace("2,warehouse,5", "2,warehouse,2.5"),
        r"line 10: quantity must be a whole .*'2\.5'",
    ),
    "negative": (
        "--orders",
        ORDERS.replace("2,warehouse,5", "2,warehouse,-1"),
        r"line 10: quantity .* from 0 to 150, got '-1'",
    ),
    "above max order": (
        "--orders",
        ORDERS.replace("0,retailer-1,5", "0,retailer-1,51"),
        r"orders\.csv line 3: quantity must be a whole number from 0 to 50, got '51'",
    ),
    "text": (
        "--orders",
        ORDERS.replace("0,warehouse,5", "0,warehouse,few"),
        r"line 2: quantity must be a whole .*'few'",
    ),
    "nan": (
        "--orders",
        ORDERS.replace("0,warehouse,5", "0,warehouse,nan"),
        r"line 2: quantity must be a whole .*'nan'",
    ),
    "blank": (
        "--orders",
        ORDERS.replace("0,warehouse,5", "0,warehouse,"),
        r"line 2: quantity must be a whole .*got ''",
    ),
    "negative period": (
        "--orders",
        ORDERS + "-1,warehouse,5\n",
        r"line 14: period must be a whole number from 0 .*'-1'",
    ),
    "period text": ("--orders", ORDERS + "monday,warehouse,5\n", r"line 14: period must be a whole number .*'monday'"),
    "far period": (
        "--orders",
        ORDERS + "99999,warehouse,5\n",
        r"orders\.csv has no row for period 3, stock_point warehouse",
    ),
    "bytes": ("--orders", b"\xff\xfe\x00", r"orders\.csv is not a csv file in UTF-8"),
    "demand of a warehouse": (
        "--demand",
        DEMAND + "0,warehouse,3\n",
        r"demand\.csv line 11: warehouse sells to no customer; remove the row",
    ),
    "demand missing": (
        "--demand",
        DEMAND.replace("2,retailer-3,5\n", ""),
        r"no row for period 2, stock_point retailer-3",
    ),
    "demand negative": (
        "--demand",
        DEMAND.replace("0,retailer-1,5", "0,retailer-1,-5"),
        r"demand\.csv line 2: quantity",
    ),
    "lead time zero": (
        "--lead-times",
        LEAD_TIMES.replace("1,warehouse,retailer-1,2", "1,warehouse,retailer-1,0"),
        r"lead-times\.csv line 7: periods must be a whole number from 1 to 1000, got '0'",
    ),
    "lead time fraction": (
        "--lead-times",
        LEAD_TIMES.replace("1,warehouse,retailer-1,2", "1,warehouse,retailer-1,1.5"),
        r"lead-times\.csv line 7: periods must be a whole number from 1 to 1000, got '1\.5'",
    ),
    "no such edge": (
        "--lead-times",
        LEAD_TIMES + "0,outside,retailer-1,1\n",
        r"lead-times\.csv line 14: outside -> retailer-1 is not an edge of the firm; remove the row",
    ),
    "edge missing": (
        "--lead-times",
        LEAD_TIMES.replace("1,outside,warehouse,2\n", ""),
        r"lead-times\.csv has no row for period 1, from outside, to warehouse: add the row",
    ),
    "to outside": (
        "--lead-times",
        LEAD_TIMES + "0,warehouse,outside,1\n",
        r"line 14: to must be one of .*got 'outside'",
    ),
    "not its supplier": (
        "--suppliers",
        SUPPLIERS.replace("warehouse", "outside"),
        r"suppliers\.csv line 2: retailer-1 buys from warehouse, got 'outside'",
    ),
    "initial with periods": (
        "--initial",
        "period,stock_point,on_hand\n",
        r"column 'period' is not known; .* stock_point,on_hand",
    ),
    "initial missing": (
        "--initial",
        INITIAL.replace("retailer-2,9\n", ""),
        r"no row for stock_point retailer-2: add the row",
    ),
    "initial negative": (
        "--initial",
        INITIAL.replace("retailer-2,9", "retailer-2,-9"),
        r"initial\.csv line 4: on_hand must",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_malformed_file_is_refused_with_one_line_and_nothing_is_written(case, tmp_path, capfd):
    option, content, expected = FILES[case]
    path = tmp_path / f"{option[2:]}.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = refused(["simulate", "a1", "--out", str(tmp_path / "states.csv"), option, str(path)], capfd)
    assert re.search(expected, line), line
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_a_choice_of_supplier_that_is_needed_is_refused_when_it_is_missing(tmp_path, capfd):
    path = tmp_path / "suppliers.csv"
    path.write_text("period,stock_point,supplier\n0,retailer-1,warehouse-3\n")
    line = refused(["simulate", "b1", "--out", str(tmp_path / "s.csv"), "--suppliers", str(path)], capfd)
    assert "retailer-1 buys from warehouse-1 or warehouse-2 or warehouse-4, got 'warehouse-3'" in line
    path.write_text("period,stock_point,supplier\n0,retailer-1,warehouse-1\n")
    line = refused(["simulate", "b1", "--out", str(tmp_path / "s.csv"), "--suppliers", str(path)], capfd)
    assert "has no row for period 0, stock_point retailer-2: add it with warehouse-1 or warehouse-2" in line


def test_files_of_several_products_need_the_column(tmp_path, capfd):
    path = tmp_path / "orders.csv"
    path.write_text(HEADER + "0,shop,3\n")
    line = refused(["simulate", "closing-loop", "--out", str(tmp_path / "s.csv"), "--orders", str(path)], capfd)
    assert "column 'product' is missing; the header must be period,stock_point,product,quantity" in line


def test_files_that_cover_different_periods_are_refused_unless_the_number_is_given(tmp_path, capfd):
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "demand.csv").write_text(DEMAND.replace("2,retailer-1,5\n2,retailer-2,5\n2,retailer-3,5\n", ""))
    arguments = ["simulate", "a1", "--out", str(tmp_path / "s.csv")]
    arguments += ["--orders", str(tmp_path / "orders.csv"), "--demand", str(tmp_path / "demand.csv")]
    line = refused(arguments, capfd)
    assert re.search(r"orders\.csv covers 3 periods and .*demand\.csv covers 2 periods: make them agree, or give", line)
    assert run([*arguments, "--periods", "2"]) == 0


# what stands on the command line, what the line says
LINES = {
    "unknown command": (["simulat", "a1"], r"No such command 'simulat'.*firmwide --help"),
    "unknown option": (["check", "a1", "--jason"], r"No such option: --jason"),
    "missing firm": (["check"], r"Missing argument 'FIRM'"),
    "one argument too many": (["check", "a1", "a2"], r"unexpected extra argument.*a2"),
    "missing out": (["simulate", "a1"], r"Missing option '--out'"),
    "option without value": (["simulate", "a1", "--out"], r"[Oo]ption '--out' requires an argument"),
    "seed text": (["simulate", "a1", "--out", "OUT", "--seed", "x"], r"Invalid value for '--seed'"),
    "seed negative": (["simulate", "a1", "--out", "OUT", "--seed", "-1"], r"Invalid value for '--seed'"),
    "no periods": (["simulate", "a1", "--out", "OUT", "--periods", "0"], r"Invalid value for '--periods'"),
    "unknown firm": (
        ["check", "a7"],
        r"FIRM must be a firm file or a built-in name \(see `firmwide scenarios`\), got 'a7'",
    ),
    "unknown scenario": (["scenarios", "a7"], r"NAME must be one of s1, s2, .*got 'a7'"),
    "unknown policy": (["simulate", "a1", "--out", "OUT", "--policy", "best"], r"policy must be .*, got 'best'"),
    "unknown level": (
        ["simulate", "a1", "--out", "OUT", "--policy", "base-stock:shop=3"],
        r"'shop' is not a stock point of a1; it has warehouse",
    ),
    "no such folder": (
        ["simulate", "a1", "--out", "no/where.csv"],
        r"--out: the folder 'no' does not exist; create it first",
    ),
    "out is a folder": (
        ["simulate", "a1", "--out", "."],
        r"--out must be a plain file, .* got '\.'; choose another name",
    ),
    "no such file": (
        ["simulate", "a1", "--out", "OUT", "--orders", "none.csv"],
        r"none\.csv cannot be read: No such file",
    ),
    "file is a folder": (["simulate", "a1", "--out", "OUT", "--orders", "."], r"cannot be read: Is a directory"),
    "policy and orders": (
        ["simulate", "a1", "--out", "OUT", "--policy", "reorder", "--orders", "kept.csv"],
        r"--policy and --orders both decide the orders: give one of them",
    ),
    "out is read": (
        ["simulate", "a1", "--out", "kept.csv", "--orders", "kept.csv"],
        r"--out must not be one of the files that are read, got 'kept\.csv'",
    ),
    "unknown observation": (
        ["train", "a1", "--observation", "all"],
        r"policy\.observation: input should be 'own', 'downstream', .*'all'",
    ),
    "observation of a scheme that has its own": (
        ["train", "a1", "--scheme", "marl", "--observation", "everything"],
        r"--observation is for imarl, sarl, sarl-gnn, pathwise; marl has no such setting",
    ),
    "share of a GPU": (["train", "a1", "--department-gpus", "-1"], r"Invalid value for '--department-gpus'"),
    "bad firm file": (["check", "kept.csv"], r"kept\.csv: a firm file must be a mapping"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_malformed_command_line_is_refused_with_one_line_and_nothing_is_written(case, tmp_path, capfd, monkeypatch):
    arguments, expected = LINES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept.csv").write_text("kept")
    line = refused(arguments, capfd)
    assert re.search(expected, line), line
    assert [path.name for path in tmp_path.iterdir()] == ["kept.csv"]
    assert (tmp_path / "kept.csv").read_text() == "kept"


def test_a_link_or_a_device_is_never_replaced_by_the_states(tmp_path, capfd):
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    link.symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for out in (link, tmp_path / "pipe"):
        assert "--out must be a plain file" in refused(["simulate", "a1", "--out", str(out)], capfd)
    assert link.is_symlink()
    assert (tmp_path / "pipe").is_fifo()


def test_a_refusal_of_the_real_command_is_one_line_without_a_traceback(tmp_path):
    command = [sys.executable, "-c", "from coordinator.cli import main; main()", "check", str(tmp_path / "none.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"firmwide: FIRM must be .*none\.yaml': No such file or directory\n", done.stderr)


def test_a_failure_inside_has_a_status_of_its_own(capfd, monkeypatch):
    import coordinator.evaluation.check

    def broken(firm):
        raise RuntimeError("the benchmark\nbroke down")

    monkeypatch.setattr(coordinator.evaluation.check, "facts", broken)
    assert refused(["check", "a1"], capfd, status=1) == "firmwide: the benchmark broke down\n"


def test_help_and_usage_errors_import_nothing_heavy():
    program = (
        "import sys; from coordinator.cli import run;"
        "assert [run(['--help']), run(['--version']), run(['nope'])] == [0, 0, 2];"
        "sys.exit(bool({'torch', 'ray', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "simulate" in done.stdout


def test_every_built_in_firm_is_listed_on_a_line(capfd):
    assert run(["scenarios"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == built_in_firms()
    assert run(["scenarios", "--json"]) == 0
    listed = json.loads(capfd.readouterr().out)["firms"]
    assert [firm["name"] for firm in listed] == built_in_firms()


@pytest.mark.parametrize("name", ["a1", "b6", "closing-loop"])
def test_a_scenario_s_file_is_a_start_for_one_s_own(name, tmp_path, capfd):
    assert run(["scenarios", name]) == 0
    path = tmp_path / "own.yaml"
    path.write_text(capfd.readouterr().out)
    assert load_firm(path) == load_firm(name)
    assert run(["scenarios", name, "--json"]) == 0
    assert parse_firm(json.loads(capfd.readouterr().out)) == load_firm(name)


def test_check_draws_the_network_and_says_what_a_planner_asks_first(capfd):
    assert run(["check", "b3"]) == 0
    out = capfd.readouterr().out
    assert "unmet demand is backordered" in out
    assert re.search(r"warehouse-3\n│   ├── retailer-4 -> customers\n│   └── retailer-5 -> customers", out)
    assert re.search(r"warehouse-4 +│ +2 │ +18\.33 │ +4 \(2\.\.6\) │ +\d+ │ +0\.6 │ +0 │ +150", out)


def test_check_prints_one_json_object(capfd):
    assert run(["check", "a1", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["firm"] == "a1"
    assert found["supply"][-1] == {"from": "outside", "to": "warehouse"}
    assert found["points"][0] == {
        **{"stock_point": "warehouse", "product": "unit", "echelon": 2, "faces_customers": False, "mean_demand": 30},
        **{"protection_interval": {"mean": 2, "low": 2, "high": 2}, "base_stock_level": 60, "holding_cost": 0.6},
        **{"backorder_cost": 0, "max_order": 150},
    }
    assert found["warnings"] == []


def test_check_warns_of_a_stock_point_that_can_never_keep_up(tmp_path, capfd):
    content = yaml.safe_load(load_firm("toy").to_yaml())
    content["stock_points"]["shop"]["max_order"] = 9
    (tmp_path / "firm.yaml").write_text(yaml.safe_dump(content))
    assert run(["check", str(tmp_path / "firm.yaml")]) == 0
    assert (
        "warning: shop: mean demand 10 of unit is above max_order 9, so it can never keep up" in capfd.readouterr().out
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "a1", "--backend", "local", "--budget", "1s", "--run", "a" * 300],
        ["simulate", "a1", "--policy", "a" * 300, "--out", "out.csv"],
        ["evaluate", "a1", "--policy", "a" * 300],
        ["status", "a" * 300],
        ["simulate", "a1", "--out", "a" * 300],
        ["report", "a" * 300],
        ["versions", "a" * 300],
    ],
)
def test_a_name_longer_than_a_file_s_may_be_is_bad_input(arguments, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(arguments, capfd)
    assert list(tmp_path.iterdir()) == []


def test_json_is_valid_whatever_a_label_says_and_a_number_is(capfd, monkeypatch):
    figures = {"policy": "Infinity NaN", "buckets": [[0.5, 1], [float("inf"), 2]]}
    connected = SimpleNamespace(metrics=lambda: figures)
    monkeypatch.setattr(
        "coordinator.live.running_firm.RunningFirm.connect", lambda *_: contextlib.nullcontext(connected)
    )
    assert run(["status", "shop", "--json"]) == 0
    told = json.loads(capfd.readouterr().out, parse_constant=pytest.fail)
    assert told == {"policy": "Infinity NaN", "buckets": [[0.5, 1], ["inf", 2]]}

import os

import numpy as np
import pytest

from coordinator.live.create import found
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.runs.folder import RunFolder
from coordinator.runs.policy_source import kept_versions
from coordinator.runs.train import train
from departments.play.default_rule import default_rule
from departments.policies.policy import RECOMMENDATION
from environment import load_firm
from tests.coordinator.live.test_operation import begun, resumed
from tests.departments.play.test_default_rule import lost
from tests.known_optima import tiny
from tests.small_firms import fresh, pair, tree, world_of
from tests.small_markets import market
from tests.small_runs import LOCAL, Record, settings


@pytest.fixture
def levels(tmp_path):
    file = tmp_path / "levels.csv"
    file.write_text("stock_point,level\nwarehouse,23\nshop,11\n")
    return file


@pytest.mark.parametrize(("text", "label"), [("today={}", "today"), ("{}", "{}")])
def test_a_department_follows_a_file_of_levels_under_the_name_that_it_is_given(text, label, levels):
    bundles = PolicyBundles(pair())
    found = bundles.policy("shop", text.format(levels))
    asked = bundles.policy("shop", "base-stock:warehouse=23,shop=11")
    assert found.label == label.format(levels)
    assert found.arrays.keys() == asked.arrays.keys()
    assert all(np.array_equal(found.arrays[name], asked.arrays[name]) for name in asked.arrays)


def test_a_name_stands_for_the_folder_of_a_run_and_before_a_rule(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(pair(), settings())
    for snapshot in fresh(*world_of(pair()), settings().policy):
        run.save_snapshot(snapshot, {})
    bundles = PolicyBundles(pair())
    assert bundles.policy("shop", f"spring={run.path}").label == "spring@0"
    assert bundles.policy("shop", f"spring={run.path}@0").label == "spring@0"
    assert bundles.policy("shop", f"{run.path}").label == "run@0"
    assert bundles.policy("shop", "today=reorder").label == "today"


def test_a_firm_begins_on_named_levels(levels, tmp_path):
    (tmp_path / "pair.yaml").write_text(pair().to_yaml())
    operation = begun(tmp_path / "f", str(tmp_path / "pair.yaml"), f"today={levels}")
    assert {name: bundle.label for name, bundle in operation.now.bundles.items()} == dict.fromkeys(
        ("warehouse", "shop"), "today"
    )
    assert operation.now.bundles["warehouse"].arrays["level"] == [23]


@pytest.mark.parametrize(("firm", "label"), [(lost(), "tuned-base-stock"), (pair(), "decomposition-aggregation")])
def test_where_nobody_names_a_policy_a_firm_begins_by_a_good_rule_and_says_why(firm, label, tmp_path):
    told = []
    found(tmp_path / "f", firm, None, seed=5, settings={}, report=told.append)
    reason = default_rule(firm).why
    assert told[-1] == f"departments begin by {reason}"
    kept = kept_versions(tmp_path / "f")
    assert {row["came_by"]["why"] for row in kept} == {f"the beginning: {reason}"}
    operation = resumed(tmp_path / "f")
    assert {bundle.label for bundle in operation.now.bundles.values()} == {label}
    operation.tick()
    again = resumed(tmp_path / "f")  # goes on by its book, whatever would be chosen today
    assert [b.arrays["level"].tolist() for b in again.now.bundles.values()] == default_rule(firm).rule.levels.tolist()


def test_levels_recommend_nothing_and_what_is_said_to_be_written_instead_works(tmp_path):
    firm = market()
    rows = [f"{name},{product},9" for name in firm.names for product in firm.products]
    file = tmp_path / "levels.csv"
    file.write_text("\n".join(["stock_point,product,level", *rows]))
    bundles = PolicyBundles(firm)
    with pytest.raises(ValueError, match=rf"recommends: write inventory-aware\+{file}"):
        bundles.policy(RECOMMENDATION, str(file))
    assert bundles.policy(RECOMMENDATION, f"inventory-aware+{file}").kind == bundles.benchmark(RECOMMENDATION).kind
    assert (bundles.policy(firm.names[0], f"inventory-aware+{file}").arrays["level"] == 9).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: file.write_text("stock_point,level\nshop,11\n"), "has no row for stock_point warehouse"),
        (os.mkfifo, "must be a plain file, with the header stock_point,level"),
        (lambda file: None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_holds_no_levels_is_refused_in_one_line(make, said, tmp_path):
    file = tmp_path / "deep" / "levels.csv"
    file.parent.mkdir()
    make(file)
    with pytest.raises(ValueError, match=said) as refused:
        PolicyBundles(pair()).policy("shop", f"today={file}")
    assert "\n" not in str(refused.value)


def test_an_optimum_is_followed_where_it_is_a_rule_of_each_point():
    line = PolicyBundles(load_firm("s1"))
    assert [float(line.rule(name, "optimum").arrays["level"][0]) for name in line.firm.names] == [70, 59, 47, 34]
    for department in ("shop", "recommendation"):
        with pytest.raises(ValueError, match="decides for all departments at once"):
            PolicyBundles(tiny()).rule(department, "optimum")


def test_a_policy_that_sees_what_is_not_there_is_refused_and_says_what(tmp_path):
    train(tree(disruption={"start": 0.1, "end": 0.5}), settings(), LOCAL, tmp_path / "run", Record())
    with pytest.raises(ValueError, match="sees shut/depot>west, which is not there; take another"):
        PolicyBundles(tree()).trained("west", tmp_path / "run")
    there = PolicyBundles(tree()).trained("east", tmp_path / "run")
    assert there.arrays["rows"].tolist() == [PolicyBundles(tree()).observer.labels().index("inventory_position/east")]

import json

import pytest

from coordinator.cli import run
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.registry import default_scheme
from environment import load_firm
from tests.coordinator.live.test_operation import asked, begun


def refused(capsys, *arguments):
    status = run(list(map(str, arguments)))
    error = capsys.readouterr().err
    assert status == 2
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["status", "nobody"], "NAME must be a firm in"),
        (["change", "nobody", "--firm", "a1", "--stock", "north"], "--stock must be NAME=NAME, each name once"),
        (["change", "nobody", "--firm", "a1", "--like", "a=b", "--like", "a=c"], "each name once, got 'a=c'"),
        (["change", "nobody", "--firm", "a1"], "NAME must be a firm in"),
        (["live"], "RUN|FIRM is missing"),
        (["live", "--name", "new"], "is no firm in"),
        (["live", "no-such-firm"], "FIRM must be a firm file or a built-in name"),
        (["live", "a1", "--name", "Upper"], "--name must be lower-case"),
        (["live", "a1", "--tick", "0s"], "--tick must be a time above 0"),
        (["live", "a1", "--tick", "fast"], "--tick must be a time above 0"),
        (["live", "a1", "--policies", "margin-greedy"], "needs a firm with customers"),
        (["live", "firm", "--policies", "reorder"], "recommendation recommends"),
        (["live", "a1", "--policies", "nowhere/run"], "neither a rule nor a run folder"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_leaves_nothing_behind(arguments, reason, capsys, tmp_path):
    assert reason in refused(capsys, *arguments, "--home", tmp_path / "live")
    assert not (tmp_path / "live").exists()


def test_a_firm_that_does_not_run_says_how_to_start_it_and_still_shows_its_history(capsys, tmp_path):
    operation = begun(tmp_path / "f", "a1")
    operation.tick()
    asked(operation, "pause", "retailer-1")
    operation.book.close()
    assert "firmwide live --name f" in refused(capsys, "status", "f", "--home", tmp_path)
    assert "--department must be one of warehouse" in refused(
        capsys, "history", "f", "--department", "shop", "--home", tmp_path
    )
    assert run(["history", "f", "--department", "retailer-1", "--json", "--home", str(tmp_path)]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["tick"], row["mode"], row["version"]) == (0, "policy", 1)
    assert len(row["saw"]) == 1
    assert run(["history", "f", "--events", "--csv", str(tmp_path / "e.csv"), "--home", str(tmp_path)]) == 0
    header, event = (tmp_path / "e.csv").read_text().splitlines()
    assert header.startswith("number,tick,time,kind,department,who,why")
    assert ",pause,retailer-1,me,why," in event


@pytest.mark.parametrize("order", ["x", "40.5", "unit=4,unit2=5", "-3", "p1=3"])
def test_an_order_that_is_none_is_refused(order, capsys, tmp_path):
    begun(tmp_path / "f", "a1").book.close()
    error = refused(capsys, "override", "f", "retailer-1", f"--order={order}", "--why", "test", "--home", tmp_path)
    assert "--order must be whole units such as unit=4" in error


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["recommendation"], "recommendation orders nothing: give --exposure"),
        (["recommendation", "--order", "p1=1,p2=1,p3=1"], "recommendation orders nothing: give --exposure"),
        (["recommendation", "--exposure", "store-1/families/p1"], "--exposure must be shares such as"),
        (["recommendation", "--exposure", "a/b/c=1,a/b/c=1"], "each once"),
        (["recommendation", "--exposure", "store-1/families/p1=."], "must be a number"),
        (["store-1"], "--order is needed for store-1"),
        (["store-1", "--exposure", "store-1/families/p1=1"], "for the recommendation department alone"),
    ],
)
def test_what_is_given_by_hand_must_be_what_the_department_decides(arguments, reason, capsys, tmp_path):
    begun(tmp_path / "f", "firm").book.close()
    assert reason in refused(capsys, "override", "f", *arguments, "--why", "test", "--home", tmp_path)


@pytest.mark.parametrize(("scheme", "firm"), [("sarl", "a1"), ("stsa-slow", "firm")])
def test_a_run_of_one_joint_department_cannot_be_put_into_operation_and_says_why(scheme, firm, capsys, tmp_path):
    RunFolder(tmp_path / "run").create(load_firm(firm), settings_of(scheme=scheme))
    error = refused(capsys, "live", tmp_path / "run", "--name", "joint", "--home", tmp_path / "live")
    assert f"trains one department for the whole firm ({scheme})" in error
    assert f"train {default_scheme(load_firm(firm))}" in error
    assert not (tmp_path / "live").exists()

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from coordinator.cli import run
from coordinator.explain.exact import exact_of, picture
from coordinator.explain.propositions import Exact, counted, explain
from coordinator.explain.show import findings_table
from departments.play.sensitivity import moments
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import RECOMMENDATION, PolicyConfig
from departments.policies.spec import DepartmentSpec
from departments.rules.optimum import optimum
from tests.known_optima import halves, tiny
from tests.small_firms import world_of


def departments(firm):
    """A world, its departments, and plain empty networks that decide for them."""
    world, observer = world_of(firm)
    kinds = {"shop": "replenishment", RECOMMENDATION: "recommendation"}
    configs = {name: PolicyConfig(observation=kind, form="plain", hidden=()) for name, kind in kinds.items()}
    members = [DepartmentSpec.of(world, observer, name, config) for name, config in configs.items()]
    return world, members, FirmPolicy(world, observer, [member.first_snapshot() for member in members])


def test_all_eight_directions_hold_for_the_optimum_of_a_firm():
    world, members, _ = departments(tiny())
    best = optimum(tiny())
    seen = moments(world, best, states=512, seed=0)
    exact = exact_of(world, best, members, seen)
    assert counted(exact.findings) == {"i": (2, 2), "ii": (2, 2), "iii": (2, 2), "iv": (2, 2)}
    assert exact.profit == pytest.approx(682.5, abs=0.05)
    assert exact.apart == {"p1": 0.0, "p2": 0.0}
    assert exact.agrees == 1.0


def test_where_later_recommendations_answer_the_fourth_need_not_hold():
    """Three units an order: what is pushed now is not pushed next, when the order arrives."""
    world, members, _ = departments(halves())
    best = optimum(halves())
    found = counted(exact_of(world, best, members, moments(world, best, states=256, seed=0)).findings)
    assert found == {"i": (2, 2), "ii": (2, 2), "iii": (2, 2), "iv": (0, 2)}


def test_departments_stand_beside_the_optimum():
    world, members, policy = departments(tiny())
    found = explain(world, policy, members, states=64)
    exact = exact_of(world, policy, members, found.seen)
    assert isinstance(exact, Exact)
    orders = np.concatenate(
        [exact.policy.decide(world, m.state, m.feedback, m.period, None).order[0] for m in found.seen], -1
    )
    half = np.abs(orders - 2.5).mean(1)  # empty plain networks order half of max_order
    assert list(exact.apart.values()) == pytest.approx(half.tolist(), abs=1e-5)
    assert exact.agrees == pytest.approx(1 / 3, abs=1e-6)  # and show either product or nothing alike

    titles = [axes.get_title() for axes in picture(world, policy, exact.policy, found.seen).axes]
    assert [title for title in titles if title] == [
        f"{who}: {what}"
        for who in ("the optimum", "the departments")
        for what in ("order of p1", "order of p2", "p1 shown", "p2 shown")
    ]
    whole = replace(found, exact=exact)
    text = io.StringIO()
    Console(file=text, width=200).print(findings_table(whole))
    assert "The optimum earns 682.50 an episode" in text.getvalue()
    assert "the optimum's" in text.getvalue()
    told = json.loads(json.dumps(whole.to_json()))["optimum"]
    assert set(told) == {"profit", "directions", "findings", "order_distance", "shows_the_same"}


def test_a_run_is_explained_beside_its_optimum(tmp_path, capsys):
    firm = tmp_path / "tiny.yaml"
    firm.write_text(tiny().to_yaml())
    trained = tmp_path / "run"
    words = ["train", str(firm), "--scheme", "mtma", "--backend", "local", "--threads", "1", "--run", str(trained)]
    small = ["--set", "copies=16", "--set", "iterations=1", "--set", "policy.memory=none", "--episodes", "16"]
    assert run([*words, *small]) == 0
    capsys.readouterr()
    assert run(["explain", str(trained), "--states", "16", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["optimum"]["profit"] == pytest.approx(682.5, abs=0.05)
    assert (trained / "optimum.png").exists()


def test_where_there_is_no_optimum_the_reason_is_told():
    world, members, policy = departments(tiny(segment={"volatility": 0.1}))
    seen = moments(world, policy, states=16, seed=0)
    assert "hidden regime" in exact_of(world, policy, members, seen)

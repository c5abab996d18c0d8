import io
import json
import re

import numpy as np
import pytest
import torch
from rich.console import Console

from coordinator.cli import run
from coordinator.explain.curves import agent_panels, theory_panels
from coordinator.explain.propositions import CLAIMS, Finding, explain, mean_and_half
from coordinator.explain.show import draw, findings_table, pairs
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import setup_of
from departments.named_policies import parse_policy
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import RECOMMENDATION, PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.recommendation import Pair
from tests.small_firms import pair, stirred, world_of
from tests.small_markets import market

GAIN = 0.05
POINTS = ("depot", "east", "west")


def by_hand(own, pipeline, order, heard, base=0.0):
    """Linear networks: a recommendation moves with stock and pipeline, an order with its position and last demand."""
    world, observer = world_of(market())
    configs = {name: PolicyConfig(observation="replenishment", form="plain", hidden=()) for name in POINTS}
    configs[RECOMMENDATION] = PolicyConfig(observation="recommendation", form="plain", hidden=())
    members = [DepartmentSpec.of(world, observer, name, config) for name, config in configs.items()]
    snapshots = []
    for role in members:
        flat = role.first_snapshot().parameters
        seen, outputs = len(role.rows), role.head.outputs
        weight = np.zeros((outputs, seen), dtype=np.float32)
        for k in range(3):
            if role.recommends:
                for segment, point in enumerate((1, 1, 2)):
                    weight[4 * segment + k, 3 * point + k] = own  # stock on hand, then first arrivals, then in transit
                    weight[4 * segment + k, 18 + 3 * point + k] = pipeline
            else:
                weight[k, k] = order  # positions come first; asked, handed and the season last
                weight[k, seen - 8 + k] = heard
        flat[: weight.size] = weight.ravel()
        flat[weight.size : weight.size + outputs] = base
        snapshots.append(Snapshot(role.name, 0, role.policy, flat))
    return world, FirmPolicy(world, observer, snapshots), members


def verdicts(found):
    return {(finding.direction, finding.over): finding.verdict for finding in found.findings}


@pytest.mark.parametrize(("sign", "expected"), [(1, "holds"), (-1, "does not hold"), (0, "not significant")])
def test_a_policy_made_with_a_direction_is_found_to_have_it(sign, expected):
    gain = sign * GAIN
    found = explain(*by_hand(gain, gain, -gain, gain), states=64)
    assert set(verdicts(found).values()) == {expected}
    assert set(found.summary) == set(CLAIMS)
    for holds, count in found.summary.values():
        assert holds == (count if sign == 1 else 0)


def test_each_direction_is_found_for_itself():
    found = explain(*by_hand(GAIN, -GAIN, GAIN, GAIN), states=64)
    assert verdicts(found) == {
        ("i", "its own stock"): "holds",
        ("i", "its own pipeline"): "does not hold",
        ("ii", "the others' stock"): "holds",
        ("ii", "the others' pipeline"): "does not hold",
        ("iii", "its own stock"): "does not hold",
        ("iii", "its own pipeline"): "does not hold",
        ("iv", "its own demand as if recommended"): "holds",
        ("iv", "another product's demand as if recommended"): "holds",
    }


def test_the_changes_of_a_linear_policy_are_its_gains():
    world, policy, members = by_hand(0, 0, -GAIN, 0)
    found = explain(world, policy, members, states=64)
    flow = world.network.mean_flow()
    for finding in found.findings:
        if finding.direction != "iii":
            continue
        for k, product in enumerate(world.firm.products):
            point = POINTS.index(finding.department)
            step, spread = max(round(flow[point, k]), 1), flow[point, k] if flow[point, k] > 1e-3 else 1.0
            expected = -GAIN * step / spread * float(world.max_order[point, k]) / 2
            change, half = finding.parts[f"{finding.department}/{product}"]
            assert change == pytest.approx(expected, rel=1e-4)
            assert half < 1e-5  # the same in every state


def test_a_department_that_recommends_by_stock_alone_is_not_said_to_look_at_the_pipeline():
    found = verdicts(explain(*by_hand(GAIN, 0, 0, 0), states=64))
    assert found["i", "its own stock"] == found["ii", "the others' stock"] == "holds"
    assert found["i", "its own pipeline"] == found["iii", "its own stock"] == "not significant"


def test_a_point_without_customers_and_a_product_that_is_not_sold_have_no_recommendation():
    found = explain(*by_hand(GAIN, GAIN, -GAIN, GAIN), states=64)
    assert {finding.department for finding in found.findings if finding.direction == "iv"} == {"east", "west"}
    (own,) = (f for f in found.findings if f.direction == "i" and f.over == "its own stock")
    assert list(own.parts) == ["east/a", "east/b", "east/c", "west/a", "west/b"]


class Rules:
    """Rules know no chances: what they show, they show."""

    def __init__(self, policy: Pair):
        self.decide = policy.decide

    def tendency(self, *seen):
        return self.decide(*seen)[:2]


def test_the_inventory_aware_and_the_forecast_driven_rule_have_theory_s_directions_and_the_blind_one_has_not():
    world, _, members = by_hand(0, 0, 0, 0)
    aware = Rules(parse_policy("inventory-aware:0.25+forecast-base-stock", world.firm))
    found = verdicts(explain(world, aware, members, states=128))
    assert found["i", "its own stock"] == found["ii", "the others' stock"] == "holds"
    assert found["iii", "its own stock"] == found["iii", "its own pipeline"] == "holds"
    assert found["iv", "its own demand as if recommended"] == "holds"
    assert found["iv", "another product's demand as if recommended"] == "holds"
    blind = Rules(parse_policy("margin-greedy+base-stock", world.firm))
    found = verdicts(explain(world, blind, members, states=64))
    assert found["i", "its own stock"] == found["ii", "the others' stock"] == "not significant"
    assert found["iv", "its own demand as if recommended"] == "not significant"


def test_what_training_started_from_is_measured_in_the_same_states():
    world, policy, members = by_hand(GAIN, GAIN, -GAIN / 20, GAIN / 20)
    alone = explain(world, policy, members, states=64)
    beside = explain(world, policy, members, start=by_hand(0, 0, -GAIN / 10, 0)[1], states=64)
    assert [finding.change for finding in beside.findings] == [finding.change for finding in alone.findings]
    for finding in beside.findings:
        if finding.direction == "iii":
            assert finding.start == pytest.approx(2 * finding.change, rel=1e-3)
        else:
            assert finding.start == pytest.approx(0.0, abs=1e-6)


def test_a_finding_is_the_same_for_the_same_seed():
    one, other, third = (explain(*by_hand(GAIN, GAIN, -GAIN, GAIN), states=64, seed=seed) for seed in (1, 1, 2))
    assert one.to_json() == other.to_json() != third.to_json()


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        mean, half = mean_and_half(rng.normal(1.0, 2.0, 200))
        inside += abs(mean - 1.0) < half
    assert 0.93 < inside / 1000 < 0.97


@pytest.mark.parametrize(
    ("change", "half", "expected", "verdict"),
    [
        (0.2, 0.1, 1, "holds"),
        (-0.2, 0.1, 1, "does not hold"),
        (0.2, 0.3, 1, "not significant"),
        (-0.2, 0.1, -1, "holds"),
        (0.2, 0.1, -1, "does not hold"),
        (0.0, 0.0, 1, "not significant"),
        (1e-9, 1e-10, 1, "not significant"),  # rounding
    ],
)
def test_a_verdict_asks_on_which_side_of_zero_the_interval_lies(change, half, expected, verdict):
    assert Finding("i", "d", "recommendation", "stock", expected, "units", {}, change, half).verdict == verdict


def test_theory_s_curves_have_the_directions_of_the_propositions():
    own, others, order, pushed = theory_panels()
    for curve in own.curves:
        assert (np.diff(curve.mean) >= 0).all()
    assert (np.diff(others.curves[0].mean) <= 0).all()
    for curve in order.curves:
        assert (np.diff(curve.mean) <= 0).all()
    assert pushed.curves[0].mean[::5] == [12, 16, 20, 24, 28]  # the golden example of Proposition 4
    assert pushed.curves[1].mean[::5] == [26, 22, 19, 15, 12]


def test_the_agent_s_curves_follow_the_policy_and_agree_with_the_directions():
    found = explain(*by_hand(GAIN, GAIN, -GAIN, GAIN), states=32)
    own, others, order, pushed = agent_panels(found)
    for panel, sign in ((own, 1), (others, -1), (order, -1)):
        for curve in panel.curves:
            assert (sign * np.diff(curve.mean) > 0).all(), (panel.title, curve.label)
            assert len(curve.half) == len(curve.at)
    *named, other = pushed.curves
    assert all((np.diff(curve.mean) > 0).all() for curve in named)
    assert (np.diff(other.mean) < 0).all()


def test_pictures_and_table_are_drawn(tmp_path):
    found = explain(*by_hand(GAIN, GAIN, -GAIN, GAIN), states=16)
    drawn = draw(found, tmp_path)
    assert [path.name for path in drawn] == ["explain.png", "regions.png"]
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG")
    text = io.StringIO()
    Console(width=160, file=text).print(findings_table(found))
    assert len(re.findall(r"│ holds +│", text.getvalue())) == len(found.findings)
    assert (
        "(iv) it rises with the product's own recommendation, and the other products' orders fall: 4 of 4 hold"
        in text.getvalue()
    )


def test_pairs_lie_where_their_effects_and_margins_put_them():
    world, policy, members = by_hand(0, 0, 0, 0)
    found = pairs(explain(world, policy, members, states=16))
    assert len(found) == 3 + 3 + 1  # c is not sold to west's one segment
    (effect, margin), _ = found[3]  # a and b of the young, who like all three equally
    assert effect == pytest.approx(1.0, rel=1e-5)
    assert margin == pytest.approx((10 - 6) / (9 - 5))


def saved_run(tmp_path, scheme="mtma", firm=None):
    firm = firm or market()
    settings = settings_of(scheme=scheme, policy=PolicyConfig(memory="gru", memory_size=4, hidden=(8,)))
    folder = RunFolder(tmp_path / "run")
    folder.create(firm, settings)
    for number, snapshot in enumerate(setup_of(firm, settings).base(settings).values()):
        folder.save_snapshot(stirred(snapshot, number, 0.05), {})
    return folder.path


@pytest.mark.parametrize("scheme", ["mtma", "stsa-fast", "siloed", "pathwise"])
def test_explain_reads_a_run_and_leaves_its_pictures_there(scheme, tmp_path, capfd):
    path = saved_run(tmp_path, scheme)
    assert run(["explain", str(path), "--states", "16", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["firm"], found["states"], list(found["directions"])) == ("market", 16, list(CLAIMS))
    names = ["joint"] if scheme == "stsa-fast" else [RECOMMENDATION, *POINTS]
    assert {finding["department"] for finding in found["findings"]} == set(names)
    assert all(finding["change_at_start"] is not None for finding in found["findings"])
    for finding in found["findings"]:
        if scheme == "siloed" and finding["decision"] == "recommendation":
            assert (finding["change"], finding["verdict"]) == (pytest.approx(0, abs=1e-6), "not significant")  # blind
    assert [path.exists() for path in (path / "explain.png", path / "regions.png")] == [True, True]


def test_a_run_that_cannot_be_explained_is_refused_with_one_line(tmp_path, capfd):
    other = RunFolder(tmp_path / "other")
    other.create(pair(), settings_of())
    empty = RunFolder(tmp_path / "empty")
    empty.create(market(), settings_of(scheme="mtma"))
    for path, expected in (
        (
            other.path,
            r"explain is for departments of a firm with customers \(.*mtma, .*\), and '.*' was trained by imarl",
        ),
        (empty.path, r"holds no policy yet: training has not begun; resume it"),
        (tmp_path / "none", r"is not a run folder"),
    ):
        assert run(["explain", str(path)]) == 2
        line = capfd.readouterr().err
        assert re.search(expected, line), line
        assert line.count("\n") == 1


def test_the_chance_to_be_shown_is_the_soft_max_of_the_network_s_outputs():
    world, policy, members = by_hand(GAIN, 0, 0, 0)
    del members
    state, feedback = world.reset(3), world.no_feedback(3)
    _, shown = policy.tendency(world, state, feedback, 0, None)
    logits = GAIN * (state.on_hand / policy._spread)[torch.tensor([1, 1, 2])]
    logits[2, 2] = -torch.inf
    expected = torch.softmax(torch.cat((logits, torch.zeros(3, 1, 3)), 1), 1)[:, :3]
    assert torch.allclose(shown, expected, atol=1e-6)

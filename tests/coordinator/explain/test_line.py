"""Where an order comes from: parts of a run's and of a running firm's orders, against the orders themselves."""

import dataclasses
import json

import numpy as np
import pytest

from coordinator.cli import run as command
from coordinator.experiments.run import Run
from coordinator.explain.line import parts_in_operation, parts_in_run
from coordinator.live.create import found as founded
from coordinator.live.create import source_of
from coordinator.live.policy_bundles import PolicyBundles
from departments.serving.numpy_policy import NumpyPolicy
from tests.small_firms import tree
from tests.small_runs import final_policies, settings


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a depot and its shops, two products, by gradients."""
    folder = tmp_path_factory.mktemp("run")
    final_policies(
        tree(products=("tea", "rice")),
        settings(scheme="pathwise", steps=None, pathwise={"updates": 6, "copies": 32, "learning_rate": 0.05}),
        folder,
    )
    return folder


def test_rule_usual_and_parts_sum_to_the_order_that_the_department_decides(trained):
    run = Run(trained)
    name = run.firm.names[-1]
    policy = NumpyPolicy(PolicyBundles(run.firm).policy(name, str(trained)))
    for period in (0, 7):
        for k, product in enumerate(run.firm.products):
            found = parts_in_run(trained, f"{name}/{product}", period, seed=3)
            labels = PolicyBundles(run.firm).observer.labels()
            seen = {label: value for label, value, _ in found.parts}
            own = np.array([seen[labels[row]] for row in policy.rows])
            order = policy.decide(own[:, None], policy.start(), period)[0][k, 0]
            assert found.wished == pytest.approx(float(order), abs=1e-3)
            assert found.parts, "the network must add something"
            assert sum(units for *_, units in found.parts) + found.usual == pytest.approx(found.wished - found.rule)


@pytest.mark.parametrize("form", ["residual", "plain"])
def test_of_a_linear_policy_parts_are_its_weights(trained, form):
    """Without hidden units an output is the weights times what is seen, in the scale of what it was trained on."""
    run = Run(trained)
    name = run.firm.names[-1]
    bundle = PolicyBundles(run.firm).policy(name, str(trained))
    rows, rng = len(bundle.arrays["rows"]), np.random.default_rng(0)
    weight, bias = rng.normal(size=(2, rows)), rng.normal(size=2)
    parameters = np.concatenate([weight.ravel(), bias, np.zeros(2)]).astype(np.float32)
    about = {**bundle.about, "hidden": [], "form": form}
    policy = NumpyPolicy(dataclasses.replace(bundle, about=about, arrays={**bundle.arrays, "parameters": parameters}))
    seen = rng.normal(20, 5, rows)
    centre, factor, _ = bundle.arrays["scales"]
    unit = bundle.arrays["unit"][1]
    found = policy.parts(seen, 1)
    expected = unit * weight[1] * (seen - centre) * factor
    expected[1] += (seen - centre)[1] * (form == "plain")  # the rule orders less by what the position is above
    np.testing.assert_allclose(found.by_row, expected, rtol=1e-4)
    order = policy.decide(seen[:, None], policy.start(), 0)[0][1, 0]
    assert found.rule + found.usual + found.by_row.sum() == pytest.approx(order, rel=1e-4)


def test_bars_a_page_and_json_tell_the_same(trained, tmp_path, capsys):
    name = Run(trained).firm.names[-1]
    line = ["explain", str(trained), "--order", f"{name}/tea", "--period", "5"]
    assert command([*line, "--html", str(tmp_path / "line.html")]) == 0
    told = capsys.readouterr().out
    assert "█" in told
    assert f"inventory_position/{name}/tea" in told
    assert f"Order of {name}" in (tmp_path / "line.html").read_text()
    assert command([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["deviation"] == pytest.approx(found["usual"] + sum(part["units"] for part in found["parts"]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--order", "moon"], "--order must be POINT or POINT/PRODUCT with one of"),
        (["--order", "{point}"], "/PRODUCT must name one of tea, rice, got none"),
        (["--order", "{point}/tea", "--period", "400"], "--period must be from 0 to"),
        (["--html", "x.html"], "--html is of one order"),
    ],
)
def test_what_is_no_order_is_refused(trained, arguments, said, capsys):
    point = Run(trained).firm.names[-1]
    assert command(["explain", str(trained), *(text.format(point=point) for text in arguments)]) == 2
    assert said in capsys.readouterr().err


def test_rules_have_no_parts(trained):
    firm = Run(trained).firm
    with pytest.raises(ValueError, match="has no network whose orders have parts: it is a rule"):
        NumpyPolicy(PolicyBundles(firm).benchmark(firm.names[0])).parts(np.zeros(2), 0)


def test_the_next_order_of_a_running_firm_has_the_same_parts_as_in_its_run(trained, tmp_path):
    firm, policies = source_of(str(trained), None)
    founded(tmp_path / "shop", firm, policies, seed=5, settings={"feed": None})
    name = firm.names[-1]
    living, in_run = parts_in_operation("shop", tmp_path, f"{name}/rice"), parts_in_run(trained, f"{name}/rice", 0)
    assert (living.period, living.product) == (0, "rice")
    assert living.wished == pytest.approx(in_run.wished)
    assert living.parts == in_run.parts
    with pytest.raises(ValueError, match="NAME must be a firm in"):
        parts_in_operation("moon", tmp_path, name)

"""Multipliers of service targets: where dual ascent comes to rest, and departments that learn towards a target."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from coordinator.evaluation.evaluate import evaluate
from coordinator.experiments.display import _service
from coordinator.learning.multipliers import Multipliers, ServiceConfig
from coordinator.report.run_page import run_page
from coordinator.runs.folder import RunFolder
from coordinator.schemes import registry
from coordinator.schemes.registry import register_scheme, scheme_of
from coordinator.schemes.setup import setup_of
from departments.learning.pathwise import PathwiseConfig
from departments.learning.timescale import StepLaw
from departments.play.service import implied_costs, meet_targets
from environment import CompiledWorld, World, load_firm, parse_firm
from tests.small_runs import Record, Stop, final_policies, settings

CONFIG = ServiceConfig(law=StepLaw(initial=0.5, decay=0.6, delay=20.0))


def shop(**target):
    """One shop with backorders whose stock nobody has priced."""
    point = {"holding_cost": 1, "max_order": 200, "demand": {"law": "poisson", "mean": 40}}
    periods = {"train": 32, "evaluate": 40, "warm_up": 10}
    return parse_firm({"name": "shop", "stock_points": {"shop": point}, "periods": periods, "service": target})


@pytest.mark.parametrize(("measure", "target"), [("fill_rate", 0.9), ("cycle_service", 0.98)])
def test_multipliers_come_to_rest_where_who_goes_by_them_meets_the_target(measure, target):
    """Whoever keeps the best level for a price h: F(S) = p / (p + h), with Poisson demand over two periods of 40."""
    moving = Multipliers.of(shop(**{measure: target}), CONFIG, np.full((1, 1), 1.0))
    for _ in range(300):
        level = stats.poisson.ppf(moving.price / (moving.price + 1.0), 80)
        units = np.arange(300)
        short = [np.maximum(units - level, 0) @ stats.poisson.pmf(units, mean)[:, None] for mean in (80, 40)]
        moving.move(1 - (short[0] - short[1]).reshape(1, 1) / 40, stats.poisson.cdf(level, 80))
    assert moving.reached.item() == pytest.approx(target, abs=0.015)  # a level is whole units
    exact = implied_costs(shop(**{measure: target}), meet_targets(shop(**{measure: target})).levels)
    assert moving.price.item() == pytest.approx(exact.item(), rel=0.25)


def test_without_anything_known_a_unit_short_is_worth_what_the_newsvendor_pays():
    moving = Multipliers.of(shop(fill_rate=0.9), CONFIG, np.full((1, 1), math.nan))
    assert moving.price.item() == pytest.approx(9.0)
    assert (
        Multipliers.of(
            parse_firm({"name": "x", "stock_points": {"shop": shop(fill_rate=0.9).stock_points["shop"]}}),
            CONFIG,
            np.ones((1, 1)),
        )
        is None
    )


def test_a_world_that_is_repriced_charges_that_and_so_does_its_core():
    world = World(shop(fill_rate=0.9), np.array([[60.0]]))
    core, chance = CompiledWorld(world), world.draw(5, 16, world.generator(1))
    orders = (chance.demand * 0.9).floor()
    spent = []
    for price in (0.0, 3.0):
        world.reprice(np.array([[price]]))
        state, total = world.reset(16), 0.0
        for t in range(5):
            state, outcome = world.step(state, orders[t], chance.at(t))
            total = total + outcome.cost
        np.testing.assert_allclose(core.play(world.reset(16), orders, chance).cost, total, rtol=1e-6)
        spent.append(float(total.sum()))
    assert spent[1] > spent[0] + 1


def _given(scheme, **changes):
    own = {"pathwise": {"pathwise": PathwiseConfig(updates=240, copies=32, learning_rate=0.02), "steps": None}}
    more = own.get(scheme, {"iterations": 40, "steps": 40 * 16 * 32, "copies": 16})
    service = ServiceConfig(every=2, episodes=128, law=StepLaw(initial=0.4, decay=0.6, delay=20.0))
    return settings(**({"scheme": scheme, "base_policy": "benchmark", "service": service} | more | changes))


def test_a_department_that_learns_by_gradients_moves_to_its_target(tmp_path):
    """It starts from the newsvendor's level, which serves 98.7% at once where 90% are asked for."""
    seen = Record()
    final_policies(shop(fill_rate=0.9), _given("pathwise"), tmp_path, watcher=seen)
    measured = RunFolder(tmp_path).table("service.csv")
    assert measured.reached.iloc[0] > 0.95
    assert measured.reached.iloc[-10:].mean() == pytest.approx(0.9, abs=0.015)
    assert measured.multiplier.iloc[-1] < measured.multiplier.iloc[0]
    metrics = RunFolder(tmp_path).table("metrics.csv")
    assert metrics.multiplier.iloc[-1] == pytest.approx(measured.multiplier.iloc[-1], rel=1e-4)
    assert seen.seen[-1].service[0]["target"] == 0.9
    assert any("a unit short is worth, to begin with" in note for note in seen.notes)
    text = "".join(map(str, run_page(tmp_path).sections))
    assert "Service targets" in text


@pytest.mark.parametrize("scheme", ["imarl", "marl", "sarl"])
def test_multipliers_move_with_every_scheme_and_a_resumed_run_is_as_if_it_had_not_stopped(scheme, tmp_path):
    firm, given = shop(cycle_service=0.9), _given(scheme, iterations=7, steps=7 * 16 * 32)
    whole = final_policies(firm, given, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        final_policies(firm, given, tmp_path / "part", watcher=Stop(after=5))
    assert final_policies(firm, given, tmp_path / "part", resume=True) == whole
    rows = [RunFolder(tmp_path / name).rows("service.csv") for name in ("whole", "part")]
    assert [row["multiplier"] for row in rows[0]] == [row["multiplier"] for row in rows[1]]
    assert len(rows[0]) == 3
    assert len({row["multiplier"] for row in rows[0]}) == 3


def test_the_panel_shows_the_targets_that_are_missed_most(capsys):
    row = {
        "stock_point": "shop",
        "product": "tea",
        "measure": "fill_rate",
        "target": 0.95,
        "reached": 0.91,
        "multiplier": 12.34,
    }
    assert _service([row | {"reached": 0.99}, row]).startswith("shop tea 0.9100 of 0.95 at 12.3   shop tea 0.9900")
    assert _service([row] * 5).endswith("and 2 more")


def test_what_cannot_meet_targets_or_has_none_is_refused(monkeypatch):
    monkeypatch.setattr(registry, "_SCHEMES", dict(registry._SCHEMES))
    spec = scheme_of("marl")
    register_scheme(type(spec)(**{**vars(spec), "name": "blind", "meets_targets": False}))
    with pytest.raises(ValueError, match="fill_rate of shop is not met by blind: remove it, or use imarl"):
        setup_of(shop(fill_rate=0.9), settings(scheme="blind"))
    plain = parse_firm({"name": "x", "stock_points": {"shop": {"holding_cost": 1, "max_order": 9, "demand": 3}}})
    with pytest.raises(ValueError, match="service is of firms with targets, and x has none"):
        setup_of(plain, _given("imarl"))


def _near_and_far(**emissions):
    """A shop that orders from a near supplier, whose units emit twice as much, and from a far one."""
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 25, "demand": {"law": "poisson", "mean": 5}}
    supply = [{"from": "outside", "to": "shop", "lead_time": 0, "emissions": 2}]
    supply += [{"from": "mill", "to": "shop", "lead_time": 2, "emissions": 1}]
    given = {"supplier_choice": "ordered", "suppliers": ["mill"], "stock_points": {"shop": point}, "supply": supply}
    periods = {"train": 32, "evaluate": 60, "warm_up": 20}
    return parse_firm({"name": "shop", "emissions": emissions, "periods": periods} | given)


def test_the_multiplier_of_a_cap_comes_to_rest_where_who_goes_by_it_keeps_to_it():
    moving = Multipliers.of(_near_and_far(cap=25), CONFIG, np.full((1, 1), math.nan))
    assert moving.short is None
    assert moving.emission == pytest.approx(1 * 5 / 25), "all that is allowed costs what a period's flow costs to hold"
    assert Multipliers.of(_near_and_far(cap=25, price=3), CONFIG, np.full((1, 1), math.nan)).emission == 3
    for _ in range(400):
        moving.move(np.ones((1, 1)), np.ones((1, 1)), 100 / (1 + moving.emission))
    assert moving.emission == pytest.approx(3, rel=0.01)
    assert moving.rows()[0] | {"multiplier": 0, "reached": 0} == {
        **{"stock_point": "", "product": "", "measure": "emissions", "target": 25.0},
        **{"multiplier": 0, "reached": 0},
    }


def test_departments_that_learn_keep_to_a_cap_at_the_price_that_makes_it_worth_while(tmp_path):
    """What they emit is then what the exact optimum at that price emits; without one all would be from near, and 10."""
    teaching = PathwiseConfig(updates=400, copies=32, learning_rate=0.01)
    service = ServiceConfig(every=4, episodes=128, law=StepLaw(initial=0.4, decay=0.6, delay=20.0))
    given, seen = settings(scheme="pathwise", pathwise=teaching, steps=None, service=service), Record()
    final_policies(_near_and_far(cap=6), given, tmp_path, watcher=seen)
    measured = RunFolder(tmp_path).table("service.csv")
    assert measured.reached.iloc[-10:].mean() == pytest.approx(6, rel=0.02)
    best = _near_and_far(price=float(measured.multiplier.iloc[-1]))
    told = evaluate(best, ["optimum"], episodes=512).to_json()["policies"]["optimum"]
    assert told["emissions"] == pytest.approx(6, rel=0.04)
    assert any("a unit of emission is worth, to begin with" in note for note in seen.notes)
    assert "Cap on emissions" in "".join(map(str, run_page(tmp_path).sections))
    assert _service(seen.seen[-1].service).startswith("emissions ")


def test_a_world_whose_emissions_are_repriced_charges_that_and_so_does_its_core():
    world = World(_near_and_far(cap=1), np.array([[60.0]]))
    core, chance = CompiledWorld(world), world.draw(5, 16, world.generator(1))
    orders = torch.full((5, 2, 1, 16), 7.0)
    spent = []
    for price in (0.0, 2.0):
        world.reprice(None, price)
        spent.append(core.play(world.reset(16), orders, chance).cost)
        state, total = world.reset(16), 0.0
        for t in range(5):
            state, outcome = world.step(state, orders[t], chance.at(t))
            total = total + outcome.cost
        np.testing.assert_allclose(spent[-1], total, rtol=1e-6)
    np.testing.assert_allclose(spent[1] - spent[0], 5 * 7 * (2 + 1) * 2.0)


def test_a_cap_where_customers_choose_is_refused():
    firm = load_firm("closing-loop").model_dump(by_alias=True, exclude_unset=True)
    supply = [edge | {"emissions": 1} for edge in firm["supply"]]
    with pytest.raises(ValueError, match=r"emissions\.cap is of firms with laws of demand, and customers choose here"):
        parse_firm(firm | {"supply": supply, "emissions": {"cap": 3}})

import shutil

import numpy as np
import pytest
import torch

from departments.decisions import OrdersAlone
from departments.learning.ppo import samples_first
from departments.numerics.graph import GraphConfig
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.episode import run_costs
from departments.play.rollout import rollout
from departments.play.stepping import play
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import FIRM, RECOMMENDATION, PolicyConfig
from departments.policies.spec import DepartmentSpec, point_of
from departments.rules.ordering import baseline_levels
from environment import NotCompiledError, World, load_firm
from environment.observation import Observer
from environment.streams import Stream, torch_stream
from environment.toolchain import COMPILERS
from tests.small_firms import fresh, stirred, tree, world_of
from tests.small_markets import Company, market

pytestmark = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")


def staged(firm, scaling="benchmark", **config):
    firm = load_firm(firm) if isinstance(firm, str) else firm
    levels = baseline_levels(firm)
    world = World(firm, levels)
    observer = Observer(world, levels, scaling)
    everyone = fresh(world, observer, PolicyConfig(hidden=(20, 8), **config))
    return world, observer, [stirred(snapshot, i, 0.2) for i, snapshot in enumerate(everyone)]


class Replay(OrdersAlone):
    """Acts as was recorded, in the eager world."""

    def __init__(self, world, observer, snapshots, slices, learning):
        self.configs = {snapshot.department: snapshot.config for snapshot in snapshots}
        self.actions = {name: part.action for name, part in zip(learning, slices, strict=True)}
        self.observer, self.period = observer, 0

    def order(self, world, state):
        shape = state.on_hand.shape
        order = self.observer.level.view(*shape[:2], 1) - state.inventory_position
        for name, actions in self.actions.items():
            point = point_of(name, world.firm.names)
            own = slice(None) if point == world.points else slice(point, point + 1)
            action = actions[self.period].view(order[own].shape)
            if self.configs[name].form == "residual":
                order[own] = order[own] + self.observer.spread.view(*shape[:2], 1)[own] * action
            else:
                order[own] = (action + 1.0) * (world.max_order[own] / 2.0)
        self.period += 1
        return order


def same(world, observer, snapshots, learning, copies=37):
    """What was done leads the eager world where it led, to the bit; and it is what networks and noise say."""
    compiled, periods = CompiledRollouts(world, observer), world.firm.periods.train
    found = rollout(world, observer, snapshots, learning, copies=copies, seed=(4, 1), compiled=compiled)
    replay = Replay(world, observer, snapshots, found.slices, learning)
    steps = list(play(world, replay, world.draw(periods, copies, torch_stream("cpu", Stream.TRAINING, 4, 1))))
    features = torch.stack([observer.all_features(state) for state in (steps[0].before, *(s.after for s in steps))])
    assert torch.equal(found.features, features)
    cost = torch.stack([step.outcome.cost for step in steps])
    torch.testing.assert_close(found.account, cost, rtol=1e-6, atol=1e-4)  # products are added up in another order
    by_name = {snapshot.department: snapshot for snapshot in snapshots}
    for name, one in zip(learning, found.slices, strict=True):
        spec = DepartmentSpec.of(world, observer, name, by_name[name].config)
        flat = torch.tensor(by_name[name].parameters)
        layers, _ = spec.shapes.split(flat)
        assert torch.equal(one.observation, features[:-1, list(spec.rows)])
        exact = [(one.double(), other.double()) for one, other in layers]
        mean = spec.shapes.forward(exact, samples_first(one.observation).double(), "relu").view(periods, copies, -1)
        noise, log_prob = spec.exploration(flat, periods, copies, (4, 1))
        assert torch.equal(one.log_prob, log_prob)
        torch.testing.assert_close(one.action.double(), mean.transpose(1, 2) + noise, rtol=1e-4, atol=1e-4)
        assert one.action.std() > 0.0


@pytest.mark.parametrize("firm", ["a1", "a4", "b1", "b4", "c3", "d1"])
@pytest.mark.parametrize(("scaling", "form"), [("standard", "residual"), ("bounds", "plain")])
def test_built_in_firms_are_rolled_out_as_period_by_period(firm, scaling, form):
    world, observer, snapshots = staged(firm, scaling, form=form)
    same(world, observer, snapshots, [*world.firm.names[1:], world.firm.names[0]])


@pytest.mark.parametrize("observation", ["own", "downstream", "everything", "pipeline"])
def test_whatever_a_department_observes(observation):
    world, observer, snapshots = staged(tree(products=("tea", "rice")), observation=observation)
    same(world, observer, snapshots, ["west", "east", "depot"])


def test_edges_that_may_be_shut_are_seen():
    world, observer, snapshots = staged(tree(products=("tea", "rice"), disruption={"start": 0.3, "end": 0.4}))
    assert observer.size - staged(tree(products=("tea", "rice")))[1].size == 4
    same(world, observer, snapshots, ["west", "east", "depot"])


def test_departments_that_are_missing_or_idle_follow_the_benchmark():
    world, observer = world_of(tree())
    depot, east, _ = fresh(world, observer, PolicyConfig(hidden=(8,)))
    same(world, observer, [depot, stirred(east, 3, 0.3)], ["east"])
    same(world, observer, [depot, stirred(east, 3, 0.3)], ["depot", "east"])
    same(world, observer, [], [])


@pytest.mark.parametrize("graph", [None, GraphConfig(layers=(4, 6), heads=2), GraphConfig(features="position")])
def test_one_department_may_decide_for_the_whole_firm(graph):
    world, observer = world_of(tree(products=("tea", "rice")))
    config = PolicyConfig(hidden=(8,), observation="everything", graph=graph)
    snapshot = stirred(DepartmentSpec.of(world, observer, FIRM, config, seed=1).first_snapshot(), 2, 0.2)
    same(world, observer, [snapshot], [FIRM])


@pytest.mark.parametrize("firm", ["a1", "b1", "d1", tree(products=("tea", "rice"))])
def test_evaluations_cost_what_they_cost_period_by_period(firm):
    world, observer, snapshots = staged(firm)
    chance = world.draw(world.firm.periods.evaluate - 1, 200, world.generator(3))
    found = CompiledRollouts(world, observer).costs(snapshots, chance).sum(0)
    eager = run_costs(world, FirmPolicy(world, observer, snapshots), chance).sum(0)
    close = np.isclose(found, eager, rtol=1e-5)  # but for orders that lie in the middle between two units
    assert close.mean() >= 0.97
    np.testing.assert_allclose(found.mean(), eager.mean(), rtol=1e-4)


MARKETS = {
    "all see": {},
    "one does everything": {"joint": True},
    "silos": {"siloed": True, "memory": "none"},
    "no rule": {"form": "plain"},
    "pairs are shown": {"memory": "stack", "firm": market(slots=2)},
    "backlog": {"firm": market(unmet="backorder")},
}


@pytest.mark.parametrize("case", MARKETS)
def test_firms_with_customers_are_rolled_out_as_period_by_period(case):
    company = Company(**{"memory": "gru"} | MARKETS[case])
    compiled, snapshots = CompiledRollouts(company.world, company.observer), list(company.snapshots.values())
    assert compiled.fits(snapshots)
    for learning in (company.names, company.names[-1:]):
        stage = company.world, company.observer, snapshots, learning, company.payment.account
        both = [rollout(*stage, copies=37, seed=(4, 1), compiled=way) for way in (compiled, None)]
        for found, expected in zip(
            *([r.features, r.account, *sum(map(tuple, r.slices), ())] for r in both), strict=True
        ):
            assert torch.equal(found, expected)
    chance = company.world.draw(24, 100, company.world.generator(3))
    expected = run_costs(company.world, company.policy(), chance)
    torch.testing.assert_close(compiled.costs(snapshots, chance).float(), expected, rtol=1e-6, atol=1e-2)


def test_departments_of_a_firm_with_customers_may_be_missing_or_blind_to_stock_or_know_nothing_of_customers():
    company = Company("gru")
    world, observer, everyone = company.world, company.observer, company.snapshots
    config = PolicyConfig(observation="customers", hidden=(8,))
    blind = stirred(DepartmentSpec.of(world, observer, RECOMMENDATION, config).first_snapshot(), 5)
    simple = [stirred(one, 1) for one in fresh(world, observer, PolicyConfig(hidden=(8,), observation="pipeline"))]
    compiled = CompiledRollouts(world, observer)
    for snapshots in ([everyone["east"]], [everyone["west"], blind], [blind], simple):
        learning = [snapshots[-1].department]
        stage = world, observer, snapshots, learning
        both = [rollout(*stage, copies=17, seed=(4, 1), compiled=way) for way in (compiled, None)]
        for found, expected in zip(*([r.features, r.account, *r.slices[0]] for r in both), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_tanh_and_double_precision_are_left_to_the_other_way():
    world, observer, snapshots = staged("a1", activation="tanh")
    assert not CompiledRollouts(world, observer).fits(snapshots)
    double = World(world.firm, baseline_levels(world.firm), dtype=torch.float64)
    with pytest.raises(NotCompiledError, match="single precision"):
        CompiledRollouts(double, Observer(double, baseline_levels(world.firm)))

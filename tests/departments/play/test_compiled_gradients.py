"""The gradient that the compiled world finds, beside that of PyTorch through the world of tensors."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from departments.learning.pathwise import counted_from, window_of
from departments.numerics.graph import GraphConfig
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.gradients import descend, descend_episode
from departments.policies.policy import FIRM, RECOMMENDATION, PolicyConfig
from departments.policies.spec import DepartmentSpec
from departments.rules.ordering import BaseStock, baseline_levels
from environment import World, load_firm, parse_firm
from environment.instances import instance_firm
from environment.observation import Observer
from environment.toolchain import COMPILERS
from tests.random_firms import examples, firms
from tests.small_firms import fresh, stirred, tree, world_of
from tests.small_markets import Company, market

pytestmark = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")


def drawn(world, observer, snapshots, copies, periods):
    """What says whether those order who may leave it, by department."""
    noise = {}
    for snapshot in snapshots:
        if snapshot.config.hybrid:
            spec = DepartmentSpec.of(world, observer, snapshot.department, snapshot.config)
            noise[snapshot.department] = spec.exploration(torch.tensor(snapshot.parameters), periods, copies, (5,))[0]
    return noise


def same(world, observer, snapshots, *, bound=2.0, others=(), copies=37, periods=12, seed=1, counted_from=0):
    """Both from a state that is not the first; the compiled gradients, after they were compared.

    A network's output may be rounded otherwise in PyTorch, which now and then sets an order apart by a unit: then it is
    another way through the periods, and another chance is taken.
    """
    compiled = CompiledRollouts(world, observer)
    policies = [*snapshots, *others]
    for chance_seed in range(seed, seed + 5):
        early, late = (world.draw(periods, copies, world.generator(chance_seed, part)) for part in range(2))
        start = descend(world, observer, policies, world.reset(copies), early).end
        how = {"noise": drawn(world, observer, snapshots, copies, periods), "first": 3}
        how["counted_from"] = counted_from
        expected = descend(world, observer, snapshots, start, late, bound, others, **how)
        found = compiled.descend(snapshots, start, late, bound, others, **how)
        if all(map(torch.equal, found.end, expected.end)):
            break
    else:
        pytest.fail("the two never went the same way")
    assert found.cost == pytest.approx(expected.cost, rel=1e-6, abs=1e-6)
    assert len(found.gradients) == len(snapshots)
    largest = max(float(gradient.norm()) for gradient in expected.gradients)
    for mine, theirs in zip(found.gradients, expected.gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-5 * largest)
    return found.gradients


def staged(firm, scaling="benchmark", hidden=(20, 8), **config):
    world, observer = world_of(load_firm(firm) if isinstance(firm, str) else firm, scaling)
    everyone = fresh(world, observer, PolicyConfig(hidden=hidden, **config))
    return world, observer, [stirred(snapshot, i, 0.1) for i, snapshot in enumerate(everyone)]


@pytest.mark.parametrize("firm", ["a1", "a4", "b1", "b4", "c3", "d1"])
@pytest.mark.parametrize(("scaling", "form"), [("standard", "residual"), ("bounds", "plain")])
def test_built_in_firms(firm, scaling, form):
    gradients = same(*staged(firm, scaling, form=form))
    assert sum(float(gradient.norm()) > 0.0 for gradient in gradients) > 1


@pytest.mark.parametrize("firm", ["one-warehouse-12", "cardboard-split"])
def test_emergencies_and_service_by_inventory_level(firm):
    gradients = same(*staged(parse_firm(instance_firm(firm)), "standard"))
    assert sum(float(gradient.norm()) > 0.0 for gradient in gradients) > 1


@pytest.mark.parametrize("allocation", ["proportional", "shortage", "learned"])
@pytest.mark.parametrize("over", ["joint", "shared"])
def test_scarce_stock_that_is_shared_out(allocation, over):
    """The external customers of the depot, too; whoever decides precedence learns it, in every class."""
    store = {"holding_cost": 1, "backorder_cost": 7, "max_order": 20, "demand": {"law": "poisson", "mean": 4}}
    points = {"depot": store | {"max_order": 40, "allocation": allocation}, "east": store, "west": store}
    supply = [{"from": "outside", "to": "depot", "capacity": 30}]
    supply += [{"from": "depot", "to": name} for name in ("east", "west")]
    firm = parse_firm({"name": "scarce", "products": ["tea", "rice"], "stock_points": points, "supply": supply})
    stage = staged(firm, over_products=over, observation="everything")
    depot = DepartmentSpec.of(*stage[:2], "depot", stage[2][0].config)
    for bound in (1e9, 0.05):
        gradients = same(*stage, bound=bound)
        assert all(float(gradient.norm()) > 0.0 for gradient in gradients)
        orders = 1 if over == "shared" else 2
        assert bool(depot.usual_orders(gradients[0])[orders:].all()), "of precedence, if there is any"


@pytest.mark.parametrize("observation", ["own", "downstream", "everything", "pipeline"])
@pytest.mark.parametrize("unmet", ["backorder", "lost"])
def test_whatever_a_department_observes(observation, unmet):
    same(*staged(tree(products=("tea", "rice"), unmet=unmet), observation=observation))


@pytest.mark.parametrize("form", ["residual", "plain"])
@pytest.mark.parametrize("over", ["joint", "shared"])
def test_whoever_may_leave_an_order_is_differentiated_where_there_is_one(over, form):
    world, observer, snapshots = staged(tree(products=("tea", "rice")), hybrid=True, over_products=over, form=form)
    always = snapshots[0].config.model_copy(update={"hybrid": False})
    spec = DepartmentSpec.of(world, observer, "depot", always)
    calm = [stirred(spec.first_snapshot(), 1, 0.1), *snapshots[1:]]
    for policies in (snapshots, calm):
        gradients = same(world, observer, policies)
        assert sum(float(gradient.norm()) > 0.0 for gradient in gradients) > 1
    same(world, observer, snapshots[1:], others=snapshots[:1])  # who does not learn orders where that is more likely


@pytest.mark.parametrize("hidden", [(), (7,), (33, 17, 5)])
def test_networks_of_any_depth(hidden):
    same(*staged(tree(), hidden=hidden, observation="pipeline"))


@examples(8)
@given(firms(), st.integers(0, 10_000), st.sampled_from(["downstream", "pipeline"]))
def test_random_firms_with_all_they_may_pay_for_and_wait_for(firm, seed, observation):
    world, observer, snapshots = staged(firm, hidden=(9,), observation=observation)
    assume(not world.network.rationing.any())  # whose gradient only PyTorch has
    same(world, observer, snapshots, copies=21, seed=seed)


def test_customers_who_choose_are_part_of_the_firm():
    same(*staged(market(), hidden=(9,), observation="pipeline"), copies=21)


def test_gradients_do_not_come_through_departments_that_follow_demand():
    world, observer, snapshots = staged(market(), observation="replenishment")
    with pytest.raises(
        ValueError, match="depot, east, west: gradients come through departments that add to base-stock"
    ):
        CompiledRollouts(world, observer).descend(snapshots, world.reset(5), world.draw(3, 5, world.generator(1)))


def test_what_a_unit_may_be_worth_is_bounded_where_it_is_ordered():
    stage = staged("a1")
    free, bounded = same(*stage, bound=1e9), same(*stage, bound=0.01)
    shorter = [float(b.norm() / f.norm()) for b, f in zip(bounded, free, strict=True)]
    assert min(shorter) < 0.3, shorter


def outages():
    """A shop whose supplier is shut a sixth of the time, for ten periods on average."""
    point = {"holding_cost": 1, "backorder_cost": 19, "max_order": 400, "demand": {"law": "poisson", "mean": 5}}
    edge = {"from": "outside", "to": "shop", "lead_time": 1, "disruption": {"start": 0.02, "end": 0.1}}
    return parse_firm({"name": "outages", "stock_points": {"shop": point}, "supply": [edge]})


def test_periods_before_those_that_count_cost_nothing():
    same(*staged("a1"), counted_from=5)
    same(*staged(outages()), counted_from=5, bound=1e9)


def test_of_a_stretch_whose_second_half_counts_the_best_level_is_that_of_the_long_run():
    """Counted from its start less stock would look better, as it costs at once and helps when an outage has lasted."""
    firm = outages()
    world = World(firm, baseline_levels(firm))
    chance = world.draw(1000, 512, world.generator(8))
    level = min(range(20, 150, 5), key=lambda units: _cost(world, units, chance))
    observer, network = Observer(world, np.array([[float(level)]])), world.network
    (snapshot,), compiled = fresh(world, observer, PolicyConfig(hidden=(8,))), CompiledRollouts(world, observer)
    periods, copies = window_of(network), 4096
    stretches = [world.draw(n, copies, world.generator(9, n)) for n in (100, periods)]
    start = compiled.descend([snapshot], world.reset(copies), stretches[0]).end

    def by_the_level(first):
        (gradient,) = compiled.descend([snapshot], start, stretches[1], counted_from=first).gradients
        return float(gradient[-2]) / 5.0  # an action is a mean demand

    assert abs(by_the_level(counted_from(network, periods))) < 0.15 < 0.3 < by_the_level(0)


def _cost(world, units, chance):
    rule = BaseStock("", np.array([[float(units)]]))
    return float(CompiledEpisodes(world, lambda _: None).costs(rule, chance).mean())


def test_the_gradient_passes_through_those_who_do_not_learn():
    world, observer, (depot, east, west) = staged(tree(), observation="everything")
    depot, east, west = (stirred(snapshot, i, 0.3) for i, snapshot in enumerate((depot, east, west)))
    acting, _ = same(world, observer, [depot, west], others=[east])
    following, _ = same(world, observer, [depot, west])  # the east follows the benchmark
    assert float((acting - following).norm()) > 0.01 * float(acting.norm())


def test_a_department_that_has_not_learned_anything_yet_learns():
    world, observer = world_of(tree())
    for gradient in same(world, observer, fresh(world, observer, PolicyConfig(hidden=(8,)))):
        assert float(gradient[-2].abs()) > 0.0, "of the output's bias"
        assert float(gradient[-1]) == 0.0, "of exploration, which there is none of"


@pytest.mark.parametrize("graph", [None, GraphConfig(layers=(4, 6), heads=2)])
def test_one_department_may_decide_for_the_whole_firm(graph):
    world, observer = world_of(tree(products=("tea", "rice")))
    config = PolicyConfig(hidden=(8,), observation="everything", graph=graph)
    same(world, observer, [stirred(DepartmentSpec.of(world, observer, FIRM, config, seed=1).first_snapshot(), 2, 0.2)])


def test_a_copy_more_or_less_than_fills_a_vector_counts_for_itself():
    """The mean over 33 copies is that over the first 16 and the other 17, weighted."""
    world, observer, snapshots = staged(tree())
    compiled, chance = CompiledRollouts(world, observer), world.draw(9, 33, world.generator(2))

    def gradient(copies):
        own = chance._replace(
            demand=chance.demand[..., copies],
            lead_time=None if chance.lead_time is None else chance.lead_time[..., copies],
        )
        size = own.demand.shape[-1]
        return size * torch.cat(compiled.descend(snapshots, world.reset(size), own).gradients)

    whole, parts = gradient(slice(33)), gradient(slice(16)) + gradient(slice(16, None))
    np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-4 * float(whole.norm()))


def same_episode(company, *, held=(), bound=2.0, copies=37, drawn=True):
    """An episode of a firm with customers, compiled and not, as `same`."""
    world, periods = company.world, company.world.firm.periods.train
    compiled, until = CompiledRollouts(world, company.observer), company.observer.until(periods)
    snapshots = [snapshot for name, snapshot in company.snapshots.items() if name not in held]
    others = [snapshot for name, snapshot in company.snapshots.items() if name in held]
    assert compiled.why_not_descending([*snapshots, *others]) is None
    for seed in range(5):
        chance, noise = world.draw(periods, copies, world.generator(seed)), None
        if drawn:
            noise = company.spec[RECOMMENDATION].exploration(company.flat(RECOMMENDATION), periods, copies, (seed,))[0]
        expected = descend_episode(world, until, snapshots, chance, noise, bound, others)
        found = compiled.descend_episode(snapshots, chance, noise, bound, others)
        if found.cost == pytest.approx(expected.cost, rel=1e-6, abs=1e-6):
            break
    else:
        pytest.fail("the two never went the same way")
    assert len(found.gradients) == len(snapshots)
    largest = max(float(gradient.norm()) for gradient in expected.gradients)
    for mine, theirs in zip(found.gradients, expected.gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=2e-3, atol=5e-5 * largest)
    return found.gradients


@pytest.mark.parametrize("form", ["residual", "plain"])
def test_episodes_of_customers_who_choose(form):
    gradients = same_episode(Company(form=form, stir=0.05))
    assert min(float(gradient.norm()) for gradient in gradients) > 0.0


def test_a_recommendation_that_does_not_learn_is_given():
    mine = same_episode(Company(stir=0.05), held=[RECOMMENDATION])
    assert len(mine) == 3
    same_episode(Company(stir=0.05), held=["depot"], bound=0.05)


def test_slots_may_be_divided_and_many_products_share_a_network():
    company = Company(stir=0.05, over="shared")
    same_episode(company)
    firm = market(salvage=0)
    company = Company(firm=firm, stir=0.05)
    config = company.snapshots[RECOMMENDATION].config.model_copy(update={"parts": 2})
    spec = DepartmentSpec.of(company.world, company.observer, RECOMMENDATION, config, seed=5)
    company.spec[RECOMMENDATION] = spec
    company.snapshots[RECOMMENDATION] = stirred(spec.first_snapshot(), 4, 0.05)
    same_episode(company)


def test_memories_and_several_slots_are_left_to_pytorch():
    for company, why in (
        (Company("stack"), "depot remembers (policy.memory: stack)"),
        (Company("gru"), "depot remembers (policy.memory: gru)"),
        (Company(firm=market(slots=2)), "recommendation fills 2 slots of a segment"),
    ):
        compiled = CompiledRollouts(company.world, company.observer)
        assert compiled.why_not_descending(list(company.snapshots.values())) == why

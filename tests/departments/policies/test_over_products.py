"""Departments of several products whose one network sees and decides a product at a time."""

import shutil

import pytest
import torch

from departments.department import Department
from departments.numerics.networks import forward
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.gradients import descend
from departments.play.rollout import rollout
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import FIRM, PolicyConfig
from departments.policies.spec import DepartmentSpec
from environment.toolchain import COMPILERS
from tests.small_firms import after_some_periods, fresh, stirred, tree, world_of
from tests.small_markets import Company

PRODUCTS = ("tea", "rice", "salt")
compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")


def shop(products=PRODUCTS):
    """The tree, whose products differ in what they cost."""
    firm = tree(products=products)
    costs = {product: 0.5 + number for number, product in enumerate(products)}
    points = {name: point.model_copy(update={"holding_cost": costs}) for name, point in firm.stock_points.items()}
    return firm.model_copy(update={"stock_points": points})


def staged(firm=None, **config):
    world, observer = world_of(firm or shop(), "standard")
    policy = PolicyConfig(**{"hidden": (8, 6), "over_products": "shared"} | config)
    return world, observer, [stirred(one, i) for i, one in enumerate(fresh(world, observer, policy))]


def both_ways(world, observer, snapshots, learning, copies=21, **ways):
    """The same rollout twice: in the compiled world, and period by period or as `ways` say."""
    stage = world, observer, snapshots, learning
    ways = ways or {"compiled": None}
    return [
        rollout(*stage, copies=copies, seed=(4, 1), **way)
        for way in ({"compiled": CompiledRollouts(world, observer)}, ways)
    ]


def equal(one, other):
    """Whether two rollouts are the same to the bit."""
    parts = [
        [found.features, found.account, *(field for part in found.slices for field in part)] for found in (one, other)
    ]
    return all(torch.equal(a, b) for a, b in zip(*parts, strict=True))


@pytest.mark.parametrize(("products", "said", "shared"), [(7, "auto", False), (8, "auto", True), (2, "shared", True)])
def test_from_eight_products_on_a_network_is_shared_unless_something_else_is_said(products, said, shared):
    world, observer = world_of(tree(products=[f"p{i}" for i in range(products)]))
    spec = DepartmentSpec.of(world, observer, "depot", PolicyConfig(over_products=said))
    assert (spec.clones, spec.head.orders) == ((products, 1) if shared else (1, products))
    assert spec.policy.over_products == ("shared" if shared else "joint")
    assert spec.network.observed == (3 + 8 if shared else 3 * products)


def test_of_one_product_there_is_nothing_to_share_and_attention_is_joint():
    world, observer = world_of(tree())
    assert DepartmentSpec.of(world, observer, "depot", PolicyConfig(over_products="shared")).clones == 1
    world, observer, _ = staged()
    with pytest.raises(ValueError, match=r"policy\.graph attends over all products"):
        DepartmentSpec.of(world, observer, FIRM, PolicyConfig(over_products="shared", graph={}))


@pytest.mark.parametrize("eager", [False, True])
def test_an_order_is_that_of_the_network_on_the_products_own_rows_and_traits(eager):
    world, observer, snapshots = staged()
    state = after_some_periods(world)
    order, _, _ = FirmPolicy(world, observer, snapshots, eager=eager).decide(world, state, None, 0, None)
    features, shape = observer.all_features(state), (3, 3, 1)
    for point, snapshot in enumerate(snapshots):
        spec = DepartmentSpec.of(world, observer, snapshot.department, snapshot.config)
        layers, _ = spec.shapes.split(torch.tensor(snapshot.parameters))
        for k in range(3):
            own = torch.cat((features[list(spec.rows)][k::3], observer.traits[point, :, k, None].expand(-1, 5)))
            base = observer.level.view(shape)[point, k] - state.inventory_position[point, k]
            expected = base + observer.spread.view(shape)[point, k] * forward(layers, own.T, "relu")[:, 0]
            torch.testing.assert_close(order[point, k], expected, rtol=1e-4, atol=1e-4)


@compiler
@pytest.mark.parametrize("observation", ["own", "downstream", "everything", "pipeline"])
def test_rollouts_in_the_core_are_those_period_by_period_to_the_bit(observation):
    world, observer, snapshots = staged(observation=observation)
    one, other = both_ways(world, observer, snapshots, ["west", "depot"])
    assert equal(one, other)
    part = one.slices[0]
    assert part.action.shape == (12, 1, 3 * 21)
    assert part.log_prob.shape == (12, 3 * 21)
    chance = world.draw(12, 40, world.generator(3))
    assert CompiledRollouts(world, observer).costs(snapshots, chance).std() > 0.0


@compiler
def test_one_department_may_decide_for_all_points_product_by_product():
    world, observer = world_of(shop(), "standard")
    config = PolicyConfig(hidden=(8,), observation="everything", over_products="shared")
    spec = DepartmentSpec.of(world, observer, FIRM, config, seed=1)
    assert (spec.head.orders, spec.network.observed) == (3, 3 + 3 * 8)
    assert equal(*both_ways(world, observer, [stirred(spec.first_snapshot(), 2)], [FIRM]))


@pytest.mark.parametrize("eager", [False, pytest.param(True, id="eager")])
def test_departments_that_act_by_message_do_what_their_snapshots_do(eager):
    world, observer, snapshots = staged()
    learning, departments = ["depot", "west"], {}
    for snapshot in snapshots:
        spec = DepartmentSpec.of(world, observer, snapshot.department, snapshot.config, compiled=not eager)
        departments[snapshot.department] = Department(spec)
        departments[snapshot.department].adopt(snapshot)
        departments[snapshot.department].begin((4, 1), 12, 9, snapshot.department in learning)

    def ask(seen):
        return {name: torch.tensor(departments[name].act(value.numpy())) for name, value in seen.items()}

    stage = world, observer, snapshots, learning
    assert equal(*(rollout(*stage, copies=9, seed=(4, 1), ask=way, eager=eager) for way in (ask, None)))


@compiler
@pytest.mark.parametrize("observation", ["own", "pipeline"])
def test_gradients_in_the_core_are_those_of_pytorch(observation):
    world, observer, snapshots = staged(shop(("tea", "rice", "salt", "milk", "bread")), observation=observation)
    for seed in range(5):
        chance = world.draw(10, 37, world.generator(seed))
        expected = descend(world, observer, snapshots, world.reset(37), chance, 2.0)
        found = CompiledRollouts(world, observer).descend(snapshots, world.reset(37), chance, 2.0)
        if all(map(torch.equal, found.end, expected.end)):
            break
    else:
        pytest.fail("the two never went the same way")
    largest = max(float(gradient.norm()) for gradient in expected.gradients)
    for mine, theirs in zip(found.gradients, expected.gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-5 * largest)


def test_products_that_change_places_change_them_in_all_that_is_decided():
    orders, state = [], after_some_periods(world_of(shop())[0])
    for products, back in ((PRODUCTS, False), (PRODUCTS[::-1], True)):
        world, observer = world_of(shop().model_copy(update={"products": products}))
        policy = PolicyConfig(hidden=(8, 6), over_products="shared", observation="pipeline")
        snapshots = [stirred(one, i) for i, one in enumerate(fresh(world, observer, policy))]
        seen = type(state)(*(part.flip(-2) for part in state)) if back else state
        order = FirmPolicy(world, observer, snapshots, eager=True).decide(world, seen, None, 0, None).order
        orders.append(order.flip(1) if back else order)
    torch.testing.assert_close(*orders, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(orders[0], orders[0].flip(1))


@compiler
@pytest.mark.parametrize("memory", ["none", "stack", "gru"])
@pytest.mark.parametrize("form", ["residual", "plain"])
def test_replenishment_of_a_firm_with_customers_may_be_shared(memory, form):
    company = Company(memory, form=form, over="shared")
    assert company.spec["depot"].clones == 3
    assert company.spec["recommendation"].clones == 1
    snapshots, compiled = list(company.snapshots.values()), CompiledRollouts(company.world, company.observer)
    stage = company.world, company.observer, snapshots, company.names, company.payment.account
    assert equal(*(rollout(*stage, copies=9, seed=(4, 1), compiled=way) for way in (compiled, None)))

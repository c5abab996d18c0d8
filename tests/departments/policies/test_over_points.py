"""One network for all stock points: what that of a point is, and that it acts and learns as such."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from departments.department import Department
from departments.numerics.networks import Shapes, forward
from departments.play.compiled_rollouts import CompiledRollouts
from departments.play.gradients import descend
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import FIRM, PolicyConfig
from departments.policies.spec import DepartmentSpec
from environment.toolchain import COMPILERS
from tests.small_firms import after_some_periods, fresh, stirred, tree, world_of

CONFIG = PolicyConfig(hidden=(8, 6), over_points="shared", observation="everything")
compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")


def staged(scaling="standard"):
    """The tree, all of whose departments follow one network that is no rule."""
    world, observer = world_of(tree(), scaling)
    one = stirred(fresh(world, observer, CONFIG)[0], 1)
    return world, observer, [replace(one, department=name) for name in world.firm.names]


@pytest.mark.parametrize("scaling", ["standard", "benchmark"])
def test_a_point_orders_what_the_shared_network_says_of_what_it_is_told(scaling):
    world, observer, policies = staged(scaling)
    state = after_some_periods(world)
    surplus = (state.inventory_position[:, 0] - observer.level).double().numpy()  # [N, E]
    likeness, flat = observer.likeness, torch.tensor(policies[0].parameters, dtype=torch.float64)
    centre, factor, limit = observer.scales()[:, : world.points, None].double().numpy()
    told = np.clip((surplus + observer.level.double().numpy() - centre) * factor, -limit, limit)  # as it is seen
    seen = likeness.weight @ (told / factor + centre - observer.level.double().numpy() + likeness.mean[:, None])
    fixed = likeness.fixed[..., None].repeat(surplus.shape[1], -1)
    told = torch.from_numpy(np.concatenate((seen, fixed), 1)).mT  # [N, E, TOLD]
    shapes = Shapes(told.shape[-1], CONFIG.hidden, 1)
    added = forward(shapes.split(flat)[0], told, "relu")[..., 0].numpy() * likeness.spread[:, None]
    order, _, _ = FirmPolicy(world, observer, policies).decide(world, state, None, 0, None)
    np.testing.assert_allclose(order[:, 0], added - surplus, rtol=1e-4, atol=1e-4)
    assert np.abs(added).min() > 0.01


@compiler
def test_gradients_through_the_core_are_those_of_torch():
    world, observer, policies = staged()
    chance, start = world.draw(12, 16, world.generator(3)), world.reset(16)
    one = descend(world, observer, policies, start, chance, 2.0)
    other = CompiledRollouts(world, observer).descend(policies, start, chance, 2.0)
    assert len(one.gradients) == len(other.gradients) == 3
    for slow, fast in zip(one.gradients, other.gradients, strict=True):
        assert slow.shape == policies[0].parameters.shape
        assert float(slow.norm()) > 1e-3
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5 * float(slow.norm()))


def test_without_a_last_layer_it_is_the_rule():
    world, observer, policies = staged()
    spec = DepartmentSpec.of(world, observer, "west", CONFIG)
    assert spec.is_rule(spec.first_snapshot())
    assert not spec.is_rule(replace(policies[0], department="west"))


def test_others_may_stand_in_another_order():
    world, observer, policies = staged("benchmark")
    firm = world.firm
    swapped = {name: firm.stock_points[name] for name in ("depot", "west", "east")}
    there, looking = world_of(firm.model_copy(update={"stock_points": swapped}))
    state = after_some_periods(world)
    order, _, _ = FirmPolicy(world, observer, policies).decide(world, state, None, 0, None)
    order_of = [there.firm.names.index(name) for name in firm.names]
    position = torch.empty_like(state.inventory_position)
    position[order_of] = state.inventory_position
    other = state._replace(inventory_position=position)
    again, _, _ = FirmPolicy(there, looking, policies).decide(there, other, None, 0, None)
    torch.testing.assert_close(again[order_of], order)


@pytest.mark.parametrize(
    ("firm", "name", "changes", "why"),
    [
        (tree(products=("tea", "rice")), "west", {"over_products": "shared"}, "firms of one product"),
        (tree(), "west", {"form": "plain"}, "policy.form must be residual"),
        (tree(), FIRM, {}, "departments of one stock point"),
        (tree(), "west", {"hybrid": True}, "nor policy.hybrid true"),
        (tree(), "west", {"observation": "pipeline"}, "sees positions alone, and west sees .*/"),
        (tree(disruption={"start": 0.1, "end": 0.5}), "west", {}, "west sees shut/"),
    ],
)
def test_what_it_cannot_be_is_refused(firm, name, changes, why):
    with pytest.raises(ValueError, match=f"policy.over_points: shared .*{why}"):
        DepartmentSpec.of(*world_of(firm), name, CONFIG.model_copy(update=changes))


def test_it_does_not_learn_by_ppo():
    world, observer, _ = staged()
    department = Department(DepartmentSpec.of(world, observer, "west", CONFIG))
    with pytest.raises(ValueError, match="gradients through the simulator alone"):
        department.learn((0,), (np.zeros((2, 3, 1)), np.zeros((2, 1))))

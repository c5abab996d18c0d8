import numpy as np
import pytest
from pydantic import ValidationError

from departments.policies.policy import PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from environment import load_firm
from tests.small_firms import tree, world_of


def _version_0(form):
    world, observer = world_of(tree())
    spec = DepartmentSpec.of(world, observer, "depot", PolicyConfig(form=form, hidden=(8,)), seed=7)
    return spec.first_snapshot(), spec


def test_a_residual_policy_is_idle_until_its_last_layer_says_something():
    snapshot, spec = _version_0("residual")
    assert spec.is_rule(snapshot)
    for place, idle in [(0, True), (-1, True), (-2, False), (-3, False)]:  # W1, log std, last bias, last weight
        parameters = snapshot.parameters.copy()
        parameters[place] += 0.5
        assert spec.is_rule(Snapshot("depot", 1, snapshot.config, parameters)) is idle


def test_a_plain_policy_is_never_idle_since_zero_is_an_order_of_half_the_limit():
    snapshot, spec = _version_0("plain")
    assert not spec.is_rule(snapshot)


def test_version_0_is_the_same_for_the_same_seed():
    (one, _), (two, _) = _version_0("plain"), _version_0("plain")
    assert one.version == 0
    np.testing.assert_array_equal(one.parameters, two.parameters)


@pytest.mark.parametrize(
    ("observation", "point", "inputs"),
    [("own", 0, 1), ("downstream", 0, 13), ("downstream", 1, 4), ("downstream", 12, 1), ("everything", 12, 13)],
)
def test_a_network_takes_in_what_its_observation_set_holds_on_c1(observation, point, inputs):
    world, observer = world_of(load_firm("c1"))
    shapes = DepartmentSpec.of(world, observer, world.firm.names[point], PolicyConfig(observation=observation)).shapes
    assert (shapes.inputs, shapes.outputs) == (inputs, 1)


def test_there_is_one_action_per_product():
    world, observer = world_of(tree(products=("tea", "rice")))
    shapes = DepartmentSpec.of(world, observer, "east", PolicyConfig(observation="own")).shapes
    assert (shapes.inputs, shapes.outputs) == (2, 2)


@pytest.mark.parametrize("wrong", [{"initial_std": 0}, {"form": "other"}, {"colour": 1}, {"activation": "gelu"}])
def test_a_configuration_refuses_what_it_does_not_know(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PolicyConfig(**wrong)

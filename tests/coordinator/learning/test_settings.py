from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from coordinator.experiments import options
from coordinator.experiments.options import config_file
from coordinator.learning.settings import DepartmentSettings
from coordinator.schemes.given_settings import kept_settings, part_used, settings_of, to_json
from coordinator.schemes.registry import names
from departments.learning.pathwise import window_of
from departments.learning.ppo import PPOConfig
from departments.policies.policy import PolicyConfig
from environment import Network, load_firm
from environment.parts import Periods
from tests.small_firms import tree
from tests.small_markets import market

CONFIGS = Path(options.__file__).with_name("configs")


@pytest.mark.parametrize("scheme", names())
def test_settings_survive_their_file(scheme):
    own = DepartmentSettings(policy=PolicyConfig(initial_std=0.25))
    given = settings_of(scheme=scheme, seed=3, policy=PolicyConfig(form="plain"), departments={"s": own}, seconds=12.5)
    assert kept_settings(to_json(given)) == given
    assert settings_of(to_json(given)) == given, "and hold nothing that the scheme does not use"


def test_a_department_has_the_runs_settings_but_for_its_own():
    own = DepartmentSettings(ppo=PPOConfig(learning_rate=0.25))
    given = settings_of(policy=PolicyConfig(hidden=(7,)), ppo={"epochs": 9}, departments={"shop": own})
    assert given.ppo_of("shop") == PPOConfig(learning_rate=0.25, epochs=9)
    assert given.policy_of("shop").hidden == (7,)
    assert given.ppo_of("depot") == PPOConfig(epochs=9)


def test_a_section_given_in_part_keeps_the_schemes_defaults_for_the_rest():
    given = settings_of(scheme="mtma", policy={"hidden": [8]}, critic={"gamma": 0.5})
    assert given.policy == PolicyConfig(form="plain", hidden=(8,), initial_std=0.6, clock=True, over_products="auto")
    assert (given.critic.gamma, given.critic.hidden, given.ppo.minibatch) == (0.5, (64, 64), 2048)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"copies": 10, "shards": 4}, "multiple of shards"),
        ({"scheme": "pathwise", "pathwise": {"copies": 9}}, r"pathwise\.copies must be a multiple of shards"),
        ({"copies": 0}, "copies"),
        ({"colour": "red"}, "colour"),
        ({"scheme": "magic"}, "scheme"),
        ({"seconds": 0}, "seconds"),
        ({"imarl": {"order": "random"}}, "order"),
        ({"critic": {"gamma": 1.0}}, "gamma"),
        ({"ppo": {"clip_ratio": -1}}, "clip_ratio"),
        ({"policy": {"observation": "all"}}, "observation"),
        ({"policy": 3}, "policy"),
        ({"departments": {"shop": {"rate": 1}}}, "rate"),
        ({"departments": {"shop": 1}}, "departments"),
        ({"policy": 3, "departments": {"shop": {"policy": {"hidden": [1]}}}}, "policy"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name_in_one_line(wrong, named):
    with pytest.raises(ValueError, match=named) as refused:
        settings_of(wrong)
    assert "\n" not in str(refused.value)


def test_settings_do_not_change_once_made():
    with pytest.raises(ValidationError, match="frozen"):
        settings_of().seed = 4


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGS.glob("*.yaml")))
def test_built_in_configurations_are_settings_of_every_scheme_without_customers(name):
    given = config_file(Path(name))
    assert given == yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    for scheme in ("imarl", "marl", "marl-gnn", "sarl", "sarl-gnn", "pathwise"):
        of_it = part_used(given | {"scheme": scheme}, among=tuple(names()))
        assert settings_of(of_it) != settings_of(scheme=scheme)


def test_of_many_products_that_share_networks_fewer_samples_are_asked_for_unless_they_are_said():
    def firm(products):
        return tree(products=[f"p{i}" for i in range(products)]).model_copy(update={"periods": Periods()})

    many = settings_of(scheme="pathwise", pathwise={"window": 9}).for_firm(firm(40))
    assert (many.pathwise.copies, many.pathwise.window, many.selection_episodes) == (64, 9, 512)
    said = settings_of(scheme="imarl", copies=128, train_periods=50, acceptance_episodes=99).for_firm(firm(400))
    assert (said.copies, said.train_periods, said.acceptance_episodes, said.selection_episodes) == (128, 50, 99, 128)
    least = settings_of(scheme="imarl").for_firm(firm(400))
    assert (least.copies, least.train_periods, least.acceptance_episodes) == (32, 32, 128)
    assert least.for_firm(firm(400)) == least
    for policy, products in (({}, 8), ({"over_products": "joint"}, 40)):
        same = settings_of(scheme="imarl", policy=policy)
        assert same.for_firm(firm(products)) is same


def test_episodes_of_firms_with_customers_keep_their_length():
    names = [f"p{i}" for i in range(16)]
    many = market().model_copy(update={"products": tuple(names)})
    found = settings_of(scheme="mtma").for_firm(many)
    assert (found.copies, found.train_periods) == (128, None)


@pytest.mark.parametrize(
    ("steps", "given", "copies"),
    [
        (None, {}, 256),  # without a budget of steps, as many as it says
        (1_000_000, {}, 256),  # 81 updates of 48 periods
        (300_000, {}, 64),  # 97, and 48 by twice as many copies
        (60_000, {}, 16),  # 78
        (6_000, {}, 16),  # vectors of 8 in each of two shards, however few that leaves
        (60_000, {"window": 16}, 32),
        (60_000, {"copies": 128}, 128),  # who says so gets it
    ],
)
def test_a_small_budget_of_steps_is_spent_on_updates_rather_than_copies(steps, given, copies):
    firm = load_firm("c3")
    assert window_of(Network.of(firm)) == 48
    once = settings_of(scheme="pathwise", steps=steps, pathwise=given).for_firm(firm)
    assert once.pathwise.copies == once.for_firm(firm).pathwise.copies == copies

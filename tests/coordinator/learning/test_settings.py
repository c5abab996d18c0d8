from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from coordinator.experiments import options
from coordinator.experiments.options import checked, config_file
from coordinator.learning.settings import DepartmentSettings, Settings
from departments.learning.ppo import PPOConfig
from departments.policies.policy import PolicyConfig

CONFIGS = Path(options.__file__).with_name("configs")


def test_settings_survive_their_file():
    given = Settings(
        seed=3,
        policy=PolicyConfig(form="plain", hidden=(5, 6)),
        departments={"shop": DepartmentSettings(ppo=PPOConfig(learning_rate=0.25))},
        seconds=12.5,
    )
    assert Settings.model_validate_json(given.model_dump_json()) == given


def test_a_department_has_the_runs_settings_but_for_its_own():
    own = DepartmentSettings(ppo=PPOConfig(learning_rate=0.25))
    given = Settings(policy=PolicyConfig(hidden=(7,)), departments={"shop": own})
    assert given.ppo_of("shop").learning_rate == 0.25
    assert given.policy_of("shop").hidden == (7,)
    assert given.ppo_of("depot") == PPOConfig()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"copies": 10, "shards": 4}, "multiple of shards"),
        ({"copies": 0}, "copies"),
        ({"colour": "red"}, "colour"),
        ({"scheme": "magic"}, "scheme"),
        ({"seconds": 0}, "seconds"),
        ({"imarl": {"order": "random"}}, "order"),
        ({"critic": {"gamma": 1.0}}, "gamma"),
        ({"ppo": {"clip_ratio": -1}}, "clip_ratio"),
        ({"policy": {"observation": "all"}}, "observation"),
        ({"departments": {"shop": {"rate": 1}}}, "rate"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(wrong, named):
    with pytest.raises(ValidationError, match=named):
        Settings(**wrong)


def test_settings_do_not_change_once_made():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().seed = 4


@pytest.mark.parametrize("name", sorted(file.stem for file in CONFIGS.glob("*.yaml")))
def test_built_in_configurations_are_settings(name):
    given = config_file(Path(name))
    assert given == yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert checked(Settings, given) != Settings()

"""The cluster file against Ray's own schema."""

from pathlib import Path

import pytest
import yaml
from click import ClickException
from jsonschema import ValidationError


def _checked(content):
    util = pytest.importorskip("ray.autoscaler._private.util")
    util.validate_config(util.prepare_config(content))


def test_the_cluster_file_is_valid_for_the_ray_cluster_launcher():
    content = yaml.safe_load((Path(__file__).parents[1] / "cluster.yaml").read_text())
    _checked(content)
    assert content["provider"]["type"] == "local"


@pytest.mark.parametrize("damage", [{"provider": {"type": "local"}}, {"setup_command": ["ls"]}])
def test_ray_refuses_a_damaged_cluster_file(damage):
    content = yaml.safe_load((Path(__file__).parents[1] / "cluster.yaml").read_text())
    with pytest.raises((ValueError, ClickException, ValidationError)):
        _checked(content | damage)

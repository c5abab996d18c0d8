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


def test_the_cloud_variant_below_the_line_is_valid_too_once_the_comment_marks_are_gone():
    text = (Path(__file__).parents[1] / "cluster.yaml").read_text()
    above, below = text.split("# ---- a cloud")
    cloud = yaml.safe_load("\n".join(line.removeprefix("#") for line in below.splitlines()[1:]))
    content = yaml.safe_load(above) | cloud
    _checked(content)
    assert content["provider"]["type"] == "aws"
    assert content["head_node_type"] in content["available_node_types"]
    assert content["available_node_types"]["gpu"]["resources"]["GPU"] == 1
    with pytest.raises((ValueError, ClickException, ValidationError)):
        _checked(content | {"head_node_type": "nobody"})


@pytest.mark.parametrize("damage", [{"provider": {"type": "local"}}, {"setup_command": ["ls"]}])
def test_ray_refuses_a_damaged_cluster_file(damage):
    content = yaml.safe_load((Path(__file__).parents[1] / "cluster.yaml").read_text())
    with pytest.raises((ValueError, ClickException, ValidationError)):
        _checked(content | damage)

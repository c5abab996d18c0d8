"""A rule of a user's own in a running firm: put live, swapped in, rolled back, by processes that import its module."""

import subprocess
import sys

import pytest

from coordinator.live.policies import read_bundle
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.live.replay import replay
from departments import extensions
from departments.rules import local
from departments.serving.numpy_policy import NumpyPolicy
from environment import load_firm
from tests.coordinator.live.test_operation import asked, begun, resumed

TEXT = """
from firmwide import register


@register.rule("missing-share", help="missing-share[:SHARE]: a share of what is missing to the level")
def missing_share(seen, share=0.5):
    return share * (seen.level - seen.inventory_position)
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The user's module, loaded here as by `firmwide --import FILE`."""
    monkeypatch.setattr(extensions, "_REMEMBERED", [])
    monkeypatch.setattr(local, "REGISTERED", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    place = tmp_path / "of_a_user_rules.py"
    place.write_text(TEXT)
    extensions.load([str(place)])
    yield place
    del sys.modules["of_a_user_rules"]


def ordered(row, level, share):
    return round(max(share * (level - row["inventory_position"]["unit"]), 0.0))  # halves to even, as the world


def test_a_rule_of_one_s_own_is_put_live_swapped_in_and_rolled_back(file, tmp_path):
    operation = begun(tmp_path / "f", "a1", "missing-share:0.25")
    makes = PolicyBundles(load_firm("a1"))
    level = {name: float(makes.levels[n, 0]) for n, name in enumerate(operation.layout.points)}
    for _ in range(3):
        for name, row in operation.tick()["departments"].items():
            assert row["order"]["unit"] == ordered(row, level[name], 0.25)
    bundle = makes.policy("retailer-1", "missing-share:share=0.75")
    assert asked(operation, "swap", "retailer-1", bundle).state == "done"
    operation.book.close()
    operation = resumed(tmp_path / "f")
    row = operation.tick()["departments"]["retailer-1"]
    assert (row["version"], row["order"]["unit"]) == (2, ordered(row, level["retailer-1"], 0.75))
    assert asked(operation, "rollback", "retailer-1").state == "done"
    row = operation.tick()["departments"]["retailer-1"]
    assert (row["version"], row["order"]["unit"]) == (1, ordered(row, level["retailer-1"], 0.25))
    assert replay(tmp_path / "f")["faults"] == []


def test_another_process_imports_the_module_that_a_kept_policy_names(file, tmp_path):
    begun(tmp_path / "f", "a1", "missing-share").book.close()
    program = (
        "import sys, pathlib, numpy as np\n"
        "from coordinator.live.policies import read_bundle\n"
        "from departments.serving.numpy_policy import NumpyPolicy\n"
        "assert 'of_a_user_rules' not in sys.modules\n"
        "policy = NumpyPolicy(read_bundle(pathlib.Path(sys.argv[1]), 'retailer-1', 1))\n"
        "seen = np.arange(1.0, 1 + len(policy.rows))[:, None]\n"
        "print(policy.decide(seen, policy.start(), 0)[0].item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "f/policies")], capture_output=True, text=True, check=True
    )
    policy = NumpyPolicy(read_bundle(tmp_path / "f/policies", "retailer-1", 1))
    level = PolicyBundles(load_firm("a1")).levels[1, 0]
    assert float(done.stdout) == 0.5 * (level - 1.0)  # the first row is the position
    assert policy.bundle.about["modules"] == [str(file)]


def test_a_module_that_is_gone_is_told_in_one_line(file, tmp_path, monkeypatch):
    begun(tmp_path / "f", "a1", "missing-share").book.close()
    monkeypatch.setattr(local, "REGISTERED", {})
    file.unlink()
    with pytest.raises(ValueError, match=r"cannot be followed: extension '.*of_a_user_rules.py' is not there"):
        read_bundle(tmp_path / "f/policies", "retailer-1", 1)


def test_the_process_of_a_department_with_our_rules_needs_no_torch():
    program = (
        "import sys; import departments.serving.policy_server; print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]

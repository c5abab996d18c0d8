import pytest

from coordinator.experiments.curves import learning_curve
from coordinator.runs.folder import RunFolder
from tests.small_firms import pair, tree
from tests.small_runs import final_policies, settings


def _size(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return tuple(int.from_bytes(content[place : place + 4], "big") for place in (16, 20))


@pytest.mark.parametrize(("firm", "scheme"), [(pair, "imarl"), (tree, "marl")])
def test_a_run_has_a_learning_curve(firm, scheme, tmp_path):
    final_policies(firm(), settings(iterations=4, scheme=scheme), tmp_path / "run")
    path = learning_curve(RunFolder(tmp_path / "run"))
    assert path == tmp_path / "run" / "learning-curve.png"
    assert _size(path) == (1080, 540)


def test_a_run_that_was_stopped_at_once_has_an_empty_one(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(pair(), settings())
    assert _size(learning_curve(run)) == (1080, 540)

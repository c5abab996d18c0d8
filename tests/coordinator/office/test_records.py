"""What the office tells of a department's policies."""

import pytest

from coordinator.office.records import _timescale
from coordinator.runs.folder import METRICS, RunFolder
from coordinator.schemes.given_settings import settings_of
from tests.small_firms import pair
from tests.small_markets import market


@pytest.mark.parametrize(
    ("scheme", "firm", "department", "said"),
    [
        ("imarl", pair, "shop", "learning rate 0.001"),
        ("sarl", pair, "firm", "learning rate 0.0003"),
        ("pathwise", pair, "shop", "learning rate 0.0007, falling with the budget"),
        ("mtma", market, "recommendation", "step law 0.002, decay 0.7, learning rate 0.0007 at this version"),
    ],
)
def test_how_fast_a_policy_learned_is_what_its_run_wrote_down(scheme, firm, department, said, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(firm(), settings_of(scheme=scheme))
    for version, rate in ((1, 0.001), (2, 0.0007), (3, 0.0005)):
        run.append("metrics.csv", METRICS, {"department": department, "version": version, "learning_rate": rate})
    assert _timescale(department, f"{run.path}@2", "run@2") == said
    assert _timescale(department, str(tmp_path / "none"), "run@2") is None

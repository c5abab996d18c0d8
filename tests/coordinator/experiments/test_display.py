import io
import math

import pytest
from rich.console import Console

from coordinator.experiments.display import Display
from coordinator.runs.watcher import RunIteration, RunStart
from departments.learning.ppo import UpdateStats

PPO = UpdateStats(0.01, 0.2, 1.5, 0.3, 1e-3)
GRADIENTS = UpdateStats(math.nan, math.nan, math.nan, 0.3, 1e-3)


def seen(cost=90.0, benchmark=100.0, learner=PPO):
    """An iteration that took so long that a plain line is due."""
    departments = {"shop": learner._asdict()}
    return RunIteration(9, 20.0, 1000, "shop", 2, 5, cost, True, benchmark, departments, {})


def started(display, tmp_path, earns=False):
    settings = {"seconds": 60.0}
    display.started(RunStart(tmp_path, "pair", "imarl", 0, earns), settings)
    return display


@pytest.fixture
def screen(monkeypatch):
    """What a terminal is shown, without its control sequences."""
    text = io.StringIO()
    terminal = Console(file=text, force_terminal=True, width=120, color_system=None, legacy_windows=False)
    monkeypatch.setattr("coordinator.experiments.display.Console", lambda **_: terminal)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    return text


def test_what_is_piped_gets_plain_lines_on_stderr_and_stdout_stays_clean(tmp_path, capsys):
    display = started(Display(), tmp_path)
    display.note("[bold]shop[/bold] is ready")
    display.iteration(seen())
    display.iteration(seen())
    display.finished(None)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    lines = err.splitlines()
    assert "[bold]shop[/bold] is ready" in lines[0], "names are not taken for markup"
    assert "shop 5  cost 90.0 (+10.00%)" in lines[1]
    assert len(lines) == 2, "lines come at most every ten seconds"


def test_a_firm_that_earns_is_shown_its_profit(tmp_path, capsys):
    started(Display(), tmp_path, earns=True).iteration(seen(-110.0, -100.0))
    assert "profit 110.0 (+10.00%)" in capsys.readouterr().err


def test_quiet_is_quiet(tmp_path, capsys):
    display = started(Display(quiet=True), tmp_path)
    display.note("ready")
    display.iteration(seen())
    assert capsys.readouterr() == ("", "")


def test_a_terminal_is_shown_what_was_measured_and_nothing_else(tmp_path, screen):
    display = started(Display(), tmp_path)
    display.note("shop is ready")
    display.iteration(seen())
    display.finished(None)
    assert "kl 0.0100   clipped 20%   entropy 1.50   gradient 0.3   rate 0.001" in screen.getvalue()
    assert "20s of 60s" in screen.getvalue()
    assert "shop is ready" in screen.getvalue()


def test_a_learner_without_a_divergence_shows_none(tmp_path, screen):
    display = started(Display(), tmp_path)
    display.iteration(seen(learner=GRADIENTS))
    display.finished(None)
    assert "nan" not in screen.getvalue()
    assert "gradient 0.3   rate 0.001" in screen.getvalue()

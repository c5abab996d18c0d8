import pytest

from coordinator.experiments.display import Display
from coordinator.schemes.imarl import Progress
from tests.small_firms import pair
from tests.small_runs import settings, training_of


@pytest.fixture(scope="module")
def seen():
    """One real iteration of a run, and the run."""
    _, training = training_of(pair(), settings())
    training.adopt(training.published["shop"])
    training.started -= 20  # so that a plain line is due
    return Progress("shop", 2, 5, 90.0, training.iterate(["shop"], (0, 1, 0))), training


def test_what_is_piped_gets_plain_lines_on_stderr_and_stdout_stays_clean(seen, capsys):
    progress, training = seen
    with Display("pair by imarl") as display:
        display.note("[bold]shop[/bold] is ready")
        display.iteration(progress, training, 90.0, 100.0)
        display.iteration(progress, training, 90.0, 100.0)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    lines = err.splitlines()
    assert "[bold]shop[/bold] is ready" in lines[0], "names are not taken for markup"
    assert "shop 5  cost 90.0 (+10.00%)" in lines[1]
    assert len(lines) == 2, "lines come at most every ten seconds"


def test_a_firm_that_earns_is_shown_its_profit(seen, capsys):
    progress, training = seen
    Display("shop", earns=True).iteration(progress, training, -110.0, -100.0)
    assert "profit 110.0 (+10.00%)" in capsys.readouterr().err


def test_quiet_is_quiet(seen, capsys):
    display = Display("pair", quiet=True)
    display.note("ready")
    display.iteration(*seen, 90.0, 100.0)
    assert capsys.readouterr() == ("", "")

"""How long a benchmark will still take."""

from pathlib import Path

import numpy as np
import pytest

from coordinator.experiments.progress import Forecast
from coordinator.experiments.trial import Finished, Trial, share_done
from coordinator.runs.folder import METRICS
from coordinator.schemes.given_settings import settings_of
from tests.small_firms import pair
from tests.small_runs import settings


def _trial(folder, seed, **changes):
    return Trial(pair(), settings(scheme="marl", seed=seed, **changes), folder / str(seed), 10, 1)


def _metrics(trial, seconds, env_steps, iteration=1):
    trial.folder.mkdir(parents=True)
    row = {"iteration": iteration, "seconds": seconds, "env_steps": env_steps}
    lines = [",".join(METRICS), ",".join(str(row.get(column, "")) for column in METRICS)]
    (trial.folder / "metrics.csv").write_text("\n".join(lines) + "\n")


def test_the_time_left_comes_from_running_trials_then_from_finished_ones(tmp_path):
    trials = [_trial(tmp_path, seed, iterations=10, steps=None) for seed in range(4)]
    forecast = Forecast(trials, {})
    assert forecast.left(2) is None
    _metrics(trials[0], 30.0, 5 * 16 * 12, iteration=5)
    assert share_done(trials[0]) == (0.5, 30.0)
    np.testing.assert_allclose(forecast.left(2), 60 + 60, err_msg="30 + 60 on one place, 60 + 60 on the other")
    forecast.learn(trials[0], Finished({"seconds": 70.0, "evaluation_seconds": 10.0}, {}, {}))
    np.testing.assert_allclose(forecast.left(2), 2 * 80)
    np.testing.assert_allclose(forecast.left(100), 80)


def test_where_wall_time_is_the_budget_how_long_rules_took_tells_nothing(tmp_path):
    """Levels are tuned for seconds in one firm and for minutes in another; training takes what it is given."""
    small, large = pair(name="small"), pair(name="large")
    given = settings(scheme="marl", steps=None, seconds=50.0)
    rules = [Trial(firm, None, tmp_path / firm.name / "rules", 10, 1) for firm in (small, large)]
    trials = [Trial(firm, given, tmp_path / firm.name / str(i), 10, 1) for firm in (small, large) for i in range(3)]
    forecast = Forecast(rules + trials, {})
    assert 6 * 50.0 <= forecast.left(1) < 7 * 50.0, "known from the start"
    for trial, took in ((rules[0], 5.0), (rules[1], 150.0), (trials[0], 60.0)):
        forecast.learn(trial, Finished({"seconds": took, "evaluation_seconds": 0.0}, {}, {}))
    np.testing.assert_allclose(forecast.left(1), 5 * 60)


LENGTHS = {"imarl": 10.0, "marl": 3.0, "stma-fast": 1.0, "mtma": 20.0}  # seconds, times the firm's own


def _schedule(rng, slowdown):
    """Trials of very different lengths on two places, firm by firm within a seed; when each begins and ends."""
    firms = [pair(name=f"firm-{i}") for i in range(5)]
    own = {firm.name: float(np.exp(rng.uniform(-1, 1))) for firm in firms}
    trials = [Trial(firm, None, Path(firm.name), 10, 1) for firm in firms]
    for seed in range(3):
        for firm in firms:
            for scheme in LENGTHS:
                trials.append(
                    Trial(firm, settings_of(scheme=scheme, seed=seed), Path(f"{firm.name}/{scheme}/{seed}"), 10, 1)
                )
    free, spans = [0.0, 0.0], {}
    for trial in trials:
        begin = min(free)
        took = own[trial.firm.name] * LENGTHS.get(trial.scheme, 2.0) * float(np.exp(0.1 * rng.standard_normal()))
        took *= slowdown if begin > 40 else 1.0
        spans[trial.folder] = (begin, begin + took)
        free[free.index(begin)] = begin + took
    return trials, spans


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("slowdown", "points"), [(1.0, (0.05, 0.1, 0.3, 0.6, 0.9)), (2.5, (0.4, 0.6, 0.9))])
def test_the_time_left_is_right_to_within_half_where_trials_differ_twentyfold(seed, slowdown, points):
    trials, spans = _schedule(np.random.default_rng(seed), slowdown)
    total = max(end for _, end in spans.values())
    for share in points:
        now = share * total

        def so_far(trial, now=now):
            begin, end = spans[trial.folder]
            return (
                None if trial.settings is None or begin >= now else (min((now - begin) / (end - begin), 1), now - begin)
            )

        done = {folder: (begin, end) for folder, (begin, end) in spans.items() if end <= now}
        took = {
            f: Finished({"seconds": end - begin, "evaluation_seconds": 0.0}, {}, {}) for f, (begin, end) in done.items()
        }
        left = Forecast(sorted(trials, key=lambda trial: spans[trial.folder][0]), took, so_far).left(2)
        assert 1 / 1.5 < left / (total - now) < 1.5, f"after {share:.0%}"


def test_a_budget_of_time_or_steps_tells_how_far_a_trial_is(tmp_path):
    trial = _trial(tmp_path, 0, iterations=1000, steps=None, seconds=40.0)
    assert share_done(trial) is None
    _metrics(trial, 30.0, 16 * 12)
    assert share_done(trial) == (0.75, 30.0)


def test_how_far_gradients_through_the_simulator_are_is_counted_in_updates(tmp_path):
    """Sixteen of a hundred, though as many environment steps as the other schemes' iterations have in all."""
    given = settings(scheme="pathwise", steps=None, pathwise={"updates": 100, "copies": 64})
    trial = Trial(pair(), given, tmp_path / "0", 10, 1)
    _metrics(trial, 30.0, 16 * 64 * 16, iteration=16)
    assert share_done(trial) == (0.16, 30.0)

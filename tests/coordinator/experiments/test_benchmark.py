import json
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from coordinator.cli import run
from coordinator.experiments import benchmark as module
from coordinator.experiments import trial as trials_module
from coordinator.experiments.benchmark import BenchmarkRequest, run_benchmark
from coordinator.experiments.curves import on_common_grid
from coordinator.experiments.progress import Forecast
from coordinator.experiments.tables import as_markdown, interquartile_mean, lines_of, mean_and_half, paired
from coordinator.experiments.trial import Finished, Trial, finished, keep, play, share_done
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import METRICS, RunFolder
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.registry import schemes_for
from coordinator.storage.policies import load_checkpoint
from coordinator.workers.ray_tasks import run_tasks, run_tasks_here
from environment import load_firm
from environment.grid import GRID
from tests.small_firms import pair
from tests.small_runs import Record, Stop, settings

SMALL = {
    "copies": 16,
    "select_every": 1,
    "selection_episodes": 40,
    "acceptance_episodes": 40,
    "iterations": 3,
    "steps": 3 * 16 * 12,
    "policy": {"hidden": [8]},
    "ppo": {"minibatch": 64, "learning_rate": 0.01},
    "critic": {"hidden": [8], "minibatch": 64},
    "base_policy": "random",
    "imarl": {"iterations": 3, "significance": 0, "least_gain": 0},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The firm and the settings as files."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "pair.yaml").write_text(pair().to_yaml())
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return folder


def asked(files, out, **changes):
    given = {"firms": [str(files / "pair.yaml")], "schemes": "imarl,marl", "out": out, "trials": 2}
    given |= {"config": files / "small.yaml", "episodes": 60, "backend": "local", "quiet": True}
    return BenchmarkRequest(**given | changes)


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """Two schemes, two trials each, all finished."""
    out = tmp_path_factory.mktemp("benchmark") / "out"
    benchmark = run_benchmark(asked(files, out))
    assert not benchmark.failed
    assert len(benchmark.results) == 5, "four trials and the rules"
    return benchmark


def results(out):
    """What was measured in every trial, times left out."""
    measured = {}
    for file in sorted(out.glob("runs/**/result.json")):
        about = json.loads(file.read_text())
        measured[str(file.relative_to(out))] = (about["policies"], about.get("curve"), about.get("env_steps"))
    return measured


def test_what_is_finished_is_not_repeated(files, done, monkeypatch):
    monkeypatch.setattr(module, "play", lambda trial: pytest.fail(f"{trial.name} was repeated"))
    before = {file: file.stat().st_mtime_ns for file in done.out.glob("runs/**/*") if file.is_file()}
    again = run_benchmark(asked(files, done.out))
    assert again.tables() == done.tables()
    assert {file: file.stat().st_mtime_ns for file in done.out.glob("runs/**/*") if file.is_file()} == before


def test_more_trials_are_added_to_those_that_are_there(files, done, tmp_path):
    first = run_benchmark(asked(files, tmp_path / "out", trials=1, schemes="marl"))
    stamp = next(first.out.glob("runs/pair/marl/0/result.json")).stat().st_mtime_ns
    more = run_benchmark(asked(files, tmp_path / "out"))
    assert next(first.out.glob("runs/pair/marl/0/result.json")).stat().st_mtime_ns == stamp
    assert results(more.out) == results(done.out)


def test_a_half_done_trial_goes_on_from_its_checkpoint_and_ends_the_same(files, done, tmp_path, monkeypatch):
    monkeypatch.setattr(trials_module, "trackers", lambda _: [Stop(after=2)])
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(asked(files, tmp_path / "out"))
    assert (tmp_path / "out" / "table.md").is_file(), "what there is can be looked at"
    watchers = []
    monkeypatch.setattr(trials_module, "trackers", lambda _: watchers.append(Record()) or watchers[-1:])
    assert results(run_benchmark(asked(files, tmp_path / "out")).out) == results(done.out)
    undisturbed = len(RunFolder(done.out / "runs/pair/imarl/0").rows("metrics.csv"))
    assert len(watchers[0].turns) <= undisturbed - 1
    rows = RunFolder(tmp_path / "out/runs/pair/imarl/0").rows("metrics.csv")
    assert [int(row["iteration"]) for row in rows] == list(range(1, undisturbed + 1))


def test_a_failed_trial_is_reported_stops_nobody_and_is_tried_again(files, tmp_path, monkeypatch, capfd):
    def fails(trial):
        if trial.name == "pair marl seed 0":
            raise RuntimeError("the roof\ncame down")
        return play(trial)

    arguments = ["benchmark", str(files / "pair.yaml"), "--schemes", "marl", "--trials", "2", "--backend", "local"]
    arguments += ["--config", str(files / "small.yaml"), "--episodes", "60", "--out", str(tmp_path / "out"), "--json"]
    monkeypatch.setattr(module, "play", fails)
    assert run(arguments) == 1
    stdout, stderr = capfd.readouterr()
    assert stderr == "firmwide: pair marl seed 0 failed: came down; the same command tries it again\n"
    told = json.loads(stdout)
    assert told["failed"] == {"pair marl seed 0": "came down"}
    assert [line["trials"] for line in told["firms"]["pair"] if line["policy"] == "marl"] == [1]
    assert "the roof" in (tmp_path / "out/runs/pair/marl/0/error.txt").read_text()
    monkeypatch.setattr(module, "play", play)
    assert run(arguments) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["failed"] == {}
    assert [line["trials"] for line in told["firms"]["pair"] if line["policy"] == "marl"] == [2]
    assert not (tmp_path / "out/runs/pair/marl/0/error.txt").exists()


def test_the_interquartile_mean_and_its_interval_are_those_of_scipy():
    values = [*np.random.default_rng(4).standard_normal(9), 60.0]  # one seed that did not learn moves nothing
    mean, low, high = interquartile_mean(values)
    assert mean == pytest.approx(stats.trim_mean(values, 0.25))
    theirs = stats.bootstrap([values], lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), method="percentile", rng=0)
    np.testing.assert_allclose([low, high], theirs.confidence_interval, atol=0.06)
    assert abs(mean) < 1 < np.mean(values)


def test_four_trials_have_a_middle_half_in_table_and_caption(done):
    rules, learned = done.rows("pair")[:3], done.rows("pair")[3:]
    four = [row | {"seed": row["seed"] + 10 * turn} for turn in (1, 2) for row in learned]
    lines = lines_of([*rules, *four], ["imarl", "marl"])
    assert [line.middle is not None for line in lines] == [False] * 3 + [True] * 2
    text = as_markdown({"pair": lines}, 8)
    assert "| IQM |" in text
    assert "mean of the middle half" in text
    assert "IQM" not in as_markdown(done.tables(), 8)


def test_the_table_can_be_recomputed_from_the_rows(done):
    rows = pd.read_csv(done.out / "results.csv")
    assert len(rows) == 3 + 4
    marl, imarl = (rows[rows.policy == name].set_index("seed").result for name in ("marl", "imarl"))
    assert marl.nunique() == 2, "trials must differ for a comparison to mean anything"
    lines = {line.policy: line for line in done.tables()["pair"]}
    assert lines["marl"].base == "imarl"
    half = stats.sem(marl) * stats.t.ppf(0.975, 1)
    np.testing.assert_allclose([lines["marl"].mean, lines["marl"].half], [marl.mean(), half])
    difference = marl - imarl
    interval = stats.t.interval(0.95, 1, difference.mean(), stats.sem(difference))
    found = lines["marl"].difference + np.array([-1, 1]) * lines["marl"].difference_half
    np.testing.assert_allclose(found, interval)
    tuned = rows[rows.policy == "tuned base-stock"].iloc[0]
    np.testing.assert_allclose(lines["tuned base-stock"].difference, (tuned.result - imarl).mean())
    for column in ("fill_rate", "order_variability", "seconds", "samples_per_second"):
        np.testing.assert_allclose(getattr(lines["marl"], column), rows[rows.policy == "marl"][column].mean())
    table = (done.out / "table.md").read_text()
    assert f"| marl | 2 | {marl.mean():,.1f} ± {half:,.1f} | {difference.mean():+,.1f} ±" in table


def test_differences_are_paired_on_the_same_episodes(done):
    rows = pd.read_csv(done.out / "results.csv").set_index(["policy", "seed"])
    costs = {
        name: load_checkpoint(done.out / "runs/pair" / name / "episodes.safetensors")[0]
        for name in ("marl/1", "imarl/1", "rules")
    }
    row, own = rows.loc[("marl", 1)], costs["marl/1"]["marl"]
    assert len(own) == 60
    for base, other in {**costs["rules"], **costs["imarl/1"]}.items():
        np.testing.assert_allclose(row[f"minus {base}"], (own - other).mean())
        np.testing.assert_allclose(row[f"minus {base} se"], stats.sem(own - other))
    np.testing.assert_allclose(row["result"], own.mean())
    np.testing.assert_allclose(row["result"], row["result at warehouse"] + row["result at shop"], rtol=1e-6)
    assert rows.loc[("imarl", 0)].isna()["minus imarl"]


def test_every_trial_and_the_rules_play_the_same_episodes_whatever_their_seed(files, done, tmp_path):
    """A department that never learns is its benchmark, so its costs are the rule's, episode by episode."""
    still = yaml.safe_dump(
        SMALL | {"base_policy": "benchmark", "imarl": {"iterations": 1, "significance": 1000}, "steps": 16 * 12}
    )
    (tmp_path / "still.yaml").write_text(still)
    same = run_benchmark(asked(files, tmp_path / "out", schemes="imarl", config=tmp_path / "still.yaml"))
    costs = [result.episodes for result in same.results.values()]
    assert len(costs) == 3
    for own in costs[1:]:
        np.testing.assert_array_equal(own["imarl"], costs[0]["decomposition-aggregation"])


def test_the_picture_and_the_settings_stand_beside_the_results(done):
    assert (done.out / "learning-curves-pair.png").read_bytes().startswith(b"\x89PNG")
    marks = json.loads((done.out / "benchmark.json").read_text())
    assert marks["settings"]["copies"] == 16
    assert "scheme" not in marks["settings"]


REFUSALS = {
    "no firm": ({"firms": []}, r"FIRMS is missing: name built-in firms"),
    "unknown firm": ({"firms": ["nowhere"]}, r"FIRM must be a firm file or a built-in name .*'nowhere'"),
    "firm twice": ({"firms": ["a1", "all"]}, r"'a1' is there twice: leave one out"),
    "unknown scheme": ({"schemes": "imarl,magic"}, r"--schemes must be all, or names out of imarl, .*got 'magic'"),
    "empty scheme": ({"schemes": "imarl,"}, r"--schemes must be all, .*got ''"),
    "scheme twice": ({"schemes": "imarl,imarl"}, r"imarl is there twice"),
    "needs customers": ({"schemes": "mtma"}, r"mtma is for firms with customers; pair can learn by imarl, marl"),
    "has customers": (
        {"firms": ["closing-loop"], "schemes": "imarl"},
        r"imarl is for firms without customers; closing-loop can learn by mtma,",
    ),
    "no trial": ({"trials": 0}, r"--trials must be at least 1, got 0"),
    "paper": ({"budget": "paper", "schemes": "marl,pathwise"}, r"--budget paper is for imarl, marl, .*; for pathwise"),
    "budget": ({"budget": "long"}, r"--budget must be wall time such as 120s"),
    "backend": ({"backend": "moon"}, r"--backend must be ray or local"),
    "no config": ({"config": "none.yaml"}, r"--config none.yaml cannot be read as YAML"),
}


@pytest.mark.parametrize(("changes", "line"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_done_is_refused_before_anything_is_written(changes, line, files, tmp_path):
    given = changes | ({"config": tmp_path / changes["config"]} if "config" in changes else {})
    with pytest.raises(ValueError, match=line.replace("none.yaml", ".*none.yaml")) as error:
        run_benchmark(asked(files, tmp_path / "out", **given))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"episodes": 70},
            r"holds a benchmark with episodes = 60, now it is 70: give the same, or name another folder",
        ),
        ({"seed": 1}, r"with seed = 0, now it is 1"),
        ({"budget": "paper"}, r"with settings.episodes = None, now it is 'paper'"),
        ({"budget": "5s"}, r"with settings.seconds = None, now it is 5.0"),
        ({"config": None}, r"with settings.policy.hidden = \[8\], now it is"),
    ],
)
def test_a_folder_with_other_settings_is_refused(changes, line, files, done):
    before = results(done.out)
    with pytest.raises(ValueError, match=line):
        run_benchmark(asked(files, done.out, **changes))
    assert results(done.out) == before


def test_folders_that_hold_something_else_are_refused(files, done, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter-1").write_text("It was")
    with pytest.raises(ValueError, match="is not empty and holds no benchmark: name another folder"):
        run_benchmark(asked(files, tmp_path / "thesis"))
    with pytest.raises(ValueError, match="--out must be a folder, got the file"):
        run_benchmark(asked(files, tmp_path / "thesis" / "chapter-1"))
    other = pair(periods={"train": 12, "evaluate": 20, "warm_up": 4})
    (tmp_path / "pair.yaml").write_text(other.to_yaml())
    with pytest.raises(ValueError, match="holds trials of another firm that is called pair too: rename the firm"):
        run_benchmark(asked(files, done.out, firms=[str(tmp_path / "pair.yaml")]))


def test_a_damaged_result_is_refused_with_the_cure(tmp_path):
    assert finished(tmp_path) is None
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ValueError, match="damaged result: remove the folder to repeat the trial"):
        finished(tmp_path)


def test_schemes_fit_their_firms():
    assert schemes_for(load_firm("toy"))[:2] == ["imarl", "marl"]
    assert schemes_for(load_firm("closing-loop"))[0] == "mtma"
    assert set(schemes_for(load_firm("toy"))) & set(schemes_for(load_firm("closing-loop"))) == {"pathwise"}
    assert [firm.name for firm in module._firms(["all"])] == list(GRID)


@pytest.mark.parametrize("count", [2, 3, 10, 40])
def test_intervals_and_standard_errors_are_those_of_scipy(count):
    rng = np.random.default_rng(count)
    values, base = rng.normal(100, 7, count), rng.normal(90, 7, count)
    mean, half = mean_and_half(values)
    interval = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
    np.testing.assert_allclose([mean - half, mean + half], interval)
    difference, error = paired(values, base)
    np.testing.assert_allclose(difference / error, stats.ttest_rel(values, base).statistic)


def test_one_trial_has_no_interval():
    mean, half = mean_and_half([3.0])
    assert mean == 3.0
    assert np.isnan(half)


def test_differences_are_to_mtma_or_else_to_the_first_scheme_over_common_seeds():
    common = {"firm": "f", "unit": "profit", "se": 1.0, "fill_rate": 0.9, "order_variability": 1.0}
    common |= {"seconds": 1.0, "samples_per_second": 2.0}
    given = {"siloed": (10.0, 20.0), "mtma": (15.0, 29.0, 90.0)}
    rows = [
        common | {"scheme": name, "policy": name, "seed": seed, "result": value}
        for name, values in given.items()
        for seed, value in enumerate(values)
    ]
    lines = {line.policy: line for line in lines_of(rows, ["siloed", "mtma"])}
    assert lines["siloed"].base == "mtma"
    np.testing.assert_allclose(lines["siloed"].difference, -7.0)
    np.testing.assert_allclose(lines["siloed"].difference_half, 2.0 * stats.t.ppf(0.975, 1))
    assert lines_of(rows[:2], ["siloed"])[0].base == "siloed"


def test_learning_curves_meet_on_a_grid_as_far_as_every_trial_got():
    grid, mean, half = on_common_grid([[[0, 10], [100, 20]], [[0, 14], [50, 14], [200, 44]]])
    assert grid[-1] == 100
    np.testing.assert_allclose(mean[[0, -1]], [12, 22])
    np.testing.assert_allclose(half[-1], stats.t.ppf(0.975, 1) * stats.sem([20, 24]))


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


def test_what_a_machine_with_storage_of_its_own_sends_is_kept(done, tmp_path):
    kept = done.out / "runs/pair/marl/0"
    sent = play(next(trial for trial in done.trials if trial.folder == kept))
    keep(tmp_path / "here", sent)
    assert finished(tmp_path / "here").about == finished(kept).about
    assert set(firm_policies(RunFolder(tmp_path / "here"))) == {
        "warehouse",
        "shop",
    }
    assert not (tmp_path / "here/checkpoint.safetensors").exists()


def test_tasks_here_hand_over_results_and_errors():
    (one, five), (zero, error) = run_tasks_here(lambda x: 5 // x, [1, 0])
    assert (one, five, zero) == (1, 5, 0)
    assert isinstance(error, ZeroDivisionError)


@pytest.mark.ray
def test_tasks_on_ray_change_no_number(ray, files, done, tmp_path):
    benchmark = run_benchmark(asked(files, tmp_path / "out", backend="ray", workers=2))
    assert results(benchmark.out) == results(done.out)


@pytest.mark.ray
def test_a_killed_task_starts_again_and_an_error_stops_nobody_else(ray, tmp_path):
    def task(number):
        mark = tmp_path / f"{number}"
        if number == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 1:
            raise ValueError("one is not welcome")
        return number * 10

    slots = []
    came = dict(run_tasks(task, [0, 1, 2], name="tasks", workers=2, tick=slots.append))
    assert (came[0], came[2]) == (0, 20)
    assert isinstance(came[1], ValueError)
    assert "one is not welcome" in str(came[1])
    assert set(slots) == {2}
    assert ray.is_initialized(), "who did not start Ray leaves it running"


@pytest.mark.ray
def test_closing_the_tasks_cancels_what_is_left(ray, tmp_path):
    def task(number):
        import time

        time.sleep(0 if number == 0 else 30)
        (tmp_path / str(number)).touch()
        return number

    tasks = run_tasks(task, [0, 1, 2], name="tasks", workers=2)
    assert next(tasks) == (0, 0)
    tasks.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0"]


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:99999"])
def test_an_address_where_nobody_answers_is_refused_before_anything_is_written(address, files, tmp_path):
    with pytest.raises(ValueError, match=f"--address must name a running Ray cluster, got '{address}'"):
        run_benchmark(asked(files, tmp_path / "out", backend="ray", address=address))
    assert not (tmp_path / "out").exists()

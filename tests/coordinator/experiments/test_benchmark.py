import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from coordinator.cli import run
from coordinator.experiments import benchmark as module
from coordinator.experiments import trial as trials_module
from coordinator.experiments.benchmark import run_benchmark
from coordinator.experiments.curves import on_common_grid
from coordinator.experiments.overview import overview
from coordinator.experiments.tables import as_markdown, interquartile_mean, lines_of, mean_and_half, paired
from coordinator.experiments.trial import finished, keep, play
from coordinator.runs.firm_policies import firm_policies
from coordinator.runs.folder import RunFolder
from coordinator.schemes.registry import schemes_for
from coordinator.storage.policies import load_checkpoint
from environment import load_firm
from environment.grid import GRID
from tests.small_benchmarks import SMALL, asked, results, written
from tests.small_firms import pair
from tests.small_runs import Record, Stop


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The firm and the settings as files."""
    return written(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """Two schemes, two trials each, all finished."""
    out = tmp_path_factory.mktemp("benchmark") / "out"
    benchmark = run_benchmark(asked(files, out))
    assert not benchmark.failed
    assert len(benchmark.results) == 5, "four trials and the rules"
    return benchmark


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


def test_several_firms_are_told_of_together(done):
    lines = done.tables()["pair"]
    rule, trained = lines[0].policy, lines[-1].policy
    costs = {"one": (200.0, 150.0), "other": (80.0, 100.0)}  # 25% saved, 25% lost
    tables = {
        firm: [replace(lines[0], mean=before, unit="cost"), replace(lines[-1], mean=after, half=3.0, unit="cost")]
        for firm, (before, after) in costs.items()
    }
    results, savings = overview(tables)
    assert results == [("firm", rule, trained), ("one", "200.0", "150.0 ± 3.0"), ("other", "80.0", "100.0 ± 3.0")]
    assert savings == [("mean saving over", "firms", rule), (trained, "2", "+0.0% (worst other -25.0%)")]
    profits = {firm: [replace(line, unit="profit") for line in own] for firm, own in tables.items()}
    assert overview(profits).savings[1] == (trained, "2", "+0.0% (worst one -25.0%)")
    losses = {firm: [replace(line, mean=-line.mean) for line in own] for firm, own in profits.items()}
    assert overview(losses).savings[1] == (trained, "2", "+0.0% (worst other -25.0%)")
    assert overview(tables | {"none": [replace(line, mean=0.0) for line in tables["one"]]}).savings == savings
    assert overview(tables | {"one": profits["one"]}) is None
    assert overview({"one": tables["one"], "other": []}) is None


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

    def worst(some):
        return np.sort(some)[-3:].mean()

    np.testing.assert_allclose(row["worst"], worst(own))
    for base, other in {**costs["rules"], **costs["imarl/1"]}.items():
        np.testing.assert_allclose(row[f"minus {base}"], (own - other).mean())
        np.testing.assert_allclose(row[f"minus {base} se"], stats.sem(own - other))
        np.testing.assert_allclose(row[f"worst minus {base}"], worst(own) - worst(other))
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
    common |= {"seconds": 1.0, "samples_per_second": 2.0, "worst_se": 1.0, "recovery_time": None}
    given = {"siloed": (10.0, 20.0), "mtma": (15.0, 29.0, 90.0)}
    rows = [
        common | {"scheme": name, "policy": name, "seed": seed, "result": value, "worst": 2 * value}
        for name, values in given.items()
        for seed, value in enumerate(values)
    ]
    lines = {line.policy: line for line in lines_of(rows, ["siloed", "mtma"])}
    assert lines["siloed"].base == "mtma"
    np.testing.assert_allclose(lines["siloed"].difference, -7.0)
    np.testing.assert_allclose(lines["siloed"].difference_half, 2.0 * stats.t.ppf(0.975, 1))
    np.testing.assert_allclose(lines["siloed"].worst_difference, -14.0)
    np.testing.assert_allclose(lines["siloed"].worst_difference_half, 4.0 * stats.t.ppf(0.975, 1))
    assert lines_of(rows[:2], ["siloed"])[0].base == "siloed"


def test_learning_curves_meet_on_a_grid_as_far_as_every_trial_got():
    grid, mean, half = on_common_grid([[[0, 10], [100, 20]], [[0, 14], [50, 14], [200, 44]]])
    assert grid[-1] == 100
    np.testing.assert_allclose(mean[[0, -1]], [12, 22])
    np.testing.assert_allclose(half[-1], stats.t.ppf(0.975, 1) * stats.sem([20, 24]))


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


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:99999"])
def test_an_address_where_nobody_answers_is_refused_before_anything_is_written(address, files, tmp_path):
    with pytest.raises(ValueError, match=f"--address must name a running Ray cluster, got '{address}'"):
        run_benchmark(asked(files, tmp_path / "out", backend="ray", address=address))
    assert not (tmp_path / "out").exists()

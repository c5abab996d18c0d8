import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from coordinator.cli import run
from coordinator.evaluation.evaluate import evaluate, trained_policy
from coordinator.experiments.benchmark import BenchmarkRequest, run_benchmark
from coordinator.experiments.folder import in_order, read_benchmark
from coordinator.experiments.tables import saving
from coordinator.experiments.trial import finished, kept_rules, samples_of
from coordinator.report import order_comparison
from coordinator.report.order_comparison import compared_orders
from coordinator.report.run_page import line_of
from coordinator.report.write import write_report
from coordinator.runs.folder import RunFolder
from coordinator.storage.policies import load_checkpoint
from departments.play.order_curves import order_curves
from departments.rules.ordering import baseline_levels
from environment import World
from tests.small_benchmarks import SMALL, written
from tests.small_firms import pair
from tests.small_markets import market
from tests.small_runs import final_policies, settings

CUSTOMERS = {
    key: SMALL[key] for key in ("copies", "select_every", "selection_episodes", "iterations", "steps", "critic")
}
CUSTOMERS |= {"policy": {"memory": "none", "hidden": [8]}, "ppo": {"minibatch": 64}}
BASELINES = ["decomposition-aggregation", "tuned base-stock", "echelon base-stock"]
VOID = {"meta", "link", "br", "hr", "img", "input"}
LEAF = {"path", "rect", "use", "g", "circle", "line"}  # of svg, which may close themselves


class Reader(HTMLParser):
    """Tags with attributes, well nested or not, tables by caption, all words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.tables, self.words, self.ids = [], [], {}, [], []
        self._rows, self._caption = [], None
        self.feed(text)
        self.close()
        assert self.open == [], "everything is closed"

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        self.ids += [given["id"]] if "id" in given else []
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append([given.get("data-value"), ""])

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID | LEAF
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self._caption.strip()] = self._rows

    def handle_data(self, data):
        self.words.append(data)
        if self.open[-2:] == ["caption", "strong"]:
            self._caption += data
        if self.open and self.open[-1] in ("td", "th"):
            self._rows[-1][-1][1] += data

    def table(self, caption):
        """Rows as {heading: value, or text where there is none}."""
        headings, *rows = self.tables[caption]
        return [{h[1]: float(c[0]) if c[0] else c[1] for h, c in zip(headings, row, strict=True)} for row in rows]


def read(file):
    return Reader(file.read_text())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (written(folder) / "market.yaml").write_text(market().to_yaml())
    (folder / "customers.yaml").write_text(yaml.safe_dump(CUSTOMERS))
    (folder / "turns.yaml").write_text(yaml.safe_dump({key: SMALL[key] for key in SMALL if key != "iterations"}))
    return folder


def benchmark_of(files, out, firms, schemes, trials=2, config="small.yaml"):
    given = [str(files / f"{firm}.yaml") for firm in firms]
    request = BenchmarkRequest(given, schemes, out, trials, config=files / config, episodes=60, backend="local")
    done = run_benchmark(request, write_report)
    assert not done.failed
    return out


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """Two schemes, one of them twice, two trials each, all finished."""
    return benchmark_of(files, tmp_path_factory.mktemp("report") / "out", ["pair"], "marl,imarl,imarl-own")


@pytest.fixture
def copied(done, tmp_path):
    return shutil.copytree(done, tmp_path / "copy")


def test_the_page_stands_by_itself_and_says_its_pictures(done):
    text = (done / "report.html").read_text()
    page = Reader(text)
    assert not re.search(r"https?://|@import|url\((?!#)", text), "nothing is fetched"
    for tag, attributes in page.tags:
        for name in ("src", "href", "data", "srcset", "action"):
            assert (attributes.get(name) or "#").startswith("#"), f"{tag} {name} leads out of the file"
        if tag == "svg":
            assert len(attributes["aria-label"]) > 30
            assert attributes["role"] == "img"
        assert tag != "img"
    pictures = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    kinds = ("every trial", "lower is better", "what departments see", "Order curve of pair, shop", "pair, warehouse")
    assert all(sum(kind in label for label in pictures) == 1 for kind in kinds)
    assert len(set(pictures)) == len(pictures)
    targets = {attributes["href"][1:] for tag, attributes in page.tags if "href" in attributes}
    assert targets <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids), "an id belongs to one element"
    headings = [(tag, a) for tag, a in page.tags if tag == "th"]
    assert all(attributes["scope"] in ("row", "col") for _, attributes in headings)


MEASURED = """() => [...document.querySelectorAll("figure")].map(figure => {
  const picture = figure.querySelector("svg"), place = picture.getBoundingClientRect();
  const texts = [...picture.querySelectorAll("text")].filter(text => text.textContent.trim());
  const inside = box => box.left >= place.left - 1 && box.right <= place.right + 1
    && box.top >= place.top - 1 && box.bottom <= place.bottom + 1;
  return {
    title: figure.querySelector("figcaption strong").textContent,
    reading: figure.querySelector("figcaption span").textContent,
    place: [place.left, place.right, place.height],
    words: texts.map(text => text.textContent),
    cut: texts.filter(text => !inside(text.getBoundingClientRect())).map(text => text.textContent),
    tallest: Math.min(...texts.map(text => text.getBoundingClientRect().height)),
  };
})"""
UNITS = re.compile("%|units|money|environment steps")


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_without_a_network_shows_every_picture_whole(width, chromium, done):
    context = chromium.new_context(viewport={"width": width, "height": 850}, offline=True)
    page, troubles = context.new_page(), []
    file = (done / "report.html").as_uri()
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text))
    page.on("request", lambda asked: None if asked.url == file else troubles.append(asked.url))
    page.goto(file)
    while (folded := page.locator("details:not([open]) > summary:visible")).count():
        folded.first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width, "nothing sticks out sideways"
    pictures = page.evaluate(MEASURED)
    assert len(pictures) == page.locator("svg").count() > 4
    for picture in pictures:
        left, right, height = picture["place"]
        assert 0 <= left < right <= width, picture["title"]
        assert height > 100, picture["title"]
        assert picture["cut"] == [], f"words of {picture['title']} that stick out"
        assert picture["tallest"] > 9.0, f"{picture['title']} can be read"
        assert any(UNITS.search(word) for word in picture["words"]), f"{picture['title']} has units"
        assert re.search(r"\w.*\.$", picture["reading"]), f"{picture['title']} has a reading"
    table = page.locator("table[data-sortable]").first
    names = lambda: table.locator("tbody th").all_inner_texts()  # noqa: E731
    heading = table.locator("thead th").first
    heading.locator("button").click()
    first, order = names(), heading.get_attribute("aria-sort")
    heading.locator("button").click()
    assert {order, heading.get_attribute("aria-sort")} == {"ascending", "descending"}
    assert first != names()
    context.close()
    assert troubles == []


def test_the_tables_hold_the_numbers_of_results_csv(done):
    page, rows = read(done / "report.html"), pd.read_csv(done / "results.csv")
    trials = page.table("pair: every trial on the same fresh episodes")
    assert len(trials) == len(rows) == 3 + 6
    for shown in trials:
        same_seed = rows.seed.isna() if shown["seed"] == "" else rows.seed == shown["seed"]
        row = rows[(rows.policy == shown["policy"]) & same_seed]
        assert len(row) == 1
        for heading, column in {
            "cost ± se": "result",
            "cost less that of tuned base-stock ± se": "minus tuned base-stock",
            "saving over decomposition-aggregation, % ± se": "saving % over decomposition-aggregation",
            "environment steps": "env_steps",
            "samples": "samples",
        }.items():
            expected = row[column].item()
            assert shown[heading] == ("" if np.isnan(expected) else expected)
    for kind in ("Average", "Best"):
        (heat,) = page.table(f"{kind} saving over tuned base-stock, %")
        for scheme in ("imarl", "imarl-own", "marl"):
            savings = rows[rows.policy == scheme]["saving % over tuned base-stock"]
            np.testing.assert_allclose(heat[scheme], savings.mean() if kind == "Average" else savings.max())
    time = {row["scheme"]: row for row in page.table("Wall time and samples of a trial")}
    np.testing.assert_allclose(time["marl"]["training, s"], rows[rows.policy == "marl"].seconds.mean())
    np.testing.assert_allclose(time["marl"]["samples, millions"], rows[rows.policy == "marl"].samples.mean() / 1e6)


def test_parquet_and_csv_are_the_same_table(done):
    table, rows = pq.read_table(done / "results.parquet").to_pandas(), pd.read_csv(done / "results.csv")
    assert list(table.columns) == list(rows.columns)
    for column in rows.columns:
        if rows[column].dtype.kind in "if":
            np.testing.assert_allclose(table[column].astype(float), rows[column].astype(float))
        else:
            assert list(table[column]) == list(rows[column])


def test_savings_and_their_errors_are_those_of_a_jackknife(done):
    """Leaving out one episode after the other knows nothing of the delta method."""
    rows = pd.read_csv(done / "results.csv").set_index(["policy", "seed"])
    own = load_checkpoint(done / "runs/pair/marl/1/episodes.safetensors")[0]["marl"]
    base = load_checkpoint(done / "runs/pair/rules/episodes.safetensors")[0]["tuned base-stock"]
    ratio = 100.0 * (base.mean() - own.mean()) / base.mean()
    left = [100.0 * (1 - np.delete(own, i).mean() / np.delete(base, i).mean()) for i in range(len(own))]
    error = np.sqrt((len(own) - 1) * np.var(left))
    found = rows.loc[("marl", 1)]
    np.testing.assert_allclose(found["saving % over tuned base-stock"], ratio)
    np.testing.assert_allclose(found["saving % over tuned base-stock se"], error, rtol=0.02)
    gain, spread = saving(-own, -base, "profit")
    np.testing.assert_allclose([gain, spread], [ratio, found["saving % over tuned base-stock se"]])
    assert np.isnan(saving(own, base * 0, "cost")).all()


def test_samples_count_every_department_that_learned():
    def rows(*numbers):
        return [{"iteration": str(i), "env_steps": str(steps)} for i, steps in numbers]

    assert samples_of([]) == 0
    assert samples_of(rows((1, 100), (2, 250))) == 250, "one at a time"
    assert samples_of(rows((1, 100), (1, 100), (2, 250), (2, 250))) == 500, "two at once"


def test_information_is_compared_where_it_was_varied(done):
    page = read(done / "report.html")
    assert "What information is worth" in page.words
    label = next(a["aria-label"] for tag, a in page.tags if tag == "svg" and "what departments see" in a["aria-label"])
    rows = pd.read_csv(done / "results.csv")
    for name, seen in {"imarl-own": "own", "imarl": "downstream"}.items():
        assert RunFolder(done / "runs/pair" / name / "0").settings().policy.observation == seen
        mean = rows[rows.policy == name]["saving % over decomposition-aggregation"].mean()
        assert f"{seen} {mean:+,.1f}%" in label
    with pytest.raises(ValueError, match=r"marl-pipeline: policy\.observation is not used by marl"):
        run_benchmark(BenchmarkRequest(["toy"], "marl-pipeline", done / "x", backend="local"))


def test_orders_of_every_policy_stand_in_one_picture_a_department(done, monkeypatch):
    """Rules against their arithmetic, schemes against what their best run orders in states of its own."""
    found, drawn = read_benchmark(done), {}
    monkeypatch.setattr(
        order_comparison, "lines", lambda title, _, series, *axes, **how: drawn.__setitem__(title, series)
    )
    colours = {"marl": "c0", "imarl": "c1", "imarl-own": "c2"}
    legend, _, note = compared_orders(found, "pair", colours)
    assert list(drawn) == ["pair, warehouse", "pair, shop"]
    assert "in 100,008 further periods" in note.text, "8,334 episodes of which 12 periods are counted"
    labels = {(entry.colour, entry.line): entry.label for entry in legend.entries}
    assert list(labels.values()) == [*BASELINES, "imarl", "imarl-own", "marl"]
    firm, levels = pair(), json.loads((done / "runs/pair/rules/base.json").read_text())
    for point, (title, series) in enumerate(drawn.items()):
        of = {labels[line.colour, line.line]: line for line in series}
        tuned, name = of["tuned base-stock"], firm.names[point]
        whole = np.isclose(tuned.x, tuned.x.round())  # bins that hold one position
        assert whole.sum() > 3
        expected = np.clip(levels[name][0] - tuned.x[whole], 0, firm.amounts("max_order")[point, 0])
        np.testing.assert_allclose(tuned.y[whole], expected, err_msg=title)
        for scheme in colours:
            rows = pd.read_csv(done / "results.csv").query("scheme == @scheme")
            run = RunFolder(done / "runs/pair" / scheme / str(int(rows.loc[rows.result.idxmin(), "seed"])))
            world = World(firm, baseline_levels(firm))
            own = order_curves(world, trained_policy(run, world), copies=8334)[point][0]
            np.testing.assert_array_equal(of[scheme].y, own.order)
    monkeypatch.setattr(order_comparison, "_PICTURES", 1)
    assert "Shown are the first 1 of 2" in compared_orders(found, "pair", colours)[-1].text
    assert len(drawn) == 2


def test_rules_are_kept_as_they_were_played(done, copied):
    folder, firm = copied / "runs/pair/rules", pair()
    rules = kept_rules(folder, firm)
    assert list(rules) == BASELINES
    again, played = evaluate(firm, rules, episodes=60), finished(folder).episodes
    for name, costs in played.items():
        np.testing.assert_allclose(again.results[name].cost, costs, rtol=1e-6)
    (folder / "echelon.json").unlink()
    assert list(kept_rules(folder, firm)) == BASELINES[:2]
    assert any("Levels of echelon base-stock were not kept" in word for word in read(write_report(copied)).words)


def test_what_is_not_finished_is_named(copied):
    (copied / "runs/pair/marl/0/result.json").unlink()
    shutil.rmtree(copied / "runs/pair/imarl/1")
    (copied / "runs/pair/imarl-own/1/result.json").unlink()
    (copied / "runs/pair/imarl-own/1/error.txt").write_text("Traceback\nRuntimeError: <script>alert(1)</script>\n")
    text = write_report(copied).read_text()
    assert "<script>alert" not in text
    words = Reader(text).words
    assert "This is not all yet: 3 trials missing." in words
    assert {"pair marl seed 0: begun, not finished", "pair imarl seed 1: not begun"} <= set(words)
    assert any("imarl-own seed 1: failed: RuntimeError: <script>" in word for word in words)


def test_a_folder_where_nothing_is_finished_or_that_an_older_version_wrote(copied):
    (copied / "asked.json").unlink()
    before = {name: read_benchmark(copied).of("pair", name)[1]["samples"] for name in ("marl", "imarl")}
    for file in copied.glob("runs/pair/*/*/result.json"):
        about = json.loads(file.read_text())
        del about["samples"]
        file.write_text(json.dumps(about))
    assert {name: read_benchmark(copied).of("pair", name)[1]["samples"] for name in before} == before
    assert before["marl"] == 2 * SMALL["steps"]
    assert "not recorded by the version that wrote this folder" in read(write_report(copied)).words
    shutil.rmtree(copied / "runs/pair/rules")
    assert any("have not been played yet" in word for word in read(write_report(copied)).words)
    shutil.rmtree(copied / "runs")
    assert "Benchmark: nothing is finished yet" in read(write_report(copied)).words


DAMAGE = {
    "runs/pair/marl/0/result.json": "holds a damaged result: remove the folder",
    "runs/pair/marl/0/episodes.safetensors": "holds a damaged result: remove the folder",
    "benchmark.json": "benchmark.json cannot be read",
    "asked.json": "asked.json cannot be read",
    "runs/pair/imarl/0/settings.json": "settings.json cannot be read as settings",
    "runs/pair/imarl/0/firm.yaml": "firm.yaml",
}


@pytest.mark.parametrize(("file", "line"), DAMAGE.items(), ids=DAMAGE)
def test_a_damaged_file_is_one_clear_line(file, line, done, copied, capfd):
    if "firm" in file:  # of every scheme only the best trial's orders are drawn
        best = read_benchmark(done).best("pair")
        file = f"runs/pair/{best['scheme']}/{best['seed']}/firm.yaml"
    (copied / file).write_bytes(b'{"half')
    assert run(["report", str(copied)]) == 2
    stderr = capfd.readouterr().err
    assert line in stderr
    assert stderr.count("\n") == 1


def test_a_run_shows_what_it_learned_and_a_run_in_progress_what_is_missing(copied, tmp_path, capfd):
    path = copied / "runs/pair/marl/0"
    assert run(["report", str(path), "--out", str(tmp_path / "r.html")]) == 0
    assert capfd.readouterr().out == f"{tmp_path / 'r.html'}\n"
    page, rows = read(tmp_path / "r.html"), RunFolder(path).rows("metrics.csv")
    kl = next(a["aria-label"] for tag, a in page.tags if tag == "svg" and a["aria-label"].startswith("KL"))
    own = {name: np.mean([float(r["kl"]) for r in rows if r["department"] == name]) for name in ("warehouse", "shop")}
    low, high = sorted(own, key=own.get)
    assert f"Mean {own[low]:.4f} ({low}) to {own[high]:.4f} ({high})" in kl
    (shown,) = page.table("This trial")
    assert shown["cost ± se"] == json.loads((path / "result.json").read_text())["policies"]["marl"]["result"]
    assert not any("in progress" in word for word in page.words)
    (path / "result.json").unlink()
    assert any("This run is in progress" in word for word in read(write_report(path)).words)
    whole = (path / "metrics.csv").read_text()
    (path / "metrics.csv").write_text(whole.rpartition(",")[0])
    shown = next(word for word in read(write_report(path)).words if "million environment" in word)
    assert shown.startswith("3 iterations"), "the half line of the second department is left out"
    (path / "metrics.csv").write_text(whole.splitlines()[0] + "\n")
    (path / "current.json").unlink()
    words = read(write_report(path)).words
    assert any("no iteration is done yet" in word for word in words)
    (path / "metrics.csv").write_text("iteration,seconds\n1\n")
    with pytest.raises(ValueError, match=r"metrics.csv is damaged"):
        write_report(path)


def test_the_result_comes_first_and_swaps_and_rollbacks_are_marked(copied):
    path = copied / "runs/pair/marl/0"
    with (path / "events.csv").open("a") as file:
        file.write("1,1.0,swapped,shop,7,,,me,a try,{}\n2,2.0,rolled back,shop,6,,,me,it was bad,{}\n")
    page, rows = read(write_report(path)), RunFolder(path).rows("metrics.csv")
    (cost,) = (a["aria-label"] for tag, a in page.tags if tag == "svg" and a["aria-label"].startswith("Cost on"))
    steps = {row["iteration"]: float(row["env_steps"]) / 1e6 for row in rows}
    assert f"shop: swapped at {steps['1']:.2f} million steps. shop: rolled back at {steps['2']:.2f}" in cost
    titles = [word for word in page.words if word in ("Result", "How it learned", "Accepted policies")]
    assert titles[:3] == ["Result", "How it learned", "Accepted policies"]
    assert sum("a policy swapped" in word for word in page.words) == 2, "in both legends"


def test_nothing_is_drawn_over_a_pause():
    own = pd.DataFrame({"iteration": [1, 3, 5, 13, 15], "env_steps": np.array([1, 3, 5, 13, 15]) * 1e6, "kl": range(5)})
    drawn = line_of("c0", own, "kl", -1.0)
    np.testing.assert_array_equal(drawn.y, [0, -1, -2, np.nan, -3, -4])
    np.testing.assert_array_equal(drawn.x, [1, 3, 5, 13, 13, 15])
    assert not np.isnan(line_of("c0", own[:3], "kl").y).any(), "turns that come as usual are one line"


def test_a_trained_run_shows_its_comparison_and_what_was_accepted(files, tmp_path):
    arguments = ["train", str(files / "pair.yaml"), "--config", str(files / "turns.yaml"), "--backend", "local"]
    assert run([*arguments, "--seed", "1", "--episodes", "60", "--run", str(tmp_path / "run"), "--json"]) == 0
    page, result = read(write_report(tmp_path / "run")), json.loads((tmp_path / "run/result.json").read_text())
    shown = {
        row["policy"]: row
        for row in page.table("60 fresh episodes, the same for every policy; cost in money an episode")
    }
    base = next(iter(result["policies"]))
    assert list(shown) == list(result["policies"])
    for name, row in shown.items():
        assert row["cost ± se"] == result["policies"][name]["cost"]["mean"]
        if name != base:
            assert row[f"cost less that of {base} ± se"] == result["policies"][name]["versus"][base]["difference"]
    events = [event for event in RunFolder(tmp_path / "run").rows("events.csv") if event["event"] == "accepted"]
    accepted = page.table("Policies that were accepted")
    assert [row["gain in cost ± se, an episode"] for row in accepted] == [float(event["gain"]) for event in events]
    assert events


def test_firms_with_customers_show_profit_fill_rate_and_order_variability(files, tmp_path):
    out = benchmark_of(files, tmp_path / "out", ["market"], "mtma", trials=1, config="customers.yaml")
    page, rows = read(out / "report.html"), pd.read_csv(out / "results.csv").set_index("policy")
    titles = {title for title in page.words if title.startswith("market: ")}
    assert {"market: fill rate", "market: order variability"} <= titles
    shown = {row["policy"]: row for row in page.table("market: all policies, profit in money an episode")}
    for name, row in shown.items():
        np.testing.assert_allclose(row["profit ± 95%"], rows.result[name])
        np.testing.assert_allclose(row["fill rate"], rows.fill_rate[name])
        np.testing.assert_allclose(row["order variability"], rows.order_variability[name])
    gained = 100 * (rows.result["mtma"] - rows.result["no recommendation"]) / abs(rows.result["no recommendation"])
    np.testing.assert_allclose(shown["mtma"]["saving over no recommendation, % ± 95%"], gained)
    learned = read(write_report(out / "runs/market/mtma/0"))
    assert any(a.get("aria-label", "").startswith("Learning rate") for tag, a in learned.tags if tag == "svg")


def test_what_is_no_run_and_no_place_is_refused(done, tmp_path):
    with pytest.raises(ValueError, match="is neither a run folder nor a benchmark folder"):
        write_report(tmp_path)
    with pytest.raises(ValueError, match="--out must be a file, got the folder"):
        write_report(done, tmp_path)


def test_schemes_stand_in_the_order_of_the_settings_with_their_variants():
    assert in_order(["siloed", "imarl-own", "mtma", "marl", "imarl", "unheard-of"]) == [
        "imarl",
        "imarl-own",
        "marl",
        "mtma",
        "siloed",
        "unheard-of",
    ]


def test_learning_rates_are_those_of_metrics_csv_whatever_the_scheme(tmp_path):
    """Gradients through the simulator have a rate that falls with the budget, and no divergence."""
    given = settings(scheme="pathwise", steps=None, pathwise={"updates": 6, "copies": 8})
    final_policies(pair(), given, tmp_path / "run")
    rates = {row["learning_rate"] for row in RunFolder(tmp_path / "run").rows("metrics.csv")}
    assert len(rates) == 6
    words = read(write_report(tmp_path / "run")).words
    assert "Learning rate" in words
    assert any("went from 0.003000 to 0.000201" in word for word in words), "half a cosine, a sixth before its end"

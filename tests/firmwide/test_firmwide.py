import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import firmwide
from coordinator.cli import run as command
from departments.rules.ordering import baseline_levels
from environment import built_in_firms
from tests.small_markets import market

ROOT = Path(__file__).parents[2]
SMALL = {"copies": 16, "selection_episodes": 40, "acceptance_episodes": 40}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    return firmwide.train("a1", run=folder, budget="3e4", backend="local", config=SMALL, episodes=40)


def test_importing_takes_nothing_heavy_and_every_name_is_there():
    program = (
        "import sys, firmwide; assert dir(firmwide) == sorted(firmwide.__all__);"
        "print(*({'torch', 'ray', 'pandas', 'numpy', 'typer', 'rich', 'gymnasium'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    program = "import sys, firmwide; firmwide.register.rule('r')(id); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"  # the process of a department that follows a user's rule needs no torch
    for name in firmwide.__all__:
        assert getattr(firmwide, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'tarin'"):
        firmwide.tarin  # noqa: B018


def test_the_python_example_of_the_readme_runs(here):
    text = (ROOT / "README.md").read_text()
    (example,) = [found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "firmwide.train" in found]
    assert '"20s"' in example
    given = {}
    *lines, last = example.replace('"20s"', '"2s"').strip().splitlines()
    exec("\n".join(lines), given)
    assert eval(last, given) == pytest.approx(20, abs=15)
    shown = given["run"]._repr_html_()
    assert "decomposition-aggregation" in shown
    assert "data:image/png;base64,iVBOR" in shown


def test_the_command_and_the_function_give_the_same(here, capfd):
    (here / "small.yaml").write_text(json.dumps(SMALL))
    options = ["--budget", "2e4", "--backend", "local", "--episodes", "50", "--seed", "3"]
    assert command(["train", "toy", "--run", "c", "--config", "small.yaml", "--json", *options]) == 0
    printed = json.loads(capfd.readouterr().out)
    run = firmwide.train("toy", run="f", budget="2e4", backend="local", episodes=50, seed=3, config=SMALL)
    assert capfd.readouterr().err == ""  # progress is shown where there is a terminal, or where it is asked for
    assert run.result["policies"] == printed["policies"]
    assert run.evaluation.to_json()["policies"] == printed["policies"]
    assert json.loads(Path("c/settings.json").read_text()) == json.loads(Path("f/settings.json").read_text())
    assert command(["evaluate", "toy", "--policy", "reorder", "--episodes", "50", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == firmwide.evaluate("toy", ["reorder"], episodes=50).to_json()
    assert command(["check", "toy", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == firmwide.check("toy").to_json()
    assert command(["simulate", "toy", "--out", "states.csv", "--periods", "9"]) == 0
    episode = firmwide.simulate("toy", periods=9)
    assert f"cost of all periods {episode.cost:.10g}" in capfd.readouterr().err
    assert len(episode.states) == 9
    assert episode.states["cost"].sum() == pytest.approx(episode.cost)


def test_progress_is_shown_where_it_is_asked_for(here, capfd):
    firmwide.train("toy", budget="1e3", backend="local", config=SMALL, episodes=10, progress=True)
    assert "comparing on 10 fresh episodes" in capfd.readouterr().err


def test_a_run_shows_its_table_and_numbers(trained):
    assert "saving over the first" in repr(trained)
    assert set(trained.metrics["department"]) <= set(trained.departments)
    assert trained.learning_curve._repr_png_()[1:4] == b"PNG"
    opened = firmwide.Run(trained.folder)
    assert opened.result == trained.result
    assert repr(opened) == f"run {trained.folder} of a1 by imarl"


def test_a_policy_is_asked_for_an_order(here):
    firm = firmwide.load_firm("a1")
    run = firmwide.train(firm, budget="1", backend="local", config=SMALL | {"imarl": {"base_policy": "benchmark"}})
    for n, name in enumerate(firm.names):
        policy, level = run.policy(name), baseline_levels(firm)[n, 0]
        position = {other: 20.0 for other in firm.names}
        assert policy.order(inventory_position=position) == level - 20  # nothing was learned yet: base-stock
        seen = {label: 20.0 for label in policy.sees}
        assert policy.order(seen) == policy.order(list(seen.values())) == level - 20
        others = {kind: {other: units for other in firm.names} for kind, units in (("on_hand", 25), ("backorders", 5))}
        assert policy.order(**others) == level - 20
    with pytest.raises(ValueError, match=r"retailer-1 sees inventory_position/retailer-1.* is missing"):
        run.policy("retailer-1").order(traffic=3)
    with pytest.raises(ValueError, match="retailer-1 sees 1 numbers"):
        run.policy("retailer-1").order([1, 2])
    with pytest.raises(ValueError, match="recommends nothing"):
        run.policy("retailer-1").exposure([1])
    with pytest.raises(ValueError, match="department must be one of warehouse, "):
        run.policy("shop")


def test_a_recommendation_department_is_asked_for_exposures(here):
    firm = market()
    run = firmwide.train(firm, budget="1", backend="local", config={"copies": 2, "selection_episodes": 4}, episodes=4)
    policy = run.policy("recommendation")
    kinds = {kind: dict.fromkeys((label.partition("/")[2] for label in policy.sees), 40.0) for kind in KINDS}
    shown = policy.exposure(period=3, **kinds)
    assert shown
    assert all(0 < share <= 1 for share in shown.values())
    with pytest.raises(ValueError, match="orders nothing"):
        policy.order(np.zeros(len(policy.sees)))


KINDS = ("on_hand", "arriving_1", "in_transit", "traffic", "exposure")


def test_labels_name_what_the_observer_sees():
    from coordinator.live.policy_bundles import PolicyBundles

    for name in ("a1", "b3", "firm"):
        bundles = PolicyBundles(firmwide.load_firm(name))
        observer, world = bundles.observer, bundles.world
        labels = observer.labels()
        assert len(labels) == len(set(labels)) == observer.size
        state = world.reset(1)
        units = dict(zip(labels, observer.units(state)[:, 0].tolist(), strict=True))
        for n, point in enumerate(world.firm.names):
            for k, product in enumerate(world.firm.products):
                place = point if len(world.firm.products) == 1 else f"{point}/{product}"
                assert units[f"on_hand/{place}"] == state.on_hand[n, k, 0]
                assert units[f"inventory_position/{place}"] == state.inventory_position[n, k, 0]


def test_benchmark_and_report(here, capfd):
    done = firmwide.benchmark(
        ["toy"], schemes="imarl", trials=1, budget="1e3", out="b", episodes=20, backend="local", values=["copies=16"]
    )
    assert "imarl" in repr(done)
    assert Path("b/report.html").is_file()
    assert capfd.readouterr().err == ""


def test_progress_is_shown_in_a_notebook_and_not_where_its_parts_were_merely_imported(here, capfd, monkeypatch):
    import ipykernel  # noqa: F401
    import IPython

    def evaluated():
        firmwide.benchmark(["toy"], schemes="imarl", trials=1, budget="1e3", out="b", episodes=2, backend="local")
        return capfd.readouterr().err

    assert evaluated() == ""
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel="of a notebook"))
    assert "report in" in evaluated()


def test_the_process_gets_its_threads_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        firmwide.evaluate("toy", ["reorder"], episodes=10)
        with pytest.raises(ValueError, match="--device must be cpu"):
            firmwide.evaluate("toy", ["reorder"], device="abacus")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_gymnasium_knows_every_firm():
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("firmwide.gym:firmwide/b1-v0", form="residual")
    assert env.unwrapped.game.firm.name == "b1"
    assert {name for name in gymnasium.registry if name.startswith("firmwide/")} == {
        f"firmwide/{firm}-v0" for firm in built_in_firms()
    }
    many = gymnasium.make_vec("firmwide/toy-v0", num_envs=3, vectorization_mode="vector_entry_point")
    assert many.reset(seed=0)[0].shape == (3, 1)

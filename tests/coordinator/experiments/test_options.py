import re
from pathlib import Path

import pytest
import yaml

from coordinator.cli import run
from coordinator.experiments.options import with_values
from coordinator.runs.folder import RunFolder
from coordinator.schemes.given_settings import settings_of
from coordinator.schemes.setup import setup_of
from environment import load_firm

TINY = {"copies": 4, "selection_episodes": 8, "acceptance_episodes": 8, "imarl": {"iterations": 1}}


@pytest.mark.parametrize(
    ("pair", "nested"),
    [
        ("ppo.learning_rate=5e-4", {"ppo": {"learning_rate": 5e-4}}),
        ("departments.retailer-2.ppo.epochs=8", {"departments": {"retailer-2": {"ppo": {"epochs": 8}}}}),
        ("policy.hidden=[8, 8]", {"policy": {"hidden": [8, 8]}}),
        ("compiled=false", {"compiled": False}),
        ("steps=1E3", {"steps": 1000.0}),
        ("seconds=", {"seconds": None}),
        ("imarl.order=greedy", {"imarl": {"order": "greedy"}}),
        ("device=a=b", {"device": "a=b"}),
    ],
)
def test_a_pair_is_a_nested_setting_with_its_value_as_yaml(pair, nested):
    assert with_values({}, [pair]) == nested


def test_a_pair_changes_one_setting_of_a_group_and_nothing_of_what_it_was_given():
    given = {"ppo": {"epochs": 3, "minibatch": 64}, "seed": 1}
    changed = with_values(given, ["ppo.epochs=4", "ppo.clip_ratio=0.1", "ppo.epochs=5"])
    assert changed == {"ppo": {"epochs": 5, "minibatch": 64, "clip_ratio": 0.1}, "seed": 1}
    assert given == {"ppo": {"epochs": 3, "minibatch": 64}, "seed": 1}


@pytest.mark.parametrize(
    ("pair", "line"),
    [
        ("ppo.learning_rate", "--set must be KEY=VALUE such as ppo.learning_rate=5e-4, got 'ppo.learning_rate'"),
        ("=3", "--set must be KEY=VALUE such as ppo.learning_rate=5e-4, got '=3'"),
        ("ppo..epochs=3", "--set must be KEY=VALUE such as ppo.learning_rate=5e-4, got 'ppo..epochs=3'"),
        ("copies.of=3", "--set 'copies.of=3' leads through copies, which is 4 and holds no settings"),
        ("ppo.epochs=[3", "--set 'ppo.epochs=[3': the value cannot be read as YAML"),
        ("ppo.learning_rat=3", "ppo.learning_rat is not a known field: did you mean 'learning_rate'?"),
        ("ppo.epochs=many", "ppo.epochs: input should be a valid integer"),
        ("ppo.learning_rate=-1", "ppo.learning_rate: input should be greater than 0, got -1"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(pair, line):
    with pytest.raises(ValueError, match="^" + re.escape(line)) as error:
        settings_of(with_values({"copies": 4}, [pair]))
    assert "\n" not in str(error.value)


def shown_settings():
    """The settings that docs show: a learning rate of all, and one of retailer-2's own."""
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    return next(block for block in re.findall(r"```yaml\n(.*?)```", text, re.S) if "departments:" in block)


@pytest.mark.parametrize("option", [[], ["--observation", "everything"]])
def test_a_department_s_own_key_leaves_the_run_s_others_and_what_it_sees_as_they_are(option, tmp_path):
    """The docs' case, from the file through the command to what the departments of the run are made of."""
    (tmp_path / "own.yaml").write_text(
        shown_settings()
        + yaml.safe_dump({k: v for k, v in TINY.items() if k != "imarl"} | {"base_policy": "benchmark"})
    )
    values = [
        "ppo.epochs=3",
        "policy.hidden=[8]",
        "departments.retailer-2.policy.initial_std=0.25",
        "imarl.iterations=1",
    ]
    arguments = ["train", "a1", "--config", str(tmp_path / "own.yaml"), "--run", str(tmp_path / "run"), *option]
    arguments += [part for value in values for part in ("--set", value)]
    assert run([*arguments, "--backend", "local", "--episodes", "8", "--budget", "64"]) == 0
    kept = RunFolder(tmp_path / "run")
    specs = setup_of(kept.firm(), kept.settings()).specs
    own, other = specs["retailer-2"], specs["retailer-3"]
    assert (own.ppo.learning_rate, other.ppo.learning_rate) == (1e-4, 5e-4)
    assert own.ppo.model_copy(update={"learning_rate": 5e-4}) == other.ppo
    assert other.ppo.epochs == 3
    assert (own.policy.initial_std, own.policy.hidden) == (0.25, (8,))
    assert own.policy.model_copy(update={"initial_std": other.policy.initial_std}) == other.policy
    assert own.policy.observation == (option[1] if option else "downstream")


@pytest.mark.parametrize(
    ("scheme", "firm"), [("imarl", "a1"), ("marl", "a1"), ("pathwise", "a1"), ("mtma", "closing-loop")]
)
def test_what_the_scheme_lets_a_department_see_is_not_forgotten_by_a_setting_of_its_own(scheme, firm):
    plain = setup_of(load_firm(firm), settings_of(scheme=scheme)).specs
    name = list(plain)[-1]
    given = settings_of(scheme=scheme, departments={name: {"policy": {"hidden": [5]}}})
    own = setup_of(load_firm(firm), given).specs[name]
    assert own.policy.hidden == (5,)
    assert own.rows == plain[name].rows
    assert own.policy.model_copy(update={"hidden": plain[name].policy.hidden}) == plain[name].policy


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    arguments = ["train", "toy", "--config", str(tmp_path / "tiny.yaml"), "--backend", "local", "--episodes", "8"]
    return [*arguments, "--run", str(tmp_path / "run")]


def test_what_is_set_stands_above_the_file_and_the_options(tiny, tmp_path, capfd):
    assert run([*tiny, "--seed", "7", "--set", "copies=8", "--set", "seed=9", "--set", "ppo.epochs=2"]) == 0
    settings = RunFolder(tmp_path / "run").settings()
    assert (settings.copies, settings.seed, settings.ppo.epochs, settings.imarl.iterations) == (8, 9, 2, 1)
    assert capfd.readouterr().out


def test_nothing_is_written_when_a_setting_is_refused(tiny, tmp_path, capfd):
    assert run([*tiny, "--set", "copys=8"]) == 2
    assert capfd.readouterr().err.startswith("firmwide: copys is not a known field: did you mean 'copies'?")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [("--set", "ppo.epochs=2"), ("--order", "greedy"), ("--scheme", "marl")])
def test_a_run_that_goes_on_keeps_its_settings(option, tmp_path, capfd, tiny):
    assert run([*tiny, "--json"]) == 0
    assert run(["train", "--resume", "--run", str(tmp_path / "run"), "--backend", "local", *option]) == 2
    error = capfd.readouterr().err
    assert error == f"firmwide: {option[0]} cannot change a run that goes on: leave it out, or begin a new run\n"

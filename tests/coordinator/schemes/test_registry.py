"""One registry knows the schemes: no other file names one, and what a scheme does not use is refused."""

import ast
import re
from pathlib import Path

import pytest

from coordinator.experiments.options import config_file
from coordinator.schemes.given_settings import kept_settings, part_used, settings_of, to_json
from coordinator.schemes.registry import default_scheme, names, scheme_of, schemes_for
from departments.policies.policy import RECOMMENDATION
from environment import load_firm

ROOT = Path(__file__).parents[3]
FILES = [
    str(path.relative_to(ROOT))
    for package in ("environment", "heuristics", "departments", "coordinator", "firmwide")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "coordinator/schemes" not in str(path)
]
# A name is a word of its own, or one between letters' borders: `imarl`, `imarl-own`, `settings.imarl`, not `primarly`.
WORD = re.compile(rf"(?<![a-z])({'|'.join(sorted(names(), key=len, reverse=True))})(?![a-z])", re.IGNORECASE)
ENGLISH = {"siloed rules"}  # how the rules of departments that do not talk are called in tables
# Gradients through the simulator are called pathwise derivatives in the literature; this is the file that takes them.
MATHEMATICS = {"departments.learning.pathwise", "PathwiseConfig"}


def _docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.value


def _words(path):
    """String constants but docstrings, and every name, attribute, keyword, argument and imported module of a file."""
    tree = ast.parse(path.read_text())
    prose = {id(node) for node in _docstrings(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield getattr(node, "module", None) or ""
            yield from (alias.name for alias in node.names)
        else:
            for field in ("id", "attr", "arg", "name"):
                if isinstance(word := getattr(node, field, None), str):
                    yield word


@pytest.mark.parametrize("name", FILES)
def test_no_file_outside_schemes_names_a_scheme(name):
    found = [word for word in _words(ROOT / name) if WORD.search(word) and word not in ENGLISH | MATHEMATICS]
    assert found == []


def test_the_search_for_names_would_find_them(tmp_path):
    (tmp_path / "a.py").write_text(
        'from coordinator.schemes.imarl import IMARL\nx = settings.sarl\ny = f"train {z} by mtma-own"\nf(siloed=1)\n'
    )
    found = {word for word in _words(tmp_path / "a.py") if WORD.search(word)}
    assert found == {"coordinator.schemes.imarl", "IMARL", "sarl", " by mtma-own", "siloed"}


@pytest.mark.parametrize(("firm", "first", "count"), [("a1", "imarl", 6), ("firm", "mtma", 7)])
def test_every_scheme_says_for_which_firms_it_is(firm, first, count):
    firm = load_firm(firm)
    assert default_scheme(firm) == schemes_for(firm)[0] == first
    assert len(schemes_for(firm)) == count
    assert len(names()) == 12


@pytest.mark.parametrize("name", names())
def test_what_a_scheme_says_it_does_not_use_is_a_setting_that_there_is(name):
    spec = scheme_of(name)
    for key in spec.unused:
        section, _, inner = key.rpartition(".")
        model = spec.settings.model_fields[section].annotation if section else spec.settings
        assert inner in model.model_fields or key == "law"
    for key in (*spec.options.values(), *spec.earlier.values()):
        assert key.partition(".")[0] in spec.settings.model_fields


@pytest.mark.parametrize(
    ("scheme", "given", "parts"),
    [
        ("marl", {"imarl": {"order": "greedy"}}, ["imarl.order is not used by marl", "it uses seed, scaling, policy"]),
        ("marl", {"policy": {"observation": "own"}}, ["policy.observation is not used by marl", "of policy it uses"]),
        ("mtma", {"ppo": {"learning_rate": 1e-3}}, ["ppo.learning_rate is not used by mtma: step laws", "clip_ratio"]),
        ("mtma", {"single": {"hidden": [1]}}, ["single.hidden is not used by mtma"]),
        ("stma-fast", {"slow_law": {"initial": 1e-3}}, ["slow_law.initial is not used by stma-fast"]),
        ("imarl", {"policy": {"memory": "gru"}}, ["policy.memory is not used by imarl", "form, observation, hidden"]),
        ("imarl", {"loop": {"policy": {"memory": "gru"}}}, ["loop.policy.memory is not used by imarl"]),
        ("imarl", {"iterations": 3}, ["iterations is not used by imarl: imarl.iterations"]),
        ("pathwise", {"copies": 3}, ["copies is not used by pathwise: pathwise.copies"]),
        ("pathwise", {"critic": {"gamma": 0.9}}, ["critic.gamma is not used by pathwise"]),
        ("sarl", {"own_share": 0.5}, ["own_share is not used by sarl; it uses seed, scaling"]),
        ("pathwise", {"own_share": 0.5}, ["own_share is not used by pathwise"]),
        ("mtma", {"own_share": 0.5}, ["own_share is not used by mtma"]),
        ("sarl", {"ppo": {"learning_rate": 1e-3}}, ["ppo.learning_rate is not used by sarl: single.learning_rate"]),
        ("sarl-gnn", {"single": {"hidden": [3]}}, ["single.hidden is not used by sarl-gnn", "of single it uses"]),
        ("imarl", {"departments": {"w": {"law": {"initial": 1}}}}, ["departments.w.law.initial is not used by imarl"]),
        ("pathwise", {"departments": {"w": {"ppo": {"epochs": 1}}}}, ["departments.w.ppo.epochs is not used"]),
    ],
)
def test_what_a_scheme_does_not_use_is_refused_with_what_it_uses(scheme, given, parts):
    with pytest.raises(ValueError, match=r"^--config: ") as refused:
        part_used({"scheme": scheme} | given, "--config: ")
    for part in parts:
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)
    assert settings_of(part_used({"scheme": scheme} | given, among=tuple(names()))), "unless it is meant for others"


def test_a_key_that_no_compared_scheme_uses_is_refused_even_if_they_have_the_section():
    given = {"single": {"hidden": [4], "graph": {"layers": [4]}}, "scheme": "marl"}
    part_used(given, among=("sarl", "sarl-gnn"))
    with pytest.raises(ValueError, match=r"single\.graph\.layers"):
        part_used(given, among=("sarl",))


def _old_dump(scheme):
    """All sections, as settings.json of the version before held them whatever the scheme."""
    plain = {"scheme": scheme, "seed": 3, "copies": 32, "policy": {"hidden": [5]}, "ppo": {"learning_rate": 0.02}}
    plain |= {"critic": {"hidden": [6]}, "imarl": {"order": "greedy", "base_policy": "benchmark", "patience": 9}}
    plain |= {"single": {"hidden": [7], "learning_rate": 0.03}, "pathwise": {"copies": 64}, "iterations": 11}
    loop = {
        "policy": {"memory": "stack", "hidden": [8]},
        "ppo": {"epochs": 2, "learning_rate": 0.5},
        "fast": "replenishment",
    }
    loop |= {"critic": {"gamma": 0.7}, "fast_law": {"initial": 0.1}, "slow_law": {"initial": 0.2}}
    return plain | {
        "loop": loop,
        "departments": {},
        "train_periods": None,
        "reward_unit": None,
        "acceptance_episodes": 7,
    }


@pytest.mark.parametrize("scheme", names())
def test_the_settings_of_a_run_of_the_version_before_are_read(scheme):
    found = kept_settings(_old_dump(scheme))
    spec = scheme_of(scheme)
    assert (found.scheme, found.seed) == (scheme, 3)
    if spec.needs_customers:
        assert (found.policy.memory, found.policy.hidden, found.ppo.epochs) == ("stack", (8,), 2)
        assert found.critic.gamma == 0.7
        assert found.fast_law.initial == (2e-3 if "fast_law" in spec.unused else 0.1)
    else:
        assert found.policy.hidden == ((64, 64) if "policy.hidden" in spec.unused else (5,))
        assert found.base_policy == "benchmark"
    assert settings_of(to_json(found)) == found


def test_the_section_of_the_version_before_is_read_from_a_file_too():
    given = {"scheme": "mtma", "loop": {"policy": {"memory": "stack"}, "fast": "replenishment"}}
    found = settings_of(part_used(given))
    assert (found.policy.memory, found.fast) == ("stack", "replenishment")


def test_every_department_of_a_firm_with_customers_has_the_law_of_its_timescale():
    laws = {}
    for name in filter(lambda name: scheme_of(name).needs_customers, schemes_for(load_firm("closing-loop"))):
        given = settings_of(scheme=name, departments={"store": {"law": {"initial": 0.5}}})
        laws[name] = [scheme_of(name).law(given, who).initial for who in (RECOMMENDATION, "warehouse", "store")]
    assert laws["mtma"] == laws["siloed"] == [2e-3, 1e-3, 0.5]
    assert laws["stma-fast"] == laws["stsa-fast"] == [2e-3, 2e-3, 0.5]
    assert laws["stma-slow"] == laws["stsa-slow"] == [1e-3, 1e-3, 0.5]
    swapped = settings_of(scheme="mtma", fast="replenishment")
    assert scheme_of("mtma").law(swapped, "warehouse").initial == 2e-3
    assert scheme_of("pathwise").law(settings_of(scheme="pathwise"), "warehouse") is None


@pytest.mark.parametrize(
    ("scheme", "given", "at", "share"),
    [
        ("pathwise", {"pathwise": {"updates": 100}}, (16, 5.0, 1e9), 0.16),
        ("marl", {"iterations": 50}, (10, 5.0, 1e9), 0.2),
        ("marl", {"iterations": 50, "seconds": 10}, (10, 5.0, 1e9), 0.5),
        ("imarl", {}, (10, 5.0, 1e9), None),
        ("imarl", {"steps": 100}, (10, 5.0, 200.0), 1.0),
    ],
)
def test_the_share_that_is_done_counts_what_ends_the_scheme(scheme, given, at, share):
    assert scheme_of(scheme).share_done(settings_of(given | {"scheme": scheme}), *at) == share


def test_the_papers_setting_gives_every_scheme_its_part():
    given = config_file(Path("paper"))
    base = {name: part_used(given | {"scheme": name}, among=tuple(names())) for name in schemes_for(load_firm("a1"))}
    assert {part["base_policy"] for part in base.values()} == {"benchmark"}
    assert [name for name, part in base.items() if "imarl" in part] == ["imarl"]
    assert [name for name, part in base.items() if "single" in part] == ["sarl", "sarl-gnn"]
    assert "copies" not in base["pathwise"]

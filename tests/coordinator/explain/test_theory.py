import io
import json

import pytest
from rich.console import Console

from coordinator.cli import run
from coordinator.explain import theory
from coordinator.explain.theory import run_theory


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return run_theory(tmp_path_factory.mktemp("theory"))


def by_laws(found, instance):
    return {race.laws: race for race in found.races if race.instance == instance}


@pytest.mark.parametrize(
    ("laws", "exponents"),
    [  # half of the exponents of the steps
        ("b/a to 0", (-0.30, -0.40)),
        ("both fast", (-0.30, -0.30)),
        ("both slow", (-0.40, -0.40)),
        ("three, c/b and b/a to 0", (-0.275, -0.35, -0.45)),
    ],
)
def test_distances_fall_by_the_roots_of_the_steps(found, laws, exponents):
    assert by_laws(found, "one profit")[laws].rates == pytest.approx(exponents, abs=0.09)


def test_where_indicators_differ_only_the_fast_price_lets_the_push_come_to_rest(found):
    own = by_laws(found, "own indicators")
    assert own["b/a to 0"].distance[-1] == pytest.approx([0.05, 0.05], abs=0.04)
    assert max(own["b/a to 0"].rates) < -0.5
    for laws in ("b = a", "a/b to 0"):
        assert min(own[laws].distance[-1]) > 0.6
        assert min(own[laws].rates) > -0.1


def test_it_is_told_in_tables_json_and_pictures(found):
    told = json.loads(json.dumps(found.to_json()))
    assert len(told["timescales"]) == 7
    assert list(told["structures"]) == ["joint", "sequential", "factorised", "in silos"]
    assert [path.name for path in found.pictures] == [
        "theory-paths.png",
        "theory-tracking.png",
        "theory-structures.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in found.pictures)
    text = io.StringIO()
    Console(file=text, width=160).print(found)
    assert "order from x*(y)" in text.getvalue()
    assert "186.2" in text.getvalue()


def test_the_command_leaves_pictures_where_it_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(theory, "STEPS", 200)  # enough to see that it runs
    assert run(["theory", "--out", str(tmp_path / "here"), "--seed", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["timescales"][0]["steps"] == 200
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == [
        *("theory-paths.png", "theory-structures.png", "theory-tracking.png"),
    ]

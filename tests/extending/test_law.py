import json

import numpy as np
import pytest
import yaml

import firmwide
from coordinator.cli import run
from departments import extensions
from environment import World, load_firm, parse_firm
from tests.extending.conftest import write

SMALL = {"copies": 16, "selection_episodes": 40, "acceptance_episodes": 40}


def test_the_command_checks_draws_and_trains_a_firm_with_the_law_of_the_docs(here, capfd):
    write(here, "surge.py", "kiosk.yaml")
    assert run(["check", "kiosk.yaml"]) == 2
    assert "law must be one of fixed, uniform" in capfd.readouterr().err
    assert run(["--import", "surge.py", "check", "kiosk.yaml", "--json"]) == 0
    kiosk = json.loads(capfd.readouterr().out)["points"][1]
    assert kiosk["mean_demand"] == pytest.approx(6, abs=1e-3)
    world = World(load_firm("kiosk.yaml"), np.zeros((2, 1)))
    drawn = world.draw(50, 4000, world.generator(1)).demand.numpy()
    rng = np.random.default_rng(2)  # by the definition: a mean for each period, then a Poisson number
    wanted = rng.poisson(np.where(rng.random(200_000) < 0.1, 15.0, 5.0))
    assert drawn.mean() == pytest.approx(wanted.mean(), abs=0.06)
    assert drawn.std() == pytest.approx(wanted.std(), abs=0.06)
    options = ["--budget", "2e4", "--backend", "local", "--episodes", "40", "--set", "copies=16", "--run", "r"]
    assert run(["--import=surge.py", "train", "kiosk.yaml", *options]) == 0
    assert json.loads((here / "r/settings.json").read_text())["extensions"] == [str(here / "surge.py")]
    assert "surge" not in (here / "r/firm.yaml").read_text()
    assert run(["evaluate", "r/firm.yaml", "--policy", "r", "--episodes", "40"]) == 0


def test_a_program_registers_a_law_of_its_own(here, monkeypatch):
    @firmwide.register.law("twice")
    def twice(units: int) -> list[float]:
        return [0.0] * (2 * units) + [1.0]

    def firm(**demand):
        shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 40, "demand": {"law": "twice"} | demand}
        return parse_firm(
            {
                "name": "f",
                "unmet": "lost",
                "stock_points": {"shop": shop},
                "supply": [{"from": "outside", "to": "shop"}],
            }
        )

    made = firm(units=3)
    assert made.demand_laws()[0][0].mass().tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert parse_firm(yaml.safe_load(made.to_yaml())) == made
    for given, reason in (
        ({}, r"demand\.units"),
        ({"units": "many"}, r"demand\.units"),
        ({"units": 3, "more": 1}, r"demand\.more"),
    ):
        with pytest.raises(ValueError, match=reason) as refused:
            firm(**given)
        assert "\n" not in str(refused.value)
    with monkeypatch.context() as patched:
        patched.setattr(extensions, "_REMEMBERED", ["__main__"])
        for call in (firmwide.train, lambda firm, run: firmwide.benchmark([firm], out=run)):
            with pytest.raises(ValueError, match="put it into a module of its own"):
                call("toy", run="never")
    assert not list(here.iterdir())
    with pytest.raises(ValueError, match="law 'poisson' is there already"):
        firmwide.register.law("poisson")(twice)
    firmwide.register.law("twice")(lambda units: [0.5, 0.6])
    with pytest.raises(ValueError, match=r"must give probabilities of 0, 1, \.\.\. units that sum to 1"):
        firm(units=1)

"""Benchmarks small enough for a test: runs of three iterations, and what was measured in them."""

import json

import yaml

from coordinator.experiments.benchmark import BenchmarkRequest
from tests.small_firms import pair

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


def written(folder):
    """A folder with the firm and the settings as files."""
    (folder / "pair.yaml").write_text(pair().to_yaml())
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return folder


def asked(files, out, **changes):
    given = {"firms": [str(files / "pair.yaml")], "schemes": "imarl,marl", "out": out, "trials": 2}
    given |= {"config": files / "small.yaml", "episodes": 60, "backend": "local", "quiet": True}
    return BenchmarkRequest(**given | changes)


def results(out):
    """What was measured in every trial, times left out."""
    measured = {}
    for file in sorted(out.glob("runs/**/result.json")):
        about = json.loads(file.read_text())
        measured[str(file.relative_to(out))] = (about["policies"], about.get("curve"), about.get("env_steps"))
    return measured

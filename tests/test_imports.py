"""The four packages depend on each other in one direction; what is heavy or particular is imported in one place."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "environment": set(),
    "heuristics": set(),
    "departments": {"environment", "heuristics"},
    "coordinator": {"environment", "heuristics", "departments"},
}
FILES = {str(path.relative_to(ROOT)): path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))}


def _imported(path):
    """Full names of all modules that a file imports, inside functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written out in full"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _attributes(path):
    """Dotted names that a file uses, such as torch.optim.Adam."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]


def test_all_four_packages_are_looked_at():
    for package in MAY_IMPORT:
        assert sum(name.startswith(f"{package}/") for name in FILES) > 5


@pytest.mark.parametrize("name", FILES)
def test_a_package_imports_only_what_lies_below_it(name):
    package = name.split("/")[0]
    ours = {module.split(".")[0] for module in _imported(FILES[name])} & set(MAY_IMPORT)
    assert ours <= MAY_IMPORT[package] | {package}


def test_only_the_files_that_make_actors_know_ray():
    assert [name for name, path in FILES.items() if any(m.split(".")[0] == "ray" for m in _imported(path))] == [
        "coordinator/live/actors.py",
        "coordinator/live/staff.py",
        "coordinator/workers/ray_session.py",
    ]


def test_only_the_file_of_environments_needs_their_libraries():
    libraries = {"gymnasium", "pettingzoo", "stable_baselines3"}
    users = [name for name, path in FILES.items() if libraries & {module.split(".")[0] for module in _imported(path)}]
    assert users == ["coordinator/envs/faces.py"]


def test_nothing_uses_torch_optim_whose_import_costs_every_actor_a_second():
    for name, path in FILES.items():
        used = [*_imported(path), *_attributes(path)]
        assert not [module for module in used if module.startswith("torch.optim")], name


def test_nothing_loads_pickles():
    for name, path in FILES.items():
        roots = {module.split(".")[0] for module in _imported(path)}
        assert not roots & {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}, name
        assert not {"torch.load", "np.load"} & set(_attributes(path)), name


def test_heuristics_know_no_tensors():
    for name, path in FILES.items():
        if name.startswith("heuristics/"):
            assert "torch" not in {module.split(".")[0] for module in _imported(path)}, name


def test_nothing_is_drawn_from_a_global_stream():
    for name, path in FILES.items():
        assert not {"torch.manual_seed", "np.random.seed", "random.seed"} & set(_attributes(path)), name

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
    "firmwide": {"environment", "heuristics", "departments", "coordinator"},
}
# Folders of a package from the ground up: a file may import from its own folder and from those before it.
FLOORS = {
    "coordinator": (
        *(
            "version",
            "shown",
            "storage",
            "critic",
            "workers",
            "learning",
            "schemes",
            "envs",
            "runs",
            "evaluation",
            "live",
        ),
        *("monitoring", "office", "explain", "experiments", "report", "planning", "api", "cli"),
    ),
    "departments": (
        "extensions",
        "decisions",
        "numerics",
        "rules",
        "learning",
        "policies",
        "play",
        "serving",
        "named_policies",
        "department",
    ),
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


def test_all_packages_are_looked_at():
    for package in MAY_IMPORT:
        assert sum(name.startswith(f"{package}/") for name in FILES) > (2 if package == "firmwide" else 5)


@pytest.mark.parametrize("name", FILES)
def test_a_package_imports_only_what_lies_below_it(name):
    package = name.split("/")[0]
    ours = {module.split(".")[0] for module in _imported(FILES[name])} & set(MAY_IMPORT)
    assert ours <= MAY_IMPORT[package] | {package}


def _modules():
    """Our modules by dotted name."""
    return {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in FILES}


def _edges():
    """Which of our modules each of our modules imports."""
    modules = _modules()
    for module, name in modules.items():
        for found in _imported(FILES[name]):
            owner = found if found in modules else found.rpartition(".")[0]
            if owner in modules and owner != module:
                yield module, owner


@pytest.mark.parametrize("package", FLOORS)
def test_no_folder_imports_from_a_floor_above(package):
    floors = FLOORS[package]
    upward = []
    for module, imported in _edges():
        (top, *rest), (other, *below) = module.split("."), imported.split(".")
        if top == other == package and rest and below and floors.index(below[0]) > floors.index(rest[0]):
            upward.append(f"{module} -> {imported}")
    assert upward == []


def test_imports_run_in_no_circle():
    below = {}
    for module, imported in _edges():
        below.setdefault(module, set()).add(imported)
    done = set()

    def walk(module, way):
        assert module not in way, f"circle: {' -> '.join([*way, module])}"
        if module not in done:
            for imported in sorted(below.get(module, ())):
                walk(imported, [*way, module])
            done.add(module)

    for module in sorted(below):
        walk(module, [])


def test_only_the_files_that_make_actors_know_ray():
    assert [name for name, path in FILES.items() if any(m.split(".")[0] == "ray" for m in _imported(path))] == [
        "coordinator/live/actor_clients.py",
        "coordinator/live/actors.py",
        "coordinator/live/hiring.py",
        "coordinator/live/process_info.py",
        "coordinator/workers/ray_group.py",
        "coordinator/workers/ray_session.py",
    ]


def test_only_the_files_of_environments_need_their_libraries():
    libraries = {"gymnasium", "pettingzoo", "stable_baselines3"}
    users = [name for name, path in FILES.items() if libraries & {module.split(".")[0] for module in _imported(path)}]
    assert users == ["coordinator/envs/faces.py", "coordinator/envs/sb3.py", "firmwide/gym.py"]


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


def test_no_test_imports_from_benchmarks():
    for path in sorted((ROOT / "tests").rglob("*.py")):
        assert "benchmarks" not in {module.split(".")[0] for module in _imported(path)}, path

"""The wheel, installed outside the tree, is whole; a program of a user passes mypy --strict."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import firmwide

ROOT = Path(__file__).parents[2]
PACKAGES = ("environment", "heuristics", "departments", "coordinator", "firmwide")
JUNK = shutil.ignore_patterns("__pycache__", "*.egg-info")
USER = """
from pathlib import Path

import firmwide

firm = firmwide.load_firm("a1")
run = firmwide.train(firm, budget="20s", backend="local")
order: int | dict[str, int] = run.policy("retailer-1").order(on_hand=9, on_order=5)
page: Path = firmwide.report(run.folder)
costs: list[float] = run.metrics["cost"].tolist()
mean, error = firmwide.evaluate(firm, ["reorder"]).mean("reorder")
with firmwide.RunningFirm.connect("shop") as shop:
    print(shop.departments, order, page, costs, mean + error, firmwide.__version__)
"""


def done(*words, **given):
    return subprocess.run(words, capture_output=True, text=True, check=True, **given).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the tree; no network."""
    folder = tmp_path_factory.mktemp("wheel")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=JUNK)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    return folder / done(sys.executable, "-c", build, cwd=folder).split()[-1]


@pytest.fixture(scope="module")
def python(wheel):
    """A fresh environment with the wheel; behind it, a foreign package that has the name of one of ours."""
    home = wheel.parent / "venv"
    done(sys.executable, "-m", "venv", "--without-pip", str(home))
    own = Path(done(str(home / "bin/python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    done(
        *(
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            str(own),
            str(wheel),
        )
    )
    (wheel.parent / "foreign/coordinator").mkdir(parents=True)
    (wheel.parent / "foreign/coordinator/__init__.py").write_text("raise ImportError('this is somebody else')\n")
    behind = f"{wheel.parent / 'foreign'}\n{sysconfig.get_path('purelib')}\n"
    (own / "behind.pth").write_text(behind)  # the path of our dependencies; its own .pth files are not read
    return home / "bin/python"


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tree = {str(path.relative_to(wheel.parent)) for package in PACKAGES for path in (wheel.parent / package).rglob("*")}
    files = {name for name in tree if (wheel.parent / name).is_file()}
    assert packed == files
    assert {f"{package}/{name}" for package in PACKAGES for name in ("py.typed", "__init__.py")} <= packed


@pytest.mark.slow
def test_the_wheel_works_outside_the_tree_beside_a_foreign_coordinator(python, tmp_path):
    script = python.parent.parent.glob("lib/*/site-packages/bin/firmwide")
    listed = done(str(python), *map(str, script), "scenarios", cwd=tmp_path, env={})
    assert "\ntoy " in listed
    program = "import coordinator, firmwide; print(coordinator.__file__, firmwide.__file__, firmwide.__version__)"
    told = done(str(python), "-c", program, cwd=tmp_path, env={})
    assert told.count(str(python.parent.parent)) == 2
    assert told.split()[-1] == firmwide.__version__


@pytest.mark.thorough
@pytest.mark.slow
def test_a_program_of_a_user_passes_strict_mypy(tmp_path):
    (tmp_path / "user.py").write_text(USER)
    said = done(sys.executable, "-m", "mypy", "--strict", str(tmp_path / "user.py"), cwd=ROOT)
    assert said.startswith("Success")

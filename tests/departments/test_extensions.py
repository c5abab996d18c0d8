import subprocess
import sys

import pytest

from departments import extensions


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(extensions, "_REMEMBERED", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("of_a_user"):
            del sys.modules[name]


def _file(folder, name, text="from departments import extensions\n\nextensions.remember(__name__)\n"):
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_is_imported_once_and_remembered_by_its_path(tmp_path):
    file = _file(tmp_path, "of_a_user_1.py")
    extensions.load([file, file])
    assert extensions.names() == [file] == extensions.names_for_others()
    assert sys.modules["of_a_user_1"].__file__ == file


def test_a_module_of_a_package_is_remembered_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "of_a_user_pkg").mkdir()
    _file(tmp_path / "of_a_user_pkg", "__init__.py", "")
    _file(tmp_path / "of_a_user_pkg", "rules.py")
    monkeypatch.syspath_prepend(tmp_path)
    extensions.load(["of_a_user_pkg.rules"])
    assert extensions.names() == ["of_a_user_pkg.rules"]


def test_our_own_modules_are_not_remembered():
    extensions.remember("departments.named_policies")
    assert extensions.names() == []


def test_another_process_imports_what_this_one_remembers(tmp_path):
    file = _file(tmp_path, "of_a_user_2.py")
    extensions.load([file])
    program = f"from departments import extensions as e; e.load({extensions.names_for_others()!r}); print(*e.names())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == file


def test_the_program_itself_cannot_travel():
    extensions.remember("__main__")
    assert extensions.names() == ["__main__"]
    with pytest.raises(ValueError, match="put it into a module of its own"):
        extensions.names_for_others()
    extensions.load(["__main__"])  # here it is known


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("of_nobody", "extension 'of_nobody' cannot be imported"),
        ("nowhere/of_nobody.py", "is not there; name a module or an existing .py file"),
        ("__main__", "is unknown here"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_one_line(name, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        extensions.load([name])
    assert "\n" not in str(refused.value)


def test_a_file_with_the_name_of_another_module_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has the name of another module"):
        extensions.load([_file(tmp_path, "json.py")])
    with pytest.raises(ValueError, match="must be named like a Python module"):
        extensions.load([_file(tmp_path, "of-a-user.py")])

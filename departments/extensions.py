"""Modules of users that registered something of their own, so that other processes can import them too.

What a user registers (a rule, a scheme, a law) is found by its name. A worker, a resumed run or a firm in operation
knows that name only once it has imported the user's module, so the module's name travels; nothing is pickled by us.
A module is named as `import` names it, or by the path of its file.
"""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_OURS = ("environment", "heuristics", "departments", "coordinator", "firmwide")
_REMEMBERED: list[str] = []  # an explicit registry, in the order of registration
INHERITED = "FIRMWIDE_EXTENSIONS"  # environment variable by which a process that Ray starts is told


def remember(module: str) -> None:
    """Note that `module` (its `__name__`) registered something; our own modules are everywhere and not noted."""
    if module.partition(".")[0] in _OURS:
        return
    name = _travels_as(module)
    if name not in _REMEMBERED:
        _REMEMBERED.append(name)


def names() -> list[str]:
    """What was remembered: modules' names, absolute paths of files, or `__main__`, which only this process has."""
    return list(_REMEMBERED)


def names_for_others() -> list[str]:
    """The same for another process.

    Raises:
        ValueError: something was registered in `__main__`, which another process cannot import.
    """
    if "__main__" in _REMEMBERED:
        raise ValueError(
            "what is registered in the program itself (__main__) is unknown to other processes: "
            "put it into a module of its own and import that, or use backend='local'"
        )
    return names()


def load(wanted: Iterable[str]) -> None:
    """Import modules by name or by the path of a .py file, and remember them; what is imported already stays.

    Raises:
        ValueError: one line; there is no such module, or it cannot be imported.
    """
    for name in wanted:
        if name == "__main__":
            if "__main__" not in _REMEMBERED:
                raise ValueError(
                    "what a program itself (__main__) registered is unknown here: put it into a module of its own"
                )
            continue
        module = _from_file(Path(name).absolute()) if name.endswith(".py") else _imported(name, name)
        remember(module)


def load_inherited() -> None:
    """Load what the process that started this one remembers: a Ray worker does so before it unpacks anything."""
    load(filter(None, os.environ.get(INHERITED, "").split(os.pathsep)))


def _from_file(file: Path) -> str:
    """Import a file as the module of its name, so that it is the same module wherever it is imported."""
    if not file.is_file():
        raise ValueError(f"extension {str(file)!r} is not there; name a module or an existing .py file")
    if not file.stem.isidentifier():
        raise ValueError(f"extension {str(file)!r} must be named like a Python module, such as my_rules.py")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    module = _imported(file.stem, str(file))
    found = getattr(sys.modules[module], "__file__", None)
    if found is None or Path(found).resolve() != file.resolve():
        raise ValueError(f"extension {str(file)!r} has the name of another module, {found}: rename it")
    return module


def _imported(module: str, shown: str) -> str:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"extension {shown!r} cannot be imported: {error}") from error
    return module


def _travels_as(module: str) -> str:
    """A single file outside the installed packages goes by its path, which needs no search path."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if module == "__main__" or file is None or "." in module or Path(file).name == "__init__.py":
        return module
    installed = (Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib", "stdlib"))
    return module if Path(file).parent in installed else str(Path(file).absolute())

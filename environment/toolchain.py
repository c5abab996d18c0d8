"""C++ that is compiled when it is needed, by the machine's own compiler: `c++`, `g++` or `clang++`."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

COMPILERS = ("c++", "g++", "clang++")
_FLAGS = ("-std=c++17", "-march=native", "-shared", "-fPIC")


class NotCompiledError(Exception):
    """The firm, the device or the machine is not one that can be compiled for; says why."""


def compile_cached(source: Path, flags: Sequence[str]) -> ctypes.CDLL:
    """The library of a C++ file and the headers beside it.

    It is kept for this user's other processes in $XDG_CACHE_HOME/firmwide or ~/.cache/firmwide; where that cannot be,
    it is built in a folder that is gone when the process has loaded it.

    Raises:
        NotCompiledError: there is no compiler, or it failed.
    """
    compiler, shelf = _compiler(), _shelf()
    texts = [path.read_text() for path in (source, *sorted(source.parent.glob("*.hpp")))]
    told = "\n".join((*texts, *flags, compiler, str(Path(compiler).stat().st_mtime), _processor()))
    name = f"{hashlib.sha256(told.encode()).hexdigest()[:24]}.so"
    if shelf is not None and (shelf / name).is_file():
        return _loaded(shelf / name)
    with tempfile.TemporaryDirectory(prefix="building-", dir=shelf) as place:
        built = Path(place, name)
        _build(compiler, source, flags, built)
        return _loaded(built if shelf is None else built.replace(shelf / name))


def _shelf() -> Path | None:
    """Where libraries are kept: a folder that nobody but this user writes to; None if there can be none."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "firmwide")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = folder.stat()
        own = about.st_uid == os.getuid() and not about.st_mode & 0o022 and os.access(folder, os.W_OK)
    except (OSError, RuntimeError):  # no home, or one that cannot be written to
        return None
    return folder if own else None


def compiler_version() -> str:
    """What the compiler says of itself, such as `g++ (Debian 12.2.0-14) 12.2.0`.

    Raises:
        NotCompiledError: there is none.
    """
    told = subprocess.run([_compiler(), "--version"], capture_output=True, text=True).stdout
    return " ".join(told.split("\n")[0].split())


def processor() -> str:
    """The processor by name, with a mark of what -march=native looks at; empty where nothing is known."""
    told = _processor()
    named = next((line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")), "")
    return f"{named or platform.machine()} {hashlib.sha256(told.encode()).hexdigest()[:6]}" if told else ""


def _processor() -> str:
    """What -march=native looks at."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def _compiler() -> str:
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise NotCompiledError(f"no C++ compiler is on the path ({', '.join(COMPILERS)}); install one")
    return compiler


def _build(compiler: str, source: Path, flags: Sequence[str], library: Path) -> None:
    command = [compiler, *_FLAGS, *flags, str(source), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise NotCompiledError(f"{compiler} failed: {next((x for x in lines if 'error' in x), lines[0])}")


def _loaded(library: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:  # a folder from which nothing may be run
        raise NotCompiledError(f"what was compiled cannot be loaded: {error}") from error

"""Which firmwide this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """Of the installed package."""
    try:
        return version("firmwide")
    except PackageNotFoundError:
        return "run from its source"

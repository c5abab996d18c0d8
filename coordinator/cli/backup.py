"""`firmwide backup`: a copy of a firm's book."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.options import HomeOption, NameArgument
from coordinator.live.home import HOME, folder_of


def backup(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="Where the copy shall be.")],
    home: HomeOption = HOME,
) -> None:
    """Copy a firm's book, also while it runs; a firm that is stopped goes on from one put back as its book.sqlite."""
    from coordinator.live.book_file import copy

    if file.exists():
        raise ValueError(f"FILE must not be there yet, got {str(file)!r}")
    if not file.parent.is_dir():
        raise ValueError(f"FILE must be in a folder that exists, got {str(file)!r}")
    copy(folder_of(name, home) / "book.sqlite", file)
    sys.stderr.write(f"{file} is the book of {name} as of now; policies/ and firm.yaml are files that never change\n")

"""What commands print."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from coordinator.shown import finite

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(content: RenderableType | str) -> None:
    """Print for the eye: as wide as the terminal, or wide enough where there is none."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    console.print(content)


def show_json(content: Any) -> None:  # noqa: ANN401
    """Print one JSON object on stdout."""
    sys.stdout.write(json.dumps(finite(content), indent=2, allow_nan=False) + "\n")


def say(line: str) -> None:
    """Tell what happens, on stderr."""
    sys.stderr.write(f"{line}\n")


def complain(message: str) -> None:
    """One line on stderr."""
    say(f"firmwide: {' '.join(message.split())}")

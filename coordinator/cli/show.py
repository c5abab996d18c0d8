"""What commands print, and how a process is set up for them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(content: RenderableType | str) -> None:
    """Print for the eye: as wide as the terminal, or wide enough where there is none."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    console.print(content)


def show_json(content: Any) -> None:  # noqa: ANN401
    """Print one JSON object on stdout."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def complain(message: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"firmwide: {' '.join(message.split())}\n")


def settle_on(device: str) -> None:
    """Small tensors are fastest on one thread; a device that is not there is refused here."""
    import torch

    from coordinator.workers.process import settle

    settle()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device must be cpu, or a device that PyTorch finds here, got {device!r}: {error}"
        ) from None

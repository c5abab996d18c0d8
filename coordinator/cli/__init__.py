"""The command `firmwide`."""

from coordinator.cli.main import main, run

__all__ = ["main", "run"]

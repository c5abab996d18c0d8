"""Prometheus' and Grafana's files, with the paths of this machine filled in."""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from coordinator.storage.files import write_atomically


def write_files(folder: Path, targets: Path) -> None:
    """Write the configuration into a new folder, or over one that was written before.

    Args:
        folder: where it goes.
        targets: folder where exporters leave a file each.

    Raises:
        ValueError: one line; the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--files must be a folder, got the file {str(folder)!r}")
    places = {
        "TARGETS": targets.resolve(),
        "RAY_TOKEN": Path.home() / ".ray" / "auth_token",
        "DASHBOARDS": (folder / "grafana" / "dashboards").resolve(),
    }
    for name in ("prometheus.yml", "alerts.yml", "grafana"):
        _copy(files("coordinator.monitoring") / name, folder / name, places)


def _copy(source: Traversable, target: Path, places: dict[str, Path]) -> None:
    if source.is_dir():
        for entry in source.iterdir():
            _copy(entry, target / entry.name, places)
        return
    text = source.read_text(encoding="utf-8")
    for name, path in places.items():
        text = text.replace(f"@{name}@", json.dumps(str(path))[1:-1])
    write_atomically(target, text)

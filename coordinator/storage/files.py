"""Files that are written beside their place and moved there at once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SEAL = "json_sha256"

PRIVATE = 0o640  # of files of a running firm: for its owner, and for the group to read


def write_atomically(path: Path, content: bytes | str, mode: int = 0o666) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part; `mode`: who may, before umask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")  # of this call alone: others may write, too
    raw = content.encode() if isinstance(content, str) else content
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_picture(path: Path, figure: Figure) -> Path:
    """Write a figure as a png, 120 dots an inch; returns where it is."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomically(path, content.getvalue())
    return path


def write_sealed(place: Path, about: Mapping[str, Any], mode: int = 0o666) -> None:
    """Write a json with a sha256 of its own, so that nothing in it can change unseen."""
    write_atomically(place, json.dumps({**about, _SEAL: _seal(about)}, indent=1) + "\n", mode)


def read_sealed(place: Path) -> dict[str, Any]:
    """What `write_sealed` wrote, or older versions without a seal.

    Raises:
        ValueError: it is no json object, or not what its seal says.
        OSError: it cannot be read.
    """
    about = json.loads(place.read_text())
    if not isinstance(about, dict):
        raise ValueError("its json must be an object")
    if about.pop(_SEAL, None) not in (None, _seal(about)):
        raise ValueError("its json is damaged: its sha256 is another; restore it or take another version")
    return about


def _seal(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

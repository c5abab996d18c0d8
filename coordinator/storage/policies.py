"""What is kept: policies by version, checkpoints. Files are written beside their place and moved there at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from coordinator.storage.files import read_sealed, write_atomically, write_sealed
from departments.policies.policy import PolicyConfig, Snapshot
from environment.names import file_name

Arrays = Mapping[str, NDArray[Any]]
__all__ = [
    "load_checkpoint",
    "load_policy",
    "read_sealed",
    "save_checkpoint",
    "save_policy",
    "write_atomically",
    "write_sealed",
]


def save_policy(folder: Path, snapshot: Snapshot, provenance: Mapping[str, Any]) -> Path:
    """Keep a policy as `folder/DEPARTMENT/VERSION.safetensors`, and beside it a json with its settings and sha256."""
    place = folder / file_name(snapshot.department) / f"{snapshot.version}.safetensors"
    content = save_tensors({"parameters": snapshot.parameters})
    about = {
        "department": snapshot.department,
        "version": snapshot.version,
        "sha256": hashlib.sha256(content).hexdigest(),
        "policy": snapshot.config.model_dump(mode="json"),
        "provenance": dict(provenance),
    }
    write_atomically(place, content)
    write_sealed(place.with_suffix(".json"), about)
    return place


def load_policy(folder: Path, department: str, version: int) -> Snapshot:
    """A kept policy.

    Raises:
        ValueError: it is missing, damaged, or not what its json says.
    """
    place = folder / file_name(department) / f"{version}.safetensors"
    try:
        about, content = read_sealed(place.with_suffix(".json")), place.read_bytes()
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{place} cannot be read as a policy: {error}") from None
    if (about.get("department"), about.get("version")) != (department, version):
        raise ValueError(f"{place} is not what its json says: that must name {department} and version {version}")
    if hashlib.sha256(content).hexdigest() != about.get("sha256"):
        raise ValueError(
            f"{place} is damaged: its sha256 is not the one in its json; restore it or take another version"
        )
    try:
        config = PolicyConfig.model_validate(about.get("policy"))
        parameters = load_tensors(content)["parameters"]
    except (ValidationError, SafetensorError, KeyError) as error:
        raise ValueError(f"{place} is not a policy: {str(error).splitlines()[0]}") from None
    if parameters.dtype != np.float32 or parameters.ndim != 1 or not np.isfinite(parameters).all():
        raise ValueError(f"{place} must hold one vector of finite 32-bit numbers")
    return Snapshot(department, version, config, parameters)


def save_checkpoint(path: Path, arrays: Arrays, record: Mapping[str, Any]) -> None:
    """Arrays and a json record in one file, so that they can never disagree, with a sha256 of both."""
    written = json.dumps(record)
    write_atomically(path, save_tensors(dict(arrays), metadata={"record": written, "sha256": _digest(arrays, written)}))


def _digest(arrays: Arrays, record: str) -> str:
    digest = hashlib.sha256(record.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def load_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `save_checkpoint` kept.

    Raises:
        ValueError: the file is missing or damaged.
    """
    try:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        about = json.loads(content[8 : 8 + length])["__metadata__"]
        arrays, record = load_tensors(content), about["record"]
        if about["sha256"] != _digest(arrays, record):
            raise ValueError("its sha256 is not the one that it names")
        return arrays, json.loads(record)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, SafetensorError) as error:
        raise ValueError(f"{path} is not a checkpoint to resume from: {error}") from None

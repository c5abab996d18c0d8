"""Policies of a running firm by department and version: safetensors beside json, with sha256 and provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from coordinator.storage.files import PRIVATE, read_sealed, write_atomically, write_sealed
from departments.serving.numpy_policy import NumpyPolicy, PolicyBundle
from environment.names import file_name


def keep_bundle(folder: Path, bundle: PolicyBundle, provenance: Mapping[str, Any]) -> Path:
    """Keep a brief as `folder/DEPARTMENT/VERSION.safetensors`, and beside it a json."""
    place = folder / file_name(bundle.department) / f"{bundle.version}.safetensors"
    content = save_tensors({name: np.ascontiguousarray(array) for name, array in bundle.arrays.items()})
    about = {
        "about": dict(bundle.about),
        "sha256": hashlib.sha256(content).hexdigest(),
        "provenance": dict(provenance),
    }
    write_atomically(place, content, PRIVATE)
    write_sealed(place.with_suffix(".json"), about, PRIVATE)
    return place


def read_bundle(folder: Path, department: str, version: int) -> PolicyBundle:
    """A kept brief, ready to act by.

    Raises:
        ValueError: one line; missing, damaged, or not what its json says.
    """
    place = folder / file_name(department) / f"{version}.safetensors"
    try:
        kept = read_sealed(place.with_suffix(".json"))
        content = place.read_bytes()
        if hashlib.sha256(content).hexdigest() != kept["sha256"]:
            raise ValueError("its sha256 is not the one in its json")
        bundle = PolicyBundle(kept["about"], load_tensors(content))
        if (bundle.department, bundle.version) != (department, version):
            raise ValueError(f"its json names {bundle.department} and version {bundle.version}")
        NumpyPolicy(bundle)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise ValueError(f"{place} cannot be followed: {str(error).splitlines()[0]}") from None
    return bundle


def versions(folder: Path, department: str) -> list[int]:
    """Versions that are kept of a department, ascending."""
    return sorted(int(path.stem) for path in (folder / file_name(department)).glob("*.json") if path.stem.isdigit())

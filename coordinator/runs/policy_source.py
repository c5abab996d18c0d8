"""Where a policy may come from: a run, one version of it, or a policy file of a run; and whether it fits a firm."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.runs.folder import RunFolder
from environment import Firm, World
from environment.names import file_name, name_of_file


def fingerprint(firm: Firm) -> str:
    """Names a firm's structure: stock points, products, supply, order limits, customers, whose allocation is learned.

    Costs and laws may differ.
    """
    world = World(firm, np.zeros((len(firm.names), len(firm.products))))
    structure = {
        "stock_points": firm.names,
        "products": firm.products,
        "unmet": firm.unmet if firm.unmet_demand != "mixed" else firm.lost_shares().tolist(),
        "edges": world.network.edge_names,
        "slots": world.slots,
        "max_order": firm.amounts("max_order").tolist(),
        "segments": {name: sorted(firm.segments(name)) for name in firm.customers},
    }
    if decided := [firm.names[n] for n in range(len(firm.names)) if world.network.customers_of(n)]:
        structure["allocation"] = decided
    return hashlib.sha256(json.dumps(structure).encode()).hexdigest()[:16]


def run_and_version(department: str, text: str) -> tuple[Path, int | None] | None:
    """The run folder, and the version if one is asked for, of `RUN`, `RUN@VERSION` or a policy file.

    None: a rule, or a csv file of levels.

    Raises:
        ValueError: one line; it names a file or folder that is none.
    """
    place, _, version = text.partition("@")
    path = Path(place)
    if path.suffix == ".safetensors":
        if version or not path.stem.isdigit() or path.parent.name != file_name(department):
            raise ValueError(f"--policy {text!r} must be a run's policies/{file_name(department)}/VERSION.safetensors")
        return path.parents[2], int(path.stem)
    if os.path.isdir(place):
        if version and not version.isdigit():
            raise ValueError(f"--policy RUN@VERSION takes a whole number as version, got {version!r}")
        return path, int(version) if version else None
    if "/" in place and path.suffix != ".csv":
        raise ValueError(f"--policy {text!r} is neither a rule nor a run folder that exists")
    return None


def must_be_built_alike(firm: Firm, trained: Firm, policy: str) -> None:
    """Refuse a run's policy in a firm that is built otherwise than the one it was trained for.

    Raises:
        ValueError: one line.
    """
    if fingerprint(trained) != fingerprint(firm):
        raise ValueError(
            f"--policy {policy!r} was trained for firm {trained.name!r}, which is built otherwise than {firm.name!r}: "
            "stock points, products, supply, order limits, segments and learned allocation must be the same"
        )


def kept_versions(folder: Path) -> list[dict[str, Any]]:
    """The policies that a run or a running firm keeps, by department and version.

    Returns:
        `department`, `version`, `policy` (what a swap takes; of a running firm, what was asked for), `counts` (whether
        it is the one that a run's department follows), and `came_by`: its provenance.

    Raises:
        ValueError: one line; a file is damaged.
    """
    current, rows = RunFolder(folder).current_versions(), []
    files = [file for file in folder.glob("policies/*/*.json") if file.stem.isdigit()]
    for file in sorted(files, key=lambda file: (file.parent.name, int(file.stem))):
        try:
            came = dict(json.loads(file.read_text())["provenance"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} is damaged: restore it, or remove that version ({error!r})") from None
        department, version = name_of_file(file.parent.name), int(file.stem)
        rows.append(
            {
                "department": department,
                "version": version,
                "policy": f"{folder}@{version}" if current else str(came.get("policy") or ""),
                "counts": current.get(department) == version,
                "came_by": came,
            }
        )
    return rows

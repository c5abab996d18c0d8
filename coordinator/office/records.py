"""What the office tells from the firm's folder: its network, and each department's policies by version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from coordinator.live.layout import FirmLayout
from coordinator.live.policies import read_bundle, versions
from coordinator.live.structures import Structure
from coordinator.runs.policy_text import name_and_policy
from environment.names import file_name

Json = dict[str, Any]
EVERY = "*"  # in a product's place: the sum of all


def network_of(structure: Structure) -> Json:
    """Of a firm as it is built: stock points and departments, products, who supplies whom, and order limits.

    Returns:
        `structure` (how often it was changed before),
        `firm`, `departments`, `points`, `products`, `customer_facing`, `segments` (STOCK_POINT/SEGMENT), `recommends`
        (the department, or null), `earns`, `currency`, `unit` (null where the firm file does not say), `max_order`
        (units by point and product), and `edges`: `from`, `to`, `lead_time` (as in the firm file: periods, a law, or
        either by product). Who has no supplier buys `outside`.
    """
    written, layout = yaml.safe_load(structure.firm), FirmLayout.of(structure.frame)
    edges = [{"lead_time": 1, **edge} for edge in written.get("supply", [])]
    supplied = {edge["to"] for edge in edges}
    edges += [{"from": "outside", "to": name, "lead_time": 1} for name in layout.points if name not in supplied]
    told = ("firm", "departments", "points", "products", "customer_facing", "segments", "recommends", "earns")
    most = {name: layout.by_product(units) for name, units in zip(layout.points, layout.max_order, strict=True)}
    shown = [{key: edge[key] for key in ("from", "to", "lead_time")} for edge in edges]
    labels = {key: written.get(key) for key in ("currency", "unit")}
    known = {key: getattr(layout, key) for key in told}
    return {"structure": structure.number} | known | labels | {"max_order": most, "edges": shown}


def narrowed(departments: Mapping[str, Json], product: str) -> Json:
    """Departments with what they have by product narrowed to one product, or summed over all where it is `*`."""

    def narrow(values: Mapping[str, float]) -> Json:
        if not values:
            return {}
        return {product: sum(values.values()) if product == EVERY else values[product]}

    by_product = ("order", "on_hand", "inventory_position", "backlog")
    return {
        name: row | {key: narrow(row[key]) for key in by_product if key in row} for name, row in departments.items()
    }


def narrowed_decision(row: Json, layout: FirmLayout, product: str) -> Json:
    """A decision of `history` narrowed as departments are, without what it saw; recommendations stay as they are."""
    if row["department"] == layout.recommends:
        return row
    decision, wished = row["decision"], row["wished"]
    if product == EVERY:
        return row | {"decision": {EVERY: sum(decision.values())}, "wished": [sum(wished)], "saw": []}
    k = layout.products.index(product)
    return row | {"decision": {product: decision[product]}, "wished": [wished[k]], "saw": []}


def policies_of(folder: Path, department: str, products: list[str]) -> list[Json]:
    """Every policy that a department has ever followed, oldest first.

    Returns:
        `version`, `policy` (its label), `kind`, `level` (units by product: the base-stock level that it follows or
        departs from; null where it has none), `timescale` (in words; null unless its run is still where it was), and
        of how it was let in: `who`, `why`, `tick`, `asked` (the policy that was asked for), `figures` (shadow run).
    """
    return [
        _policy(folder, department, version, tuple(products)) for version in versions(folder / "policies", department)
    ]


@lru_cache(maxsize=4096)
def _policy(folder: Path, department: str, version: int, products: tuple[str, ...]) -> Json:
    """A version never changes."""
    bundle = read_bundle(folder / "policies", department, version)
    came = json.loads((folder / "policies" / file_name(department) / f"{version}.json").read_text())["provenance"]
    level = bundle.arrays.get("level")
    asked = came.get("policy")
    return {
        "version": version,
        "policy": bundle.label,
        "kind": bundle.kind,
        "level": None if level is None else dict(zip(products, map(float, level.reshape(-1)), strict=False)),
        "timescale": _timescale(department, asked, bundle.label),
        "who": came.get("who", ""),
        "why": came.get("why", ""),
        "tick": came.get("tick", 0),
        "asked": asked,
        "figures": came.get("figures"),
    }


def _timescale(department: str, asked: str | None, label: str) -> str | None:
    """How fast a department learned in the run that its policy is of: the law, and the rate at that version."""
    folder = Path(name_and_policy(asked or "")[1].partition("@")[0])
    if folder.suffix == ".safetensors":
        folder = folder.parent.parent.parent
    if not asked or not (folder / "settings.json").is_file():
        return None
    from coordinator.runs.folder import RunFolder
    from coordinator.schemes.registry import scheme_of

    run, version = RunFolder(folder), label.rpartition("@")[2]
    try:
        settings = run.settings()
        rows = run.rows("metrics.csv") if (folder / "metrics.csv").is_file() else []
    except ValueError:
        return None  # the run was written over since; the policy was not
    law = scheme_of(settings.scheme).law(settings, department)
    own = [row for row in rows if row.get("department") == department and row.get("version") == version]
    rate = f"learning rate {float(own[-1]['learning_rate']):g}" if own else ""
    if law is None:
        return rate and f"{rate}, falling with the budget"
    if not law.decay:
        return f"learning rate {law.initial:g}"
    return f"step law {law.initial:g}, decay {law.decay:g}" + (rate and f", {rate} at this version")

"""A change of a running firm is examined: can its new firm file follow on the old one, and what does that need?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from coordinator.live.create import frame_of
from coordinator.live.overrides import shortened
from coordinator.live.policy_bundles import PolicyBundles, departments_of
from coordinator.live.structures import Plan, Structure, rows_by_name
from departments.serving.numpy_policy import PolicyBundle
from environment import Firm
from environment.firm_file import parse_firm, read_yaml

_CURE = "begin another firm with `firmwide live FILE --name OTHER`"


def planned(
    before: PolicyBundles, number: int, arguments: Mapping[str, Any], office: Mapping[str, PolicyBundle]
) -> Plan:
    """The structure that a change asks for, and what its departments decide by.

    Args:
        before: of the structure that holds.
        number: of the one that is asked for.
        arguments: `firm`, the text of a firm file that stands by itself; `stock`; `like`.
        office: what departments follow, with rows as they stand now.

    Raises:
        ValueError: one line; it cannot follow on the firm as it is.
    """
    text = arguments.get("firm")
    if not isinstance(text, str):
        raise ValueError(f"FIRM must be the text of a firm file, got {shortened(text)}")
    like, _ = (_pairs(option, arguments.get(option, {})) for option in ("like", "stock"))
    firm = parse_firm(read_yaml(text.encode()))
    _must_follow_on(before.firm, firm)
    after = PolicyBundles(firm, slots=before.world.slots)
    labels = before.observer.labels(), after.observer.labels()
    details = {"slots": after.world.slots, "rows": rows_by_name(*labels)}
    benchmarks = {name: after.benchmark(name) for name in departments_of(firm)}
    begins = {name: benchmarks[name] for name in firm.names if name not in before.firm.names}
    for name, neighbour in like.items():
        if name not in begins:
            raise ValueError(f"--like {name}={neighbour}: {name} is no stock point that opens ({_listed(begins)})")
        if neighbour not in before.firm.names:
            raise ValueError(f"--like {name}={neighbour} must name one of {', '.join(before.firm.names)}")
        begins[name] = _like(office[neighbour], name, labels, after)
    return Plan(Structure(number, None, text, frame_of(after.world).facts(), details), benchmarks, begins)


def _like(bundle: PolicyBundle, name: str, labels: tuple[list[str], list[str]], after: PolicyBundles) -> PolicyBundle:
    """A neighbour's policy, which sees of the point that opens what it sees of its own."""
    neighbour, products = bundle.department, after.firm.products
    ends = [f"/{product}" for product in products] if len(products) > 1 else [""]
    own = {f"{neighbour}{of}{end}": f"{name}{of}{end}" for of in ("", ">customers") for end in ends}
    suppliers = [source for source, target in after.world.network.edge_names if target == name]
    own |= {f"{source}>{neighbour}{end}": f"{source}>{name}{end}" for source in suppliers for end in ends}
    seen = [labels[0][row].partition("/")[::2] for row in bundle.arrays["rows"].tolist()]
    wanted = [f"{what}/{where if what in ('sine', 'cosine') else own.get(where)}" for what, where in seen]
    rows = rows_by_name(wanted, labels[1])
    if min(rows) < 0:
        wrong = "/".join(seen[rows.index(-1)])
        cure = "leave it out, and `firmwide swap` later"
        raise ValueError(f"--like {name}={neighbour}: {neighbour} sees {wrong}, of which {name} has none: {cure}")
    about = {**bundle.about, "department": name, "firm": after.fingerprint}
    return replace(bundle, about=about, arrays={**bundle.arrays, "rows": np.array(rows)})


def _pairs(option: str, given: Any) -> dict[str, str]:  # noqa: ANN401
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ValueError(f"--{option} must give names by name, got {shortened(given)}")
    return given


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none does"


def _must_follow_on(before: Firm, after: Firm) -> None:
    """Refuse what nothing can be taken over for."""
    if before.products != after.products:
        raise ValueError(f"products must stay {', '.join(before.products)}, in this order: {_CURE}")
    segments = [
        {name: list(clientele.segments) for name, clientele in firm.customers.items()} for firm in (before, after)
    ]
    if segments[0] != segments[1] or (before.customers and before.names != after.names):
        raise ValueError(f"where customers choose, stock points and segments must stay as they are: {_CURE}")
    opened = set(after.names) - set(before.names)
    for name in sorted(opened):
        if any(np.ravel(after.amounts("initial_backlog")[after.names.index(name)])):
            raise ValueError(f"stock_points.{name}.initial_backlog: it opens, and nobody waits there yet; remove it")
    there = {(edge.source, edge.target) for edge in before.supply}
    for i, edge in enumerate(after.supply):
        if (edge.source, edge.target) not in there and any(map(np.any, after.initial_pipeline(edge))):
            raise ValueError(f"supply[{i}].initial_pipeline: it opens, and nothing is under way yet; remove it")

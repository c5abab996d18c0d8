"""The conformance traces beside the repository, and the firms they are traces of."""

import json
from pathlib import Path

import pytest

from environment import parse_firm
from tests.oracles import Chain

SHARED = Path(__file__).parents[2] / "shared"
FOLDER = SHARED / "conformance"
_KNOWN = {
    "a-backorder-1",
    "a-lost-5",
    "b-backorder-1",
    "b-backorder-5",
    "d-backorder-5",
    "d-lost-1",
    "s-backorder-1",
}
TRACES = sorted(_KNOWN | {path.stem for path in FOLDER.glob("*.json")})


def shared_file(name):
    """A file of the folder beside the repository, or a skipped test that says which one is missing."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"../shared/{name} is not there")
    return path


def load_trace(name):
    return json.loads(shared_file(f"conformance/{name}.json").read_text())


def firm_file_of(trace):
    """The content of a firm file for a trace: lead times from 1 to the longest that occurs."""
    longest = max(map(max, trace["lead_times"]))
    points = {
        name: {"holding_cost": holding, "max_order": most}
        for name, holding, most in zip(trace["stock_points"], trace["holding_cost"], trace["max_order"], strict=True)
    }
    for name in trace["customer_facing"]:
        points[name] |= {"backorder_cost": trace["backorder_cost"], "demand": {"law": "poisson", "mean": 10}}
    lead_time = {"law": "uniform", "low": 1, "high": longest}
    supply = [{"from": source, "to": target, "lead_time": lead_time} for source, target in trace["supply"]]
    return {"name": "trace", "unmet": trace["unmet"], "stock_points": points, "supply": supply}


def firm_of_trace(trace):
    return parse_firm(firm_file_of(trace))


def chain_of_trace(trace):
    points = trace["stock_points"]
    zeros = {(p, "unit"): 0 for p in points}
    return Chain(
        points,
        ["unit"],
        [tuple(edge) for edge in trace["supply"]],
        trace["customer_facing"],
        trace["unmet"],
        holding_cost={(p, "unit"): h for p, h in zip(points, trace["holding_cost"], strict=True)},
        backorder_cost={(p, "unit"): trace["backorder_cost"] for p in points},
        price=zeros,
        unit_cost=zeros,
        fixed_order_cost=zeros,
    )

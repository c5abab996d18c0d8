"""Firms small enough for a test to run an episode of them in milliseconds, and policies for them that do something."""

import numpy as np
import torch

from departments.numerics.graph import GraphShapes
from departments.numerics.heads import Head
from departments.numerics.memory import MemoryNetwork
from departments.policies.policy import PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.ordering import baseline_levels
from environment import World, parse_firm
from environment.observation import Observer

PERIODS = {"train": 12, "evaluate": 16, "warm_up": 4}


def pair(**changes):
    """A warehouse and the shop that it supplies."""
    return parse_firm(
        {
            "name": "pair",
            "periods": PERIODS,
            "stock_points": {
                "warehouse": {"holding_cost": 0.5, "max_order": 60},
                "shop": {
                    "holding_cost": 1,
                    "backorder_cost": 9,
                    "max_order": 30,
                    "demand": {"law": "poisson", "mean": 6},
                },
            },
            "supply": [
                {"from": "outside", "to": "warehouse", "lead_time": 1},
                {"from": "warehouse", "to": "shop", "lead_time": 1},
            ],
        }
        | changes
    )


def tree(products=("unit",), unmet="backorder", disruption=None):
    """A depot, two stores; lead times that differ; edges to the depot and the west may be shut."""
    law = {"law": "poisson_uniform", "low": 2, "high": 6}
    store = {"holding_cost": 1, "backorder_cost": 7, "max_order": 20, "demand": law}
    return parse_firm(
        {
            "name": "tree",
            "unmet": unmet,
            "periods": PERIODS,
            "products": list(products),
            "stock_points": {
                "depot": {"holding_cost": 0.5, "max_order": 40},
                "east": store,
                "west": store | {"holding_cost": 1.5},
            },
            "supply": [
                {"from": "outside", "to": "depot", "lead_time": 2, "disruption": disruption},
                {"from": "depot", "to": "east", "lead_time": 1},
                {"from": "depot", "to": "west", "lead_time": {"law": "uniform", "low": 1, "high": 3}}
                | {"disruption": disruption},
            ],
        }
    )


def world_of(firm, scaling="benchmark", **options):
    """The world of a firm that starts at the benchmark's levels, and its observer."""
    levels = baseline_levels(firm)
    world = World(firm, levels, **options)
    return world, Observer(world, levels, scaling)


def fresh(world, observer, config, seed=0):
    """Version 0 of every department."""
    return [
        DepartmentSpec.of(world, observer, name, config, seed=seed + point).first_snapshot()
        for point, name in enumerate(world.firm.names)
    ]


def network_of(world, observer, snapshot):
    """The network of a department's policy."""
    return DepartmentSpec.of(world, observer, snapshot.department, snapshot.config).shapes


def stirred(snapshot, seed, scale=0.2, version=1):
    """The same policy with random numbers added to all of its parameters."""
    noise = np.random.default_rng(seed).standard_normal(snapshot.parameters.shape)
    parameters = (snapshot.parameters + scale * noise).astype(np.float32)
    return Snapshot(snapshot.department, version, snapshot.config, parameters)


def learner(network, head, mask=None, rule=False, closed_loop=False, **learning):
    """A department of no firm, with that network and head; with a rule its observations end with the rule's scores."""
    hints = head.outputs if rule else 0
    rows = tuple(range(network.observed - hints))
    who = "learner", 0, (0,), (0,), head.segments > 0, PolicyConfig(activation=network.activation), rows
    return DepartmentSpec(*who, head, network, mask, hints, closed_loop, **learning)


def perceptron_learner(shapes, activation="relu", **learning):
    """One that has a perceptron from an observation to orders, or graph attention before it."""
    if isinstance(shapes, GraphShapes):
        who = "learner", 0, (0,), (0,), False, PolicyConfig(activation=activation), tuple(range(shapes.inputs))
        return DepartmentSpec(*who, Head(shapes.outputs), shapes, **learning)
    sizes = shapes.hidden, shapes.outputs, shapes.outputs
    return learner(MemoryNetwork(shapes.inputs, "none", 0, *sizes, activation), Head(shapes.outputs), **learning)


def after_some_periods(world, copies=5, periods=4, seed=3):
    """A state that is not the first: random orders, the world's own chance."""
    state = world.reset(copies)
    chance = world.draw(periods, copies, world.generator(seed))
    rng = np.random.default_rng(seed)
    for t in range(periods):
        order = torch.as_tensor(rng.integers(0, 12, state.on_hand.shape), dtype=world.dtype)
        state, _ = world.step(state, order, chance.at(t))
    return state

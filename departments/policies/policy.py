"""What a department's policy is: its configuration and the frozen snapshot that others act with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field

from departments.numerics.graph import AnyShapes, Graph, GraphConfig, GraphShapes
from departments.numerics.memory import MemoryKind
from departments.numerics.networks import Activation, Parameters, Shapes
from environment.fields import Checked
from environment.observation import ObservationSet, Observer

FIRM = "firm"  # the one department that decides for all stock points, of the single-agent schemes


class PolicyConfig(Checked):
    """A department's Gaussian policy over order quantities.

    The action is in units of mean demand through the point if the form is `residual` (order = base-stock level -
    position + action: it starts as the benchmark), and in [-1, 1] for 0 .. max_order if it is `plain` ([I]).
    """

    form: Literal["residual", "plain"] = "residual"
    observation: ObservationSet = "downstream"
    hidden: tuple[int, ...] = (64, 64)  # units per layer
    activation: Activation = "relu"
    initial_std: float = Field(default=0.3, gt=0)  # of exploration, action units
    graph: GraphConfig | None = None  # graph attention before `hidden`; of a policy for the whole firm only
    memory: MemoryKind = "none"  # of firms with customers
    memory_size: int = Field(default=32, ge=1, le=1024)  # gru: units; stack: periods side by side


@dataclass(frozen=True)
class Snapshot:
    """A department's policy as others may use it: values only, by version. Version 0 is where it started."""

    department: str
    version: int
    config: PolicyConfig
    parameters: Parameters  # flat, see Shapes


def point_of(department: str, names: Sequence[str]) -> int:
    """Index of a department's stock point; the whole firm's comes after the last one."""
    return len(names) if department == FIRM and FIRM not in names else names.index(department)


def policy_shapes(observer: Observer, config: PolicyConfig, point: int, products: int) -> AnyShapes:
    """The network of a department: what it sees in, one action per product (and stock point, of the firm) out.

    Raises:
        ValueError: graph attention in a department that does not see the network.
    """
    inputs, points = len(observer.rows(config.observation, point)), observer.world.points
    outputs = products if point < points else points * products
    if config.graph is None:
        return Shapes(inputs, config.hidden, outputs)
    if point < points:
        raise ValueError("policy.graph is for the one department of the whole firm; leave it out")
    return GraphShapes(Graph.of(observer, inputs), config.graph, inputs, config.hidden, outputs)


def first_snapshot(department: str, config: PolicyConfig, shapes: AnyShapes, seed: int) -> Snapshot:
    """Version 0: a network of constant 0 with the configured exploration."""
    return Snapshot(department, 0, config, shapes.initial(math.log(config.initial_std), seed))


def is_idle(snapshot: Snapshot, shapes: AnyShapes) -> bool:
    """Whether a residual policy's network is the constant 0, so that it is the benchmark itself."""
    layers, _ = shapes.split(torch.tensor(snapshot.parameters))
    return snapshot.config.form == "residual" and not any(bool(part.any()) for part in layers[-1])

"""What a department's policy is: its configuration and the frozen snapshot that others act with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from departments.numerics.graph import GraphConfig
from departments.numerics.memory import MemoryKind
from departments.numerics.networks import Activation, Parameters
from environment.fields import Checked
from environment.observation import ObservationSet

FIRM = "firm"  # the one department that orders for all stock points
RECOMMENDATION = "recommendation"  # of a firm with customers, the one that recommends
MANY_PRODUCTS = 8  # from so many on they share a network unless something else is said
JOINT = "joint"  # of a firm with customers, one that orders for all stock points and recommends


class PolicyConfig(Checked):
    """A department's policy: Gaussian over order quantities, and a choice among products where it recommends.

    The action is in units of mean demand through the point if the form is `residual` (order = base-stock level -
    position + action: it starts as the benchmark), and in [-1, 1] for 0 .. max_order if it is `plain` ([I]).
    """

    form: Literal["residual", "plain"] = "residual"
    observation: ObservationSet = "downstream"
    hidden: tuple[int, ...] = (64, 64)  # units per layer
    activation: Activation = "relu"
    initial_std: float = Field(default=0.3, gt=0)  # of exploration, action units
    # Of many products, one network sees a product at a time and decides about it, or it sees and decides about all at
    # once; auto: shared from 8 products on. Recommendations and graph attention are joint.
    over_products: Literal["shared", "joint", "auto"] = "joint"
    # Of `pathwise`, without customers and of one product: one network for all stock points, of this firm and of others
    # (`train --from`), which sees positions and what a point is like on scales that all firms have in common.
    over_points: Literal["shared", "own"] = "own"
    graph: GraphConfig | None = None  # graph attention before `hidden`; of a policy for the whole firm only
    parts: int = Field(default=1, ge=1)  # of a slot, among which a recommending department divides it
    # Of `pathwise`, without customers: a second output for each order says whether there is one at all, which matters
    # where orders have fixed costs or a minimum. It is learned by the score function, the quantity by gradients.
    hybrid: bool = False
    memory: MemoryKind = "none"  # of firms with customers
    clock: bool = False  # of firms with customers: whether it sees how many periods are left until the episode ends
    memory_size: int = Field(default=32, ge=1, le=1024)  # gru: units; stack: periods side by side


@dataclass(frozen=True)
class Snapshot:
    """A department's policy as others may use it: values only, by version. Version 0 is where it started."""

    department: str
    version: int
    config: PolicyConfig
    parameters: Parameters  # flat, see `DepartmentSpec.network`


def as_rule(fresh: Snapshot) -> Snapshot:
    """The base-stock rule in place of a fresh network: a residual policy that adds 0, with the network's parameters."""
    return replace(fresh, config=fresh.config.model_copy(update={"form": "residual"}))

"""What the outputs of a policy mean, for numpy arrays and torch tensors alike; torch is not imported here."""

from __future__ import annotations

from heuristics.arrays import AnyArray, array_module

SCORE = 0.5  # money a customer: the unit of a rule's scores among the inputs of a recommending policy
SHARPNESS = 5.0  # of the choice among offers that a residual recommendation starts from, per unit of score


def action_to_order(form: str, base: AnyArray, unit: AnyArray, action: AnyArray) -> AnyArray:
    """The wished order that an action stands for: base + unit action, or (action + 1) unit if the form is `plain`.

    Args:
        form: `residual` or `plain`.
        base: [.., E] units, what the rule orders that a residual policy adds to.
        unit: broadcastable to the orders, units: of residual policies mean demand, of plain ones half of max_order.
        action: [.., E].
    """
    return base + unit * action if form == "residual" else (action + 1.0) * unit


def feasible_order(wish: AnyArray, max_order: AnyArray) -> AnyArray:
    """Wished orders as the world accepts them: within [0, max_order], whole units; as `environment.events.feasible`."""
    module = array_module(wish)
    return module.round(module.minimum(wish.clip(min=0.0), max_order))

"""A planner's own rule: an expression for the level that is ordered up to, in the measure of the tables (ours).

    max(mean * interval + 1.65 * deviation * sqrt(interval), pack)

Numbers, + - * / **, brackets, the functions of `FUNCTIONS` and the names of `NAMES`, each as it is known on a morning.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from coordinator.planning.demand import recent_mean
from coordinator.planning.tuning import Past

Array = NDArray[np.float64]

NAMES = {
    "mean": "mean demand a day of the last four weeks",
    "deviation": "standard deviation of a day's demand in these",
    "lead_time": "days from order to arrival",
    "interval": "days that an order has to last for: until what is ordered next is there",
    "pack": "of whole packs",
    "minimum": "of an order",
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max": np.maximum,
    "min": np.minimum,
    "sqrt": np.sqrt,
    "ceil": np.ceil,
    "round": np.rint,
}
_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_LONGEST = 500  # signs


def parsed(text: str) -> ast.expr:
    """An expression of which every part is known.

    Raises:
        ValueError: one line.
    """
    allowed = f"numbers, {', '.join(NAMES)}, + - * / ** and {', '.join(FUNCTIONS)}"
    try:
        tree = ast.parse(text.strip(), mode="eval").body if len(text) <= _LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None:
        raise ValueError(f"rule: must be an expression of {allowed}, at most {_LONGEST} signs, got {text!r:.80}")
    called = {id(part.func) for part in ast.walk(tree) if isinstance(part, ast.Call)}
    if unknown := next((part for part in ast.walk(tree) if id(part) not in called and not _known(part)), None):
        raise ValueError(f"rule: knows {allowed}, got {ast.unparse(unknown) or type(unknown).__name__!r:.80}")
    return tree


def _known(part: ast.AST) -> bool:
    if isinstance(part, ast.Constant):
        return type(part.value) in (int, float)
    if isinstance(part, ast.Name):
        return part.id in NAMES
    if isinstance(part, ast.Call):
        several = {"max": 2, "min": 2}
        name = part.func.id if isinstance(part.func, ast.Name) else ""
        return name in FUNCTIONS and not part.keywords and len(part.args) == several.get(name, 1)
    known = (ast.BinOp, ast.UnaryOp, ast.USub, ast.Load, *_OPERATIONS)
    return isinstance(part, known)


def rule_levels(past: Past, text: str, first: int) -> Array:
    """What a rule orders up to on the morning of day `first`, of each after it and after the last day, [T, N, K] units.

    Raises:
        ValueError: one line; it is no rule, or gives something that is no number.
    """
    tables, shape = past.tables, past.tables.lead_time.shape
    flow, unit = past.flow.reshape(-1, *shape) * past.tables.unit, past.tables.unit
    mean, square = (recent_mean(values) for values in (flow, flow**2))
    known: Mapping[str, Any] = {
        "mean": mean,
        "deviation": np.sqrt(np.maximum(square - mean**2, 0.0)),
        "lead_time": tables.lead_time,
        "interval": tables.intervals(past.days[0], len(past.days) + 1).astype(np.float64),
        "pack": tables.multiple * unit,
        "minimum": tables.minimum * unit,
    }
    with np.errstate(all="ignore"):
        level = np.broadcast_to(_value(parsed(text), known) / unit, mean.shape)[first:]
    if not np.isfinite(level).all():
        day, n, k = np.argwhere(~np.isfinite(level))[0]
        where = f"{tables.points[n]} {tables.items[k]} on {past.days[0] + first + day}"
        raise ValueError(f"rule: gives no number for {where}, such as by a division by 0: {text!r:.80}")
    return np.asarray(np.maximum(level, 0.0))


def _value(part: ast.expr, known: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if isinstance(part, ast.Constant):
        return np.float64(part.value)  # type: ignore[arg-type]
    if isinstance(part, ast.Name):
        return known[part.id]
    if isinstance(part, ast.UnaryOp):
        return -_value(part.operand, known)
    if isinstance(part, ast.BinOp):
        return _OPERATIONS[type(part.op)](_value(part.left, known), _value(part.right, known))
    call = cast(ast.Call, part)
    return FUNCTIONS[cast(ast.Name, call.func).id](*(_value(each, known) for each in call.args))

"""How arrays lie in a flat vector of parameters, in numpy and in torch; torch is not imported here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np

from heuristics.arrays import AnyArray

ArrayShapes = list[tuple[int, ...]]


def layer_shapes(widths: Sequence[int]) -> ArrayShapes:
    """Of a perceptron: weight and bias of each layer in turn, for widths from inputs to outputs."""
    return [shape for columns, rows in pairwise(widths) for shape in ((rows, columns), (rows,))]


def views(flat: AnyArray, shapes: ArrayShapes) -> list[AnyArray]:
    """The arrays of these shapes that lie one after the other at the front of a flat vector."""
    sizes = [prod(shape) for shape in shapes]
    rest = len(flat) - sum(sizes)
    parts = np.split(flat, np.cumsum(sizes)) if isinstance(flat, np.ndarray) else flat.split([*sizes, rest])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=False)]


def paired(parts: Sequence[AnyArray]) -> list[tuple[AnyArray, AnyArray]]:
    """(weight, bias) of each layer."""
    return list(zip(parts[::2], parts[1::2], strict=True))

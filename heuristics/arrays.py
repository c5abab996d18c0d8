"""What numpy arrays and torch tensors do not share by name, so that a formula stands once and serves both.

torch is not imported here: whoever hands in tensors has done so. Where torch has one call for several operations, it is
used: it rounds once, and learned policies were trained on that.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

AnyArray = Any  # a numpy array or a torch tensor; in one call all of the same kind


def array_module(array: AnyArray) -> Any:  # noqa: ANN401
    """Numpy or torch, whichever `array` is of."""
    return sys.modules[type(array).__module__.partition(".")[0]]


def alike(value: AnyArray, like: AnyArray) -> AnyArray:
    """`value`, a numpy array or a number, as an array of the kind, number type and device of `like`."""
    return np.asarray(value, like.dtype) if isinstance(like, np.ndarray) else like.new_tensor(value)


def lerp(start: AnyArray, end: AnyArray, weight: AnyArray) -> AnyArray:
    """Start + weight (end - start)."""
    if isinstance(start, np.ndarray):
        return start + weight * (end - start)
    return start.lerp(end, weight)


def multiply_add(added: AnyArray, one: AnyArray, other: AnyArray) -> AnyArray:
    """Added + one * other, element by element."""
    return added + one * other if isinstance(added, np.ndarray) else added.addcmul(one, other)


def affine(weight: AnyArray, inputs: AnyArray, bias: AnyArray) -> AnyArray:
    """Weight [A, B] times inputs [B, E] plus bias [A], one to a row."""
    if isinstance(inputs, np.ndarray):
        return weight @ inputs + bias[:, None]
    return array_module(inputs).addmm(bias[:, None], weight, inputs)


def sigmoid(array: AnyArray) -> AnyArray:
    """1 / (1 + exp(-array))."""
    return 1.0 / (1.0 + np.exp(-array)) if isinstance(array, np.ndarray) else array.sigmoid()

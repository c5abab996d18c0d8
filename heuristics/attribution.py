"""Which part of a network's output comes from which input: integrated gradients, which sum to what it says.

Source: Sundararajan, Taly & Yan (2017), Axiomatic attribution for deep networks: the gradient, averaged over the line
from a start to the input, times the way along each input. For rectifiers the line is followed from one kink to the next
(ours), so that the sum is exact up to rounding; for the hyperbolic tangent it is a Gauss-Legendre rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Layers = Sequence[tuple[Array, Array]]  # weight [out, in] and bias [out]; no activation behind the last

_LEAST = 1e-9  # share of the line by which a kink is stepped over
_PIECES, _NODES = 16, 12  # of the rule


def outputs_of(layers: Layers, activation: Literal["relu", "tanh"], inputs: Array) -> Array:
    """What a perceptron says on inputs [F], [O]."""
    value = inputs
    for weight, bias in layers[:-1]:
        value = weight @ value + bias
        value = np.maximum(value, 0.0) if activation == "relu" else np.tanh(value)
    weight, bias = layers[-1]
    return np.asarray(weight @ value + bias)


def integrated_gradients(layers: Layers, activation: Literal["relu", "tanh"], start: Array, end: Array) -> Array:
    """What each input's way from `start` to `end` [F] adds to each output, [O, F]: sums are f(end) - f(start)."""
    way, total = end - start, np.zeros((len(layers[-1][1]), len(start)))
    if activation == "tanh":
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        for piece in range(_PIECES):
            for node, weight in zip(nodes, weights, strict=True):
                share = (piece + (node + 1.0) / 2.0) / _PIECES
                total += weight / (2.0 * _PIECES) * _gradient(layers, _slopes_of_tanh(layers, start + share * way))
        return total * way
    at = 0.0
    while at < 1.0:
        slopes, until = _slopes_of_relu(layers, start + at * way, way)
        step = min(max(until, _LEAST), 1.0 - at)
        total += step * _gradient(layers, slopes)
        at += step
    return total * way


def _gradient(layers: Layers, slopes: Sequence[Array]) -> Array:
    """Of the outputs by the inputs, [O, F], where hidden units have these slopes."""
    found = layers[0][0]
    for slope, (weight, _) in zip(slopes, layers[1:], strict=True):
        found = weight @ (slope[:, None] * found)
    return found


def _slopes_of_tanh(layers: Layers, inputs: Array) -> list[Array]:
    value, slopes = inputs, []
    for weight, bias in layers[:-1]:
        value = np.tanh(weight @ value + bias)
        slopes.append(1.0 - value**2)
    return slopes


def _slopes_of_relu(layers: Layers, inputs: Array, way: Array) -> tuple[list[Array], float]:
    """1 where hidden units are open just behind `inputs` on the way, else 0; and after which share one changes."""
    value, change, slopes, until = inputs, way, list[Array](), np.inf
    for weight, bias in layers[:-1]:
        value, change = weight @ value + bias, weight @ change
        kink = np.abs(value) <= _LEAST * np.abs(change)
        slope = np.where(kink, change > 0.0, value > 0.0).astype(float)
        reached = np.divide(-value, change, out=np.full(len(value), np.inf), where=change != 0.0)
        ahead = reached[(reached > 0.0) & ~kink]
        until = min(until, float(ahead.min()) if len(ahead) else np.inf)
        value, change = value * slope, change * slope
        slopes.append(slope)
    return slopes, until

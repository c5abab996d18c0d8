"""Parts of a network's output: against its weights where it is linear, and their sum against what it says."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.attribution import integrated_gradients, outputs_of
from tests.random_firms import examples


def network(widths, seed):
    """Layers of a perceptron at random."""
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in itertools.pairwise(widths)]


def test_of_a_linear_policy_parts_are_its_weights_times_what_is_seen():
    (weight, bias), end = network([4, 2], 0)[0], np.array([1.0, -2.0, 0.0, 3.0])
    for activation in ("relu", "tanh"):
        parts = integrated_gradients([(weight, bias)], activation, np.zeros(4), end)
        np.testing.assert_allclose(parts, weight * end)


@examples(60)
@given(
    st.integers(0, 2**31),
    st.lists(st.integers(1, 24), min_size=1, max_size=3),
    st.sampled_from(["relu", "tanh"]),
)
def test_parts_sum_to_what_the_network_says_more_than_at_the_start(seed, hidden, activation):
    layers, rng = network([6, *hidden, 3], seed), np.random.default_rng(seed + 1)
    if activation == "tanh":  # else the units are steps
        layers = [(weight / 3, bias / 3) for weight, bias in layers]
    start, end = rng.normal(size=6), 2 * rng.normal(size=6)
    end[2] = start[2]
    parts = integrated_gradients(layers, activation, start, end)
    said = outputs_of(layers, activation, end) - outputs_of(layers, activation, start)
    np.testing.assert_allclose(parts.sum(1), said, atol=1e-5 * np.abs(parts).sum() + 1e-9)
    assert (parts[:, 2] == 0).all(), "what has not changed has no part"


def test_rectifiers_are_followed_from_kink_to_kink():
    """max(x + y - 1, 0) along the diagonal to (2, 2): it opens after a quarter of the way, each input does half."""
    layers = [(np.array([[1.0, 1.0]]), np.array([-1.0])), (np.array([[1.0]]), np.array([0.0]))]
    parts = integrated_gradients(layers, "relu", np.zeros(2), np.array([2.0, 2.0]))
    np.testing.assert_allclose(parts, [[1.5, 1.5]], atol=1e-8)
    parts = integrated_gradients(layers, "relu", np.zeros(2), np.array([1.0, 3.0]))
    np.testing.assert_allclose(parts, [[0.75, 2.25]], atol=1e-8)
    fine = np.linspace(0, 1, 200_001)[:-1] + 2.5e-6
    slope = (np.outer(fine, [1.0, 3.0]).sum(1) > 1).mean()
    assert parts[0, 1] == pytest.approx(3 * slope, abs=1e-4)

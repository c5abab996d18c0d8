import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from departments.numerics.networks import Shapes, StackedNetworks, forward, initial_parameters


def _module(shapes, flat, activation):
    """The same network as a torch.nn.Sequential, filled number by number."""
    sizes, layers, place = [shapes.inputs, *shapes.hidden, shapes.outputs], [], 0
    for i, (columns, rows) in enumerate(pairwise(sizes)):
        layer = torch.nn.Linear(columns, rows)
        with torch.no_grad():
            for row in range(rows):
                for column in range(columns):
                    layer.weight[row, column] = float(flat[place])
                    place += 1
            for row in range(rows):
                layer.bias[row] = float(flat[place])
                place += 1
        layers.append(layer)
        if i < len(sizes) - 2:
            layers.append(torch.nn.ReLU() if activation == "relu" else torch.nn.Tanh())
    return torch.nn.Sequential(*layers), flat[place:]


def _random(shapes, seed):
    return np.random.default_rng(seed).normal(0, 0.5, shapes.count).astype(np.float32)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("hidden", [(), (5,), (6, 4)])
def test_the_flat_network_is_the_module_of_the_same_numbers(hidden, activation):
    shapes = Shapes(3, hidden, 2)
    flat = _random(shapes, 0)
    module, rest = _module(shapes, flat, activation)
    layers, log_std = shapes.split(torch.from_numpy(flat))
    inputs = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(forward(layers, inputs, activation), module(inputs).detach())
    assert log_std.tolist() == rest.tolist()
    assert shapes.count == sum(parameter.numel() for parameter in module.parameters()) + 2


def test_a_new_network_is_the_constant_zero_with_the_exploration_asked_for():
    shapes = Shapes(4, (16, 16), 2)
    layers, log_std = shapes.split(torch.from_numpy(initial_parameters(shapes, math.log(0.3), 0)))
    assert not forward(layers, torch.randn(9, 4), "relu").any()
    torch.testing.assert_close(log_std.exp(), torch.tensor([0.3, 0.3]))


def test_hidden_layers_start_with_the_variance_of_he_and_differ_by_seed():
    shapes = Shapes(50, (400, 300), 1)
    layers, _ = shapes.split(torch.from_numpy(initial_parameters(shapes, 0.0, 1)))
    for weight, bias in layers[:-1]:
        assert float(weight.std()) == pytest.approx(math.sqrt(2 / weight.shape[1]), rel=0.03)
        assert not bias.any()
    assert np.array_equal(initial_parameters(shapes, 0.0, 1), initial_parameters(shapes, 0.0, 1))
    assert not np.array_equal(initial_parameters(shapes, 0.0, 1), initial_parameters(shapes, 0.0, 2))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("hidden", [(), (8, 6)])
def test_stacked_networks_equal_each_network_alone_whatever_stands_in_the_padding(hidden, activation):
    shapes = [Shapes(inputs, hidden, 2) for inputs in (1, 4, 3)]
    flats = [_random(shape, seed) for seed, shape in enumerate(shapes)]
    stacked = StackedNetworks(flats, shapes, activation, width=5)
    inputs = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(1))
    outputs = stacked(inputs)
    for d, (flat, shape) in enumerate(zip(flats, shapes, strict=True)):
        layers, _ = shape.split(torch.from_numpy(flat))
        alone = forward(layers, inputs[d, : shape.inputs].T, activation).T
        torch.testing.assert_close(outputs[d], alone, rtol=1e-5, atol=1e-6)
    others = inputs.clone()
    others[0, 1:] = 1e3
    assert torch.equal(stacked(others), outputs)
    assert not torch.equal(stacked(inputs + 1), outputs)


def test_stacking_copies_the_parameters_and_leaves_its_inputs_alone():
    shape = Shapes(2, (4,), 1)
    flat = _random(shape, 0)
    stacked, inputs = StackedNetworks([flat], [shape], "relu", width=2), torch.ones(1, 2, 3)
    before = stacked(inputs).clone()
    flat += 1
    assert torch.equal(stacked(inputs), before)
    assert torch.equal(inputs, torch.ones(1, 2, 3))

import numpy as np
import pytest
import torch

from heuristics.arrays import affine, alike, array_module, lerp, multiply_add, sigmoid

RNG = np.random.default_rng(0)


def test_each_kind_of_array_finds_its_module_also_as_a_parameter():
    assert array_module(np.ones(2)) is np
    assert array_module(torch.ones(2)) is torch
    assert array_module(torch.nn.Parameter(torch.ones(2))) is torch


def test_numbers_become_arrays_of_the_same_kind_and_type():
    for like in (np.ones(1, np.float32), torch.ones(1, dtype=torch.float64)):
        made = alike(np.array([1, 2]), like)
        assert type(made) is type(like)
        assert made.dtype == like.dtype


@pytest.mark.parametrize("function", [lerp, multiply_add])
def test_what_torch_rounds_once_is_the_same_up_to_that_rounding(function):
    one, two, three = RNG.normal(size=(3, 5, 40))
    same = function(*(torch.from_numpy(each) for each in (one, two, three)))
    np.testing.assert_allclose(function(one, two, three), same.numpy(), rtol=1e-12, atol=1e-14)


def test_a_layer_and_a_sigmoid_are_those_of_torch():
    weight, inputs, bias = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 7)), RNG.normal(size=3)
    expected = torch.sigmoid(torch.nn.functional.linear(*(torch.from_numpy(e) for e in (inputs.T, weight, bias)))).T
    np.testing.assert_allclose(sigmoid(affine(weight, inputs, bias)), expected.numpy())
    tensors = (torch.from_numpy(each) for each in (weight, inputs, bias))
    np.testing.assert_allclose(sigmoid(affine(*tensors)).numpy(), expected.numpy())

import numpy as np
import pytest
import torch

from departments.numerics import adam
from departments.numerics.adam import Adam


def _gradients(count=50, size=300):
    rng = np.random.default_rng(0)
    scale = np.exp(rng.normal(0, 3, size))  # from tiny to huge, as in a network
    return torch.tensor(rng.standard_normal((count, size)) * scale, dtype=torch.float32)


def _run(gradients, learning_rate=0.01):
    parameters = torch.linspace(-1, 1, gradients.shape[1])
    optimiser = Adam.like(parameters)
    for gradient in gradients:
        optimiser.step(parameters, gradient.clone(), learning_rate)
    return parameters, optimiser


@pytest.mark.parametrize("fused", [True, False])
def test_fifty_steps_equal_those_of_torch_optim(fused, monkeypatch):
    if not fused:
        monkeypatch.setattr(adam, "_FUSED", None)
    elif adam._FUSED is None:
        pytest.skip("this torch has no fused Adam")
    gradients = _gradients()
    reference = torch.linspace(-1, 1, gradients.shape[1]).requires_grad_()
    optimiser = torch.optim.Adam([reference], lr=0.01, betas=(0.9, 0.999), eps=1e-5)
    for gradient in gradients:
        reference.grad = gradient.clone()
        optimiser.step()
    torch.testing.assert_close(_run(gradients)[0], reference.detach(), rtol=0, atol=2e-6)


def test_the_public_fallback_equals_the_fused_step(monkeypatch):
    gradients = _gradients()
    fast, fast_state = _run(gradients)
    monkeypatch.setattr(adam, "_FUSED", None)
    slow, slow_state = _run(gradients)
    torch.testing.assert_close(slow, fast, rtol=0, atol=2e-6)
    torch.testing.assert_close(slow_state.second, fast_state.second, rtol=1e-5, atol=0)
    assert slow_state.steps == fast_state.steps == len(gradients)


def test_the_first_step_has_the_length_of_the_learning_rate_against_the_gradient():
    parameters = torch.zeros(3)
    Adam.like(parameters).step(parameters, torch.tensor([5.0, -0.3, 200.0]), 0.01, eps=0.0)
    torch.testing.assert_close(parameters, torch.tensor([-0.01, 0.01, -0.01]))

import pytest
import torch

from departments.numerics.networks import Shapes, forward
from departments.numerics.passes import Perceptron


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("hidden", [(), (5,), (8, 6, 7)])
def test_passes_by_hand_are_those_of_autograd_batch_after_batch(activation, hidden):
    shapes, generator = Shapes(3, hidden, 2), torch.Generator().manual_seed(1)
    flat = torch.randn(shapes.count, generator=generator, dtype=torch.float64)
    passes = Perceptron(shapes, flat, activation)
    for samples in (7, 20, 4):  # buffers grow, and serve fewer samples too
        inputs = torch.randn(samples, 3, generator=generator, dtype=torch.float64)
        pull = torch.randn(samples, 2, generator=generator, dtype=torch.float64)
        leaf = flat.clone().requires_grad_()
        outputs = forward(shapes.split(leaf)[0], inputs, activation)
        (gradient,) = torch.autograd.grad(outputs, leaf, pull)
        torch.testing.assert_close(passes.forward(inputs), outputs.detach())
        torch.testing.assert_close(passes.backward(pull), gradient)
        flat -= 0.01 * gradient  # passes follow the parameters

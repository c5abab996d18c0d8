"""Adam on one flat parameter vector, without the optimiser classes, whose import costs a process a second and 70 MB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

_FUSED = getattr(torch, "_fused_adam_", None)


@dataclass
class Adam:
    """First and second moments and step count of one flat vector.

    Source: Kingma & Ba (2015), algorithm 1.
    """

    first: Tensor  # like the parameters
    second: Tensor  # like the parameters
    steps: Tensor  # [] float32

    @classmethod
    def like(cls, parameters: Tensor) -> Adam:
        """A fresh optimiser for `parameters`."""
        return cls(torch.zeros_like(parameters), torch.zeros_like(parameters), parameters.new_zeros(()))

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Adam:
        """As `state` told it."""
        return cls(state["first"], state["second"], state["steps"].view(()))

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, by name."""
        return {"first": self.first, "second": self.second, "steps": self.steps.view(1)}

    def step(self, parameters: Tensor, gradient: Tensor, learning_rate: float, eps: float = 1e-5) -> None:
        """One update of `parameters` in place; both moments are bias-corrected, betas .9 and .999."""
        self.steps += 1
        if _FUSED is not None:
            plain = {"weight_decay": 0.0, "amsgrad": False, "maximize": False}
            rates = {"lr": learning_rate, "beta1": 0.9, "beta2": 0.999, "eps": eps}
            _FUSED([parameters], [gradient], [self.first], [self.second], [], [self.steps], **rates, **plain)
            return
        self.first.lerp_(gradient, 0.1)
        self.second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        spread = (self.second / (1.0 - 0.999**self.steps)).sqrt_().add_(eps)
        parameters.addcdiv_(self.first / (1.0 - 0.9**self.steps), spread, value=-learning_rate)

"""What network outputs mean as decisions: order quantities by a Gaussian, recommendations by ranked choice, or both.

A hybrid head also says of each order whether there is one at all, by a logit of its own.

Acting, copies are the last axis ([.., E]); learning, samples come first. The same numbers enter both, so a recorded log
probability is the one that learning starts from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_CHANCE = 0.005  # that an order is placed, or that it is not
_CERTAIN = 1e6  # beyond all logits


@dataclass(frozen=True)
class Head:
    """Gaussian actions for `orders` products and places, then a choice of `slots` products for each of `segments`.

    A segment's slots are filled one after the other, without replacement, from K products and as many `none`s as there
    are slots, each with probability proportional to exp(logit) among those left (Plackett-Luce); `none`s share a logit.
    With one slot this is a categorical choice of one product or none.
    """

    orders: int  # Gaussian actions
    segments: int = 0
    products: int = 0
    slots: int = 1
    hybrid: bool = False  # of one without segments: each order is placed or not, with the chance that a logit says

    @property
    def outputs(self) -> int:
        """Length of the network's output: orders, their logits if hybrid, then those of each segment."""
        return self._ordering + self.segments * (self.products + 1)

    @property
    def placed(self) -> slice:
        """Where it stands whether orders are placed, if hybrid: logits in outputs, 1 or 0 in actions, noise."""
        return slice(self.orders, self._ordering)

    @property
    def _ordering(self) -> int:
        return self.orders * (1 + self.hybrid)

    @property
    def actions(self) -> int:
        """Length of an action: orders, whether they are placed, then the chosen place of each slot, by segment."""
        return self._ordering + self.segments * self.slots

    @property
    def noises(self) -> int:
        """Length of what is added in a period where it explores."""
        return self._ordering + self.segments * (self.products + self.slots)

    def noise(
        self, periods: int, copies: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Standard noise for that many periods, [T, noise, E]: Gaussian for orders, Gumbel for choices.

        Logistic for whether orders are placed, so that with a logit it is above 0 with the chance that the logit says,
        but neither that nor the other with less than `LEAST_CHANCE` (ours): what has been given up is still tried.
        """
        noise = torch.empty(periods, self.noises, copies, device=generator.device, dtype=dtype)
        if self.orders:
            noise[:, : self.orders].normal_(generator=generator)
        if self.hybrid:
            drawn = torch.rand(periods, self.orders, copies, generator=generator, device=generator.device, dtype=dtype)
            certain = torch.where(drawn < 0.5, -_CERTAIN, _CERTAIN)
            likely = (drawn > LEAST_CHANCE) & (drawn < 1.0 - LEAST_CHANCE)
            noise[:, self.placed] = torch.where(likely, drawn.logit(), certain)
        if self.segments:
            noise[:, self.orders :].exponential_(generator=generator).log_().neg_()
        return noise

    def act(self, output: Tensor, mask: Tensor | None, noise: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Actions from outputs, and how probable the choices among them were.

        Args:
            output: [outputs, E].
            mask: [segments, products, 1] which products may be recommended.
            noise: [noise, E] of one period, added to mean orders and logits; None: the mean order, placed if that is
                as probable as not, and the most probable choices.

        Returns:
            [actions, E], and the log probability of the choices [E] if there are any.
        """
        action = output[: self.orders] if noise is None else output[: self.orders] + noise[: self.orders]
        if self.hybrid:
            logit = output[self.placed] if noise is None else output[self.placed] + noise[self.placed]
            return torch.cat((action, (logit >= 0.0).to(action.dtype))), None
        if not self.segments:
            return action, None
        logits = self._logits(output[self.orders :].T, mask)  # [E, segments, K + slots]
        keys = logits if noise is None else logits + noise[self.orders :].T.reshape(logits.shape)
        chosen = keys.topk(self.slots, dim=-1).indices  # [E, segments, slots], in the order they were drawn
        whole = torch.cat((action, chosen.reshape(len(chosen), -1).T.to(output.dtype)))
        return whole, ranked_log_prob(logits, chosen)

    def log_prob(self, output: Tensor, log_std: Tensor, mask: Tensor | None, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities [...] of recorded actions [..., actions] under outputs [..., outputs], and mean entropy."""
        log_prob = output.new_zeros(output.shape[:-1])
        entropy = output.new_zeros(())
        if self.orders:
            standard = (action[..., : self.orders] - output[..., : self.orders]) * torch.exp(-log_std)
            log_prob = gaussian_log_density(standard, log_std)
            entropy = log_std.sum() + 0.5 * self.orders * math.log(2 * math.pi * math.e)
        if self.segments:
            logits = self._logits(output[..., self.orders :], mask)
            chosen = action[..., self.orders :].to(torch.int64).view(*logits.shape[:-1], self.slots)
            log_prob = log_prob + ranked_log_prob(logits, chosen)
            logs = torch.log_softmax(logits, -1)
            entropy = entropy - (logs.exp() * logs).sum(-1).sum(-1).mean()  # of the first slot
        return log_prob, entropy

    def probability(self, output: Tensor, mask: Tensor | None) -> Tensor:
        """Chance of each product to be drawn for the first slot, [..., segments, K], from outputs [..., outputs]."""
        return torch.softmax(self._logits(output[..., self.orders :], mask), -1)[..., : self.products]

    def leanings(self, output: Tensor, mask: Tensor | None, action: Tensor) -> Tensor:
        """How far each slot leans towards what it shows and away from each other place, of which only gradients count.

        For the place c that was drawn and each other place j, half the chance of j among those left times (logit_c -
        logit_j). Every pair comes at both of its ends: with the gain V_c - V_j put at c as V'_c (x_c - x_j), the mean
        over draws is the gradient of sum_j P_j V_j by the logits, exact if V is linear or quadratic in x.

        Args:
            output: [outputs, E].
            mask: as in `act`.
            action: [actions, E] what was drawn.

        Returns:
            [slots, E, segments, K + 1], none last.
        """
        logits = self._logits(output[self.orders :].T, mask)
        chosen = action[self.orders :].T.to(torch.int64).view(*logits.shape[:-1], self.slots)
        left, found = logits.detach(), []
        for slot in range(self.slots):
            place = chosen[..., slot : slot + 1]
            chance = torch.softmax(left, -1)
            none = chance[..., self.products :].sum(-1, keepdim=True)
            other = torch.cat((chance[..., : self.products], none), -1)
            found.append(0.5 * other * (logits.gather(-1, place) - logits[..., : self.products + 1]))
            left = left.scatter(-1, place, -torch.inf)
        return torch.stack(found)

    def _logits(self, flat: Tensor, mask: Tensor | None) -> Tensor:
        """[..., segments, K + slots] logits of products and `none`s; what may not be shown gets a very low one."""
        logits = flat.reshape(*flat.shape[:-1], self.segments, self.products + 1)
        if mask is not None:
            shown = torch.nn.functional.pad(mask.squeeze(-1), (0, 1), value=True)
            logits = logits.masked_fill(~shown, -1e9)
        none = logits[..., -1:].expand(*logits.shape[:-1], self.slots)
        return torch.cat((logits[..., :-1], none), -1)

    def exposure(self, action: Tensor) -> Tensor:
        """What is shown: 1 for each chosen product, [segments, K, E], from actions [actions, E]."""
        chosen = action[self.orders :].view(self.segments, self.slots, 1, -1)
        product = torch.arange(self.products, device=action.device, dtype=action.dtype)[:, None]
        return (chosen == product).any(1).to(action.dtype)


def gaussian_log_density(standard: Tensor, log_std: Tensor) -> Tensor:
    """Log density of independent Gaussians at standardised values, summed over the last axis."""
    return (-0.5 * standard.square() - log_std).sum(-1) - 0.5 * math.log(2 * math.pi) * standard.shape[-1]


def ranked_log_prob(logits: Tensor, chosen: Tensor) -> Tensor:
    """Plackett-Luce log probability [...] of an ordered choice, summed over segments.

    Logits are [..., segments, places]; [..., segments, slots] places were chosen in that order, all different.
    """
    total = logits.new_zeros(logits.shape[:-2])
    left = logits
    for slot in range(chosen.shape[-1]):
        place = chosen[..., slot : slot + 1]
        total = total + (left.gather(-1, place).squeeze(-1) - left.logsumexp(-1)).sum(-1)
        if slot + 1 < chosen.shape[-1]:
            left = left.scatter(-1, place, -torch.inf)
    return total

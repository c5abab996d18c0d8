"""Recommendation rules by name for a firm with customers.

This is where a firm meets `heuristics.recommendation`, which knows only plain arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import Decision, Memory, Policy
from departments.rules.ordering import delivered_cost
from environment import BestOffer, Feedback, State, World
from heuristics.recommendation import Offers, exposure_candidates, grid_exposures

DEFAULT_WEIGHT = 0.25
_MOST_PLACES = 500


@dataclass(frozen=True)
class OfferRule:
    """Pushes what has the largest expected margin net of the shadow price of scarce stock; weight 0: margin alone.

    What is available is the stock on hand at the segment's stock point and what arrives there next; demand is expected
    from the segments' mean traffic and the season, without recommendation. The shadow price and this reading are ours.
    """

    name: str
    weight: float = 0.0  # of the shadow price
    pushes: bool = True  # else nothing is all that is offered
    _offers: dict[World, Offers] = field(default_factory=dict, compare=False, repr=False)

    def recommend(self, world: World, state: State, period: int) -> Tensor:
        """The best offer to each segment, [S, K, E]; scores in double precision."""
        offers, stock = self._in(world), available(world, state)
        shown: Tensor = offers.best(offers.scores(stock, period, stock.shape[-1]))
        return shown.to(world.dtype)

    def _in(self, world: World) -> Offers:
        if world not in self._offers:
            self._offers.clear()
            self._offers[world] = Offers(self.arrays(world))
        return self._offers[world]

    def on(self, world: World, periods: int) -> BestOffer:
        """As the compiled world knows it, for so many periods."""
        return best_offer(world, self._in(world), periods)

    def arrays(self, world: World) -> dict[str, Tensor]:
        """Of `Offers`: each segment may be offered whatever fits its slots."""
        slots = [int(slots) if self.pushes else 0 for slots in world.chosen().slots.flatten()]
        sets = [exposure_candidates(world.products, fit) for fit in slots]
        most = max(map(len, sets))  # where fewer fit, the first one is offered again
        return offer_arrays(
            world, np.stack([np.vstack((some, np.repeat(some[:1], most - len(some), 0))) for some in sets]), self.weight
        )


@dataclass(frozen=True)
class Pair:
    """A recommendation rule and a replenishment rule, neither of which knows what the other one decides."""

    name: str
    recommender: OfferRule
    replenisher: Policy  # whose orders count

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Both decisions."""
        ordered = self.replenisher.decide(world, state, feedback, period, memory)
        return ordered._replace(exposure=self.recommender.recommend(world, state, period))


def available(world: World, state: State) -> Tensor:
    """Units on hand at each point, or arriving there before its next sales, [N, K, E] in double precision."""
    first = state.pipeline[0]
    arriving = (world.incidence.incoming @ first.reshape(len(first), -1)).view(state.on_hand.shape)
    return (state.on_hand + arriving).double()


def offer_arrays(world: World, offers: NDArray[np.float64], weight: float) -> dict[str, Tensor]:
    """The arrays of `heuristics.recommendation.Offers` for offers [S, C, K]; scores come in double precision."""
    choice, firm = world.chosen(), world.firm

    def tensor(value: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(value, device=world.device, dtype=torch.float64)

    shown, price = tensor(offers), tensor(firm.amounts("price"))
    return {
        "offers": shown,
        "bought": choice.probability(shown.mT).mT.contiguous(),
        "unmoved": choice.probability(choice.preference.new_zeros(()))[..., 0],
        "traffic": torch.cat((choice.traffic, choice.amplitude, choice.frequency), 1).T.double(),
        "segment_point": torch.as_tensor(world.network.customer_facing)[choice.facing.cpu()],
        "price": price,
        "margin": price - tensor(delivered_cost(firm)),
        "weight": torch.tensor([weight]),
    }


def best_offer(world: World, offers: Offers, periods: int) -> BestOffer:
    """Offers as the compiled world knows them, for so many periods."""
    stake = torch.stack([offers.price * offers.wanted(period) for period in range(periods)])
    shown = offers.offers * world.chosen().sold.mT
    return BestOffer(shown, offers.bought, offers.margin, stake, offers.weight)


def learned_offers(world: World, weight: float, parts: int = 1) -> dict[str, Tensor]:
    """The same for the offers that learned policies choose from, see `places`; they may add to the scores."""
    offers = places(world, parts)
    everyone = np.broadcast_to(offers, (len(world.chosen().names), *offers.shape)).copy()
    return offer_arrays(world, everyone, weight)


def places(world: World, parts: int = 1) -> NDArray[np.float64]:
    """What a learned policy chooses from, [C, K] exposures: each product alone and wholly, and nothing (last).

    With several `parts`, into which every slot is divided, all exposures that these make: one of them fills all slots.

    Raises:
        ValueError: there are too many.
    """
    if parts == 1:
        return np.vstack((np.eye(world.products), np.zeros((1, world.products))))
    slots = int(world.chosen().slots.max())
    if (count := math.comb(world.products + slots * parts, world.products)) > _MOST_PLACES:
        raise ValueError(
            f"policy.parts: slots in {parts} parts make {count:,} offers, {_MOST_PLACES} at most; use fewer"
        )
    return np.roll(grid_exposures(np.ones(world.products, dtype=bool), slots, parts), -1, 0)

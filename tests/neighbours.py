"""Whether tuned levels are tuned: all neighbours in one or two levels, on episodes that the search has not seen."""

import sys
from itertools import combinations, product

import numpy as np
import torch

from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.tuning import tuned_base_stock
from departments.rules.ordering import baseline_levels
from environment import OrderUpTo, World, load_firm

REACH = (-4, -3, -2, -1, 1, 2, 3, 4)
SHARD = 512


def neighbours(levels):
    """Level vectors that differ by 1 to 4 units in one or two places."""
    for place, unit in product(range(len(levels)), REACH):
        yield levels + unit * np.eye(len(levels), dtype=int)[place]
    for (one, other), (a, b) in product(combinations(range(len(levels)), 2), product(REACH, REACH)):
        unit = np.eye(len(levels), dtype=int)
        yield levels + a * unit[one] + b * unit[other]


def better_neighbours(firm, levels, episodes=8192, chosen=None, seed=77):
    """Neighbours that are better by three standard errors, with their saving in standard errors; how many were close.

    Whoever is worse by more than four standard errors after 512, 1,024, ... episodes is given up.
    """
    world = World(firm, baseline_levels(firm))
    play = CompiledEpisodes(world, lambda _: None).costs
    chances = [
        world.draw(firm.periods.evaluate - 1, SHARD, world.generator(seed, 99, i)) for i in range(episodes // SHARD)
    ]

    def costs(vector, shards):
        level = torch.as_tensor(vector.reshape(world.points, -1, 1), dtype=world.dtype)
        return [play(OrderUpTo(level), chance).sum(0).double().numpy() for chance in shards]

    own = np.concatenate(costs(levels, chances))
    left = {tuple(v): np.zeros(0) for v in (neighbours(levels) if chosen is None else chosen) if (v >= 0).all()}
    done = 0
    while done < len(chances):
        ahead = min(max(2 * done, 1), len(chances))
        better = {}
        for vector, known in left.items():
            known = np.concatenate([known, *costs(np.array(vector), chances[done:ahead])])
            if _score(own[: len(known)] - known) > -4:
                better[vector] = known
        left, done = better, ahead
    scores = {vector: _score(own - known) for vector, known in left.items()}
    return {tuple(map(int, vector)): float(score) for vector, score in scores.items() if score > 3}, len(scores)


def _score(saving):
    return saving.mean() / (saving.std(ddof=1) / len(saving) ** 0.5 + 1e-12)


if __name__ == "__main__":
    for name in sys.argv[1:] or ("a1", "a3", "b1", "c1", "s1"):
        tuned = tuned_base_stock(load_firm(name)).levels.ravel().astype(int)
        better, close = better_neighbours(load_firm(name), tuned)
        print(f"{name}: {tuned.tolist()}, {close} neighbours are close, better by three standard errors: {better}")

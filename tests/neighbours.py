"""Whether tuned levels are tuned: all neighbours in one or two levels, on episodes that the search has not seen."""

import sys

import numpy as np
import torch

from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.tuning import tuned_base_stock
from departments.rules.ordering import baseline_levels
from environment import OrderUpTo, World, load_firm
from environment.streams import Stream, torch_stream
from heuristics.polish import neighbours

SHARD, BESIDE = 512, 16


def better_neighbours(firm, levels, episodes=8192, seed=77):
    """Neighbours that are better by three standard errors, with their saving in standard errors; how many were close.

    Whoever is worse by more than four standard errors after 512, 1,024, ... episodes is given up.
    """
    world = World(firm, baseline_levels(firm))
    play, shards = CompiledEpisodes(world, lambda _: None).costs, episodes // SHARD

    def costs(vectors, first, last):
        """[M, n] levels -> [M, episodes] costs of some shards."""
        columns = []
        for number in range(first, last):
            chance = world.draw(firm.periods.evaluate - 1, SHARD, torch_stream("cpu", Stream.REPORT, seed, number))
            parts = np.array_split(vectors.T.reshape(world.points, 1, -1), -(-len(vectors) // BESIDE), axis=-1)
            rules = [OrderUpTo(torch.as_tensor(part, dtype=world.dtype)) for part in parts]
            played = [play(rule, chance).sum(0).double().view(rule.level.shape[-1], -1) for rule in rules]
            columns.append(torch.cat(played).numpy())
        return np.hstack(columns)

    around = levels + neighbours(len(levels))
    around, own = around[(around >= 0).all(1)], costs(levels[None], 0, shards)
    known, done = np.zeros((len(around), 0)), 0
    while done < shards:
        ahead = min(max(2 * done, 1), shards)
        known = np.hstack([known, costs(around, done, ahead)])
        close = _scores(own[:, : known.shape[1]] - known) > -4
        around, known, done = around[close], known[close], ahead
        if len(around) == 0:
            return {}, 0
    scores = _scores(own - known)
    return {tuple(v.tolist()): round(s, 1) for v, s in zip(around, scores.tolist(), strict=True) if s > 3}, len(around)


def _scores(saving):
    return saving.mean(1) / (saving.std(1, ddof=1) / saving.shape[1] ** 0.5 + 1e-12)


if __name__ == "__main__":
    for name in sys.argv[1:] or ("a1", "a3", "b1", "c1", "s1"):
        tuned = tuned_base_stock(load_firm(name)).levels.ravel().astype(int)
        better, close = better_neighbours(load_firm(name), tuned)
        print(f"{name}: {tuned.tolist()}, {close} neighbours are close, better by three standard errors: {better}")

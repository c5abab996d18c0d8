"""Random streams by name: what is drawn for one purpose never meets what is drawn for another.

A stream is named by its purpose and whole numbers, such as a run's seed, a turn, an iteration. Two names never read the
same: written are a word of our own, so that no plain seed meets it either, the purpose, how many numbers follow, and
each of them in two words. NumPy's `SeedSequence` alone pads with zeros, so that (s, a, b) and (s, a, b, 0) would be one
stream.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch

_OURS = 0x6669726D  # "firm"
_WORD = 2**32


class Stream(IntEnum):
    """What random numbers are for, and the numbers that name a stream of the kind."""

    TRAINING = 1  # chance of rollouts and of stretches with gradients: seed, turn, iteration, shard
    EXPLORATION = 2  # of one department in a rollout: seed, turn, iteration, shard, department
    SAMPLES = 3  # order in which a department learns from its samples: seed, turn, iteration, department
    CRITIC_SAMPLES = 4  # the critic: seed, update
    DEPARTMENT = 5  # first parameters of a department: seed, department
    CRITIC = 6  # first parameters of the critic: seed
    WEIGHTS = 7  # of a network's layers: the network's seed
    GATES = 8  # of a network's memory: the network's seed
    ATTENTION = 9  # of a network's graph attention: the network's seed
    RANDOM_START = 10  # a random network instead of a rule: the department's seed
    SCALES = 11  # episodes that observations are standardised on
    TUNING = 12  # episodes that base-stock levels are searched on: seed, shard
    SELECTION = 13  # episodes that pick the best policy of a run: seed, shard
    ACCEPTANCE = 14  # episodes that decide whether a policy is saved: seed, shard
    REPORT = 15  # episodes that results are reported on, and nothing is chosen on: seed, shard
    SENSITIVITY = 16  # episodes that decisions are explained on: seed, group
    ORDER_CURVES = 17  # episodes that order curves are drawn from: seed
    SIMULATION = 18  # of `simulate`: seed
    ENVIRONMENT = 19  # episodes of environments for other people's algorithms: seed
    HISTORY = 20  # episodes of days drawn from history, that levels are tuned on: seed
    BLOCKS = 21  # blocks of days that an interval is drawn from
    THEORY = 22  # of the theorems, run: seed
    SERVICE = 23  # episodes that service is measured on while departments learn: seed, step of the multipliers
    TRIALS = 24  # trials that are drawn again for an interval over seeds
    DAYS = 25  # days of a history that episodes play in blocks: a word of the episodes' own stream


def _sequence(stream: Stream, names: tuple[int, ...]) -> np.random.SeedSequence:
    words = [word for name in names for word in (name % _WORD, name // _WORD)]
    return np.random.SeedSequence([_OURS, stream, len(names), *words])


def stream_seed(stream: Stream, *names: int) -> int:
    """A seed of 63 bits for a stream; `names` are whole numbers from 0 to 2^64 - 1."""
    return int(_sequence(stream, names).generate_state(1, np.uint64)[0] >> np.uint64(1))


def torch_stream(device: torch.device | str, stream: Stream, *names: int) -> torch.Generator:
    """A stream for tensors of a device."""
    return torch.Generator(device=device).manual_seed(stream_seed(stream, *names))


def numpy_stream(stream: Stream, *names: int) -> np.random.Generator:
    """A stream for arrays."""
    return np.random.default_rng(_sequence(stream, names))

import ast
import itertools
from pathlib import Path

import numpy as np
import torch

from environment.sampling import seeded_generator
from environment.streams import Stream, numpy_stream, stream_seed, torch_stream

ROOT = Path(__file__).parents[2]
# As runs have them: a seed alone up to seed, turn, iteration, shard and department; zeros at the end and in between.
NAMES = [name for length in range(6) for name in itertools.product((0, 1, 2, 3), repeat=length)]


def test_no_two_named_streams_are_alike():
    drawn = {}
    for stream, name in itertools.product(Stream, NAMES):
        first = stream_seed(stream, *name)
        assert first not in drawn, f"{stream.name} {name} is {drawn[first]}"
        drawn[first] = f"{stream.name} {name}"
    plain = [seeded_generator("cpu", *name).initial_seed() for name in NAMES if name]
    assert not set(plain) & set(drawn)


def test_plain_seeds_pad_with_zeros_which_is_why_streams_have_names():
    assert seeded_generator("cpu", 1, 2).initial_seed() == seeded_generator("cpu", 1, 2, 0).initial_seed()
    assert stream_seed(Stream.TRAINING, 1, 2) != stream_seed(Stream.TRAINING, 1, 2, 0)
    assert stream_seed(Stream.TRAINING, 2**32) != stream_seed(Stream.TRAINING, 0, 1)


def test_tensors_and_arrays_are_drawn_from_the_stream_they_name():
    draws = [torch.rand(3, generator=torch_stream("cpu", Stream.REPORT, 7, shard)) for shard in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    again = [numpy_stream(Stream.DEPARTMENT, 7).random(3) for _ in range(2)]
    np.testing.assert_array_equal(*again)
    assert not np.array_equal(again[0], numpy_stream(Stream.CRITIC, 7).random(3))


def test_whatever_is_drawn_in_the_program_is_drawn_from_a_named_stream():
    """Plain seeds are for who calls from outside; the live world keeps its own, as books were begun with them."""
    plain = {"seeded_generator", "generator", "manual_seed", "default_rng", "SeedSequence"}
    allowed = {
        "environment/streams.py": plain,
        "environment/sampling.py": {"manual_seed", "SeedSequence"},
        "environment/world.py": {"seeded_generator"},
        "coordinator/live/simulated.py": {"generator"},
        "coordinator/envs/faces.py": {"default_rng"},  # of who resets without a seed
    }
    for package in ("environment", "heuristics", "departments", "coordinator", "firmwide"):
        for path in (ROOT / package).rglob("*.py"):
            calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            names = {getattr(call, "attr", getattr(call, "id", "")) for call in calls}
            where = str(path.relative_to(ROOT))
            assert names & plain <= allowed.get(where, set()), where

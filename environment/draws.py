"""Random numbers, and quantiles looked up by them, in C++ (`environment/core/draws.cpp`) as PyTorch has them."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from environment.toolchain import compile_cached

_STATE = 5056  # bytes of the state of PyTorch's generator


def prepare() -> None:
    """Compile what is needed.

    Raises:
        NotCompiledError: there is no compiler, or it failed.
    """
    _library()


def words(count: int, generator: Generator) -> Tensor:
    """Uniform signed 64-bit numbers, [count], of a generator of the processor: in C++ once it is prepared."""
    out = torch.empty(count, dtype=torch.int64, device=generator.device)
    if generator.device.type != "cpu" or not _ready():
        return out.random_(torch.iinfo(torch.int64).min, None, generator=generator)
    _draw(out, generator)
    return out


def look_up(table: Tensor, offset: Tensor, lanes: Tensor, dtype: torch.dtype) -> Tensor:
    """Entries [T, laws, E] of a table, of `dtype` or bytes, at offset [laws] + lanes [T, laws, E], signed 16 bits."""
    out = torch.empty(lanes.shape, dtype=dtype)
    places = (table.data_ptr(), offset.data_ptr(), lanes.data_ptr(), *lanes.shape, out.data_ptr())
    _looks(_library())[dtype](table.dtype == torch.uint8, *places)
    return out


def count(steps: Tensor, lanes: Tensor) -> Tensor:
    """The same of tables with few values, by steps [laws, 1 + most] as `draws.cpp` has them, int16 both."""
    out = torch.empty_like(lanes)
    _library().count(steps.data_ptr(), steps.shape[1] - 1, lanes.data_ptr(), *lanes.shape, out.data_ptr())
    return out


def choose(count: Tensor, lanes: Tensor) -> Tensor:
    """Which of count [N, 1] equally likely ones signed 16-bit numbers [T, N, K, E] stand for, [T, N, K, E] int16."""
    out, counts = torch.empty_like(lanes), count.expand(lanes.shape[1:3]).contiguous()
    sizes = len(lanes), counts.numel(), lanes.shape[-1]
    _library().choose(counts.data_ptr(), lanes.data_ptr(), *sizes, out.data_ptr())
    return out


def _draw(out: Tensor, generator: Generator) -> None:
    state = generator.get_state()  # in 64 bits each: seed, how many of 624 numbers are left, and gone, and they
    words, left = state.numpy()[:5016].view(np.uint64), state.numpy()[8:12].view(np.int32)
    numbers = words[3:].astype(np.uint32)
    used = _library().words(numbers.ctypes.data, 625 - int(left[0]), len(out), out.data_ptr())
    left[0], words[2], words[3:] = 625 - used, used, numbers
    generator.set_state(state)


def _ready() -> bool:
    """Whether it is compiled, and PyTorch's generator is the one that is known here."""
    return _library.cache_info().currsize > 0 and _known()


@cache
def _known() -> bool:
    generator, twin = torch.Generator(), torch.Generator()  # of the same default seed
    if generator.get_state().numel() != _STATE:
        return False
    out, drawn = (torch.empty(1000, dtype=torch.int64) for _ in range(2))
    _draw(out, generator)
    drawn.random_(torch.iinfo(torch.int64).min, None, generator=twin)
    return torch.equal(out, drawn) and torch.equal(generator.get_state(), twin.get_state())


@cache
def _library() -> ctypes.CDLL:
    library = compile_cached(Path(__file__).with_name("core") / "draws.cpp", ("-O3",))
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.words.argtypes, library.words.restype = [pointer, number, number, pointer], number
    library.count.argtypes, library.count.restype = [pointer, number, pointer, *[number] * 3, pointer], None
    library.choose.argtypes, library.choose.restype = [*[pointer] * 2, *[number] * 3, pointer], None
    for function in _looks(library).values():
        function.argtypes, function.restype = [number, *[pointer] * 3, *[number] * 3, pointer], None
    return library


def _looks(library: ctypes.CDLL) -> dict[torch.dtype, Any]:
    """The function for each kind of units."""
    return {
        torch.float32: library.look_up_float32,
        torch.float64: library.look_up_float64,
        torch.int16: library.look_up_int16,
    }

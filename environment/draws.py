"""Random numbers looked up in tables of quantiles in C++ (`environment/core/draws.cpp`), as PyTorch does it."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from environment.toolchain import compile_cached


def prepare() -> None:
    """Compile what is needed.

    Raises:
        NotCompiledError: there is no compiler, or it failed.
    """
    _library()


def look_up(table: Tensor, offset: Tensor, lanes: Tensor) -> Tensor:
    """Entries [T, laws, E] of a table at offset [laws] + lanes [T, laws, E], signed 16-bit numbers."""
    out = table.new_empty(lanes.shape)
    places = (table.data_ptr(), offset.data_ptr(), lanes.data_ptr(), *lanes.shape, out.data_ptr())
    _looks(_library())[table.dtype](*places)
    return out


def choose(count: Tensor, lanes: Tensor) -> Tensor:
    """Which of count [N, 1] equally likely ones signed 16-bit numbers [T, N, K, E] stand for, [T, N, K, E] int16."""
    out, counts = torch.empty_like(lanes), count.expand(lanes.shape[1:3]).contiguous()
    sizes = len(lanes), counts.numel(), lanes.shape[-1]
    _library().choose(counts.data_ptr(), lanes.data_ptr(), *sizes, out.data_ptr())
    return out


@cache
def _library() -> ctypes.CDLL:
    library = compile_cached(Path(__file__).with_name("core") / "draws.cpp", ("-O3",))
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.choose.argtypes, library.choose.restype = [*[pointer] * 2, *[number] * 3, pointer], None
    for function in _looks(library).values():
        function.argtypes, function.restype = [*[pointer] * 3, *[number] * 3, pointer], None
    return library


def _looks(library: ctypes.CDLL) -> dict[torch.dtype, Any]:
    """The function for each kind of table."""
    return {
        torch.float32: library.look_up_float32,
        torch.float64: library.look_up_float64,
        torch.int16: library.look_up_int16,
    }

"""What processes of a running firm say to each other every period, as bytes.

Ray carries bytes as they are. All else it pickles array by array in Python, which takes as long as the call itself.
"""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np

_ARRAY = 1  # of msgpack's extension types


def written(value: Any) -> bytes:  # noqa: ANN401
    """A message of plain values, lists, mappings by name and arrays of numbers; tuples are read as lists.

    Raises:
        TypeError: it holds something else.
    """
    message: bytes = msgpack.packb(value, default=_extended)
    return message


def read(message: bytes) -> Any:  # noqa: ANN401
    """What was written; its arrays are the reader's own."""
    return msgpack.unpackb(message, ext_hook=_array, strict_map_key=False)


def _extended(value: Any) -> msgpack.ExtType:  # noqa: ANN401
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        raise TypeError(f"a message cannot hold {type(value).__name__}")
    return msgpack.ExtType(_ARRAY, msgpack.packb((value.dtype.str, value.shape, value.tobytes())))


def _array(_: int, body: bytes) -> np.ndarray[Any, Any]:
    kind, shape, content = msgpack.unpackb(body)
    return np.frombuffer(bytearray(content), kind).reshape(shape)

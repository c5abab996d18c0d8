"""Structures that C++ declares, filled from Python: the declaration in the header is the only one there is."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import torch
from torch import Tensor

_PLAIN = {"int64_t": ctypes.c_int64, "double": ctypes.c_double}
_ELEMENTS = {
    "float": torch.float32,
    "double": torch.float64,
    "int16_t": torch.int16,
    "int32_t": torch.int32,
    "int64_t": torch.int64,
}


class Declared:
    """A C++ structure by its text: numbers, and pointers to arrays (tensors) or to anything."""

    def __init__(self, text: str, name: str, **types: str) -> None:
        """Read `struct name { ... };` in `text`: `const TYPE *one, *two;` or `TYPE three;` as often as needed.

        Args:
            text: of a header.
            name: of the structure.
            types: what names of types stand for, such as real="float".
        """
        found = re.search(rf"^struct {name} {{\n(.*?)^}};", text, re.DOTALL | re.MULTILINE)
        if found is None:
            raise ValueError(f"no structure {name} is declared")
        self._elements: dict[str, torch.dtype | None] = {}  # of arrays; None: numbers, and pointers to anything else
        fields: list[tuple[str, Any]] = []
        for declaration in re.sub(r"//.*", "", found[1]).split(";")[:-1]:
            kind, names = declaration.strip().removeprefix("const ").split(" ", 1)
            for field in names.replace(" ", "").split(","):
                points, field = field.startswith("*"), field.lstrip("*")
                self._elements[field] = _ELEMENTS.get(types.get(kind, kind)) if points else None
                fields.append((field, ctypes.c_void_p if points else _PLAIN[kind]))
        self.type = type(name, (ctypes.Structure,), {"_fields_": fields})

    def __call__(self, **values: object) -> ctypes.Structure:
        """The structure with these fields, which keeps what it points to; all others are 0 or point nowhere.

        Raises:
            TypeError: a field that is not declared, or a tensor of another type, on another device or with gaps.
        """
        if unknown := values.keys() - self._elements.keys():
            raise TypeError(f"{self.type.__name__} has no field {min(unknown)}")
        filled: ctypes.Structure = self.type(
            **{
                name: self._place(name, value) if isinstance(value, Tensor | ctypes.Structure) else value
                for name, value in values.items()
                if value is not None
            }
        )
        filled.kept = values
        return filled

    def _place(self, name: str, value: Tensor | ctypes.Structure) -> int:
        if isinstance(value, ctypes.Structure):
            return ctypes.addressof(value)
        expected = self._elements[name]
        if value.dtype != expected or value.device.type != "cpu" or not value.is_contiguous():
            raise TypeError(f"{name} must be {expected} without gaps on the processor, got {value.dtype}")
        return value.data_ptr()

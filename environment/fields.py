"""What a field of a firm file may hold: values whose refusals are one line with what is allowed and what came."""

from __future__ import annotations

import difflib
import math
import numbers
import re
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator


class _Short(reprlib.Repr):
    def repr1(self, x: Any, level: int) -> str:  # noqa: ANN401
        return super().repr1(x.item() if isinstance(x, np.generic) else x, level)


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxlevel = 3


class Checked(BaseModel):
    """A frozen record that says which fields it knows when it meets another one."""

    absent: ClassVar[Mapping[str, str]] = {}  # fields that are looked for here, and what there is instead
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:  # noqa: ANN401
        names = [field.alias or name for name, field in cls.model_fields.items()]
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f" must be a mapping with the fields {', '.join(names)}, got {shown(value)}")
        for key in value:
            if key not in names and key not in cls.model_fields:
                if key in cls.absent:
                    raise ValueError(f".{key} {cls.absent[key]}")
                close = _meant(str(key), names)
                cure = f"did you mean {close[0]!r}?" if close else "remove it;"
                raise ValueError(f".{key} is not a known field: {cure} known are {', '.join(names)}")
        return value


def _meant(key: str, names: list[str]) -> list[str]:
    """Names like a key in all of its words, the closest first: `min_order` is not `max_order`."""
    near = difflib.get_close_matches
    return [name for name in near(key, names) if all(near(word, name.split("_")) for word in key.split("_"))]


def shown(value: object) -> str:
    """What came, short enough for one line."""
    return "nothing" if value is None else _SHORT.repr(value)


def must_be(
    wanted: str,
    sound: Callable[[Any], bool],
    make: Callable[[Any], object] = lambda value: value,
    cure: Callable[[Any], str] = lambda _: "",
) -> BeforeValidator:
    """What is `sound`, made into what the field holds; else a refusal that says what is wanted and what came."""

    def check(value: Any) -> object:  # noqa: ANN401
        if not sound(value):
            raise ValueError(f" must be {wanted}, got {shown(value)}{cure(value)}")
        return make(value)

    return BeforeValidator(check)


def number(low: float, high: float, *, above: bool = False, optional: bool = False) -> BeforeValidator:
    """A finite number from `low` (or above it) to `high`; text and truth values are no numbers."""
    least = f"above {low:.12g} and at most" if above else f"from {low:.12g} to"
    return must_be(
        f"a number {least} {high:.12g}",
        lambda value: (_within(value, low, high) and not (above and value == low)) or (value is None and optional),
        lambda value: None if value is None else float(value),
        _unquote,
    )


def whole(low: int, high: int, *, optional: bool = False) -> BeforeValidator:
    """A whole number from `low` to `high`."""
    return must_be(
        f"a whole number from {low} to {high}",
        lambda value: is_whole(value, low, high) or (value is None and optional),
        lambda value: None if value is None else int(value),
        _unquote,
    )


def is_whole(value: Any, low: int, high: int) -> bool:  # noqa: ANN401
    """Whether it is a whole number in a range."""
    return _within(value, low, high) and value == math.floor(value)


def _within(value: Any, low: float, high: float) -> bool:  # noqa: ANN401
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and bool(low <= value <= high)


def either(cell: str) -> str:
    """What to write in a csv file instead of a number whose point may be that of thousands; '' if it cannot be.

    `1.000` may be 1000 or 1; `0.125`, `1234.500` and `1.5` are plain.
    """
    if not re.fullmatch(r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+", cell, re.ASCII):
        return ""
    shorter = cell.rstrip("0").rstrip(".")
    decimals = f" or {shorter if shorter != cell else f'{cell}0'}" if cell.count(".") == 1 else ""
    return f": write {cell.replace('.', '')}{decimals}"


def text() -> BeforeValidator:
    """A string."""
    return must_be(
        "text", lambda value: isinstance(value, str), cure=lambda value: "" if value is None else ": put it in quotes"
    )


def label(such_as: str) -> BeforeValidator:
    """What stands behind a number, nothing by default: at most 12 characters that can be seen, no digit first."""

    def sound(value: Any) -> bool:  # noqa: ANN401
        told = isinstance(value, str) and 0 < len(value) <= 12 and value.isprintable() and value == value.strip()
        return value is None or (told and not value[0].isdigit())

    return must_be(f"1 to 12 characters, no digit or blank first, such as {such_as}", sound)


def one_of(*choices: str, optional: bool = False) -> BeforeValidator:
    """One of a few words; nothing too, if `optional`."""
    return must_be(" or ".join(choices), lambda value: value in choices or (optional and value is None))


def listed(what: str) -> BeforeValidator:
    """A list, which may be empty."""
    return must_be(f"a list of {what}", lambda value: isinstance(value, (list, tuple)), tuple)


def mapped(what: str, *, empty: bool = False) -> BeforeValidator:
    """A mapping, with at least one entry unless it may be `empty`."""
    return must_be(f"a mapping {what}", lambda value: isinstance(value, Mapping) and bool(value or empty))


def by_product(one: BeforeValidator) -> BeforeValidator:
    """One value for all products, or a mapping product -> value, each checked."""
    return BeforeValidator(partial(per_name, one.func))  # type: ignore[arg-type]


def per_name(check: Callable[[object], object], value: object) -> object:
    """What `by_product` checks."""
    if not isinstance(value, Mapping):
        return check(value)
    checked = {}
    for name, inner in value.items():
        try:
            checked[str(name)] = check(inner)
        except ValueError as error:
            raise ValueError(f".{name}{error}") from None
    return checked


def refusal(error: ValidationError, skip: frozenset[str] = frozenset()) -> str:
    """The first complaint of a pydantic error as one line: the field, what is allowed, what came."""
    first: Any = error.errors()[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"] if part not in skip)
    if first["type"] == "value_error":
        message = str(first["ctx"]["error"])
        line = place + message if message[:1] in {".", " ", "[", ":"} else f"{place} {message}"
    elif first["type"] == "missing":
        line = f"{place} is missing: add it"
    else:
        line = f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}, got {shown(first['input'])}"
    return " " * line.startswith(" ") + " ".join(line.split())


def _unquote(value: object) -> str:
    if isinstance(value, str) and value.replace(".", "", 1).isdigit():
        return ": remove the zeros in front" if value[:1] == "0" and value[1:2].isdigit() else ": remove the quotes"
    return ""

"""Numbers and dates as exports write them: how they are written is found out from all cells together, never guessed.

A cell that can be read in two ways, such as `1.000` or `03/04/2011`, is read only if other cells decide; else a refusal
says which option to give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NOTHING = frozenset({"", "-", "na", "n/a", "#n/a", "nan", "null", "none", "."})  # what stands for an empty cell
_GROUPED = re.compile(r"[1-9][0-9]{0,2}(([.,' \u00a0\u202f])[0-9]{3})(\2[0-9]{3})*", re.ASCII)
_SPACES = str.maketrans("", "", "' \u00a0\u202f")
_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y"),
)
_CLOCK = re.compile(r"[T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$", re.ASCII)


def plain(cell: str) -> str:
    """A number's cell without what says only that it is one: blanks, `'3`, `3-` and `(3)` for -3."""
    cell = cell.strip().removeprefix("'")
    if cell.endswith("-") and len(cell) > 1:
        return f"-{cell[:-1].strip()}"
    return f"-{cell[1:-1].strip()}" if cell.startswith("(") and cell.endswith(")") else cell


def decimal_sign(cells: Iterable[str]) -> tuple[str, str]:
    """The decimal sign of cells, `.` or `,`, and the first cell that shows it; `.`, '' where it does not matter.

    Raises:
        ValueError: cells contradict each other, or one could be a thousand or a fraction and none decides.
    """
    evidence: dict[str, str] = {}
    unclear = ""
    for cell in cells:
        digits = plain(cell).lstrip("+-")
        signs = [letter for letter in digits if letter in ".,"]
        if not signs or digits.casefold() in NOTHING:
            continue
        if grouped := _GROUPED.fullmatch(digits):
            if len(signs) == 1 and not grouped[3]:
                unclear = unclear or cell
            else:
                evidence.setdefault("," if signs[0] == "." else ".", cell)
        elif len(set(signs)) == 2 or signs.count(signs[0]) == 1:
            evidence.setdefault(signs[-1], cell)
    if len(evidence) == 2:
        both = " and ".join(repr(cell) for cell in evidence.values())
        raise ValueError(f"the decimal sign is '.' or ',' in different cells, {both}: say which by --decimal")
    if evidence:
        return next(iter(evidence.items()))
    if unclear:
        sign = next(letter for letter in plain(unclear) if letter in ".,")
        value = re.sub(r"[^0-9-]", "", plain(unclear))
        raise ValueError(
            f"{unclear!r} may be {value} or {value[:-3]}.{value[-3:]}, and no other cell decides: give --decimal "
            f"'{sign}' if it is a fraction, --decimal '{'.' if sign == ',' else ','}' if it is a thousand"
        )
    return ".", ""


def as_number(cell: str, decimal: str) -> float:
    """One cell; NaN where it holds nothing.

    Raises:
        ValueError: it is no number, or its thousands are not groups of three.
    """
    text = plain(cell)
    if text.casefold() in NOTHING:
        return float("nan")
    whole, sign, fraction = text.rpartition(decimal) if decimal in text else (text, "", "")
    other = "," if decimal == "." else "."
    whole = whole.strip()
    if other in whole or whole.translate(_SPACES) != whole:
        if not _GROUPED.fullmatch(whole.lstrip("+-")):
            raise ValueError
        whole = whole.replace(other, "").translate(_SPACES)
    if other in fraction or not re.fullmatch(r"[+-]?[0-9]*([0-9]|[eE][+-]?[0-9]+)?[0-9]*", whole, re.ASCII):
        raise ValueError
    value = float(f"{whole}.{fraction}" if sign else whole)
    if not np.isfinite(value):
        raise ValueError
    return value


def numbers(column: pd.Series, decimal: str, where: str) -> NDArray[np.float64]:
    """All cells of a column, NaN where one is empty.

    Raises:
        ValueError: one line with the first cell that is no number, its row counted from the header.
    """
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=float, na_value=np.nan)
    codes, cells = pd.factorize(column)
    values = np.full(len(cells) + 1, np.nan)
    for place, cell in enumerate(cells):
        try:
            values[place] = as_number(str(cell), decimal)
        except ValueError:
            row = int(np.argmax(codes == place)) + 1
            raise ValueError(f"{where}, row {row} must be a number, got {str(cell)!r:.60}") from None
    return np.asarray(values[codes], dtype=np.float64)


def date_format(cells: Iterable[str], where: str) -> str:
    """The one way of writing dates that all cells follow.

    Raises:
        ValueError: one line; none does, or two do.
    """
    shown = sorted({_CLOCK.sub("", cell.strip()) for cell in cells})
    fits = [form for form in _DATES if all(_is_date(cell, form) for cell in shown)]
    fits = [form for form in fits if form != "%Y%m%d" or all(len(cell) == 8 for cell in shown)]
    if not fits:
        odd = next((cell for cell in shown if not any(_is_date(cell, form) for form in _DATES)), shown[0])
        raise ValueError(f"{where} must hold dates of one form, got {odd!r:.60}: give --date-format such as %d.%m.%Y")
    if len(fits) > 1:
        choice = " or ".join(f"--date-format {form}" for form in fits)
        raise ValueError(f"{where} can be read in {len(fits)} ways, such as {shown[0]!r}: give {choice}")
    return fits[0]


def _is_date(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)
    except ValueError:
        return False
    return True


def is_date(cell: str) -> bool:
    """Whether a cell is a date in any of the forms that are known."""
    cell = _CLOCK.sub("", cell.strip())
    return any(_is_date(cell, form) for form in _DATES)


def dates(column: pd.Series, form: str | None, where: str) -> tuple[NDArray[np.datetime64], str]:
    """Days of a column, NaT where one is empty, and the form that they were found in.

    Raises:
        ValueError: one line; a cell is no date, or can be read in two ways.
    """
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column.to_numpy().astype("datetime64[D]"), "dates"
    codes, cells = pd.factorize(column)
    texts = [str(cell).strip() for cell in cells]
    held = [text for text in texts if text.casefold() not in NOTHING]
    if not held:
        raise ValueError(f"{where} holds no date")
    form = form or date_format(held, where)
    days = np.full(len(texts) + 1, np.datetime64("NaT"), dtype="datetime64[D]")
    for place, text in enumerate(texts):
        if text.casefold() in NOTHING:
            continue
        try:
            days[place] = np.datetime64(datetime.strptime(_CLOCK.sub("", text), form).date())
        except ValueError:
            row = int(np.argmax(codes == place)) + 1
            raise ValueError(f"{where}, row {row} must be a date as {form}, got {text!r:.60}") from None
    return days[codes], form

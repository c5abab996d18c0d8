"""What shows itself: as text where it is printed, as html in a notebook."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_WIDTH = 160  # characters, enough for the widest table
_HTML = "<pre style='font-family: monospace; line-height: 1.3; white-space: pre'>{code}</pre>"


class Shown:
    """Shows what `__rich__` gives."""

    def __rich__(self) -> RenderableType:
        """For rich, on a terminal."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """The same as plain text."""
        return self._drawn().export_text().rstrip()

    def _repr_html_(self) -> str:
        """The same in a notebook."""
        return self._drawn().export_html(inline_styles=True, code_format=_HTML)

    def _drawn(self) -> Console:
        from rich.console import Console

        drawn = io.StringIO()  # in a notebook it would display each drawing, were it not told that it is in none
        console = Console(record=True, width=_WIDTH, file=drawn, highlight=False, markup=False, force_jupyter=False)
        console.print(self)
        return console


def finite(found: Any, otherwise: object = None) -> Any:  # noqa: ANN401
    """The same with `otherwise` for numbers that JSON cannot say."""
    if isinstance(found, dict):
        return {key: finite(value, otherwise) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [finite(value, otherwise) for value in found]
    return otherwise if isinstance(found, float) and not math.isfinite(found) else found

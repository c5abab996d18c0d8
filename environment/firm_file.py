"""Firm files: built-in firms by name, YAML from disk; a bad one is refused with one line."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from environment.fields import refusal, shown
from environment.firm import Firm
from environment.grid import GRID, grid_firm
from environment.instances import instance_firm
from environment.network import Network
from environment.tabled_firm import expanded
from environment.tables import has_tables

_FOLDER = Path(__file__).parent / "firms"


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice instead of keeping the last, and reads 1e3 as a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        plain = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in plain]
        for key, count in Counter(map(str, keys)).items():
            if count > 1:
                line = node.start_mark.line + 1
                raise ValueError(f"{key!r} is given twice in the mapping that starts on line {line}; keep one of them")
        return super().construct_mapping(node, deep=deep)


_NUMBERS = {  # 0100 is no octal 64 and 1:30 no ninety, they are text; 1e3 is a number
    "int": r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F]+)$",
    "float": r"[-+]?((0|[1-9][0-9_]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$",
}
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag.rpartition(":")[2] not in _NUMBERS]
    for first, known in _StrictLoader.yaml_implicit_resolvers.items()
}
for _kind, _form in _NUMBERS.items():
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(_form), list("-+.0123456789"))


def built_in_firms() -> list[str]:
    """Names of the firms that ship with the product: the grid s1..d6 and the hand-written ones."""
    return [*GRID, *sorted(path.stem for path in _FOLDER.glob("*.yaml"))]


def load_firm(source: str | Path | Firm) -> Firm:
    """A built-in firm by name, or a firm file; a firm stays what it is.

    Raises:
        ValueError: one line that names the field, what is allowed and what came.
    """
    if isinstance(source, Firm):
        return source
    if str(source) in GRID:
        return parse_firm(grid_firm(str(source)))
    if (published := instance_firm(str(source))) is not None:
        return parse_firm(published)
    path = Path(source)
    if os.path.isfile(path / "firm.yaml"):  # no name is too long for it
        path = path / "firm.yaml"
    if str(source) in built_in_firms():
        path = _FOLDER / f"{source}.yaml"
    try:
        written = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        allowed = "a firm file or a built-in name (see `firmwide scenarios`)"
        raise ValueError(f"FIRM must be {allowed}, got {shown(str(source))}: {reason}") from None
    try:
        return parse_firm(read_yaml(written), path.parent)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_yaml(written: bytes) -> object:
    """What a YAML file holds.

    Raises:
        ValueError: one line; it is none, or gives a key twice.
    """
    try:
        text = written.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("must be a YAML text file, got bytes that are not UTF-8") from None
    try:
        return _StrictLoader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError("is nested too deeply: mappings stand at most four deep") from None


def parse_firm(content: object, folder: Path = Path()) -> Firm:
    """A firm from plain mappings and lists; relative files in it are sought in `folder`.

    Raises:
        ValueError: one line that names the field, what is allowed and what came.
    """
    if not isinstance(content, Mapping):
        came = "an empty file" if content is None else type(content).__name__
        raise ValueError(f"a firm file must be a mapping with name, stock_points and supply, got {came}")
    if has_tables(content):
        content = expanded(content, folder)
    try:
        return _long_enough(Firm.model_validate(content, context={"folder": folder}))
    except ValidationError as error:
        raise ValueError(refusal(error).lstrip(". ")) from None


def _long_enough(firm: Firm) -> Firm:
    """The firm with episodes that outlast the way through its network, where its file gives no lengths itself."""
    way, given = math.ceil(Network.of(firm).time_through()), firm.periods.model_fields_set
    wanted = {"train"} if given & {"evaluate", "warm_up"} else {"train", "evaluate", "warm_up"}
    more = max(way - firm.periods.warm_up, 0)
    longer = {name: getattr(firm.periods, name) + more for name in wanted - given}
    return firm.model_copy(update={"periods": firm.periods.model_copy(update=longer)}) if more else firm

"""`firmwide scenarios`."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.options import JsonOption
from coordinator.cli.show import show_json


def scenarios(
    name: Annotated[str | None, typer.Argument(show_default=False, help="Print this firm's file instead.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The built-in firms, one line each; with a name, that firm's file as a start for one's own."""
    import yaml

    from environment import built_in_firms, load_firm

    names = built_in_firms()
    if name is not None:
        if name not in names:
            raise ValueError(f"NAME must be one of {', '.join(names)}, got {name!r}")
        written = load_firm(name).to_yaml()
        return show_json(yaml.safe_load(written)) if as_json else print(written, end="")
    firms = [load_firm(name) for name in names]
    if as_json:
        rows = [{"name": f.name, "description": f.description, "stock_points": len(f.names)} for f in firms]
        return show_json({"firms": rows})
    width = max(map(len, names))
    for firm in firms:
        print(f"{firm.name:<{width}}  {firm.description}")
    return None

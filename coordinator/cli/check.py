"""`firmwide check`."""

from __future__ import annotations

from coordinator import api
from coordinator.cli.options import FirmArgument, JsonOption
from coordinator.cli.show import show, show_json


def check(firm: FirmArgument, as_json: JsonOption = False) -> None:
    """Validate a firm; show its network, benchmark levels, protection intervals and mean demands."""
    found = api.check(firm)
    return show_json(found.to_json()) if as_json else show(found)

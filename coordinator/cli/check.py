"""`firmwide check`."""

from __future__ import annotations

from coordinator.cli.options import FirmArgument, JsonOption
from coordinator.cli.show import show, show_json


def check(firm: FirmArgument, as_json: JsonOption = False) -> None:
    """Validate a firm; show its network, benchmark levels, protection intervals and mean demands."""
    from coordinator.evaluation.check import drawn, facts
    from environment import load_firm

    found = facts(load_firm(firm))
    if as_json:
        show_json(found)
    else:
        show(drawn(found))

"""`firmwide audit`: is a firm's book true?"""

from __future__ import annotations

import sys

from coordinator.cli.options import HomeOption, JsonOption, NameArgument
from coordinator.cli.show import show_json
from coordinator.live.home import HOME, folder_of


def audit(name: NameArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> int:
    """Play a firm's book again and compare: every stock and all money, every decision with swaps and overrides."""
    from coordinator.live.replay import replay

    found = replay(folder_of(name, home))
    if as_json:
        show_json(found)
    else:
        for fault in found["faults"]:
            sys.stdout.write(f"{fault}\n")
        counted = f"{found['decisions']} decisions, {found['events']} events: {len(found['faults']) or 'no'} faults"
        sys.stderr.write(f"periods {found['since']} to {found['ticks'] - 1}, {counted}\n")
    return 1 if found["faults"] else 0

"""`firmwide cancel`: withdraw a command that is under way."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.interventions import ask_firm
from coordinator.cli.options import HomeOption, NameArgument, WhoOption, WhyOption
from coordinator.live.home import HOME


def cancel(
    name: NameArgument,
    command: Annotated[str, typer.Argument(metavar="COMMAND", show_default=False, help="Its id, as `status` tells.")],
    why: WhyOption = "",
    who: WhoOption = None,
    home: HomeOption = HOME,
) -> int:
    """Withdraw a command that is under way, such as the swap of a canary."""
    return ask_firm(home, name, "cancel", command, why=why, who=who)

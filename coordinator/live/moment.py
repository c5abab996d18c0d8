"""A period as the firm finds it, in plain arrays."""

from __future__ import annotations

from typing import NamedTuple

from departments.serving import Array

Arrays = dict[str, Array]


class Moment(NamedTuple):
    """A period after event 2, before anybody decides; E copies, in operation one."""

    arrays: Arrays  # everything that the next step needs
    features: Array  # [G, E] units, of which each department gets its own rows
    account: Arrays  # cost [N, E], demand, served [C, K, E], on_hand, inventory_position [N, K, E], backlog [C, K, E]

"""A policy as it is written: the name that it is given, and what it is for whoever works in another folder."""

from __future__ import annotations

import os
import re
from pathlib import Path


def name_and_policy(text: str) -> tuple[str | None, str]:
    """The name that a policy is given, as in `today=base-stock:shop=14`, and the policy; None: it is given none."""
    given = None if os.path.exists(text.partition("@")[0]) else re.fullmatch(r"([\w .-]{1,40})=(.+)", text)
    return (given[1], given[2]) if given else (None, text)


def absolute(policy: str) -> str:
    """RUN, RUN@VERSION or a file by its absolute path, for whoever works in another folder; a rule as it is."""
    name, what = name_and_policy(policy)
    path, at, version = what.partition("@")
    rule, plus, levels = what.partition("+")
    if os.path.exists(path):
        what = str(Path(path).resolve()) + at + version
    elif os.path.exists(levels):  # inventory-aware+levels.csv
        what = rule + plus + str(Path(levels).resolve())
    return what if name is None else f"{name}={what}"

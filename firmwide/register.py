"""How a user adds something of their own: put it into a module, register it there, and import that module.

`docs/extending.md` has a complete example of each. What is registered is known by its name wherever the module is
imported; runs and firms in operation remember the module and import it again. A department's process does so without
torch, so what needs it is imported where it is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from departments import extensions
from departments.rules.local import register_rule

if TYPE_CHECKING:
    from coordinator.schemes.base import SchemeSpec

Function = TypeVar("Function", bound=Callable[..., Any])


def rule(name: str, *, help: str = "", sees_backlog: bool = False) -> Callable[[Function], Function]:
    """Let a function be a rule of orders; see `departments.rules.local.register_rule`."""

    def registered(function: Function) -> Function:
        register_rule(name, help=help, sees_backlog=sees_backlog)(function)
        extensions.remember(function.__module__)
        return function

    return registered


def law(name: str) -> Callable[[Function], Function]:
    """Let firm files say `{law: NAME, ...}`.

    A decorator of a function from what else stands there (its arguments, with their types) to the probabilities of
    0, 1, 2, ... units.
    """
    from environment.laws import register_law

    def registered(function: Function) -> Function:
        register_law(name, function)
        extensions.remember(function.__module__)
        return function

    return registered


def scheme(spec: SchemeSpec) -> SchemeSpec:
    """Let `train`, `benchmark` and everything else know a scheme by its name; see `coordinator.schemes.base`."""
    from coordinator.schemes.registry import register_scheme

    extensions.remember(sys._getframe(1).f_globals["__name__"])  # whoever calls; a spec may be made of our parts alone
    return register_scheme(spec)


def command(function: Function) -> Function:
    """Let `firmwide` have a subcommand of the function's name; its arguments are declared as typer's are."""
    from coordinator.cli.main import register_command

    register_command(function)
    extensions.remember(function.__module__)
    return function

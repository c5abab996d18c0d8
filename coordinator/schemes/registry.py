"""The schemes that exist. One more is a file with its `SchemeSpec`, and a line here or a call of `register_scheme`."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.schemes.base import SchemeSpec
from coordinator.schemes.imarl import IMARL_SCHEME
from coordinator.schemes.multi_timescale import MULTI_TIMESCALE_SCHEMES
from coordinator.schemes.pathwise import PATHWISE_SCHEME
from coordinator.schemes.simultaneous import MARL_SCHEMES
from coordinator.schemes.single_agent import SINGLE_AGENT_SCHEMES
from environment import Firm

_SCHEMES: dict[str, SchemeSpec] = {  # the first of its kind, with customers or without, is the default
    spec.name: spec
    for spec in (
        IMARL_SCHEME,
        *MARL_SCHEMES,
        *SINGLE_AGENT_SCHEMES,
        PATHWISE_SCHEME,
        *MULTI_TIMESCALE_SCHEMES,
    )
}


def register_scheme(spec: SchemeSpec) -> SchemeSpec:
    """Make a scheme known by its name; registering it again replaces it.

    Raises:
        ValueError: its name is none that a command and a folder could have.
    """
    if not spec.name.replace("-", "").isalnum():
        raise ValueError(f"a scheme's name must be letters, digits and '-', got {spec.name!r}")
    _SCHEMES[spec.name] = spec
    return spec


def names() -> list[str]:
    """All schemes."""
    return list(_SCHEMES)


def specs() -> list[SchemeSpec]:
    """All schemes with what they say of themselves."""
    return list(_SCHEMES.values())


def scheme_of(name: str) -> SchemeSpec:
    """A scheme by name.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in _SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(_SCHEMES)}, got {name!r}")
    return _SCHEMES[name]


def schemes_for(firm: Firm) -> list[str]:
    """The schemes that teach all of a firm's departments, the default first, those for firms of both kinds last."""
    own = [spec.name for spec in specs() if spec.needs_customers == bool(firm.customers)]
    return own + [spec.name for spec in specs() if spec.takes_customers and firm.customers]


def default_scheme(firm: Firm) -> str:
    """What a firm is taught by if nothing is said."""
    return schemes_for(firm)[0]


def reference_of(schemes: Iterable[str]) -> str:
    """What the others of a benchmark are compared with: the scheme that says so, or else the first."""
    listed = list(schemes)
    return next((name for name in listed if name in _SCHEMES and _SCHEMES[name].reference), listed[0])


def described(option: str = "") -> str:
    """The schemes that have an option, or all, for --help."""
    if option:
        return ", ".join(spec.name for spec in specs() if option in spec.options)
    all_of = (lambda spec: not spec.needs_customers), (lambda spec: spec.needs_customers or spec.takes_customers)
    kinds = (sorted(filter(fits, specs()), key=lambda spec: spec.takes_customers) for fits in all_of)
    texts = [", ".join(f"{spec.name} ({spec.summary})" for spec in kind) for kind in kinds]
    return f"{texts[0]}; with customers {texts[1]}. The first is the default."

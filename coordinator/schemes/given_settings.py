"""Settings as they come, from a file, options or a run folder, made into the model of their scheme.

What a scheme does not use is refused where a user says it, left out of what is kept with a run, and dropped where a
run of an earlier version holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from coordinator.learning.settings import Settings
from coordinator.schemes.base import SchemeSpec
from coordinator.schemes.registry import names, scheme_of, specs
from environment.fields import refusal, shown

Given = Mapping[str, Any]
Model = TypeVar("Model", bound=BaseModel)


def settings_of(given: Given | None = None, /, **fields: Any) -> Settings:  # noqa: ANN401
    """The checked settings of a run.

    Args:
        given: settings by name, sections as mappings or models; of a section only what is set counts, and the rest is
            as the scheme's defaults say.
        fields: the same as keywords.

    Raises:
        ValueError: one line that names the key: it is unknown, has a wrong value, or the scheme does not use it.
    """
    used = part_used(dict(given or {}) | fields)
    return checked(scheme_of(used["scheme"]).settings, used)


def part_used(given: Given, prefix: str = "", among: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the scheme uses of settings that are not checked yet.

    Args:
        given: settings by name; without `scheme` they are for the first that there is. What stands below a scheme's
            name in the section `schemes` is for that one alone, on top of the rest.
        prefix: of a refusal.
        among: schemes that settings may be meant for; what only they use is left out, not refused.

    Raises:
        ValueError: one line; nobody uses a key, and another scheme knows it.
    """
    spec = scheme_of(given.get("scheme") or names()[0])
    own = given.get("schemes") or {}
    if not isinstance(own, Mapping) or not set(own) <= set(names()):
        raise ValueError(f"{prefix}schemes must hold settings by scheme, {', '.join(names())}; got {shown(own)}")
    given = _on_top({key: value for key, value in given.items() if key != "schemes"}, own.get(spec.name) or {})
    used, strays = _sorted_out(spec, given)
    for other in among:
        strays = {shown: place for shown, place in strays.items() if shown in _sorted_out(scheme_of(other), given)[1]}
    if strays:
        raise ValueError(prefix + _not_used(spec, *next(iter(strays.items()))))
    return used


def kept_settings(given: Given) -> Settings:
    """The settings that a run folder holds, of this version or the one before.

    Raises:
        ValueError: one line; a value is wrong, or the scheme is unknown here.
    """
    spec = scheme_of(given.get("scheme", ""))
    # What runs did before there was a choice: they knew nothing at first, saw no clock, decided products jointly.
    if "start" in spec.settings.model_fields:
        given = {"start": "nothing", **given}
    if isinstance(policy := given.get("policy"), Mapping):
        before = {"over_products": "joint"} | ({"clock": False} if spec.needs_customers else {})
        given = {**given, "policy": {**before, **policy}}
    return checked(spec.settings, _sorted_out(spec, given)[0])


def to_json(settings: Settings) -> dict[str, Any]:
    """Plain values of all that the scheme uses."""
    return _sorted_out(scheme_of(settings.scheme), settings.model_dump(mode="json"))[0]


def _on_top(given: Given, own: Given) -> dict[str, Any]:
    """Settings, with others that count where both say something."""
    both = dict(given)
    for key, value in own.items():
        before = given.get(key)
        both[key] = _on_top(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return both


def checked(model: type[Model], given: Given, prefix: str = "") -> Model:
    """Values as a checked record.

    Raises:
        ValueError: one line that starts with `prefix` and names the field.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ValueError(prefix + refusal(error).lstrip(". ")) from None


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Models as mappings of what is set in them."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def _sorted_out(spec: SchemeSpec, given: Given) -> tuple[dict[str, Any], dict[str, str]]:
    """What a scheme uses, under today's names, and the keys that it does not, with where the model has them."""
    known = {key for other in specs() for key in other.settings.model_fields}
    known |= {name.partition(".")[0] for other in specs() for name in other.earlier}
    unused = {*spec.unused, *(known - set(spec.settings.model_fields))}
    used, strays = _pruned(_renamed(_plain(given), spec.earlier), unused)
    return used | {"scheme": spec.name}, strays


def _renamed(given: dict[str, Any], earlier: Mapping[str, str]) -> dict[str, Any]:
    given = dict(given)
    for old, new in earlier.items():
        section, _, key = old.partition(".")
        inner = given.get(section)
        if isinstance(inner, Mapping) and key in inner:
            given[new] = inner[key]
            given[section] = {other: value for other, value in inner.items() if other != key}
            if not given[section]:
                del given[section]
    return given


def _pruned(given: Given, unused: set[str], at: str = "", shown: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """What is left without the unused keys, and those; sections of one department are judged as those of all."""
    left: dict[str, Any] = {}
    strays: dict[str, str] = {}
    for key, value in given.items():
        place = f"{at}{key}"
        if place in unused:
            strays |= dict.fromkeys(_leaves(value, f"{shown}{key}"), place)
            continue
        if isinstance(value, Mapping):
            below = "" if at == "departments." else f"{place}."
            value, more = _pruned(value, unused, below, f"{shown}{key}.")
            strays |= more
        left[key] = value
    return left, strays


def _leaves(value: Any, shown: str) -> list[str]:  # noqa: ANN401
    """The dotted keys of all plain values below one."""
    if not isinstance(value, Mapping) or not value:
        return [shown]
    return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{shown}.{key}")]


def _not_used(spec: SchemeSpec, shown: str, place: str) -> str:
    section, _, _ = place.rpartition(".")
    model: Any = spec.settings.model_fields[section].annotation if section else spec.settings
    dots = f"{section}." if section else ""
    used = [name for name in model.model_fields if f"{dots}{name}" not in spec.unused and name != "scheme"]
    reason, of = spec.unused.get(place, ""), f"of {section} " if section else ""
    return f"{shown} is not used by {spec.name}{reason and f': {reason}'}; {of}it uses {', '.join(used)}"

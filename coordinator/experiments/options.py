"""Options that several commands share, from text to checked values; what is wrong is refused with one line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coordinator.schemes.registry import scheme_of, specs
from environment import Firm
from environment.fields import shown
from environment.firm_file import read_yaml

BUDGETS = {"quick": "50s", "paper": ""}  # quick: the 13 scenarios of [I] by 6 models in an hour on two cores
_BUILT_IN = Path(__file__).with_name("configs")


def built_in(config: str | Path | Mapping[str, Any] | None) -> bool:
    """Whether `--config` names a built-in file; its settings are for several schemes, of which each takes its own."""
    if config is None or isinstance(config, Mapping):
        return False
    path = Path(config)
    return not path.exists() and path.parent == Path() and not path.suffix


def config_file(config: str | Path | Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings that `--config` gives, not yet checked: a file's, or built-in ones by name, such as `paper`.

    A mapping counts as the content of a file.

    Raises:
        ValueError: the file cannot be read, or is no mapping.
    """
    if config is None or isinstance(config, Mapping):
        return dict(config or {})
    path = Path(config)
    if built_in(path):
        names = sorted(file.stem for file in _BUILT_IN.glob("*.yaml"))
        if path.name not in names:
            raise ValueError(f"--config must be a YAML file, or built-in: {', '.join(names)}; got {str(path)!r}")
        path = _BUILT_IN / f"{path.name}.yaml"
    try:
        content = read_yaml(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"--config {path} cannot be read as YAML: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"--config {path} must be a mapping of settings, got {type(content).__name__}")
    return content


def with_values(given: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """Settings with values put in by `KEY=VALUE`, not yet checked; the file's own are left as they are.

    Args:
        given: nested settings.
        pairs: such as `ppo.learning_rate=5e-4`: names down to the setting, joined by dots, and its value as YAML.

    Raises:
        ValueError: one line; it is no such pair, or leads through a setting that holds no others.
    """
    result = dict(given)
    for pair in pairs:
        key, equals, text = pair.partition("=")
        *groups, name = key.strip().split(".")
        if not equals or not all((*groups, name)):
            raise ValueError(f"--set must be KEY=VALUE such as ppo.learning_rate=5e-4, got {pair!r}")
        inner = result
        for group in groups:
            own = inner.get(group)
            if own is not None and not isinstance(own, Mapping):
                raise ValueError(f"--set {pair!r} leads through {group}, which is {shown(own)} and holds no settings")
            inner[group] = dict(own or {})
            inner = inner[group]
        try:
            inner[name] = read_yaml(text.encode())
        except ValueError as error:
            raise ValueError(f"--set {pair!r}: the value cannot be read as YAML: it {error}") from None
    return result


def flat(content: Mapping[str, Any], joint: str = ".", prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, the names on the way to a value joined."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        found |= flat(value, joint, name + joint) if isinstance(value, Mapping) and value else {name: value}
    return found


def budget(text: str | None, scheme: str | None = None, firm: Firm | None = None) -> dict[str, float]:
    """`120s` is wall time, `1e7` environment steps, `quick` a name of some; `paper` the episodes that [I] has.

    Those depend on scheme and firm; without them `paper` is no budget yet.

    Raises:
        ValueError: it is neither.
    """
    if text is None:
        return {}
    if text.strip() == "paper":
        return _paper_budget(scheme, firm) if scheme and firm else {}
    text = BUDGETS.get(text.strip(), text)
    match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)(s|m|h)?", text.strip())
    try:
        amount = float(match[1]) if match else 0.0
    except ValueError:
        amount = 0.0
    if match is None or not 0 < amount < 1e15:
        raise ValueError(
            "--budget must be wall time such as 120s or 5m, environment steps such as 1e7, "
            f"{' or '.join(BUDGETS)}, got {text!r}"
        )
    return {"seconds": amount * {"s": 1, "m": 60, "h": 3600}[match[2]]} if match[2] else {"steps": amount}


def _paper_budget(scheme: str, firm: Firm) -> dict[str, float]:
    episodes = scheme_of(scheme).paper_episodes
    if episodes is None:
        known = ", ".join(spec.name for spec in specs() if spec.paper_episodes)
        raise ValueError(f"--budget paper is for {known}; for {scheme} name wall time or environment steps")
    return {"episodes": episodes(firm)}

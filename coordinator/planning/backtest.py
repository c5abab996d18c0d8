"""`firmwide backtest`: history as it happened, several policies on the same days, each on what was known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from coordinator.planning.backtest_page import backtest_page
from coordinator.planning.course import Backtest, Course
from coordinator.planning.policies import COVER, cover_levels, kind_of, policy_of, world_for
from coordinator.planning.tuning import Past, other_chance
from coordinator.storage.files import write_atomically
from departments.decisions import Policy
from departments.play.stepping import play
from environment import Exogenous, World
from environment.blocks import filled
from environment.calendars import period_of
from environment.firm_file import read_yaml
from environment.tables import Tables, has_tables, read_tables

Array = NDArray[np.float64]

EVERY = 28  # days between two tunings
_SETTLE = 28  # days before the first that counts, in which every policy brings stock to where it wants it
_LEAST = 56  # days of history before the first day of all
_SEQUENCE = "standard"  # of events
_CURE = "remove it for `backtest` and `propose`"


def tables_of(folder: Path) -> Tables:
    """The tables of a firm's folder, or of its firm file.

    Raises:
        ValueError: one line; it has none.
    """
    place, content = _content(folder)
    try:
        return read_tables(content, place.parent)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def tables_to_play(folder: Path) -> Tables:
    """The same of a firm whose days can be played as they happened.

    Raises:
        ValueError: one line; the firm file says what such days do not tell, or what is not played with them.
    """
    place, content = _content(folder)
    if content.get("regimes"):
        raise ValueError(f"{place}: regimes: days that happened do not tell which was in force: {_CURE}")
    if content.get("sequence", _SEQUENCE) != _SEQUENCE:
        raise ValueError(f"{place}: sequence: days that happened are played in the {_SEQUENCE} one: {_CURE}")
    return tables_of(folder)


def _content(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    """The firm file and what it says."""
    place = folder / "firm.yaml" if folder.is_dir() else folder
    try:
        content = read_yaml(place.read_bytes())
    except OSError as error:
        raise ValueError(
            f"FOLDER must be one that `firmwide import` made, got {str(folder)!r}: {error.strerror}"
        ) from None
    if not isinstance(content, Mapping) or not has_tables(content):
        raise ValueError(f"{place} points to no tables: FOLDER must be one that `firmwide import` made")
    return place, content


def backtest(
    folder: Path,
    begin: str,
    policies: Sequence[str],
    *,
    until: str | None = None,
    every: int = EVERY,
    out: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Play history under every policy.

    Args:
        folder: of `firmwide import`.
        begin: the first day that counts; policies know the days before it.
        policies: as `kind_of` has them, the first one is what others are compared with.
        until: the first day that does not count any more; default: none.
        every: days between two tunings.
        out: the folder for results.csv, groups.csv, lines.csv and backtest.html; default: FOLDER/backtest.
        note: told how far it is.

    Raises:
        ValueError: one line.
    """
    tables = tables_to_play(folder)
    first, last = (
        _place(tables, "--from", begin),
        len(tables.days) if until is None else _place(tables, "--until", until),
    )
    start = max(first - _SETTLE, _LEAST)
    if first < _LEAST or last - first < 2:
        known = f"{tables.days[0] + _LEAST} to {tables.days[-1] - 1}"
        raise ValueError(
            f"--from must leave {_LEAST} days of history before it and two days after it, {known}, got {begin}"
        )
    if every < 1:
        raise ValueError(f"--every must be at least 1 day, got {every}")
    asked = {name: (kind, argument) for name, kind, argument in map(kind_of, policies)}
    if len(asked) < len(policies):
        raise ValueError("--policy: each needs a name of its own, such as today=cover:14")
    demand = torch.as_tensor(np.rint(filled(tables.demand, tables.days))[start:last])[..., None]
    opening = cover_levels(Past.of(tables, start), COVER)[-1]
    courses = {}
    for name, (kind, argument) in asked.items():
        world = world_for(kind, argument, tables)
        policy = policy_of(kind, argument, world, tables, start, every, lambda line, name=name: note(f"{name}: {line}"))  # type: ignore[misc]
        courses[name] = _played(world, policy, demand.to(world.dtype), opening, first - start, tables.days[start])
    done = Backtest(tables, tables.days[first:last], courses, first - start)
    _write(done, folder / "backtest" if out is None else out)
    return done


def _place(tables: Tables, option: str, day: str) -> int:
    try:
        return int((np.datetime64(day, "D") - tables.days[0]).astype(int))
    except ValueError:
        raise ValueError(f"{option} must be a day such as {tables.days[-1]}, got {day!r}") from None


def _played(
    world: World, policy: Policy, demand: torch.Tensor, opening: Array, settle: int, begins: np.datetime64
) -> Course:
    """One policy through all days; stock is counted after the day's sales."""
    chance = Exogenous(demand, *other_chance(world, len(demand), 1, 0, period_of(begins)))
    start = world.reset(1, torch.as_tensor(np.rint(opening), dtype=world.dtype)[..., None])
    kept: dict[str, list[Array]] = {"on_hand": [], "ordered": [], "served": [], "asked": []}
    before = torch.zeros_like(demand[0])
    with torch.inference_mode():
        for step in play(world, policy, chance, start, first=period_of(begins)):
            served = (step.outcome.sales - before).clamp_min(0.0)
            before = torch.zeros_like(before) if world.firm.unmet == "lost" else step.outcome.unserved
            if step.period >= settle:
                values = (step.after.on_hand, step.order, served, step.outcome.demand)
                for column, value in zip(kept, values, strict=True):
                    kept[column].append(value[..., 0].numpy().astype(np.float64))
    return Course(**{column: np.stack(values) for column, values in kept.items()})


def _write(done: Backtest, out: Path) -> None:
    write_atomically(out / "results.csv", done.results.to_csv(index=False, float_format="%.6g"))
    write_atomically(out / "groups.csv", done.groups.to_csv(index=False, float_format="%.6g"))
    write_atomically(out / "lines.csv", done.lines.to_csv(index=False, float_format="%.6g"))
    write_atomically(out / "backtest.html", backtest_page(done).html())

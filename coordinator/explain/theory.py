"""`firmwide theory`: what the paper proves, run on instances small enough to know the answer; numbers and pictures.

[M] = Jiang et al., arXiv 2510.04272. Its theorems on two and on several timescales and its lemma on tracking are run in
Borkar's form, and its figures 3 and 4 are drawn on instances of ours: which is whose stands beside each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Column, Table

from coordinator.shown import Shown
from coordinator.storage.files import write_picture
from departments.learning.timescale import StepLaw
from environment.streams import Stream, numpy_stream
from heuristics.team import Structure, Team
from heuristics.timescales import Drift, OrderAndExposure, OwnIndicators, exponent, follow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

STEPS = 10_000
_RUNS = 64  # independent ones, for means
_SHOWN = 300  # steps of the paths of one firm
_LATE = 0.15  # of the steps, from which rates are read
_MARKS = 60  # steps at which distances are taken
_SLOWER = StepLaw(initial=0.3, decay=0.8, delay=50)
_FASTER = StepLaw(initial=1.0, decay=0.6, delay=50)
_QUICK, _CALM = StepLaw(initial=0.5, decay=0.6, delay=50), StepLaw(initial=0.05, decay=0.8, delay=50)
_PATHS = {"order fast, exposure slow": (_QUICK, _CALM), "both fast": (_QUICK, _QUICK), "both slow": (_CALM, _CALM)}
_FASTEST = StepLaw(initial=1.0, decay=0.55, delay=50)
_PRICE = StepLaw(initial=0.1, decay=0.6, delay=200)
_PUSH = StepLaw(initial=0.1, decay=0.9, delay=200)


class Race(NamedTuple):
    """Departments that learn by step laws: how far each is from where it would rest if the slower ones stood still."""

    instance: str
    laws: str
    names: tuple[str, ...]  # of the parameters
    at: NDArray[np.int64]  # [M] steps taken
    distance: Array  # [M, n] root mean square over runs and the steps since the last mark
    path: Array  # [STEPS + 1, n] of one run

    @property
    def rates(self) -> list[float]:
        """The exponents c of distances ~ n^c over the later steps; theory's are half of the steps' own."""
        late = self.at > _LATE * STEPS
        return [exponent(self.at[late], self.distance[late, i]) for i in range(len(self.names))]


@dataclass(frozen=True, repr=False)
class Theory(Shown):
    """All that was run."""

    races: list[Race]
    structures: list[Structure]
    pictures: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object that `theory --json` prints."""
        races = [
            {
                "instance": race.instance,
                "laws": race.laws,
                "steps": STEPS,
                "distance": dict(zip(race.names, race.distance[-1].tolist(), strict=True)),
                "exponent": dict(zip(race.names, race.rates, strict=True)),
            }
            for race in self.races
        ]
        profits = {structure.name: structure.profit for structure in self.structures}
        return {"timescales": races, "structures": profits, "pictures": [str(path) for path in self.pictures]}

    def __rich__(self) -> RenderableType:
        """Two tables, and whose they are."""
        columns = (Column(heading, justify="right") for heading in ("distance at the end", "falls as n^"))
        races = Table("instance", "steps", "what", *columns, title="Who tracks whom", title_justify="left")
        for race in self.races:
            for i, name in enumerate(race.names):
                told = (race.instance, race.laws) if i == 0 else ("", "")
                last = i == len(race.names) - 1
                races.add_row(*told, name, f"{race.distance[-1, i]:.3f}", f"{race.rates[i]:+.2f}", end_section=last)
        sees = Table("departments", Column("profit", justify="right"), title="Who sees what", title_justify="left")
        for structure in self.structures:
            sees.add_row(structure.name, f"{structure.profit:.1f}")
        lines = [
            f"{STEPS:,} steps, {_RUNS} runs. The paper's: two and more timescales converge, the fast one tracks x*(y);",
            "the figures 3 (paths) and 4 (structures). Borkar's (1997): steps with infinite sums, finite sums of",
            "squares and b/a to 0 suffice. Konda and Tsitsiklis' (2004): distances fall by half of a step's exponent.",
            "Ours: the instances, the laws, and how the figures are read.",
            *(f"picture: {path}" for path in self.pictures),
        ]
        return Group(races, sees, *lines)


def run_theory(out: Path | None = None, seed: int = 0) -> Theory:
    """Run everything, and leave pictures in a folder if one is given."""
    found = Theory(_races(seed), Team().structures())
    if out is None:
        return found
    drawn = {"paths": _paths(found.races, seed), "tracking": _tracking(found.races), "structures": _structures(found)}
    return Theory(
        *(found.races, found.structures), tuple(write_picture(out / f"theory-{n}.png", f) for n, f in drawn.items())
    )


def _races(seed: int) -> list[Race]:
    firm, own = OrderAndExposure(), OwnIndicators()
    order = "order from x*(y)", "exposure from y*"
    price = "price from x*(y)", "push from rest"

    def of_firm(laws: str, fast: StepLaw, slow: StepLaw) -> Race:
        def rests(now: Array) -> Array:
            return np.stack((firm.best_order(now[1]), np.full_like(now[1], firm.best_exposure)))

        return _race("one profit", laws, order, (firm.gradient, rests), (20.0, 0.0), (fast, slow), seed)

    def of_own(laws: str, fast: StepLaw, slow: StepLaw) -> Race:
        def rests(now: Array) -> Array:
            return np.stack((own.best_price(now[1]), np.zeros_like(now[1])))

        return _race("own indicators", laws, price, (own.drift, rests), (0.1, 1.0), (fast, slow), seed)

    def with_critic(now: Array) -> Array:
        best = np.full_like(now[2], firm.best_exposure)
        return np.stack((firm.exposure_slope(now[1], now[2]), firm.best_order(now[2]), best))

    three = "critic from its slope", *order
    laws = (_FASTEST, StepLaw(initial=1.0, decay=0.7, delay=50), StepLaw(initial=0.3, decay=0.9, delay=50))
    return [
        of_firm("b/a to 0", _FASTER, _SLOWER),
        of_firm("both fast", _FASTER, _FASTER),
        of_firm("both slow", _SLOWER, _SLOWER),
        _race(
            "one profit",
            "three, c/b and b/a to 0",
            three,
            (firm.gradient_by_critic, with_critic),
            (0, 20, 0),
            laws,
            seed,
        ),
        of_own("b/a to 0", _PRICE, _PUSH),
        of_own("b = a", _PRICE, _PRICE),
        of_own("a/b to 0", _PUSH, _PRICE),
    ]


def _race(
    instance: str,
    laws: str,
    names: tuple[str, ...],
    of: tuple[Drift, Callable[[Array], Array]],
    start: tuple[float, ...],
    by: tuple[StepLaw, ...],
    seed: int,
) -> Race:
    """Run a drift; the second of `of` says where each parameter would rest, given the others, [n, R]."""
    drift, rests = of
    at = np.unique(np.geomspace(1, STEPS, _MARKS).astype(int))
    paths = _walked(drift, start, by, STEPS, seed)
    off = (paths - rests(paths.swapaxes(0, 1)).swapaxes(0, 1))[1:] ** 2
    distance = [np.sqrt(part.mean((0, 2))) for part in np.split(off, at[:-1])]
    return Race(instance, laws, names, at, np.array(distance), paths[..., 0])


def _walked(drift: Drift, start: tuple[float, ...], by: tuple[StepLaw, ...], steps: int, seed: int) -> Array:
    """All parameters of all runs from the start on, [steps + 1, n, R]."""
    sizes = np.array([[law.at(n) for law in by] for n in range(steps)])
    begin = np.tile(np.array(start, dtype=float)[:, None], (1, _RUNS))
    return np.array([begin, *follow(drift, begin, sizes, numpy_stream(Stream.THEORY, seed))])


def _paths(races: list[Race], seed: int) -> Figure:
    """The paper's figure 3, our reading: (x, y) under three laws, equal steps; beside it, where one goes round."""
    from matplotlib.figure import Figure

    firm, own = OrderAndExposure(), OwnIndicators()
    figure = Figure(figsize=(11.5, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    exposure, order = np.linspace(-3, 20, 120), np.linspace(15, 58, 120)
    money = firm.profit(order[:, None], exposure[None])
    left.contour(
        exposure, order, money, levels=np.quantile(money, np.linspace(0.3, 0.995, 14)), cmap="Greys", linewidths=0.7
    )
    left.plot(exposure, firm.best_order(exposure), color="black", linewidth=1, linestyle="--", label="x*(y)")
    left.plot(firm.best_exposure, firm.best_order(firm.best_exposure), "k*", markersize=12, zorder=9, label="optimum")
    best = float(firm.profit(firm.best_order(firm.best_exposure), firm.best_exposure))
    for number, (laws, (fast, slow)) in enumerate(_PATHS.items()):
        paths = _walked(firm.gradient, (20.0, 0.0), (fast, slow), _SHOWN, seed)  # [steps, 2, R]
        short = best - float(firm.profit(*paths[-1]).mean())
        left.plot(*paths[:, ::-1, 0].T, color=f"C{number}", linewidth=0.6, alpha=0.6)
        left.plot(*paths[:, ::-1].mean(-1).T, color=f"C{number}", linewidth=2.5, label=f"{laws}: {short:.2f} short")
    left.set(xlabel="exposure y, units of demand", ylabel="order x, units", xlim=(-3, 20), ylim=(15, 58))
    left.set_title(f"One profit: {_SHOWN} steps each\n(the paper's figure 3; firm, laws and reading ours)", fontsize=9)
    push = np.linspace(-2.2, 2.2, 50)
    right.plot(push, own.best_price(push), color="black", linewidth=1, linestyle="--", label="x*(y)")
    for number, race in enumerate(_of(races, "own indicators", 2)):
        right.plot(race.path[:, 1], race.path[:, 0], color=f"C{number}", linewidth=0.5, alpha=0.7, label=race.laws)
        right.plot(race.path[-1, 1], race.path[-1, 0], "o", color=f"C{number}", markersize=5, markeredgecolor="black")
    right.set(xlabel="push y", ylabel="price of stock x", xlim=(-2.2, 2.2), ylim=(-4, 4))
    right.set_title(
        f"Indicators of their own: {STEPS:,} steps each\n(ours, in Borkar's setting: who is fast decides)", fontsize=9
    )
    for axes in (left, right):
        axes.legend(fontsize=8, loc="lower right")
    return figure


def _tracking(races: list[Race]) -> Figure:
    """The lemma: how far the fast one is from x*(y), over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 4.4), layout="constrained")
    panels = (
        ("one profit", 2, "The lemma on one profit: all laws get there\n(slopes are those of the faster step's root)"),
        (
            "own indicators",
            2,
            "Indicators of their own: |x - x*(y)|\nfalls where b/a falls to 0, stays where it does not",
        ),
        ("one profit", 3, "Three timescales: each tracks\nwhere it would rest if the slower ones stood still"),
    )
    for axes, (instance, count, title) in zip(figure.subplots(1, 3), panels, strict=True):
        shown = _of(races, instance, count)
        for number, race in enumerate(shown):
            for i, name in enumerate(race.names if count == 3 else race.names[:1]):
                label = f"{name}: n^{race.rates[i]:.2f}" if count == 3 else f"{race.laws}: n^{race.rates[i]:.2f}"
                axes.loglog(race.at, race.distance[:, i], color=f"C{number + i}", label=label)
        axes.set_xlabel("steps n")
        axes.set_title(title, fontsize=9)
        axes.legend(fontsize=8)
    figure.supylabel("root mean square distance", fontsize=9)
    return figure


def _structures(theory: Theory) -> Figure:
    """The paper's figure 4, our reading: what is decided in each case by who sees what."""
    from matplotlib.figure import Figure

    sees = {
        "joint": "one department sees both",
        "sequential": "orders see what is shown",
        "factorised": "each sees its own, both earn one profit",
        "in silos": "each sees its own, each its own indicator",
    }
    figure = Figure(figsize=(13.5, 3.9), layout="constrained")
    figure.suptitle(
        "Who sees what: what is shown (colour) and ordered (of 1 + of 2); the paper's figure 4, firm and reading ours",
        fontsize=10,
    )
    for axes, structure in zip(figure.subplots(1, 4), theory.structures, strict=True):
        axes.imshow(structure.shown, cmap="Pastel1", vmin=0, vmax=8)
        for liked, there in np.ndindex(2, 2):
            first, second = structure.order[liked, there]
            text = f"show {structure.shown[liked, there] + 1}\norder {first} + {second}"
            axes.text(there, liked, text, ha="center", va="center", fontsize=9)
        axes.set_xticks([0, 1], ["1 in stock", "2 in stock"], fontsize=8)
        axes.set_yticks([0, 1], ["1 liked", "2 liked"], fontsize=8, rotation=90, va="center")
        axes.set_title(f"{structure.name}: {structure.profit:.1f}\n{sees[structure.name]}", fontsize=9)
    return figure


def _of(races: list[Race], instance: str, parameters: int) -> list[Race]:
    return [race for race in races if race.instance == instance and len(race.names) == parameters]

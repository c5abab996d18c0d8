"""Probability laws of demand and lead times: a mass function over whole units each, and tables to sample them by.

A law is declared in the firm file (`{law: poisson_uniform, low: 5, high: 15}`; a plain number is `fixed`). The world
draws from a table of 65,536 equally likely entries, the law's quantiles at (j + 1/2) / 65,536: one random 16-bit number
and one look-up a draw. Probabilities are thereby rounded to multiples of 1/65,536.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_serializer,
    model_validator,
    validate_call,
)

from environment.blocks import Blocks
from environment.fields import Checked, either, listed, must_be, number, one_of, refusal, shown, text, whole

if TYPE_CHECKING:
    import pandas as pd

Mass: TypeAlias = NDArray[np.float64]

TABLE_SIZE = 65_536
MAX_UNITS = 1_000_000
_TAIL = 1e-12


def _units(value: object, info: ValidationInfo) -> object:
    return whole(0, (info.context or {}).get("most", MAX_UNITS)).func(value)  # type: ignore[call-arg]


Units: TypeAlias = Annotated[int, BeforeValidator(_units)]
Mean: TypeAlias = Annotated[float, number(0, MAX_UNITS / 10, above=True)]
Variation: TypeAlias = Annotated[float, number(0, 10, above=True)]


class Law(Checked):
    """A law over whole units 0, 1, 2, ...; `mass()` is its mass function."""

    def mass(self) -> Mass:
        """Probability of 0, 1, ..., n units; sums to 1."""
        raise TypeError(f"{type(self).__name__} has no mass function")

    def phases(self) -> tuple[Mass, ...]:
        """The mass function of periods 0, 1, ..., until it begins again: one where all periods are alike."""
        return (self.mass(),)

    def lead_in(self) -> int:
        """How many of the first phases never return."""
        return 0

    def rows(self) -> NDArray[np.int64] | None:
        """Units period by period, of demand that is played as it happened; None: periods are drawn."""
        return None


class Fixed(Law):
    """Always the same number of units."""

    law: Literal["fixed"] = "fixed"
    value: Units

    def mass(self) -> Mass:
        """All mass on `value`."""
        mass: Mass = np.eye(1, self.value + 1, self.value)[0]
        return mass


class _Range(Law):
    low: Units
    high: Units

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high < self.low:
            raise ValueError(f".high must be at least low ({self.low}), got {self.high}")
        return self


class Uniform(_Range):
    """Uniform on low, low + 1, ..., high."""

    law: Literal["uniform"] = "uniform"

    def mass(self) -> Mass:
        """Equal mass on low..high."""
        mass = np.zeros(self.high + 1)
        mass[self.low :] = 1.0 / (self.high + 1 - self.low)
        return mass


class Poisson(Law):
    """Poisson with the given mean."""

    law: Literal["poisson"] = "poisson"
    mean: Mean

    def mass(self) -> Mass:
        """Poisson mass, cut where less than 1e-12 is left."""
        return cut_poisson_mass(self.mean)


class PoissonUniform(_Range):
    """Poisson whose mean is redrawn uniformly from low..high every period."""

    law: Literal["poisson_uniform"] = "poisson_uniform"
    high: Annotated[int, whole(0, 10_000)]

    def mass(self) -> Mass:
        """The equal mixture of the Poisson laws (drawn anew each period, so periods are independent)."""
        parts = [cut_poisson_mass(mean) for mean in range(self.low, self.high + 1)]
        mass = np.zeros(max(map(len, parts)))
        for part in parts:
            mass[: len(part)] += part / len(parts)
        return mass


class NegativeBinomial(Law):
    """Negative binomial by mean and coefficient of variation; needs a variance above the mean."""

    law: Literal["negative_binomial"] = "negative_binomial"
    mean: Mean
    cv: Variation

    @model_validator(mode="after")
    def _overdispersed(self) -> Self:
        if (self.cv * self.mean) ** 2 <= self.mean:
            least = 1 / math.sqrt(self.mean)
            raise ValueError(
                f".cv must be above 1/sqrt(mean) = {least:.4g} for a negative binomial, got {self.cv}; use poisson"
            )
        if self._tail() > _TAIL:
            raise ValueError(
                f" reaches above {MAX_UNITS} units with mean {self.mean:g} and cv {self.cv:g}: lower one of them"
            )
        return self

    def _untrimmed(self) -> Mass:
        """Mass of 0..n units, n as far as any of it may be seen or MAX_UNITS."""
        variance = (self.cv * self.mean) ** 2
        size, chance = self.mean**2 / (variance - self.mean), self.mean / variance
        before = np.arange(min(MAX_UNITS, 100 + math.ceil(40 * self.mean * (1 + self.cv**2))))
        steps = np.log((size + before) / (before + 1.0)) + math.log1p(-chance)
        return np.exp(size * math.log(chance) + np.concatenate([[0.0], np.cumsum(steps)]))

    def _tail(self) -> float:
        """An upper bound of the probability of more units than that."""
        last, final = self._untrimmed()[-2:]
        ratio = final / last if last > 0 else 0.0
        return float(final * ratio / (1.0 - ratio)) if ratio < 1 else 1.0

    def mass(self) -> Mass:
        """Mass with variance (cv * mean)^2, cut where less than 1e-12 is left."""
        return cut(self._untrimmed())


class Normal(Law):
    """A normal number, rounded to whole units and cut off at 0: mean and deviation are those of before."""

    law: Literal["normal"] = "normal"
    mean: Annotated[float, number(0, MAX_UNITS / 10)]
    deviation: Annotated[float, number(0, MAX_UNITS / 100, above=True)]

    def mass(self) -> Mass:
        """Phi at half a unit above less Phi at half a unit below; all that is below 0 counts as 0."""
        last = math.ceil(self.mean + 8.0 * self.deviation)
        score = (np.arange(last) + 0.5 - self.mean) / (self.deviation * math.sqrt(2.0))
        below = 0.5 * (1.0 + np.array([math.erf(each) for each in score]))
        return np.diff(below, prepend=0.0, append=1.0)


class Gamma(_Range):
    """A gamma law rounded to whole units, clipped to low..high and re-centred so that its mean is `mean`."""

    law: Literal["gamma"] = "gamma"
    mean: Mean
    cv: Variation

    @model_validator(mode="after")
    def _mean_inside(self) -> Self:
        if not self.low < self.mean < self.high:
            raise ValueError(f".mean must lie between low ({self.low}) and high ({self.high}), got {self.mean}")
        try:
            self.mass()
        except ValueError:
            reach = f"mean {self.mean:g} cannot be reached with cv {self.cv:g} from {self.low} to {self.high}"
            raise ValueError(f".{reach}: lower cv or widen low..high") from None
        return self

    def mass(self) -> Mass:
        """Mass of the rounded, clipped gamma whose scale is solved for so that the mean comes out exactly."""
        return _recentred_gamma(self.mean, self.cv, self.low, self.high)


class MassFunction(Law):
    """Values and their probabilities, as given."""

    law: Literal["mass"] = "mass"
    values: Annotated[tuple[Units, ...], listed("whole numbers")]
    probabilities: Annotated[tuple[Annotated[float, number(0, 1)], ...], listed("probabilities")]

    @model_validator(mode="after")
    def _is_distribution(self) -> Self:
        if not self.values:
            raise ValueError(".values must hold at least one value, got an empty list")
        if len(self.values) != len(self.probabilities):
            raise ValueError(
                f".probabilities must be as many as values ({len(self.values)}), got {len(self.probabilities)}"
            )
        if len(set(self.values)) != len(self.values):
            twice = next(value for value in self.values if self.values.count(value) > 1)
            raise ValueError(f".values must differ from each other, got {twice} twice: add their probabilities up")
        total = math.fsum(self.probabilities)
        if abs(total - 1) > 1e-6:
            raise ValueError(f".probabilities must sum to 1, got a sum of {total:.6g}")
        return self

    @classmethod
    def of(cls, mass: Mass) -> Self:
        """The law with this mass function, of 0, 1, ... units."""
        values = np.flatnonzero(mass)
        return cls(values=tuple(values.tolist()), probabilities=tuple(mass[values].tolist()))

    def mass(self) -> Mass:
        """The given probabilities, normalised."""
        mass: Mass = np.zeros(max(self.values) + 1)
        mass[list(self.values)] = self.probabilities
        mass /= mass.sum()
        return mass


def _numbers(value: object) -> object:
    """A text such as `4 0 9` as its numbers."""
    return [int(word) if word.isdigit() else word for word in value.split()] if isinstance(value, str) else value


def _enough(blocks: Blocks | None, count: int) -> None:
    if blocks is not None and count < blocks.least:
        why = "two blocks, or a season and `within`"
        raise ValueError(f".blocks are drawn from at least {blocks.least} values ({why}), got {count}")


Drawn: TypeAlias = Annotated[
    Blocks | None,
    must_be("a mapping such as {periods: 28, cycle: 7}", lambda value: isinstance(value, (Mapping, Blocks, NoneType))),
]


class Sequence(Law):
    """Units period by period, as they happened; an episode begins on a day that is drawn, the last is before the first.

    With `blocks` they are not played through but in blocks that are drawn, and may be written as a text of numbers.
    `mass` is how often each number of units is there: what levels without a clock are reckoned by.
    """

    law: Literal["sequence"] = "sequence"
    values: Annotated[tuple[Units, ...], listed("whole numbers"), BeforeValidator(_numbers)]
    blocks: Drawn = None

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        if not self.values:
            raise ValueError(".values must hold at least one value, got an empty list")
        _enough(self.blocks, len(self.values))
        return self

    @field_serializer("values")
    def _short(self, values: tuple[int, ...]) -> tuple[int, ...] | str:
        """Histories are long, and one text is read a hundred times as fast as a list."""
        return values if self.blocks is None else " ".join(map(str, values))

    def mass(self) -> Mass:
        """Relative frequencies."""
        return np.bincount(self.values) / len(self.values)

    def rows(self) -> NDArray[np.int64]:
        """The values."""
        return np.array(self.values, dtype=np.int64)


class History(Law):
    """A column of a csv file, one row a period: perhaps scaled to a mean, in whole units, drawn independently.

    `order: sequence` plays the rows as they happened instead, see `Sequence`.

    What scaling leaves between two whole numbers becomes either of them, with the probabilities that keep the mean.

    Source: Ziegner et al., arXiv 2503.18201, the levels with real-life demand; they round, which loses slow movers.
    """

    law: Literal["history"] = "history"
    file: Annotated[str, text()]
    column: Annotated[str, text()]
    scale_to_mean: Annotated[float | None, number(0, MAX_UNITS / 10, above=True, optional=True)] = None
    unit: Annotated[float, number(0, 1e9, above=True)] = (
        1.0  # what one unit of the firm is in the file, such as 0.05 kg
    )
    order: Annotated[Literal["independent", "sequence"], one_of("independent", "sequence")] = "independent"
    blocks: Drawn = None  # of a sequence: it is played in blocks that are drawn
    _mass: Mass = PrivateAttr()
    _rows: NDArray[np.int64] | None = PrivateAttr(None)
    _note: str = PrivateAttr("")

    @model_validator(mode="after")
    def _read(self, info: ValidationInfo) -> Self:
        folder = Path((info.context or {}).get("folder", "."))
        table = _table(folder / self.file)
        sales = history_units(table, Path(self.file).name, self.column, self.scale_to_mean, self.unit)
        self._mass = frequencies(sales)
        if self.order == "sequence":  # parts of units are carried over to the next row, so that the sum stays
            self._rows = np.diff(np.floor(np.cumsum(sales) + 0.5 + 1e-9), prepend=0.0).astype(np.int64)
        elif self.blocks is not None:
            raise ValueError(".blocks are of rows in their order: add `order: sequence`")
        _enough(self.blocks, len(sales))
        self._note = _missing_days(table, Path(self.file).name)
        return self

    @property
    def note(self) -> str:
        """What is hardly meant in the file, one line; '' if nothing is."""
        return self._note

    def mass(self) -> Mass:
        """Relative frequencies of the history; where it is scaled, its mean is exact."""
        return self._mass

    def rows(self) -> NDArray[np.int64] | None:
        """Units row by row, if they are played as they happened."""
        return self._rows

    def resolved(self) -> MassFunction | Sequence:
        """The same law without its file, so that a saved configuration stands by itself."""
        if self._rows is None:
            return MassFunction.of(self._mass)
        return Sequence(values=tuple(self._rows.tolist()), blocks=self.blocks)


AnyLaw: TypeAlias = (
    Fixed | Uniform | Poisson | PoissonUniform | NegativeBinomial | Normal | Gamma | MassFunction | Sequence | History
)
_ADAPTER: TypeAdapter[AnyLaw] = TypeAdapter(Annotated[AnyLaw, Field(discriminator="law")])
LAW_NAMES = tuple(law.model_fields["law"].default for law in get_args(AnyLaw))
_REGISTERED: dict[str, Callable[..., Mass]] = {}  # an explicit registry: laws of users by name


def register_law(name: str, law: Callable[..., Mass]) -> None:
    """Let firm files say `{law: NAME, ...}`: `law` makes the mass function of what else stands there.

    Raises:
        ValueError: the name is taken.
    """
    known = _REGISTERED.get(name)
    if name in LAW_NAMES or (known is not None and known.__module__ != law.__module__):
        raise ValueError(f"law {name!r} is there already: give yours another name")
    _REGISTERED[name] = law


def _of_user(name: str, fields: Mapping[str, object]) -> MassFunction:
    """A user's law as the mass function that it is, which every process and file knows."""
    mass = np.asarray(validate_call(_REGISTERED[name])(**fields), dtype=np.float64)
    sound = mass.ndim == 1 and 0 < mass.size <= MAX_UNITS + 1 and bool((mass >= 0).all())
    if not sound or abs(mass.sum() - 1.0) > 1e-6:
        raise ValueError(f": law {name} must give probabilities of 0, 1, ... units that sum to 1, got {shown(mass)}")
    return MassFunction.of(mass)


def parse_law(value: object, folder: Path, least: int = 0, most: int = MAX_UNITS) -> AnyLaw:
    """A law from what the firm file says: a plain number from `least` to `most` (`fixed`) or a mapping with `law`.

    Raises:
        ValueError: one line, beginning with the dotted name of the field inside the law if it is one field.
    """
    if isinstance(value, Law):
        return value  # type: ignore[return-value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not least <= value <= most or value != math.floor(value):
            raise ValueError(f" must be a whole number from {least} to {most} or a law, got {shown(value)}")
        return Fixed(value=int(value))
    if not isinstance(value, Mapping):
        raise ValueError(f" must be a whole number or a law such as {{law: poisson, mean: 10}}, got {shown(value)}")
    name = value.get("law")
    if name not in (*LAW_NAMES, *_REGISTERED):
        raise ValueError(f".law must be one of {', '.join((*LAW_NAMES, *_REGISTERED))}, got {shown(name)}")
    try:
        if name in _REGISTERED:
            return _of_user(name, {key: given for key, given in value.items() if key != "law"})
        return _ADAPTER.validate_python(dict(value), context={"folder": folder, "most": most})
    except ValidationError as error:
        raise ValueError(refusal(error, skip=frozenset(LAW_NAMES))) from None


def _table(path: Path) -> pd.DataFrame:
    """All cells of a csv file as text, its header the first row: pandas would rename what is named twice."""
    import pandas as pd  # slow to import, and only histories need it

    try:
        return pd.read_csv(path, dtype=str, header=None, encoding="utf-8-sig", na_filter=False)
    except OSError:
        raise ValueError(f".file must be an existing csv file, got {str(path)!r}") from None
    except UnicodeDecodeError:
        told = "its text is not UTF-8: save it as UTF-8, or let `firmwide import` read it"
    except ValueError as error:
        ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        told = str(error)
        if ragged:
            told = f"line {ragged[2]} has {ragged[3]} cells between commas, the header {ragged[1]}"
            if ragged[1] == "1" and ";" in path.read_text(encoding="utf-8-sig").partition("\n")[0]:
                told += "; it is split by semicolons, as `firmwide import` reads it"
    raise ValueError(f".file {str(path)!r} is not a csv file with a header: {told}")


def history_units(
    table: pd.DataFrame, file: str, column: str, scale_to_mean: float | None, unit: float = 1.0
) -> NDArray[np.float64]:
    """One column in units, [rows], perhaps scaled to a mean, with parts of units then.

    Args:
        table: all cells as text, the header first.
        file: how it is called.
        column: of the header.
        scale_to_mean: units a period.
        unit: what one unit is in the file.

    Raises:
        ValueError: the column is missing or there twice, or a sale is missing, negative, no number or part of a unit.
    """
    import pandas as pd

    names, column = [str(name).strip() for name in table.iloc[0]], column.strip()
    if column not in names:
        known = ", ".join(names[:8]) + ", ..." * (len(names) > 8)
        parted = next((f": the file is split by {shown(sign)}, write commas" for sign in ";\t|" if sign in known), "")
        raise ValueError(f".column must be one of the columns of {file} ({known}), got {column!r}{parted}")
    if names.count(column) > 1:
        raise ValueError(f".column {column!r} stands in the header of {file} twice: rename one of them")
    cells = table.iloc[1:, names.index(column)].str.strip()
    sales = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float) / unit
    cures = [either(str(cell)) for cell in cells]
    bad = np.flatnonzero(~np.isfinite(sales) | (sales < 0) | (np.array(cures, dtype=object) != ""))
    if len(bad) or not len(sales):
        where = f"row {bad[0] + 1} holds {shown(cells.iloc[bad[0]])}{cures[bad[0]]}" if len(bad) else "it has no rows"
        raise ValueError(f".column {column!r} of {file} must hold a number of at least 0 in every row: {where}")
    if scale_to_mean is not None:
        if sales.mean() == 0:
            raise ValueError(f".scale_to_mean cannot scale column {column!r} of {file}: all its sales are 0")
        sales = sales * (scale_to_mean / sales.mean())
    elif len(parts := np.flatnonzero(np.abs(sales - np.rint(sales)) > 1e-6)):
        where = f"row {parts[0] + 1} holds {cells.iloc[parts[0]]}"
        cure = "say how much a unit is, such as unit: 0.05, or scale_to_mean"
        raise ValueError(f".column {column!r} of {file} must hold whole units, {where}: {cure}")
    if sales.max() > MAX_UNITS:
        raise ValueError(f".column {column!r} of {file} must stay at or below {MAX_UNITS} units, got {sales.max():.6g}")
    return sales


def frequencies(sales: NDArray[np.float64]) -> Mass:
    """Relative frequencies; what lies between two whole numbers is split among them, so that the mean is exact."""
    below = np.floor(sales + 1e-9)
    above = np.maximum(sales - below, 0.0)  # the share of the whole number above
    counts = np.bincount(below.astype(np.int64), 1.0 - above, int(below.max()) + 2)
    counts += np.bincount(below.astype(np.int64) + 1, above, len(counts))
    return np.asarray(np.trim_zeros(counts, "b") / counts.sum(), dtype=np.float64)


def _missing_days(table: pd.DataFrame, file: str) -> str:
    """Days that the first column passes over, if it holds ISO dates; weeks and other equal steps are none."""
    days = np.array([cell.strip() for cell in table.iloc[1:, 0]])
    if len(days) < 3 or not all(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day, re.ASCII) for day in days):
        return ""
    try:
        dates = days.astype("datetime64[D]")
    except ValueError:
        return ""
    steps = np.diff(dates).astype(int)
    usual = int(np.median(steps))
    if usual == 0:
        raise ValueError(f".file {file} has several rows for {days[0]}: let `firmwide import` split it by its columns")
    gaps = np.flatnonzero(steps > usual)
    weekday = (dates.astype(int) + 3) % 7  # Monday 0
    closed = set(range(7)) - set(weekday.tolist())
    passed = {(weekday[gap] + 1 + day) % 7 for gap in gaps for day in range(min(steps[gap] - 1, 7))}
    if usual < 0 or not len(gaps) or (len(days) > 10 and passed <= closed):  # never open on a Sunday, say
        return ""
    return (
        f"{file} has no row between {days[gaps[0]]} and {days[gaps[0] + 1]}, so these days are left out of the history "
        "instead of counting as days without sales: add them with 0, or let `firmwide import` do it"
    )


def quantile_ends(mass: Mass) -> NDArray[np.int64]:
    """How many of the levels (j + 1/2) / 65,536 have a quantile of at most 0, 1, .. units, as long as the mass."""
    levels = (np.arange(TABLE_SIZE) + 0.5) / TABLE_SIZE
    cdf = np.cumsum(mass)
    ends = np.searchsorted(levels * cdf[-1], cdf, "right")
    ends[-1] = TABLE_SIZE
    return ends


def quantile_table(mass: Mass) -> NDArray[np.float32]:
    """The law's quantiles at (j + 1/2) / 65,536, [65536] units: an entry drawn uniformly follows the law."""
    return np.repeat(np.arange(len(mass), dtype=np.float32), np.diff(quantile_ends(mass), prepend=0))


def poisson_mass(mean: float) -> Mass:
    """Poisson mass of 0, 1, ... units, up to where next to nothing is left."""
    if mean == 0:
        return np.ones(1)
    units = np.arange(1, math.ceil(mean + 12.0 * math.sqrt(mean) + 40.0))
    return np.exp(np.concatenate([[0.0], np.cumsum(np.log(mean / units))]) - mean)


@functools.lru_cache(maxsize=128)
def cut_poisson_mass(mean: float) -> Mass:
    """The same, cut where less than 1e-12 is left; remembered, so not to be written over."""
    mass = cut(poisson_mass(mean))
    mass.flags.writeable = False
    return mass


def cut(mass: Mass, tail: float = _TAIL) -> Mass:
    """The mass without the upper tail of at most `tail`."""
    kept = mass[: np.count_nonzero(np.cumsum(mass[::-1]) > tail)]
    return np.asarray(kept / kept.sum(), dtype=np.float64)


@functools.cache
def _recentred_gamma(mean: float, cv: float, low: int, high: int) -> Mass:
    from scipy import optimize, special  # slow to import, and only this law needs them

    edges = np.concatenate([[0.0], np.arange(low, high) + 0.5, [np.inf]])
    values = np.arange(low, high + 1)

    def at(centre: float) -> Mass:
        return np.asarray(np.diff(special.gammainc(cv**-2, edges / (centre * cv**2))), dtype=np.float64)

    centre = optimize.brentq(lambda c: float(at(c) @ values) - mean, 1e-6 * mean, 1e6 * mean)
    return np.concatenate([np.zeros(low), at(float(centre))])

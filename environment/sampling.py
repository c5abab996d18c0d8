"""Laws sampled by tables of quantiles, many at once, from generators of named streams."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from environment.blocks import Blocks
from environment.draws import count, look_up, words
from environment.laws import TABLE_SIZE, AnyLaw, History, Mass, Sequence, quantile_ends, quantile_table
from environment.streams import Stream, numpy_stream

_MOST_TABLES = 256  # of distinct laws, 64 MB
_MOST_STEPS = 8  # in tables whose steps are counted


class LawTable:
    """Samples many independent laws at once by one look-up a draw."""

    def __init__(self, laws: list[AnyLaw], device: torch.device, dtype: torch.dtype) -> None:
        """Tabulate `laws`, each distinct one once."""
        keys = [law.model_dump_json() for law in laws]
        first, masses, tables, distinct = dict[str, int](), list[Mass](), list[int](), dict[str, tuple[int, int]]()
        for key, law in zip(keys, laws, strict=True):
            if key in first:
                continue
            first[key], places = len(tables), dict[int, int]()  # of this law's masses, equal ones once
            for mass in (phases := law.phases()):
                if id(mass) not in places:
                    places[id(mass)] = len(masses)
                    masses.append(mass)
                tables.append(places[id(mass)])
            distinct[key] = len(phases), law.lead_in()
        place = torch.tensor([first[key] for key in keys], device=device)
        self._laws, self._dtype, self._ends, self._steps = len(laws), dtype, None, None
        self.in_core = False  # whether C++ looks up, faster and to the bit the same
        self._rows = _Rows.of(laws, device, dtype)
        self._place = self._phases = None  # [laws] of their first phase, and how many there are; None: one each
        self._tables = torch.tensor(tables, device=device)  # [all phases] of each its table
        if len(tables) > len(distinct):
            self._place = place
            self._phases, self._lead_in = torch.tensor([distinct[key] for key in keys], device=device).T  # [laws]
        else:
            place = self._tables[place]
        longest = max(map(len, masses))
        if len(masses) > _MOST_TABLES and longest * len(laws) < TABLE_SIZE * len(masses):
            ends = np.full((len(masses), longest), TABLE_SIZE, dtype=np.int32)
            for row, mass in zip(ends, masses, strict=True):
                row[: len(mass)] = quantile_ends(mass)
            table = torch.as_tensor(ends, device=device)
            self._ends = table[place] if self._phases is None else table  # [laws or all phases, units]
            return
        # Entries are kept rotated by half a table, so that a signed 16-bit number plus an offset is the index.
        rotated = [np.roll(quantile_table(mass), TABLE_SIZE // 2) for mass in masses]
        self._table = torch.as_tensor(np.concatenate(rotated), device=device, dtype=dtype)
        self._looked = self._table.to(torch.uint8) if longest <= 256 else self._table  # in C++, where room counts
        self._offset = _offset(place)[None, :, None]  # [1, laws, 1]
        few = dtype == torch.int16 and self._phases is None
        steps = _steps(masses) if few else None
        self._steps = None if steps is None else steps[place.cpu()]

    def draw(
        self, periods: int, copies: int, generator: Generator, start: int | None = None, lanes: Tensor | None = None
    ) -> Tensor:
        """Draws of periods start, start + 1, ..., [T, laws, E], independent of each other.

        Args:
            periods: T.
            copies: E.
            generator: of the device.
            start: the first period's number; None: 0, and sequences begin on days that are drawn.
            lanes: [T, laws, E] signed 16-bit numbers to look up, which may hang together.
        """
        if lanes is None:
            lanes = sixteen_bits(periods * self._laws * copies, generator).view(periods, self._laws, copies)
        if self._phases is None or self._place is None:
            units = self._looked_up(lanes)
        else:
            period = torch.arange(start or 0, (start or 0) + periods, device=lanes.device)[:, None]
            lead = self._lead_in  # what never returns, then what does
            again = lead + (period - lead) % (self._phases - lead)
            phase = torch.where((period < lead) & (lead > 0), period.clamp_min(0), again)
            units = self._in_phase(lanes, self._tables[self._place + phase])
        return units if self._rows is None else self._rows.played(units, generator, start)

    def _looked_up(self, lanes: Tensor) -> Tensor:
        if self._ends is not None:  # many laws: the same units by bisection, where tables would fill the memory
            periods, _, copies = lanes.shape
            own = lanes.transpose(0, 1).reshape(self._laws, -1).to(torch.int32).bitwise_and_(TABLE_SIZE - 1)
            units = torch.searchsorted(self._ends, own, right=True, out_int32=True)
            return units.view(self._laws, periods, copies).transpose(0, 1).to(self._dtype).contiguous()
        if self.in_core:
            if self._steps is not None:
                return count(self._steps, lanes)
            return look_up(self._looked, self._offset, lanes, self._dtype)
        index = torch.add(self._offset, lanes)
        return self._table.index_select(0, index.view(-1)).view(index.shape)

    def _in_phase(self, lanes: Tensor, place: Tensor) -> Tensor:
        """The same where the law of each period is at a place of its own, [T, laws]."""
        if self._ends is not None:
            own = lanes.to(torch.int32).bitwise_and(TABLE_SIZE - 1)
            found = [torch.searchsorted(self._ends[at], one, right=True) for at, one in zip(place, own, strict=True)]
            return torch.stack(found).to(self._dtype)
        offset = _offset(place)
        if self.in_core:
            flat = lanes.view(1, -1, lanes.shape[-1])
            return look_up(self._looked, offset.reshape(1, -1, 1), flat, self._dtype).view(lanes.shape)
        index = offset.unsqueeze(-1) + lanes
        return self._table.index_select(0, index.view(-1)).view(index.shape)


def _steps(masses: list[Mass]) -> Tensor | None:
    """[masses, 1 + most] of tables, as `draws.count` takes them; None: of too many values for that to be faster."""
    ends = [quantile_ends(mass) for mass in masses]
    spans = [(int((some <= 0).sum()), int((some < TABLE_SIZE).sum())) for some in ends]  # lowest and highest value
    most = max(high - low for low, high in spans)
    if most > _MOST_STEPS:
        return None
    steps = np.full((len(masses), 1 + most), TABLE_SIZE // 2 - 1, dtype=np.int16)  # nothing is behind that
    for row, some, (low, high) in zip(steps, ends, spans, strict=True):
        row[0], row[1 : 1 + high - low] = low, some[low:high] - 1 - TABLE_SIZE // 2
    return torch.as_tensor(steps)


def _offset(place: Tensor) -> Tensor:
    """Where the middle of the tables at these places is."""
    return (place * TABLE_SIZE + TABLE_SIZE // 2).to(torch.int32)


class _Rows(NamedTuple):
    """Demands that are played as they happened; those of equally many periods, in equal blocks, take the same days."""

    groups: list[tuple[list[int], Tensor, Blocks | None]]  # numbers of laws, and their units, [days, laws]

    @classmethod
    def of(cls, laws: list[AnyLaw], device: torch.device, dtype: torch.dtype) -> _Rows | None:
        """Of all laws, those that are sequences; None: there are none."""
        alike: dict[tuple[int, Blocks | None], dict[int, NDArray[np.int64]]] = {}
        for number, law in enumerate(laws):
            if isinstance(law, Sequence | History) and (rows := law.rows()) is not None:
                alike.setdefault((len(rows), law.blocks), {})[number] = rows
        groups = [
            (list(own), torch.as_tensor(np.stack(list(own.values()), 1), device=device, dtype=dtype), blocks)
            for (_, blocks), own in alike.items()
        ]
        return cls(groups) if groups else None

    def played(self, units: Tensor, generator: Generator, start: int | None) -> Tensor:
        """Draws [T, laws, E] with the sequences in place of what was drawn for them."""
        period = torch.arange(units.shape[0], device=units.device)[:, None]
        for numbers, values, blocks in self.groups:
            if blocks is not None:
                word = torch.randint(2**63 - 1, (1,), generator=generator, device=units.device).item()
                sizes = len(values), units.shape[0], units.shape[-1]
                drawn = blocks.episodes(*sizes, numpy_stream(Stream.DAYS, int(word)), start)
                units[:, numbers] = values[torch.as_tensor(drawn, device=units.device)].transpose(1, 2)
                continue
            first = torch.full((units.shape[-1],), start or 0, device=units.device)
            if start is None:
                first = torch.randint(len(values), first.shape, generator=generator, device=units.device)
            units[:, numbers] = values[(first + period) % len(values)].transpose(1, 2)
        return units


def sixteen_bits(many: int, generator: Generator) -> Tensor:
    """`many` uniform signed 16-bit numbers, four from each 64-bit draw."""
    return words((many + 3) // 4, generator).view(torch.int16)[:many]


def seeded_generator(device: torch.device | str, *seed: int) -> Generator:
    """A generator for a stream of its own, named by whole numbers >= 0."""
    word = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return Generator(device=device).manual_seed(word)

"""One episode of a firm from files to a file: what is not given is drawn from the firm's laws or ordered by a rule."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coordinator.evaluation.evaluate import load_policy_or_rule
from coordinator.shown import Shown
from coordinator.storage.files import write_atomically
from departments.decisions import Decision, Memory, Policy
from departments.play.default_rule import default_rule
from departments.play.stepping import play
from departments.play.tuning import quiet
from departments.rules.ordering import baseline_levels
from environment import Exogenous, Feedback, Firm, Network, State, World
from environment.episode_files import DEMAND, INITIAL, LEAD_TIMES, MAX_QUANTITY, ORDERS, SUPPLIERS, EpisodeFile, Key
from environment.parts import MAX_LEAD_TIME
from environment.streams import Stream, torch_stream

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

COLUMNS = (
    *("on_hand", "in_transit", "inventory_position", "backlog"),
    *("sales", "lost_sales", "order_quantity", "demand", "cost"),
)


@dataclass(frozen=True)
class GivenFiles:
    """The files a user gives of an episode."""

    orders: Path | None = None
    demand: Path | None = None
    lead_times: Path | None = None
    suppliers: Path | None = None
    initial: Path | None = None


@dataclass(frozen=True)
class Given:
    """What those files say, checked against the firm; None where a file is not given."""

    periods: int  # T
    orders: Array | None  # [T, N, K] units
    demand: Array | None  # [T, C, K] units
    lead_times: Array | None  # [T, Ed, K] periods, of what is shipped in event 2 of the period
    suppliers: Array | None  # [T, N, K] place among the point's suppliers
    initial: Array | None  # [N, K] units


@dataclass(frozen=True)
class _AsGiven:
    """Decides what a file says."""

    orders: Array  # [T, N, K] units

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        return Decision(torch.as_tensor(self.orders[period], dtype=world.dtype)[..., None])


@dataclass(frozen=True, repr=False)
class Episode(Shown):
    """One episode, period by period."""

    firm: Firm
    columns: Mapping[str, Array]  # [T, N, K] each, as in the states file
    default: str = ""  # if nobody named who orders: which rule did, and why

    @property
    def cost(self) -> float:
        """Of all periods, money."""
        return float(self.columns["cost"].sum())

    @property
    def states(self) -> pd.DataFrame:
        """One row per period, stock point and product."""
        import pandas as pd

        axes = [range(len(self.columns["cost"])), self.firm.names, self.firm.products]
        index = pd.MultiIndex.from_product(axes, names=["period", "stock_point", "product"])
        return pd.DataFrame({name: values.ravel() for name, values in self.columns.items()}, index).reset_index()

    def __rich__(self) -> str:
        """One line."""
        return f"{self.firm.name}: cost of all {len(self.columns['cost'])} periods {self.cost:.10g}"


def simulate(
    firm: Firm,
    files: GivenFiles,
    *,
    policy: str | None = None,
    periods: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    note: Callable[[str], None] = quiet,
) -> Episode:
    """Run one episode, and write its states if `out` says where; `note` is told how far a search for levels is.

    Raises:
        ValueError: one line that names the file, the row and the cure; nothing has been written then.
    """
    if out is not None:
        check_out(out, [path for path in vars(files).values() if path])
    if policy and files.orders:
        raise ValueError("--policy and --orders both decide the orders: give one of them")
    given = read_given(firm, files, periods)
    world = world_of(firm, given)
    decides, why = _who_decides(world, given, policy, note)
    episode = Episode(firm, run(world, decides, chance_of(world, given, seed), given), why)
    if out is not None:
        write_states(out, episode)
    return episode


def _who_decides(world: World, given: Given, policy: str | None, note: Callable[[str], None]) -> tuple[Policy, str]:
    """What orders, and if nobody named it, which rule it is and why."""
    if given.orders is not None:
        return _AsGiven(given.orders), ""
    return (load_policy_or_rule(policy, world, note=note), "") if policy else default_rule(world.firm, note)


def check_out(out: Path, read: list[Path]) -> None:
    """Refuse a place where nothing can or should be written."""
    if not out.parent.is_dir():
        raise ValueError(f"--out: the folder {str(out.parent)!r} does not exist; create it first")
    if not os.access(out.parent, os.W_OK):
        raise ValueError(f"--out: the folder {str(out.parent)!r} cannot be written; choose another one")
    if out.is_symlink() or (out.exists() and not out.is_file()):
        raise ValueError(
            f"--out must be a plain file, as it is replaced as a whole, got {str(out)!r}; choose another name"
        )
    if any(path.exists() and out.exists() and path.samefile(out) for path in read):
        raise ValueError(f"--out must not be one of the files that are read, got {str(out)!r}")


def read_given(firm: Firm, files: GivenFiles, periods: int | None) -> Given:
    """Read and check all given files; the number of periods is theirs unless `periods` is given."""
    kinds = {"orders": ORDERS, "demand": DEMAND, "lead_times": LEAD_TIMES, "suppliers": SUPPLIERS, "initial": INITIAL}
    read = {name: EpisodeFile(path, kinds[name], firm) for name, path in vars(files).items() if path is not None}
    count = periods or _periods(read) or firm.periods.evaluate
    orders = _orders(read["orders"], firm, count) if "orders" in read else None
    return Given(
        count,
        orders,
        _demand(read["demand"], firm, count) if "demand" in read else None,
        _lead_times(read["lead_times"], firm, count) if "lead_times" in read else None,
        _suppliers(read["suppliers"], firm, count, orders) if "suppliers" in read else None,
        _initial(read["initial"], firm) if "initial" in read else None,
    )


def _periods(read: dict[str, EpisodeFile]) -> int | None:
    """Periods that the files cover: orders and demand say, and must agree; else lead times and suppliers."""
    deciding = [read[name] for name in ("orders", "demand") if name in read]
    if len(deciding) == 2 and deciding[0].periods != deciding[1].periods:
        covered = " and ".join(f"{file.path} covers {file.periods} periods" for file in deciding)
        raise ValueError(f"{covered}: make them agree, or give --periods to use the first ones")
    deciding = deciding or [read[name] for name in ("lead_times", "suppliers") if name in read]
    return max((file.periods for file in deciding), default=None)


def _table(firm: Firm, names: Iterable[tuple[str, ...]], periods: int, value: Callable[[int, Key], int]) -> Array:
    """Values by period, of all products of stock points or edges, [T, .., K]."""
    keys = [[(*name, product) for product in firm.products] for name in names]
    return np.array([[[value(t, key) for key in row] for row in keys] for t in range(periods)], dtype=np.float64)


def _orders(file: EpisodeFile, firm: Firm, periods: int) -> Array:
    keys = itertools.product(firm.names, firm.products)
    most = dict(zip(keys, map(int, firm.amounts("max_order").ravel()), strict=True))
    return _table(firm, zip(firm.names), periods, lambda t, key: file.value(t, key, 0, most[key[0], key[1]]))


def _demand(file: EpisodeFile, firm: Firm, periods: int) -> Array:
    demands = {name: firm.stock_points[name].demand for name in firm.customer_facing}
    sold = {(p, k) for p, law in demands.items() for k in firm.products if not isinstance(law, dict) or k in law}
    file.refuse_others(sold.__contains__, "sells to no customer", harmless="0")
    names = zip(firm.customer_facing)
    return _table(firm, names, periods, lambda t, key: file.value(t, key, 0, MAX_QUANTITY) if key in sold else 0)


def _lead_times(file: EpisodeFile, firm: Firm, periods: int) -> Array:
    """Nothing is shipped in period 0."""
    network = Network.of(firm)
    edges = network.edge_names
    file.refuse_others(lambda key: (key[0], key[1]) in edges, "is not an edge of the firm")
    least: dict[Key, int] = {  # 0 only where the law has it: who may be in time decides who serves first
        (*edge, product): int(law.mass()[0] == 0)
        for edge, laws in zip(edges, network.lead_time_laws, strict=True)
        for product, law in zip(firm.products, laws, strict=True)
    }
    return _table(firm, edges, periods, lambda t, key: file.value(t, key, least[key], MAX_LEAD_TIME) if t else 1)


def _suppliers(file: EpisodeFile, firm: Firm, periods: int, orders: Array | None) -> Array:
    """No row is needed where there is one supplier, or nothing to send."""
    if firm.supplier_choice in ("in-stock", "split", "ordered"):
        raise ValueError(f"--suppliers: supplier_choice {firm.supplier_choice} says who delivers; leave the file out")
    edges = Network.of(firm).edge_names
    suppliers = {name: [source for source, target in edges if target == name] for name in firm.names}

    def rank(t: int, key: Key) -> int:
        cell, known = file.cells.get((t, key)), suppliers[key[0]]
        if cell is not None and cell.text in known:
            return known.index(cell.text)
        choice, place = " or ".join(known), (firm.names.index(key[0]), firm.products.index(key[1]))
        if cell is not None:
            raise ValueError(f"{file.at(cell.line)}: {key[0]} buys from {choice}, got {cell.text!r}")
        if len(known) > 1 and (orders is None or orders[(t, *place)] > 0):
            raise ValueError(f"{file.path} has no row for period {t}, stock_point {key[0]}: add it with {choice}")
        return 0

    return _table(firm, zip(firm.names), periods, rank)


def _initial(file: EpisodeFile, firm: Firm) -> Array:
    stock: Array = _table(firm, zip(firm.names), 1, lambda t, key: file.value(t, key, 0, MAX_QUANTITY))[0]
    return stock


def world_of(firm: Firm, given: Given) -> World:
    """A world in double precision, so that money is exact, with pipeline slots for the longest given lead time."""
    named = all(None not in point.initial_on_hand_per(firm.products) for point in firm.stock_points.values())
    levels = (
        np.zeros((len(firm.names), len(firm.products))) if named or given.initial is not None else baseline_levels(firm)
    )
    slots = 1 if given.lead_times is None else int(given.lead_times.max())
    return World(firm, levels, dtype=torch.float64, slots=slots)


def chance_of(world: World, given: Given, seed: int) -> Exogenous:
    """The episode's chance: drawn from the laws, and replaced by what is given."""
    chance = world.draw(given.periods, 1, torch_stream(world.device, Stream.SIMULATION, seed))
    if given.demand is not None:
        chance = chance._replace(demand=torch.as_tensor(given.demand)[..., None], customers=None)
    if given.suppliers is not None:
        chance = chance._replace(supplier=torch.as_tensor(given.suppliers).to(torch.int16)[..., None])
    if given.lead_times is not None:
        ahead = np.roll(given.lead_times, -1, axis=0)  # a step's chance holds the lead times of the next period
        chance = chance._replace(lead_time=torch.as_tensor(ahead).to(torch.int16)[..., None])
    return chance


def run(world: World, policy: Policy, chance: Exogenous, given: Given) -> dict[str, Array]:
    """The columns of the states file, [T, N, K] each."""
    start = world.reset(1, None if given.initial is None else torch.as_tensor(given.initial)[..., None])
    sales, unserved = torch.zeros_like(chance.demand[0]), world.backlog(start)
    calm = Exogenous(sales, None, None, None)  # period 0: nothing was ordered or sold, costs are the firm file's
    nothing = start.on_hand.new_zeros(world.orders, *start.on_hand.shape[1:])
    cost = world.account(start.on_hand, sales, unserved, nothing, calm)
    kept: dict[str, list[Tensor]] = {column: [] for column in COLUMNS}
    for step in play(world, policy, chance, start):
        order = world.by_point(step.order)
        if given.orders is not None:
            _taken_as_given(world.firm, given.orders[step.period], order[..., 0].numpy(), step.period)
        before, backlog = step.before, world.backlog(step.before)
        lost = unserved - backlog if step.period else torch.zeros_like(unserved)
        values = (
            *(before.on_hand, world.in_transit(before), before.inventory_position, _spread(world, backlog)),
            *(_spread(world, sales), _spread(world, lost), order, _spread(world, step.outcome.demand), cost),
        )
        for column, value in zip(COLUMNS, values, strict=True):
            kept[column].append(value)
        sales, unserved = step.outcome.sales, step.outcome.unserved
        waste, shipped = step.outcome.waste, step.outcome.shipped
        cost = world.account(step.after.on_hand, sales, unserved, step.order, chance.at(step.period), waste, shipped)
    return {column: torch.stack(values)[..., 0].numpy() for column, values in kept.items()}


def _taken_as_given(firm: Firm, given: Array, taken: Array, period: int) -> None:
    """Refuse orders of which the firm takes something else."""
    for n, k in np.argwhere(given != taken):
        of = f" of {firm.products[k]}" * (len(firm.products) > 1)
        what = f"{firm.names[n]} orders {given[n, k]:g}{of} in period {period}"
        cure = f"keep to its {' and '.join(firm.order_limits)}"
        raise ValueError(f"--orders: {what}, and would get {taken[n, k]:g}: {cure}")


def _spread(world: World, value: Tensor) -> Tensor:
    """Values of the customer-facing points as values of all, 0 elsewhere, [N, K, E]."""
    whole = value.new_zeros(world.points, *value.shape[1:])
    whole[torch.as_tensor(world.network.customer_facing)] = value
    return whole


def write_states(out: Path, episode: Episode) -> None:
    """Write one row per period, stock point and (of several) product; all or nothing."""
    table = episode.states if len(episode.firm.products) > 1 else episode.states.drop(columns="product")
    table[list(COLUMNS)] = table[list(COLUMNS)].map(_number)
    write_atomically(out, table.to_csv(index=False, lineterminator="\n"))


def _number(value: float) -> str:
    """Whole numbers without decimals; money without the last bits of binary fractions."""
    return f"{round(value, 9) + 0.0:.15g}"

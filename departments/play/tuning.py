"""Base-stock levels tuned on the simulated world: what learned policies must beat beside the heuristic benchmark."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import OrdersAlone
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.episode import run_costs
from departments.play.service import meet_targets
from departments.rules.ordering import BaseStock, Levels, baseline_levels, echelon_weights
from environment import Exogenous, Firm, Network, OrderUpTo, State, World
from environment.likeness import alike
from environment.streams import Stream, torch_stream
from heuristics.base_stock import order_up_to
from heuristics.polish import polish_levels
from heuristics.search import tune_levels

_DRAWN = 128  # episodes drawn at first
_FEW = 6  # levels that are searched on these at first, by 2 units at least; more of them have more valleys
_MANY = 4 * _DRAWN  # episodes for these at first, and steps down to 1
_WIDE = 4096  # copies side by side, of episodes that several level vectors meet
_EPISODES = 512, 2048, 8192  # of the steps behind it
_SMALL = 40  # levels; of more, and with customers, the last steps take fewer episodes
_SHARES = (1.0, 0.5, 1.5)  # of the given levels upstream, where searches begin: there may be valleys
_TELL = 5.0  # s between two lines


def quiet(_: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class _Candidates(OrderUpTo, OrdersAlone):
    """Level vectors as a policy of the eager world, too."""

    def order(self, world: World, state: State) -> Tensor:
        wish: Tensor = order_up_to(state.inventory_position, self.level, weights=self.weights)
        return wish


@dataclass(frozen=True)
class _How:
    """How level vectors are simulated."""

    weights: Levels | None  # [N, N] of all points' positions, which are compared; None: each its own
    seed: int
    device: str
    compiling: Callable[[str], None] | None  # None: period by period


class _Simulator:
    """Costs of many level vectors on the same episodes, of which it draws as many as are asked for."""

    def __init__(self, firm: Firm, stock: Levels, how: _How, growth: int = 2) -> None:
        """`stock` [N, K]: of the benchmark; `growth`: times as many episodes there are after every further draw."""
        self._how, self._world, self._growth = how, World(firm, stock, device=how.device), growth
        self._compiled = None if how.compiling is None else CompiledEpisodes(self._world, how.compiling)
        dtype, device = self._world.dtype, self._world.device
        self._weights = None if how.weights is None else torch.as_tensor(how.weights, dtype=dtype, device=device)
        self._shards: list[Exogenous] = []
        self._costs: defaultdict[bytes, list[NDArray[np.float64]]] = defaultdict(list)  # by vector and shard

    def __call__(self, levels: NDArray[np.int64], episodes: int) -> NDArray[np.float64]:
        """[M, N * K] levels -> [M, episodes] costs; of fewer episodes it is the first ones."""
        world, growth = self._world, self._growth
        shards = max(math.ceil(math.log2(episodes / _DRAWN) / math.log2(growth)) + 1, 1)
        for shard in range(len(self._shards), shards):
            generator = torch_stream(world.device, Stream.TUNING, self._how.seed, shard)
            copies = _DRAWN if shard == 0 else (growth - 1) * _DRAWN * growth ** (shard - 1)
            self._shards.append(world.draw(world.firm.periods.evaluate - 1, copies, generator))
        vectors = {vector.tobytes(): vector for vector in levels}
        for shard, chance in enumerate(self._shards[:shards]):
            missing = [key for key in vectors if len(self._costs[key]) == shard]
            beside = max(_WIDE // chance.demand.shape[-1], 1)
            for start in range(0, len(missing), beside):
                some = missing[start : start + beside]
                played = self._play(np.stack([vectors[key] for key in some]), chance)
                for key, cost in zip(some, played, strict=True):
                    self._costs[key].append(cost)
        return np.array([np.concatenate(self._costs[v.tobytes()][:shards])[:episodes] for v in levels])

    def _play(self, levels: NDArray[np.int64], chance: Exogenous) -> NDArray[np.float64]:
        """[B, N * K] levels, all in the same episodes -> [B, episodes] costs."""
        world = self._world
        level = torch.as_tensor(levels.T, device=world.device, dtype=world.dtype)
        level = level.reshape(world.points, world.products, -1)
        if self._compiled is not None and self._compiled.able:
            cost = self._compiled.costs(_Candidates(level, weights=self._weights), chance)
        else:
            rules = _Candidates(level.repeat_interleave(chance.demand.shape[-1], dim=-1), weights=self._weights)
            cost = run_costs(world, rules, _repeated(chance, len(levels)))
        return cost.sum(0, dtype=torch.float64).view(len(levels), -1).cpu().numpy()


class _Clock:
    """How far a search is, told every few seconds, and when its time is up."""

    def __init__(self, seconds: float | None, note: Callable[[str], None]) -> None:
        self._begun = self._told = time.monotonic()
        self._end = self._last = math.inf if seconds is None else self._begun + seconds
        self._note, self._at, self._cut = note, "", dict[str, None]()

    def begin(self, at: str, left: int) -> None:
        """Begin the first of `left` parts, which have equal shares of the time that is left."""
        now = time.monotonic()
        self._at, self._end = at, now + (self._last - now) / left

    def goes_on(self) -> bool:
        """Whether there is time left."""
        now = time.monotonic()
        if now - self._told > _TELL:
            self._told = now
            self._note(f"tuning base-stock levels: {self._at}, {now - self._begun:.0f}s")
        if now > self._end:
            self._cut[self._at] = None
        return now <= self._end

    def end(self) -> None:
        """Say what time has cut short."""
        if self._cut:
            what = f"{next(iter(self._cut))}{' and others' if len(self._cut) > 1 else ''}"
            self._note(f"tuning base-stock levels: its time was up before the end of the search of {what}")


def tuned_base_stock(
    firm: Firm,
    *,
    start: Levels | None = None,
    seconds: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    eager: bool = False,
    note: Callable[[str], None] = quiet,
    compiling: Callable[[str], None] = quiet,
) -> BaseStock:
    """Installation base-stock levels of least simulated cost; of a firm with fill-rate targets, `meet_targets`.

    Args:
        firm: a checked firm.
        start: [N, K] levels known to be good, where alone the search begins; default: at shares of the benchmark's.
        seconds: share of wall time that the search has for itself, its products equal parts; default: no end.
        seed: of the episodes.
        device: where to simulate.
        eager: simulate period by period even where the compiled world can, which is faster and adds up in double
            precision.
        note: told every few seconds how far the search is, and what time has cut short.
        compiling: told why the compiled world cannot do it.
    """
    if firm.has_targets:
        return BaseStock("tuned-base-stock", meet_targets(firm, seed=seed, device=device, compiling=compiling).levels)
    clock, stock = _Clock(seconds, note), baseline_levels(firm)
    how, shares = _How(None, seed, device, None if eager else compiling), _SHARES if start is None else (1.0,)
    return BaseStock("tuned-base-stock", _search(firm, stock, stock if start is None else start, how, clock, shares))


def tuned_echelon_base_stock(
    firm: Firm,
    *,
    start: Levels | None = None,
    seed: int = 0,
    device: str = "cpu",
    eager: bool = False,
    note: Callable[[str], None] = quiet,
    compiling: Callable[[str], None] = quiet,
) -> BaseStock:
    """Echelon base-stock levels of least simulated cost; see above.

    `start`: [N, K] installation levels at shares of whose sums the search begins, best the tuned ones; default: of the
    benchmark's.
    """
    weights, stock = echelon_weights(firm), baseline_levels(firm)
    begin = np.rint(weights @ (stock if start is None else start))
    how = _How(weights, seed, device, None if eager else compiling)
    return BaseStock("echelon-base-stock", _search(firm, stock, begin, how, _Clock(None, note), _SHARES), weights)


def _search(firm: Firm, stock: Levels, start: Levels, how: _How, clock: _Clock, shares: Sequence[float]) -> Levels:
    """[N, K] levels; product by product where under base-stock nothing couples them. `stock` is the benchmark's."""
    products = firm.products
    if len(products) == 1 or firm.customers or firm.couples:
        clock.begin(firm.name, 1)
        found = _found(firm, stock, start, how, clock, (1.0,) if firm.customers else shares)  # customers take long
    else:
        columns = []
        for k, product in enumerate(products):
            clock.begin(f"{product}, {k + 1} of {len(products)} products", len(products) - k)
            own = stock[:, k : k + 1], start[:, k : k + 1]
            columns.append(_found(firm.of_product(product), *own, how, clock, shares))
            how = replace(how, compiling=how.compiling and quiet)  # of many products one line is enough
        found = np.concatenate(columns, axis=1)
    clock.end()
    return found


def _found(firm: Firm, stock: Levels, start: Levels, how: _How, clock: _Clock, shares: Sequence[float]) -> Levels:
    """[N, K] levels: echelons are moved from several starts on few episodes, the best levels polished on many."""
    echelons = np.array(Network.of(firm).echelons())
    upstream, of = echelons[:, None] > 1, _classes(firm, start, how)
    starts = [np.rint(start * np.where(upstream, share, 1.0)).astype(np.int64) for share in shares]

    groups = [np.unique(of[echelons == echelon]).tolist() for echelon in sorted(set(echelons), reverse=True)]
    first = np.unique(of, return_index=True)[1]  # of each class
    few = len(first) <= _FEW
    drawn, last_step, growth = (_DRAWN, 2, 4) if few else (_MANY, 1, 2)
    simulate = _Simulator(firm, stock, how, growth)

    def cost(levels: NDArray[np.int64], episodes: int = drawn) -> NDArray[np.float64]:
        return simulate(levels[:, of.ravel()], episodes)

    begin = np.unique([each.ravel()[first] for each in starts], axis=0)
    blocks = None if len(first) > len(groups) else ()
    levels = tune_levels(begin, cost, groups, blocks=blocks, last_step=last_step, go_on=clock.goes_on).levels
    episodes = _EPISODES if levels.size <= _SMALL and not firm.customers else _EPISODES[:-1]
    return polish_levels(levels, cost, episodes=episodes, go_on=clock.goes_on)[of].astype(float)


def _classes(firm: Firm, start: Levels, how: _How) -> NDArray[np.int64]:
    """[N, K] numbers of levels that are searched as one: of points that are alike and start alike.

    Echelon levels of alike suppliers may well differ: who of them orders first is served first.
    """
    (points, products), suppliers = start.shape, {edge.source for edge in firm.supply}
    apart = () if how.weights is None else suppliers
    told = [np.repeat(alike(firm, apart), products), np.tile(np.arange(products), points), start.ravel()]
    classes: NDArray[np.int64] = np.unique(told, axis=1, return_inverse=True)[1].reshape(start.shape)
    return classes


def _repeated(chance: Exogenous, times: int) -> Exogenous:
    """The same chance for several sets of copies, one after the other."""
    return Exogenous._make(f if f is None else f.repeat(*[1] * (f.dim() - 1), times) for f in chance)

"""Departments beside the exact optimum of their firm, where there is one: directions, distances and pictures.

The optimum decides orders and recommendations together, by stock and pipeline alone. That is why direction iv is asked
of it otherwise than of departments, which hear of a recommendation in demand: its orders are the best ones to what is
shown. It then answers by what it shows in later periods, too, where the proposition holds these fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from coordinator.explain.propositions import Array, Exact, decided, findings_of
from departments.decisions import Memory
from departments.play.sensitivity import Moment, Tendency, stock_of
from departments.policies.spec import DepartmentSpec
from departments.rules.optimum import Tabulated, optimum
from environment import Feedback, State, World

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_UNITS = 12  # of stock in the pictures


class _Answering:
    """The optimum as a department that is told what was recommended: it orders what is best to that."""

    def __init__(self, policy: Tabulated) -> None:
        self._policy = policy
        self.decide = policy.decide

    def tendency(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Tensor]:
        """The best orders if what the feedback says is shown, and that."""
        return self._policy.answered(state, feedback.exposure, period), feedback.exposure


def exact_of(world: World, policy: Tendency, members: Sequence[DepartmentSpec], seen: list[Moment]) -> Exact | str:
    """The optimum measured in the states of a policy, or the line that says why there is none."""
    try:
        best = optimum(world.firm)
    except ValueError as reason:
        return str(reason)
    if not isinstance(best, Tabulated):
        raise RuntimeError(f"{world.firm.name} has customers, and an optimum that recommends nothing")
    findings = findings_of(world, best, members, seen, hearing=_Answering(best))
    (orders, shown), (theirs, chances) = decided(world, best, seen), decided(world, policy, seen)
    apart = np.abs(orders - theirs).mean((0, 2))
    nothing, none = 1.0 - chances.sum(1), shown.sum(1) == 0  # [S, B]
    same = np.take_along_axis(chances, shown.argmax(1)[:, None], 1)[:, 0]
    agrees = float(np.where(none, nothing, same).mean())
    return Exact(
        best, -best.expected_cost, findings, dict(zip(world.firm.products, apart.tolist(), strict=True)), agrees
    )


def picture(world: World, policy: Tendency, best: Tendency, seen: list[Moment]) -> Figure:
    """Orders and recommendations over the stock of the first two products: above the optimum's, below the departments'.

    Averages over the states of the middle of episodes, with their pipelines and memories; of one product, as lines.
    """
    from matplotlib.figure import Figure

    units, products = np.arange(_MOST_UNITS + 1), world.firm.products
    middle = [seen[len(seen) // 2]]
    rows = {"the optimum": best, "the departments": policy}
    figure = Figure(figsize=(3.6 * 2 * len(products[:2]), 6.6), layout="constrained")
    figure.suptitle(f"{world.firm.name}: what is decided over stock on hand in period {middle[0].period}")
    axes = figure.subplots(2, 2 * len(products[:2]), squeeze=False)
    for row, (who, decides) in enumerate(rows.items()):
        found = _over_stock(world, decides, middle, units)
        for column, (title, table) in enumerate(found.items()):
            place = axes[row, column]
            if table.ndim == 1:
                place.plot(units, table)
                place.set_ylabel(title)
            else:
                most = float(world.max_order.max()) if "order" in title else 1.0
                drawn = place.imshow(table.T, origin="lower", cmap="Blues", vmin=0.0, vmax=most)
                place.set_ylabel(f"{products[1]}, units on hand")
                figure.colorbar(drawn, ax=place, shrink=0.7)
            place.set_xlabel(f"{products[0]}, units on hand")
            place.set_title(f"{who}: {title}", fontsize=9)
    return figure


def _over_stock(world: World, policy: Tendency, at: list[Moment], units: NDArray[np.int64]) -> dict[str, Array]:
    """Order and chance to be shown of the first products, mean over states, [units] or [units, units]."""
    point, products = int(world.network.customer_facing[0]), world.firm.products[:2]
    size = (len(units),) * len(products)
    orders, shown = np.zeros((len(products), *size)), np.zeros((len(products), *size))
    for place in np.ndindex(size):
        stock = {k: float(units[own]) for k, own in enumerate(place)}
        order, chance = decided(world, policy, at, stock_of(point, stock))
        for k in range(len(products)):
            orders[(k, *place)], shown[(k, *place)] = order[point, k].mean(), chance[:, k].mean()
    return {f"order of {name}": orders[k] for k, name in enumerate(products)} | {
        f"{name} shown": shown[k] for k, name in enumerate(products)
    }

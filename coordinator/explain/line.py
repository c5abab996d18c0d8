"""Why an order is another one than the rule's: what each thing that a department sees adds to it, as bars."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from coordinator.evaluation.evaluate import trained_policy
from coordinator.live.book import Book
from coordinator.live.home import folder_of
from coordinator.live.layout import FirmLayout
from coordinator.live.policies import read_bundle
from coordinator.live.policy_bundles import PolicyBundles
from coordinator.runs.folder import RunFolder
from coordinator.shown import Shown
from departments.play.stepping import play
from departments.serving.numpy_policy import Array, NumpyPolicy, PolicyBundle
from environment import Firm, load_firm
from environment.streams import Stream, torch_stream

_SHOWN, _WIDTH = 12, 24  # bars, and their letters on each side


@dataclass(frozen=True, repr=False)
class OrderParts(Shown):
    """An order of a stock point and product, and where it comes from; parts, usual and rule sum to what is wished."""

    point: str
    product: str
    period: int
    policy: str  # who decided, for people
    rule: float  # units, level less position
    usual: float  # units that the network adds where everything lies at the centre of its scale
    parts: list[
        tuple[str, float, float]
    ]  # of each thing seen: what it is, its units, units that it adds; largest first

    @property
    def wished(self) -> float:
        """The order before the firm's limits, units."""
        return self.rule + self.usual + sum(units for *_, units in self.parts)

    def to_json(self) -> dict[str, Any]:
        """The object that `explain --order --json` prints."""
        about = {"stock_point": self.point, "product": self.product, "period": self.period, "policy": self.policy}
        rows = [{"seen": label, "value": value, "units": units} for label, value, units in self.parts]
        deviation = self.wished - self.rule
        whole = {"rule": self.rule, "wished": self.wished, "deviation": deviation, "usual": self.usual, "parts": rows}
        return about | whole

    def rows(self, most: int = _SHOWN) -> list[tuple[str, float | None, float]]:
        """What bars are drawn of: the largest parts, the rest together."""
        parts = [part for part in self.parts if part[2]]
        shown: list[tuple[str, float | None, float]] = [("usual", None, self.usual), *parts[:most]]
        if rest := parts[most:]:
            shown.append((f"{len(rest)} others", None, sum(units for *_, units in rest)))
        return shown

    def __rich__(self) -> RenderableType:
        """A bar for each."""
        numbers = (Column(name, justify="right") for name in ("value", "units"))
        table = Table("what is seen", *numbers, "", show_edge=False, pad_edge=False)
        rows = self.rows()
        longest = max(abs(units) for *_, units in rows) or 1.0
        for label, value, units in rows:
            bar = "█" * round(_WIDTH * abs(units) / longest)
            left, right = (bar, "") if units < 0 else ("", bar)
            drawn = Text(f"{left:>{_WIDTH}}│{right}", style="red" if units < 0 else "green")
            table.add_row(label, "" if value is None else f"{value:,.1f}", f"{units:+,.2f}", drawn)
        return Group(Text(self.sentence, style="bold"), table)

    @property
    def sentence(self) -> str:
        """What comes to what."""
        who = f"{self.point}, {self.product}, period {self.period}, by {self.policy}"
        apart = self.wished - self.rule
        return f"{who}: the rule orders {self.rule:,.1f}, the network {apart:+,.2f}, together {self.wished:,.2f} units"


def parts_in_run(path: Path, order: str, period: int, seed: int = 0) -> OrderParts:
    """An order in an episode of a run's policies.

    Args:
        path: of the run folder.
        order: `POINT`, or `POINT/PRODUCT`.
        period: of the episode.
        seed: of the episode.

    Raises:
        ValueError: one line; there is no such order, or it has no parts.
    """
    run = RunFolder(path)
    firm = run.firm()
    point, product = _place(firm, order)
    bundles = PolicyBundles(firm)
    bundle = bundles.policy(point, str(path))
    policy = NumpyPolicy(bundle)
    if firm.customers:
        raise ValueError("--order is for firms without customers: leave it out, and directions are measured")
    if not 0 <= period < firm.periods.evaluate - 1:
        raise ValueError(f"--period must be from 0 to {firm.periods.evaluate - 2}, an episode's, got {period}")
    acting = trained_policy(run, bundles.world)
    chance = bundles.world.draw(period + 1, 1, torch_stream("cpu", Stream.SIMULATION, seed))
    state = next(step.before for step in play(bundles.world, acting, chance) if step.period == period)
    seen = bundles.observer.units(state, None, period)[:, 0].double().numpy()
    return order_parts(bundle, policy, bundles, seen, product, period)


def parts_in_operation(name: str, home: Path, order: str) -> OrderParts:
    """The order that a department of a running firm decides on next.

    Raises:
        ValueError: one line; there is no such firm or order, or it has no parts.
    """
    folder = folder_of(name, home)
    firm = load_firm(folder / "firm.yaml")
    point, product = _place(firm, order)
    with contextlib.closing(Book(folder / "book.sqlite", reads=True)) as book:
        tick, arrays, record = book.now()
        layout = FirmLayout.of(book.facts()["frame"])
    if point not in layout.departments:
        raise ValueError(f"--order {order}: {name} has no department {point}")
    bundle = read_bundle(folder / "policies", point, record["posts"][point]["version"])
    seen = np.asarray(arrays["seen/features"], dtype=float)[:, 0]
    return order_parts(bundle, NumpyPolicy(bundle), PolicyBundles(firm), seen, product, tick)


def _place(firm: Firm, order: str) -> tuple[str, int]:
    """Stock point, and the number of the product."""
    products = {name: k for k, name in enumerate(firm.products)}
    point, _, product = order.partition("/")
    if order in firm.names:  # names may hold a slash
        point, product = order, ""
    if point not in firm.names:
        raise ValueError(f"--order must be POINT or POINT/PRODUCT with one of {', '.join(firm.names)}, got {order!r}")
    if not product and len(products) == 1:
        return point, 0
    if product not in products:
        raise ValueError(f"--order {point}/PRODUCT must name one of {', '.join(products)}, got {product or 'none'}")
    return point, products[product]


def order_parts(
    bundle: PolicyBundle, policy: NumpyPolicy, bundles: PolicyBundles, seen: Array, product: int, period: int
) -> OrderParts:
    """The order of a product by number, of all that an observer of the firm sees, [features] units.

    Raises:
        ValueError: one line; it has no parts.
    """
    own, labels = seen[policy.rows], bundles.observer.labels()
    found = policy.parts(own, product)
    rows = [
        (labels[row], float(value), float(units))
        for row, value, units in zip(policy.rows, own, found.by_row, strict=True)
    ]
    rows.sort(key=lambda row: -abs(row[2]))
    name = bundles.firm.products[product]
    return OrderParts(bundle.department, name, period, bundle.label, found.rule, found.usual, rows)

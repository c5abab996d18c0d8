"""A run to look at from Python: its table and learning curve, its numbers, and its departments' policies to ask."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from coordinator.evaluation.table import Evaluation
from coordinator.experiments.curves import learning_curve
from coordinator.live.create import frame_of
from coordinator.live.policy_bundles import PolicyBundles, departments_of
from coordinator.runs.folder import RunFolder
from coordinator.shown import Shown
from departments.serving.numpy_policy import Array, NumpyPolicy
from environment import Firm

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType


class Picture:
    """A png file that a notebook shows."""

    def __init__(self, path: Path) -> None:
        """The picture at `path`."""
        self.path = path

    def __repr__(self) -> str:
        """Where it is."""
        return f"Picture({str(self.path)!r})"

    def _repr_png_(self) -> bytes:
        return self.path.read_bytes()


class Run(Shown):
    """A run folder: `firmwide.train` returns one, and `Run("runs/a1")` opens one that is there."""

    def __init__(self, folder: str | Path, evaluation: Evaluation | None = None) -> None:
        """Open it.

        Args:
            folder: of the run.
            evaluation: the comparison after training, if it was done just now.

        Raises:
            ValueError: this is no run folder.
        """
        self.folder, self.evaluation = Path(folder), evaluation
        self._run = RunFolder(self.folder)
        self.firm: Firm = self._run.firm()
        self.settings = self._run.settings()

    @property
    def result(self) -> dict[str, Any]:
        """What stands in result.json: money with standard errors, service and stock of every policy compared."""
        return dict(json.loads((self.folder / "result.json").read_text()))

    @property
    def metrics(self) -> pd.DataFrame:
        """metrics.csv, one row per iteration and department."""
        return self._run.table("metrics.csv")

    @property
    def events(self) -> pd.DataFrame:
        """events.csv: acceptances, restarts, swaps."""
        return self._run.table("events.csv")

    @property
    def learning_curve(self) -> Picture:
        """How the result on selection episodes changed as departments learned."""
        return Picture(learning_curve(self._run))

    @property
    def departments(self) -> list[str]:
        """Names, stock points first."""
        return list(departments_of(self.firm))

    def policy(self, department: str) -> DepartmentPolicy:
        """What a department would decide, by the policy that counts.

        Raises:
            ValueError: one line; there is no such department, or it is one agent for the whole firm.
        """
        if department not in self.departments:
            raise ValueError(f"department must be one of {', '.join(self.departments)}, got {department!r}")
        bundles = self._bundles
        return DepartmentPolicy(bundles, NumpyPolicy(bundles.policy(department, str(self.folder))))

    @functools.cached_property
    def _bundles(self) -> PolicyBundles:
        return PolicyBundles(self.firm)

    def __rich__(self) -> RenderableType:
        """The comparison, if it was done just now; else one line."""
        if self.evaluation is not None:
            return self.evaluation.__rich__()
        return f"run {self.folder} of {self.firm.name} by {self.settings.scheme}"

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self.learning_curve._repr_png_()).decode()
        return f"{super()._repr_html_()}<img src='data:image/png;base64,{picture}' style='max-width: 900px'>"


class DepartmentPolicy:
    """One department's policy, as it decides in operation; one with a memory decides as at its beginning."""

    def __init__(self, bundles: PolicyBundles, policy: NumpyPolicy) -> None:
        """Of a firm's department."""
        self.department = str(policy.bundle.department)
        self._policy, self._layout = policy, frame_of(bundles.world)
        labels = bundles.observer.labels()
        self.sees = [labels[row] for row in policy.rows]  # WHAT/STOCK_POINT or WHAT/STOCK_POINT/PRODUCT, in order

    def __repr__(self) -> str:
        """Who it is and what it sees."""
        return f"policy {self._policy.bundle.about['label']} of {self.department}, who sees {', '.join(self.sees)}"

    def order(
        self,
        observation: ArrayLike | Mapping[str, float] | None = None,
        *,
        period: int = 0,
        **seen: float | Mapping[str, float],
    ) -> int | dict[str, int]:
        """The order on an observation, units; by product if there are several.

        Args:
            observation: a number for each of `sees`, in that order, or a mapping from them.
            period: of the episode; only seasons depend on it.
            **seen: instead, what is seen by kind: `inventory_position=12`, or by stock point (and product)
                `inventory_position={"warehouse": 60, "retailer-1": 12}`. A position may be given by its parts:
                `on_hand=9, on_order=5, backorders=2`, of which those left out are 0.

        Raises:
            ValueError: one line; something that it sees is missing, or it orders nothing.
        """
        if self._policy.recommends:
            raise ValueError(f"{self.department} orders nothing: ask for its `exposure`")
        column = self._column(observation, period, seen)
        point, wish = self._layout.points.index(self.department), self._wish(column, period)
        several = len(self._layout.products) > 1
        own = [f"inventory_position/{self.department}{f'/{p}' * several}" for p in self._layout.products]
        units = self._layout.feasible_order(point, wish, column[[self.sees.index(label) for label in own]], period)[
            :, 0
        ]
        by_product = dict(zip(self._layout.products, map(int, units), strict=True))
        return by_product if len(by_product) > 1 else next(iter(by_product.values()))

    def exposure(
        self,
        observation: ArrayLike | Mapping[str, float] | None = None,
        *,
        period: int = 0,
        **seen: float | Mapping[str, float],
    ) -> dict[str, float]:
        """Which share of a segment is shown a product, by STOCK_POINT/SEGMENT/PRODUCT; arguments as of `order`.

        Raises:
            ValueError: one line; something that it sees is missing, or it recommends nothing.
        """
        if not self._policy.recommends:
            raise ValueError(f"{self.department} recommends nothing: ask for its `order`")
        wish = self._wish(self._column(observation, period, seen), period)
        return self._layout.shown(self._layout.feasible_exposure(wish)[..., 0])

    def precedence(
        self,
        observation: ArrayLike | Mapping[str, float] | None = None,
        *,
        period: int = 0,
        **seen: float | Mapping[str, float],
    ) -> dict[str, float]:
        """By how many units what is missing to a customer counts as more, by CUSTOMER/PRODUCT; arguments as of `order`.

        Empty where its `allocation` is not learned.

        Raises:
            ValueError: one line; something that it sees is missing.
        """
        wish, customers = self._wish(self._column(observation, period, seen), period), self._policy.bundle.customers
        units = self._layout.feasible_precedence(self.department, wish, customers)
        return self._layout.by_customer(self.department, units[..., 0])

    def _column(self, observation: Any, period: int, seen: Mapping[str, Any]) -> Array:  # noqa: ANN401
        """What it sees, [rows, 1]."""
        if observation is None or isinstance(observation, Mapping):
            given = {**(observation or {}), **seen}
            observation = [self._value(label, given, period) for label in self.sees]
        column = np.asarray(observation, dtype=float).reshape(-1, 1)
        if len(column) != len(self.sees):
            raise ValueError(f"{self.department} sees {len(self.sees)} numbers ({', '.join(self.sees)})")
        return column

    def _wish(self, column: Array, period: int) -> Array:
        return self._policy.decide(column, self._policy.start(), period)[0]

    def _value(self, label: str, given: Mapping[str, Any], period: int) -> float:
        kind, _, place = label.partition("/")
        if label in given:
            return float(given[label])
        if kind in ("sine", "cosine"):
            turn = np.sin if kind == "sine" else np.cos
            return float(turn(2.0 * np.pi * period / float(place)))
        if kind == "clock":
            return 1.0  # nothing ends
        if kind == "inventory_position" and kind not in given and "on_hand" in given:
            parts = {"on_hand": 1.0, "on_order": 1.0, "backorders": -1.0}
            return sum(sign * self._part(part, place, given) for part, sign in parts.items() if part in given)
        return self._part(kind, place, given)

    def _part(self, kind: str, place: str, given: Mapping[str, Any]) -> float:
        value = given.get(kind)
        if isinstance(value, Mapping):
            value = value.get(place)
        elif place != self.department:
            value = None  # a plain number is the department's own
        if value is None:
            raise ValueError(f"{self.department} sees {', '.join(self.sees)}: {kind}={{{place!r}: ...}} is missing")
        return float(value)

"""The firm file: stock points, supply, products, laws and horizon, checked once, at the border.

`load_firm` reads a built-in firm or a YAML file and refuses a bad one with one line that names the field, what is
allowed and what came. Everything behind it may trust a `Firm`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from environment.grid import GRID, grid_firm
from environment.laws import AnyLaw, Fixed, History, parse_law, refusal

OUTSIDE = "outside"
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
MAX_AMOUNT = 1e9
_FOLDER = Path(__file__).parent / "firms"


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_AMOUNT:
        raise ValueError(f" must be a number from 0 to {MAX_AMOUNT:.0e}, got {value!r}")
    return float(value)


def _amounts(value: object) -> float | dict[str, float]:
    """One number for all products, or a mapping product -> number."""
    if not isinstance(value, Mapping):
        return _amount(value)
    amounts = {}
    for product, amount in value.items():
        try:
            amounts[str(product)] = _amount(amount)
        except ValueError as error:
            raise ValueError(f".{product}{error}") from None
    return amounts


def _whole_amounts(value: object) -> float | dict[str, float]:
    amounts = _amounts(value)
    for amount in amounts.values() if isinstance(amounts, dict) else [amounts]:
        if amount != math.floor(amount) or amount > 1e6:
            raise ValueError(f" must be a whole number of units up to 1000000, got {amount}")
    return amounts


def _laws(value: object, info: ValidationInfo) -> AnyLaw | dict[str, AnyLaw] | None:
    """One law for all products, or a mapping product -> law."""
    folder = Path((info.context or {}).get("folder", "."))
    if value is None:
        return None
    if not isinstance(value, Mapping) or "law" in value:
        return parse_law(value, folder)
    laws = {}
    for product, law in value.items():
        try:
            laws[str(product)] = parse_law(law, folder)
        except ValueError as error:
            raise ValueError(f".{product}{error}") from None
    return laws


Amounts: TypeAlias = Annotated[Any, BeforeValidator(_amounts)]
WholeAmounts: TypeAlias = Annotated[Any, BeforeValidator(_whole_amounts)]
Laws: TypeAlias = Annotated[Any, BeforeValidator(_laws)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Periods(_Frozen):
    """Lengths in periods."""

    train: int = Field(default=128, ge=2, le=100_000)  # of a training episode, cut off by time
    evaluate: int = Field(default=75, ge=2, le=100_000)  # of an evaluation episode
    warm_up: int = Field(default=25, ge=0)  # first periods of an evaluation episode that are not counted

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if self.warm_up >= self.evaluate:
            raise ValueError(f".warm_up must be below evaluate ({self.evaluate}), got {self.warm_up}")
        return self


class StockPoint(_Frozen):
    """A place that holds stock; amounts are per unit (and period), one for all products or a mapping product -> amount."""

    holding_cost: Amounts  # money per unit on hand and period
    max_order: WholeAmounts  # units per order
    backorder_cost: Amounts = 0.0  # money per unit of external backlog and period, or per lost unit
    demand: Laws = None  # external demand a period; None where no customer buys
    price: Amounts = 0.0  # income per unit sold
    unit_cost: Amounts = 0.0  # money per unit ordered
    fixed_order_cost: Amounts = 0.0  # money per order above zero
    initial_on_hand: WholeAmounts | None = None  # units; None: the benchmark's base-stock level

    def initial_on_hand_per(self, products: tuple[str, ...]) -> list[float | None]:
        """Given stock at the start per product, [K]; None where the benchmark's level is meant."""
        given = self.initial_on_hand
        return [given.get(product) if isinstance(given, dict) else given for product in products]

    @field_validator("max_order")
    @classmethod
    def _can_order(cls, value: float | dict[str, float]) -> float | dict[str, float]:
        if min(value.values() if isinstance(value, dict) else [value], default=0) < 1:
            raise ValueError(f" must be at least 1 unit, got {value}")
        return value


class Supply(_Frozen):
    """An edge of the network: `source` ships to `target` in `lead_time` periods (at least one)."""

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    lead_time: Laws = Fixed(value=1)

    @field_validator("lead_time")
    @classmethod
    def _takes_a_period(cls, value: AnyLaw | dict[str, AnyLaw]) -> AnyLaw | dict[str, AnyLaw]:
        for law in value.values() if isinstance(value, dict) else [value]:
            if law is None:
                raise ValueError(" must be a whole number or a law, got nothing")
            mass = law.mass()
            if mass[:1].sum() > 0:
                raise ValueError(f" must be at least 1 period, got {int(np.flatnonzero(mass)[0])}")
            if len(mass) > 1001:
                raise ValueError(f" must be at most 1000 periods, got up to {len(mass) - 1}")
        return value


class Firm(_Frozen):
    """A whole firm. The order of `stock_points` is the index of the axis N everywhere, that of `products` of the axis K."""

    name: str
    description: str = ""
    unmet: Literal["backorder", "lost"] = "backorder"
    supplier_choice: Literal["random"] = "random"
    cost_spread: float = Field(default=0.0, ge=0, lt=1)  # h and b redrawn every period, uniform +- this share
    periods: Periods = Periods()
    products: tuple[str, ...] = ("unit",)
    stock_points: dict[str, StockPoint] = Field(min_length=1)
    supply: tuple[Supply, ...] = ()

    @model_validator(mode="after")
    def _whole_is_sound(self) -> Self:
        self._check_names()
        self._check_products()
        self._check_supply()
        self._check_reach()
        return self

    def _check_names(self) -> None:
        for field, names in (("name", [self.name]), ("products", self.products), ("stock_points", self.stock_points)):
            for name in names:
                if not NAME.fullmatch(name):
                    raise ValueError(f"{field}: names are lower-case letters, digits and '-', such as 'store-1', got {name!r}")
        if OUTSIDE in self.stock_points:
            raise ValueError("stock_points.outside: 'outside' is the external supplier; give the stock point another name")
        twice = [name for name, count in Counter(self.products).items() if count > 1]
        if twice or not self.products:
            raise ValueError(f"products must be different names, at least one, got {list(self.products)}")

    def _check_products(self) -> None:
        known = set(self.products)
        values = [(f"stock_points.{n}.{f}", v) for n, p in self.stock_points.items() for f, v in p]
        values += [(f"supply[{i}].lead_time", edge.lead_time) for i, edge in enumerate(self.supply)]
        for field, value in values:
            if not isinstance(value, dict):
                continue
            if unknown := sorted(set(value) - known):
                raise ValueError(f"{field}.{unknown[0]}: unknown product; products are {', '.join(self.products)}")
            optional = field.endswith((".demand", ".price", ".initial_on_hand"))
            if (missing := sorted(known - set(value))) and not optional:
                raise ValueError(f"{field}.{missing[0]} is missing: give one number for all products or one for each")

    def _check_supply(self) -> None:
        seen: set[tuple[str, str]] = set()
        for i, edge in enumerate(self.supply):
            if edge.source not in self.stock_points and edge.source != OUTSIDE:
                raise ValueError(f"supply[{i}].from must be a stock point or 'outside', got unknown {edge.source!r}")
            if edge.target not in self.stock_points:
                raise ValueError(f"supply[{i}].to must be a stock point, got unknown {edge.target!r}")
            if (edge.source, edge.target) in seen:
                raise ValueError(f"supply[{i}]: {edge.source} -> {edge.target} is there already; remove the duplicate")
            seen.add((edge.source, edge.target))
        customers = self._direct_customers()
        state: dict[str, int] = {}

        def visit(name: str, path: tuple[str, ...]) -> None:
            if state.get(name) == 1:
                raise ValueError(f"supply has a cycle: {' -> '.join((*path[path.index(name) :], name))}; remove one edge")
            if name not in state:
                state[name] = 1
                for customer in customers[name]:
                    visit(customer, (*path, name))
                state[name] = 2

        for name in self.stock_points:
            visit(name, ())

    def _check_reach(self) -> None:
        customers = self._direct_customers()
        reaches = {name for name, point in self.stock_points.items() if point.demand is not None}
        if not reaches:
            raise ValueError("stock_points: no stock point has a demand; give at least one of them a demand law")
        grown = True
        while grown:
            more = {name for name, below in customers.items() if name not in reaches and reaches & set(below)}
            grown = bool(more)
            reaches |= more
        for name in self.stock_points:
            if name not in reaches:
                raise ValueError(f"stock_points.{name} reaches no customer: give it a demand or a supply edge to a point that sells")

    def _direct_customers(self) -> dict[str, list[str]]:
        customers: dict[str, list[str]] = {name: [] for name in self.stock_points}
        for edge in self.supply:
            if edge.source != OUTSIDE:
                customers[edge.source].append(edge.target)
        return customers

    @property
    def names(self) -> tuple[str, ...]:
        """Stock points in the order of the axis N."""
        return tuple(self.stock_points)

    @property
    def customer_facing(self) -> tuple[str, ...]:
        """Stock points with external demand, in the order of the axis C."""
        return tuple(name for name, point in self.stock_points.items() if point.demand is not None)

    @property
    def earns(self) -> bool:
        """Whether prices are set, so that results are profits instead of costs."""
        return bool((self.amounts("price") > 0).any())

    def amounts(self, field: str) -> NDArray[np.float64]:
        """A field of all stock points, [N, K]; a product that a mapping leaves out counts 0."""
        return np.array([self._per_product(getattr(point, field), 0.0) for point in self.stock_points.values()], dtype=float)

    def demand_laws(self) -> list[list[AnyLaw]]:
        """External demand per customer-facing point and product, [C][K]; products not sold there are fixed at 0."""
        demands = [self.stock_points[name].demand for name in self.customer_facing]
        return [self._per_product(demand, Fixed(value=0)) for demand in demands]

    def lead_time_laws(self, supply: Supply) -> list[AnyLaw]:
        """Lead time of one edge per product, [K]."""
        return self._per_product(supply.lead_time, None)

    def _per_product(self, value: Any, default: Any) -> list[Any]:  # noqa: ANN401
        return [value.get(product, default) if isinstance(value, dict) else value for product in self.products]

    def to_yaml(self) -> str:
        """The firm as a file that stands by itself: histories become mass functions."""
        return yaml.safe_dump(_plain(self), sort_keys=False, width=120)


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, History):
        value = value.resolved()
    if isinstance(value, Fixed):
        return value.value
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        shown = {fields[key].alias or key: inner for key, inner in value if key == "law" or inner != fields[key].default}
        return {key: _plain(shown[key]) for key in sorted(shown, key=lambda key: key != "law")}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice instead of keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for key, count in Counter(map(str, keys)).items():
            if count > 1:
                line = node.start_mark.line + 1
                raise ValueError(f"{key!r} is given twice in the mapping that starts on line {line}; keep one of them")
        return super().construct_mapping(node, deep=deep)


def built_in_firms() -> list[str]:
    """Names of the firms that ship with the product: the grid s1..d6 and the hand-written ones."""
    return [*GRID, *sorted(path.stem for path in _FOLDER.glob("*.yaml"))]


def load_firm(source: str | Path) -> Firm:
    """A built-in firm by name, or a firm file.

    Raises:
        ValueError: one line that names the field, what is allowed and what came.
    """
    if str(source) in GRID:
        return parse_firm(grid_firm(str(source)))
    path = Path(source)
    if NAME.fullmatch(str(source)) and not path.is_file():
        path = _FOLDER / f"{source}.yaml"
    if not path.is_file():
        raise ValueError(f"FIRM must be a firm file or a built-in name (see `firmwide scenarios`), got {str(source)!r}")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    try:
        return parse_firm(content, path.parent)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_firm(content: object, folder: Path = Path()) -> Firm:
    """A firm from plain mappings and lists; relative files in it are sought in `folder`.

    Raises:
        ValueError: one line that names the field, what is allowed and what came.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"a firm file must be a mapping with name, stock_points and supply, got {type(content).__name__}")
    try:
        return Firm.model_validate(content, context={"folder": folder})
    except ValidationError as error:
        raise ValueError(refusal(error).lstrip(". ")) from None

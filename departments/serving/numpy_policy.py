"""A department in operation: it decides on its own observation with plain numpy, so that a process starts in a second.

A brief is all that a department needs to decide: numbers and a few words, kept as safetensors beside json, and never
code. Rules and learned policies are briefs alike. Observations are in units, each department scales its own. Copies are
the last axis; in operation there is one, in shadow runs many. N stock points, K products, S segments, F rows observed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from departments import extensions
from departments.numerics.actions import SCORE, SHARPNESS, action_to_order
from departments.numerics.memory import MemoryNetwork
from departments.rules.local import REGISTERED, Local, bound
from heuristics.attribution import integrated_gradients, outputs_of
from heuristics.base_stock import order_up_to
from heuristics.forecast import ForecastLevels
from heuristics.recommendation import Offers

Array = NDArray[Any]

KINDS = ("order-up-to", "forecast", "rule", "network", "loop-network", "offers", "loop-offers")
ORDER_UP_TO, FORECAST, RULE, NETWORK, LOOP_NETWORK, OFFERS, LOOP_OFFERS = KINDS
RECOMMENDING = (OFFERS, LOOP_OFFERS)
LEARNED = (NETWORK, LOOP_NETWORK, LOOP_OFFERS)


@dataclass(frozen=True)
class PolicyBundle:
    """How a department decides: `about` in words and whole numbers, `arrays` in numbers.

    about: `department`, `version` (0: not kept yet), `kind` (one of `KINDS`), `label` (for people), `firm` (fingerprint
    of the firm it is for), `structure` (of a running firm, how often that was changed before); for learned ones
    `observation`, `form`, `hidden`, `activation`, `memory`, `memory_size`, and `customers` whose precedence is decided,
    in that order behind its orders; for an own rule its name `rule`,
    what is written behind that, `argument`, and the `modules` that know it.
    arrays: always `rows` [F], which of the firm's features are observed; learned ones have `scales` [3, F], centre,
    factor and limit of each, and `traits` [T, K] where one network decides product by product: it sees the rows of one,
    and those; the others are named where they are used.
    """

    about: Mapping[str, Any]
    arrays: Mapping[str, Array]

    @property
    def department(self) -> str:
        """Who decides by it."""
        return str(self.about["department"])

    @property
    def version(self) -> int:
        """Counted by department from 1; 0 before it is kept."""
        return int(self.about["version"])

    @property
    def label(self) -> str:
        """What it is, for people: a rule, or a run and its version."""
        return str(self.about["label"])

    @property
    def kind(self) -> str:
        """Which way of deciding."""
        return str(self.about["kind"])

    @property
    def customers(self) -> list[str]:
        """Whose precedence it decides, in the order in which it says so behind its orders."""
        return list(self.about.get("customers", []))

    def numbered(self, version: int, structure: int = 0) -> PolicyBundle:
        """The same under another version; `structure`: of the firm, in which its rows stand so."""
        return replace(self, about={**self.about, "version": version, "structure": structure})


class Parts(NamedTuple):
    """What a wished order is made of, units: the rule's order, and what is added to that where nothing is unusual."""

    rule: float
    usual: float  # where everything that is seen lies at the centre of its scale
    by_row: Array  # [F] for what is seen, each; rule, usual and these sum to the order


class NumpyPolicy:
    """A brief at work: observations in, decisions and memory out; nothing is kept here."""

    def __init__(self, bundle: PolicyBundle) -> None:
        """Prepare.

        Raises:
            ValueError: one line; an array is missing, has another shape or holds a number that is not finite.
        """
        self.bundle, self.recommends = bundle, bundle.kind in RECOMMENDING
        if bundle.kind not in KINDS:
            raise ValueError(f"a policy's kind must be one of {', '.join(KINDS)}, got {bundle.kind!r}")
        for key, array in bundle.arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"the policy for {bundle.department} holds numbers that are not finite in {key!r}")
        try:
            self.rows = bundle.arrays["rows"].astype(np.int64)
            way = _OwnRule if bundle.kind == RULE else _Recommends if self.recommends else _Orders
            self._way: _OwnRule | _Recommends | _Orders = way(bundle)
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"the policy for {bundle.department} is incomplete or misshapen: {error}") from None

    @property
    def remembered(self) -> int:
        """Length of the memory: what the network remembers, then the forecasts."""
        return (self._way.network.remembered if self._way.network else 0) + self._way.forecasts

    def start(self, copies: int = 1, forecast: Array | None = None) -> Array:
        """The memory of one who has seen nothing, [remembered, E]; `forecast` [K, E] is taken over where it is used."""
        memory = np.zeros((self.remembered, copies))
        if self._way.forecasts:
            memory[-self._way.forecasts :] = np.nan if forecast is None else forecast
        return memory

    def forecast_in(self, memory: Array) -> Array | None:
        """The forecasts in a memory, [K, E], if this way of deciding makes any."""
        return memory[-self._way.forecasts :] if self._way.forecasts else None

    def decide(self, observation: Array, memory: Array, period: int) -> tuple[Array, Array]:
        """A decision and the memory afterwards.

        Args:
            observation: [F, E] the observed rows, in units.
            memory: [remembered, E].
            period: t.

        Returns:
            Wished orders [K, E] units, or exposures [S, K, E], before the firm's bounds are laid upon them; behind
            orders of a learned policy the precedence of its customers, [K + customers K, E].
        """
        return self._way.decide(observation, memory, period)

    def parts(self, observation: Array, product: int) -> Parts:
        """Where a network's order of a product by number comes from, of what is observed, [F] units.

        Raises:
            ValueError: one line; it is a rule, or remembers, recommends, or decides whether to order at all.
        """
        if not isinstance(self._way, _Orders) or self.bundle.kind != NETWORK:
            kind = (
                "a rule, which orders what it says" if self.bundle.kind not in LEARNED else "of a firm with customers"
            )
            raise ValueError(f"{self.bundle.department} has no network whose orders have parts: it is {kind}")
        return self._way.parts(observation, product)


class _Network:
    """A learned network: it sees scaled observations, and behind them what its rule says, if it adds to one."""

    def __init__(self, bundle: PolicyBundle, outputs: int, log_stds: int, hints: int) -> None:
        about, arrays, rows = bundle.about, bundle.arrays, len(bundle.arrays["rows"])
        self._traits = arrays.get("traits", np.zeros((0, 1)))
        given, self._clones = self._traits.shape
        scales, flat = arrays["scales"], arrays["parameters"]
        if scales.shape != (3, rows):
            raise ValueError(f"the policy for {bundle.department} scales {scales.shape}, needs 3, {rows}")
        self._centre, self._factor, self._limit = scales[..., None]
        memory, hidden = (about["memory"], int(about["memory_size"])), tuple(map(int, about["hidden"]))
        inputs, outputs, log_stds = (
            (rows + hints) // self._clones + given,
            outputs // self._clones,
            log_stds // self._clones,
        )
        network = MemoryNetwork(inputs, *memory, hidden, outputs, log_stds, about["activation"])
        if flat.shape != (network.count,):
            raise ValueError(f"{bundle.department} needs {network.count} parameters, got {flat.size}")
        self.remembered, self._acting = network.remembered * self._clones, network.acting(flat.astype(np.float32))
        self._activation, self._layers = network.activation, network.parts(flat.astype(np.float64))[1]

    def parts(self, observation: Array, product: int) -> tuple[float, Array]:
        """A product's output at the centre of all scales, and what each row [F] of an observation adds to it."""
        scaled = np.clip((observation[:, None] - self._centre) * self._factor, -self._limit, self._limit)[:, 0]
        own, fixed = (
            np.arange(product % self._clones, len(scaled), self._clones),
            self._traits[:, product % self._clones],
        )
        start = np.concatenate((np.zeros(len(own)), fixed))
        found = integrated_gradients(self._layers, self._activation, start, np.concatenate((scaled[own], fixed)))
        output, added = product // self._clones, np.zeros(len(scaled))
        added[own] = found[output, : len(own)]
        return float(outputs_of(self._layers, self._activation, start)[output]), added

    def centre(self, row: int) -> float:
        """What is seen of a row where its scale is 0, units."""
        return float(self._centre[row, 0])

    def __call__(self, observation: Array, hints: Array, memory: Array) -> tuple[Array, Array]:
        """Outputs, and the memory afterwards."""
        scaled = np.clip((observation - self._centre) * self._factor, -self._limit, self._limit)
        copies = observation.shape[-1]
        columns = np.concatenate((scaled, hints)).reshape(-1, self._clones * copies)
        seen = np.concatenate((columns, self._traits.repeat(copies, 1))).astype(np.float32)
        output, _, memory = self._acting(seen, memory.astype(np.float32).reshape(-1, seen.shape[1]))
        return output.reshape(-1, copies), memory.reshape(-1, copies)


class _Orders:
    """Orders up to a level, given or forecast, to which a network may add.

    Arrays, [K] each: `level`, and of a rule `weights` [K, F] of positions and `reorder_point`; or `forecast_start`,
    `forecast_safety`, `forecast_interval`, `forecast_smoothing` [1], `forecast_season` [3, C] amplitude, length and
    share of the season at each customer-facing point, and `asked`, where demand is observed. With a network `unit`, in
    a firm with customers `spread`. A hybrid one's outputs end with logits: an order is placed where its own is not
    below 0.
    """

    def __init__(self, bundle: PolicyBundle) -> None:
        kind, arrays, rows = bundle.kind, bundle.arrays, len(bundle.arrays["rows"])
        self.forecasts, self.network, self._form = 0, None, bundle.about.get("form", "")
        self._hybrid = bool(bundle.about.get("hybrid"))
        if kind in (FORECAST, LOOP_NETWORK):
            start, safety = (arrays[f"forecast_{name}"].astype(float)[:, None] for name in ("start", "safety"))
            season, smoothing = list(arrays["forecast_season"]), float(arrays["forecast_smoothing"][0])
            self._rule = ForecastLevels(start, safety, arrays["forecast_interval"], season, smoothing)
            self._asked, self.forecasts = arrays["asked"].astype(int), len(start)
        else:
            self._level = arrays["level"][:, None]
            self._weights, self._reorder = np.eye(len(self._level), rows), None
        if kind == ORDER_UP_TO:
            self._weights, self._reorder = arrays["weights"], arrays["reorder_point"][:, None]
            if self._weights.shape != (len(self._level), rows):
                raise ValueError(f"the policy for {bundle.department} weighs {self._weights.shape}, needs {rows} rows")
        if kind in LEARNED:
            self._unit = arrays["unit"][:, None]
            told = kind == LOOP_NETWORK and self._form == "residual"
            self._spread = arrays["spread"][:, None] if told else None
            orders = len(self._unit)
            self.network = _Network(bundle, orders * (1 + self._hybrid), orders, told * orders)

    def decide(self, observation: Array, memory: Array, period: int) -> tuple[Array, Array]:
        split = len(memory) - self.forecasts
        wished, forecast = self._wished(observation, memory[split:], period)
        if self.network is None:
            return wished, forecast
        hints = wished[:0] if self._spread is None else wished / self._spread
        output, kept = self.network(observation, hints, memory[:split])
        orders = len(self._unit)
        silent = np.zeros((orders - len(wished), wished.shape[-1]))  # the rule says nothing of precedence
        wished = np.concatenate((wished, silent))
        order = action_to_order(self._form, wished, self._unit, output[:orders])
        if self._hybrid:
            order = np.where(output[orders:] >= 0.0, order, 0.0)
        return order, np.concatenate((kept, forecast)) if self.forecasts else kept

    def parts(self, observation: Array, product: int) -> Parts:
        """See `NumpyPolicy.parts`."""
        if self.network is None or self._hybrid:
            raise ValueError("whether it orders at all is a step, which has no parts")
        rule = float(self._wished(observation[:, None], np.zeros((0, 1)), 0)[0][product, 0])
        usual, added = self.network.parts(observation, product)
        unit = float(self._unit[product, 0])
        if self._form == "residual":
            return Parts(rule, unit * usual, unit * added)
        added, centre = unit * added, self.network.centre(product)  # it replaces what the rule orders at any position
        added[product] += observation[product] - centre
        return Parts(rule, unit * (usual + 1.0) - (float(self._level[product, 0]) - centre), added)

    def _wished(self, observation: Array, forecast: Array, period: int) -> tuple[Array, Array]:
        """The rule's orders, and the forecasts that it makes."""
        if not self.forecasts:
            return np.asarray(order_up_to(self._weights @ observation, self._level, self._reorder)), forecast
        known = self._rule.follow(forecast, observation[self._asked], period)
        forecast = np.asarray(np.where(np.isnan(known), self._rule.start, known))  # nothing is remembered yet
        return self._rule.level(forecast, period) - observation[: self.forecasts], forecast


class _Recommends:
    """The offers of the best scores, to which a network may add.

    Arrays: those of `Offers`; `on_hand` and `first`, where stock and first arrivals are observed; with a network `sold`
    [S, K].
    """

    forecasts = 0

    def __init__(self, bundle: PolicyBundle) -> None:
        about, arrays = bundle.about, bundle.arrays
        self._offers, self._shape, self.network = Offers(arrays), arrays["price"].shape, None
        self._on_hand, self._first = (arrays[name].astype(int) for name in ("on_hand", "first"))
        if bundle.kind in LEARNED:
            segments, choices, _ = self._offers.bought.shape
            self._adds, outputs = about["form"] == "residual", segments * choices
            self._sold, self._slots = arrays["sold"].astype(bool), int(about["slots"])
            self._parts = int(about.get("parts", 1))  # of a slot
            self.network = _Network(bundle, outputs, 0, self._adds * outputs)

    def decide(self, observation: Array, memory: Array, period: int) -> tuple[Array, Array]:
        copies, available = observation.shape[-1], None
        if len(self._on_hand):
            available = (observation[self._on_hand] + observation[self._first]).reshape(*self._shape, copies)
        scores = self._offers.scores(available, period, copies)
        if self.network is None:
            return np.asarray(self._offers.best(scores)), memory
        hints = ((scores - scores[:, -1:]) / SCORE).reshape(-1, copies).astype(np.float32)
        output, memory = self.network(observation, hints if self._adds else hints[:0], memory)
        if self._adds:
            output = output + SHARPNESS * hints
        return self._shown(output.reshape(scores.shape)), memory

    def _shown(self, logits: Array) -> Array:
        """The exposures [S, K, E] most probably chosen by logits: of products, and `none` as often as there are slots.

        Logits are [S, K + 1, E], or [S, C, E] of all offers where slots are divided, `none` last.
        """
        offers = self._offers.offers[:, :-1] > 0.0
        allowed = ~(offers & ~self._sold[:, None]).any(-1)
        shown, none = np.where(allowed[:, :, None], logits[:, :-1], -1e9), logits[:, -1:]
        if self._parts > 1:
            return np.asarray(self._offers.best(np.concatenate((shown, none), 1)))
        products = logits.shape[1] - 1
        places = np.concatenate((shown, *[none] * self._slots), 1)
        best = np.argsort(-places, axis=1, kind="stable")[:, : self._slots]  # [S, slots, E]
        return np.asarray((best[:, :, None] == np.arange(products)[None, None, :, None]).any(1), dtype=float)


class _OwnRule:
    """A rule of somebody's own; the modules that register it are imported if they are not yet."""

    forecasts, network = 0, None

    def __init__(self, bundle: PolicyBundle) -> None:
        about = bundle.about
        if about["rule"] not in REGISTERED:
            extensions.load(about["modules"])
        self._rule = Local(bound(about["rule"], about["argument"]), bundle.arrays)

    def decide(self, observation: Array, memory: Array, period: int) -> tuple[Array, Array]:
        return self._rule.wish(observation, period), memory

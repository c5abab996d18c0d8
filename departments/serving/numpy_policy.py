"""A department in operation: it decides on its own observation with plain numpy, so that a process starts in a second.

A brief is all that a department needs to decide: numbers and a few words, kept as safetensors beside json, and never
code. Rules and learned policies are briefs alike. Observations are in units, each department scales its own. Copies are
the last axis; in operation there is one, in shadow runs many. N stock points, K products, S segments, F rows observed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from departments import extensions
from departments.numerics.actions import SCORE, SHARPNESS, action_to_order
from departments.numerics.memory import ActingNetwork, MemoryNetwork
from departments.rules.local import REGISTERED, Local, bound
from heuristics.base_stock import order_up_to
from heuristics.forecast import ForecastLevels
from heuristics.recommendation import Offers

Array = NDArray[Any]


ORDER_UP_TO, FORECAST, RULE, NETWORK, LOOP_NETWORK, OFFERS, LOOP_OFFERS = KINDS = (
    "order-up-to",
    "forecast",
    "rule",
    "network",
    "loop-network",
    "offers",
    "loop-offers",
)
RECOMMENDING = (OFFERS, LOOP_OFFERS)
LEARNED = (NETWORK, LOOP_NETWORK, LOOP_OFFERS)


@dataclass(frozen=True)
class PolicyBundle:
    """How a department decides: `about` in words and whole numbers, `arrays` in numbers.

    about: `department`, `version` (0: not kept yet), `kind` (one of `KINDS`), `label` (for people), `firm` (fingerprint
    of the firm it is for); for learned ones `observation`, `form`, `hidden`, `activation`, `memory`, `memory_size`; for
    a rule of somebody's own its name `rule`, what is written behind that, `argument`, and the `modules` that know it.
    arrays: always `rows` [F], which of the firm's features are observed; learned ones have `scales` [3, F], centre,
    factor and limit of each; the others are named where they are used.
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

    def numbered(self, version: int) -> PolicyBundle:
        """The same under another version."""
        return replace(self, about={**self.about, "version": version})


class NumpyPolicy:
    """A brief at work: observations in, decisions and memory out; nothing is kept here."""

    def __init__(self, bundle: PolicyBundle) -> None:
        """Prepare.

        Raises:
            ValueError: one line; an array is missing, has another shape or holds a number that is not finite.
        """
        self.bundle = bundle
        about, arrays = bundle.about, bundle.arrays
        if bundle.kind not in KINDS:
            raise ValueError(f"a policy's kind must be one of {', '.join(KINDS)}, got {bundle.kind!r}")
        try:
            self._prepare(about, arrays)
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"the policy for {bundle.department} is incomplete or misshapen: {error}") from None

    def _prepare(self, about: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        kind, name = self.bundle.kind, self.bundle.department
        for key, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"the policy for {name} holds numbers that are not finite in {key!r}")
        self.rows = arrays["rows"].astype(np.int64)
        self.recommends = kind in RECOMMENDING
        self._forecast = _forecast_levels(arrays) if kind in (FORECAST, LOOP_NETWORK) else None
        self._offers = Offers(arrays) if kind in RECOMMENDING else None
        self._forecasts = len(self._forecast.start) if self._forecast else 0
        self._asked = arrays["asked"].astype(int) if self._forecast else None
        self._local = _local_rule(about, arrays) if kind == RULE else None
        self._network: ActingNetwork | None = None
        if kind in LEARNED:
            if arrays["scales"].shape != (3, len(self.rows)):
                raise ValueError(f"the policy for {name} scales {arrays['scales'].shape}, needs 3, {len(self.rows)}")
            self._centre, self._factor, self._limit = arrays["scales"][..., None]
            self._network = self._network_of(about, arrays)
        if kind in (ORDER_UP_TO, NETWORK):
            self._level = arrays["level"][:, None]
        if kind in (NETWORK, LOOP_NETWORK):
            self._unit = arrays["unit"][:, None]
        if kind == LOOP_NETWORK:
            self._spread = arrays["spread"][:, None]
        if kind == ORDER_UP_TO:
            self._weights, self._reorder = arrays["weights"], arrays["reorder_point"][:, None]
            if self._weights.shape != (len(self._level), len(self.rows)):
                raise ValueError(f"the policy for {name} weighs {self._weights.shape}, needs {len(self.rows)} rows")

    def _network_of(self, about: Mapping[str, Any], arrays: Mapping[str, Array]) -> ActingNetwork:
        hints = outputs = log_stds = 0 if self._offers else len(arrays["unit"])
        if self._offers:
            segments, choices, _ = self._offers.bought.shape
            hints = outputs = segments * choices
            self._mask, self._slots = arrays["sold"].astype(bool), int(about["slots"])
        if about["form"] != "residual" or self.bundle.kind == NETWORK:
            hints = 0
        self._hints = hints
        network = MemoryNetwork(
            observed=len(self.rows) + hints,
            kind=about["memory"],
            size=int(about["memory_size"]),
            hidden=tuple(int(units) for units in about["hidden"]),
            outputs=outputs,
            log_stds=log_stds,
            activation=about["activation"],
        )
        flat = arrays["parameters"]
        if flat.shape != (network.count,):
            raise ValueError(f"{about['department']} needs {network.count} parameters, got {flat.size}")
        return network.acting(flat.astype(np.float32))

    @property
    def remembered(self) -> int:
        """Length of the memory: what the network remembers, then the forecasts."""
        return (self._network.network.remembered if self._network else 0) + self._forecasts

    def start(self, copies: int = 1, forecast: Array | None = None) -> Array:
        """The memory of one who has seen nothing, [remembered, E]; `forecast` [K, E] is taken over where it is used."""
        memory = np.zeros((self.remembered, copies))
        if self._forecasts:
            memory[-self._forecasts :] = np.nan if forecast is None else forecast
        return memory

    def forecast_in(self, memory: Array) -> Array | None:
        """The forecasts in a memory, [K, E], if this way of deciding makes any."""
        return memory[-self._forecasts :] if self._forecasts else None

    def decide(self, observation: Array, memory: Array, period: int) -> tuple[Array, Array]:
        """A decision and the memory afterwards.

        Args:
            observation: [F, E] the observed rows, in units.
            memory: [remembered, E].
            period: t.

        Returns:
            Wished orders [K, E] units, or exposures [S, K, E], before the firm's bounds are laid upon them.
        """
        if self._local:
            return self._local.wish(observation, period), memory
        if self.bundle.kind == ORDER_UP_TO:
            return np.asarray(order_up_to(self._weights @ observation, self._level, self._reorder)), memory
        if self._offers:
            return self._recommend(observation, memory, period)
        if self.bundle.kind == NETWORK:
            return self._order(observation, self._level - observation[: len(self._level)], memory)
        return self._loop_order(observation, memory, period)

    def _scaled(self, observation: Array) -> Array:
        scaled = (observation - self._centre) * self._factor
        return np.asarray(np.clip(scaled, -self._limit, self._limit), dtype=np.float32)

    def _order(self, observation: Array, wished: Array, memory: Array, hints: Array | None = None) -> tuple[Any, Array]:
        network = self._network
        if network is None:
            raise RuntimeError(f"{self.bundle.department} has no network")
        seen = self._scaled(observation)
        if hints is not None:
            seen = np.concatenate((seen, hints.astype(np.float32)))
        action, _, memory = network(seen, memory.astype(np.float32))
        return action_to_order(self.bundle.about["form"], wished, self._unit, action), memory

    def _loop_order(self, observation: Array, memory: Array, period: int) -> tuple[Array, Array]:
        products, rule = self._forecasts, self._forecast
        if rule is None:
            raise RuntimeError(f"{self.bundle.department} has no forecast")
        known = rule.follow(memory[-products:], observation[self._asked], period)
        forecast = np.asarray(np.where(np.isnan(known), rule.start, known))  # nothing is remembered yet
        wished = rule.level(forecast, period) - observation[:products]
        if self._network is None:
            return wished, forecast
        hints = wished / self._spread if self._hints else None
        order, kept = self._order(observation, wished, memory[:-products], hints)
        return order, np.concatenate((kept, forecast))

    def _recommend(self, observation: Array, memory: Array, period: int) -> tuple[Array, Array]:
        offers = self._offers
        if offers is None:
            raise RuntimeError(f"{self.bundle.department} does not recommend")
        copies, arrays = observation.shape[-1], self.bundle.arrays
        stock, first = arrays["on_hand"].astype(int), arrays["first"].astype(int)
        available = observation[stock] + observation[first] if len(stock) else None
        if available is not None:
            available = available.reshape(*arrays["price"].shape, copies)
        scores = offers.scores(available, period, copies)
        if self._network is None:
            return np.asarray(offers.best(scores)), memory
        hints = ((scores - scores[:, -1:]) / SCORE).reshape(-1, copies).astype(np.float32)
        seen = self._scaled(observation)
        if self._hints:
            seen = np.concatenate((seen, hints))
        output, _, memory = self._network(seen, memory.astype(np.float32))
        if self._hints:
            output = output + SHARPNESS * hints
        return self._shown(output.reshape(*scores.shape)), memory

    def _shown(self, logits: Array) -> Array:
        """The most probable choices [S, K, E] of logits [S, K + 1, E], `none` last, as many `none`s as slots."""
        products = logits.shape[1] - 1
        shown, none = np.where(self._mask[:, :, None], logits[:, :-1], -1e9), logits[:, -1:]
        places = np.concatenate((shown, *[none] * self._slots), 1)
        best = np.argsort(-places, axis=1, kind="stable")[:, : self._slots]  # [S, slots, E]
        return np.asarray((best[:, :, None] == np.arange(products)[None, None, :, None]).any(1), dtype=float)


def _forecast_levels(arrays: Mapping[str, Array]) -> ForecastLevels:
    """Of one stock point.

    Arrays: `forecast_start`, `forecast_safety`, `forecast_interval` [K]; `forecast_season` [3, C] amplitude, length and
    share of the season at each customer-facing point; `forecast_smoothing` [1].
    """
    start, safety = (arrays[f"forecast_{name}"].astype(float)[:, None] for name in ("start", "safety"))
    season, smoothing = arrays["forecast_season"], float(arrays["forecast_smoothing"][0])
    return ForecastLevels(start, safety, arrays["forecast_interval"], list(season), smoothing)


def _local_rule(about: Mapping[str, Any], arrays: Mapping[str, Array]) -> Local:
    """A rule of somebody's own; the modules that register it are imported if they are not yet."""
    if about["rule"] not in REGISTERED:
        extensions.load(about["modules"])
    return Local(bound(about["rule"], about["argument"]), arrays)

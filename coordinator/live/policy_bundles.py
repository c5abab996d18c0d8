"""Where rules and trained policies become briefs: everything that a department needs to decide, in numbers.

`numpy_policy` acts by them without torch; here, where firms, worlds and run folders are known, they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coordinator.live.structures import rows_by_name
from coordinator.runs.firm_policies import policy_of
from coordinator.runs.folder import RunFolder
from coordinator.runs.hot_swap import must_have_departments
from coordinator.runs.policy_source import fingerprint, must_be_built_alike, run_and_version
from coordinator.runs.policy_text import name_and_policy
from coordinator.schemes.registry import scheme_of
from coordinator.schemes.setup import policies_of, scaling_of
from departments import extensions
from departments.named_policies import parse_policy
from departments.play.tuning import quiet
from departments.policies.policy import RECOMMENDATION, PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.forecast import ForecastBaseStock
from departments.rules.local_policy import LocalPolicy, local_arrays
from departments.rules.optimum import Tabulated
from departments.rules.ordering import BaseStock, baseline_levels
from departments.rules.recommendation import DEFAULT_WEIGHT, OfferRule, Pair, learned_offers
from departments.serving.numpy_policy import (
    FORECAST,
    LOOP_NETWORK,
    LOOP_OFFERS,
    NETWORK,
    OFFERS,
    ORDER_UP_TO,
    RULE,
    Array,
    NumpyPolicy,
    PolicyBundle,
)
from environment import Firm, World
from environment.observation import Observer

Arrays = dict[str, Array]


def departments_of(firm: Firm) -> tuple[str, ...]:
    """The departments of a running firm: one per stock point, and one that recommends where customers choose."""
    return (*firm.names, *[RECOMMENDATION][: bool(firm.customers)])


class PolicyBundles:
    """Makes the briefs of one firm's departments."""

    def __init__(self, firm: Firm, note: Callable[[str], None] = quiet, slots: int = 1) -> None:
        """Prepare for a checked firm; `note` is told how far a search for levels is; `slots`: as of its `World`.

        Raises:
            ValueError: one line; its departments order from each supplier apart.
        """
        firm.must_order_by_point("departments in operation send")
        self.firm, self.fingerprint, self._note = firm, fingerprint(firm), note
        self.levels = baseline_levels(firm)
        self.world = World(firm, self.levels, slots=slots)
        self.observer = Observer(self.world, self.levels)
        self._rules: dict[str, object] = {}  # by their text; some search for levels a while

    def know(self, rule: BaseStock) -> str:
        """Take a rule that was made before as what its name, which is returned, stands for."""
        self._rules[rule.name] = rule
        return rule.name

    def benchmark(self, department: str) -> PolicyBundle:
        """The rule that stands in for a department: base-stock, or the coordinated rules where customers choose."""
        if department == RECOMMENDATION:
            return self.rule(department, f"inventory-aware:{DEFAULT_WEIGHT}")
        return self.rule(department, "forecast-base-stock" if self.firm.customers else "decomposition-aggregation")

    def policy(self, department: str, text: str) -> PolicyBundle:
        """A department's brief from `RULE`, a csv file of levels, `RUN`, `RUN@VERSION` or a policy file of a run.

        `NAME=` before it gives it that label.

        Raises:
            ValueError: one line; not to be read, damaged, or of another firm.
        """
        name, what = name_and_policy(text)
        run = run_and_version(department, what)
        found = self.rule(department, what) if run is None else self.trained(department, *run)
        label = name if run is None else f"{name}@{found.label.rpartition('@')[2]}"
        return found if name is None else replace(found, about={**found.about, "label": label})

    def _about(self, department: str, kind: str, label: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        about = {"department": department, "version": 0, "kind": kind, "label": label, "firm": self.fingerprint}
        return about | more

    def rule(self, department: str, text: str) -> PolicyBundle:
        """A department's part of a rule by name.

        Raises:
            ValueError: one line; unknown rule, or one that does not decide what this department decides.
        """
        if text not in self._rules:
            self._rules[text] = parse_policy(text, self.firm, self._note)
        rule = self._rules[text]
        if isinstance(rule, Tabulated):
            raise ValueError(f"policy {text!r} decides for all departments at once, and none can follow it alone")
        if isinstance(rule, Pair):
            if department == RECOMMENDATION:
                return self._recommending(text, rule.recommender)
            rule = rule.replenisher
        elif department == RECOMMENDATION:
            raise ValueError(f"policy {text!r} orders, and {department} recommends: write inventory-aware+{text}")
        return self._ordering(department, text, rule)

    def _ordering(self, department: str, text: str, rule: object) -> PolicyBundle:
        point, products = self.firm.names.index(department), len(self.firm.products)
        own = np.arange(point * products, (point + 1) * products)
        if isinstance(rule, ForecastBaseStock):
            asked = self.observer.told_at("asked") + own
            seen = {"rows": np.concatenate((own, asked)), "asked": products + np.arange(products)}
            return PolicyBundle(self._about(department, FORECAST, text), seen | rule.arrays(point))
        if isinstance(rule, LocalPolicy):
            name, _, argument = rule.name.partition(":")
            modules = extensions.names_for_others()
            about = self._about(department, RULE, text, rule=name, argument=argument, modules=modules)
            return PolicyBundle(about, local_arrays(self.observer, point, rule.rule))
        if not isinstance(rule, BaseStock):
            raise ValueError(f"policy {text!r} cannot be followed by one department")
        weights, rows = np.eye(products), own
        if rule.weights is not None:
            rows, weights = np.arange(self.observer.positions), np.kron(rule.weights[point], np.eye(products))
            used = weights.any(0)
            rows, weights = rows[used], weights[:, used]
        reorder = np.full(products, 1e12) if rule.reorder_points is None else rule.reorder_points[point]
        arrays: Arrays = {"rows": rows, "level": rule.levels[point], "weights": weights, "reorder_point": reorder}
        return PolicyBundle(self._about(department, ORDER_UP_TO, text), arrays)

    def _stock_rows(self, rows: list[int]) -> Arrays:
        """Where stock on hand and first arrivals of all points stand in the observed `rows`."""
        positions = self.observer.positions
        place = {row: i for i, row in enumerate(rows)}
        return {
            "on_hand": np.array([place[positions + i] for i in range(positions)]),
            "first": np.array([place[2 * positions + i] for i in range(positions)]),
        }

    def _offers(self, arrays: Mapping[str, torch.Tensor]) -> Arrays:
        """The same as plain arrays, and which products may be shown to whom."""
        plain = {name: value.double().numpy() for name, value in arrays.items()}
        return plain | {"sold": self.world.chosen().sold[..., 0].numpy()}

    def _recommending(self, text: str, rule: OfferRule) -> PolicyBundle:
        rows = self.observer.rows("recommendation", 0)
        arrays = {"rows": np.array(rows), **self._stock_rows(rows), **self._offers(rule.arrays(self.world))}
        return PolicyBundle(self._about(RECOMMENDATION, OFFERS, text), arrays)

    def trained(self, department: str, folder: Path, version: int | None = None) -> PolicyBundle:
        """A department's policy of a run: that version, or the one that counts; see `firm_policies`.

        Raises:
            ValueError: one line; no run, another firm, no such version, damaged.
        """
        run = RunFolder(folder)
        firm, settings = run.firm(), run.settings()
        must_be_built_alike(self.firm, firm, str(folder))
        must_have_departments(run)
        closed_loop = scheme_of(settings.scheme).with_customers(firm)
        if department == RECOMMENDATION and not closed_loop:
            return self.rule(department, "none")  # nobody recommended while the others were trained
        snapshot = policy_of(run, department, version)
        base = run.base_levels()
        world = World(firm, base)
        observer = Observer(world, base, scaling_of(firm, settings))
        label = f"{run.path.name}@{snapshot.version}"
        if closed_loop:
            spec = DepartmentSpec.of(world, observer, department, policies_of(firm, settings)[department])
            found = self._loop_brief(spec, snapshot, observer, label)
        else:
            spec = DepartmentSpec.of(world, observer, department, snapshot.config)
            found = self._network_brief(spec, snapshot, observer, base, label)
        NumpyPolicy(found)  # refuses what does not fit
        return self._placed(found, observer, str(folder))

    def _placed(self, found: PolicyBundle, observer: Observer, policy: str) -> PolicyBundle:
        """A brief with its rows where this firm has them: laws may differ, and with them the periods of arrival."""
        where = rows_by_name(observer.labels(), self.observer.labels())
        seen = found.arrays["rows"].tolist()
        rows = [where[row] for row in seen]
        if min(rows) < 0:
            gone = observer.labels()[seen[rows.index(-1)]]
            raise ValueError(f"--policy {policy!r} sees {gone}, which is not there; take another")
        return replace(found, arrays={**found.arrays, "rows": np.array(rows)})

    @staticmethod
    def _learned(config: PolicyConfig) -> dict[str, Any]:
        return {
            "observation": config.observation,
            "form": config.form,
            "hidden": list(config.hidden),
            "activation": config.activation,
            "clock": config.clock,
            "parts": config.parts,
            "hybrid": config.hybrid,
            "memory": config.memory,
            "memory_size": config.memory_size if config.memory != "none" else 0,
        }

    def _unit(self, config: PolicyConfig, observer: Observer, point: int) -> Array:
        """Of its orders, and of the precedence of its customers, [K + customers K]."""
        network = observer.world.network
        of = network.decision_unit[network.decisions_of(point)]
        reach = observer.reach.view(-1, len(self.firm.products))[of].double().numpy()
        unit = reach if config.form == "residual" else self.firm.amounts("max_order")[of] / 2.0
        return np.asarray(unit.reshape(-1))

    @staticmethod
    def _scaling(observer: Observer, spec: DepartmentSpec) -> Arrays:
        rows = list(spec.rows)
        traits = {} if spec.traits is None else {"traits": spec.traits.double().numpy()}
        return {"rows": np.array(rows), "scales": observer.scales()[:, rows].double().numpy(), **traits}

    def _network_brief(
        self, spec: DepartmentSpec, snapshot: Snapshot, observer: Observer, base: Array, label: str
    ) -> PolicyBundle:
        (point,), config = spec.points, snapshot.config
        without_memory = config.model_copy(update={"memory": "none"})  # these schemes have none, whatever is set
        arrays = {
            "level": base[point],
            "unit": self._unit(config, observer, point),
            "parameters": spec.own(torch.from_numpy(snapshot.parameters.copy())).numpy(),
            **self._scaling(observer, spec),
        }
        about = self._learned(without_memory)
        if customers := observer.world.network.customers_of(point):
            about["customers"] = customers
        return PolicyBundle(self._about(snapshot.department, NETWORK, label, **about), arrays)

    def _loop_brief(self, spec: DepartmentSpec, snapshot: Snapshot, observer: Observer, label: str) -> PolicyBundle:
        rows, parameters = list(spec.rows), {"parameters": snapshot.parameters}
        about = self._learned(spec.policy)
        if spec.recommends:
            seen = self._stock_rows(rows) if spec.aware else {"on_hand": np.zeros(0), "first": np.zeros(0)}
            scored = self._offers(learned_offers(self.world, DEFAULT_WEIGHT * spec.aware, spec.policy.parts))
            arrays = parameters | self._scaling(observer, spec) | seen | scored
            return PolicyBundle(self._about(spec.name, LOOP_OFFERS, label, **about, slots=spec.head.slots), arrays)
        (point,), products = spec.points, len(self.firm.products)
        asked = [rows.index(observer.told_at("asked") + point * products + k) for k in range(products)]
        arrays = {
            "asked": np.array(asked),
            "spread": observer.spread.view(-1, products)[point].double().numpy(),
            "unit": self._unit(spec.policy, observer, point),
            **ForecastBaseStock("forecast-base-stock", self.firm).arrays(point),
            **self._scaling(observer, spec),
        }
        return PolicyBundle(self._about(spec.name, LOOP_NETWORK, label, **about), arrays | parameters)


def benchmarks(firm: Firm) -> Mapping[str, PolicyBundle]:
    """The benchmark's brief of every department."""
    made = PolicyBundles(firm)
    return {name: made.benchmark(name) for name in departments_of(firm)}

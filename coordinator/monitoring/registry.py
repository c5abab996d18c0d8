"""Every metric that is exported: its kind, labels and meaning. Nothing else is; panels and rules name no other.

Names follow Prometheus' conventions: base units, `_total` for what only grows, `_info` for texts. Labels are bounded by
the firm: its departments, products and segments. Money is that of the firm file; profit counts as negative cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

Kind = Literal["gauge", "counter", "histogram", "info"]
STATES = ("running", "waiting", "done", "stopped", "failed")
MODES = ("policy", "paused", "override", "fallback")


class Described(NamedTuple):
    """A metric; the name without `_total`, `_info`."""

    kind: Kind
    labels: tuple[str, ...]
    help: str


_FIRM, _OWN = ("firm",), ("firm", "department")
_BY_PRODUCT = (*_OWN, "product")
_RUN, _LEARNER = ("run",), ("run", "department")

REGISTRY: dict[str, Described] = {
    "firmwide_firm_up": Described("gauge", _FIRM, "1 if the firm answers, else 0"),
    "firmwide_firm": Described("info", _FIRM, "The firm file, and whether the firm earns profit or bears cost"),
    "firmwide_firm_state": Described("gauge", (*_FIRM, "state"), "1 for the state that the firm is in"),
    "firmwide_firm_ticks": Described("counter", _FIRM, "Periods that are committed"),
    "firmwide_firm_ticks_per_second": Described("gauge", _FIRM, "Tick rate over the last ten seconds"),
    "firmwide_firm_tick_interval_seconds": Described("gauge", _FIRM, "Time from tick to tick by --tick; 0: max"),
    "firmwide_firm_lag_seconds": Described("gauge", _FIRM, "Time behind the schedule of --tick"),
    "firmwide_firm_last_tick_timestamp_seconds": Described("gauge", _FIRM, "Unix time of the last commit"),
    "firmwide_firm_told_timestamp_seconds": Described("gauge", _FIRM, "Unix time of these figures"),
    "firmwide_firm_tick_duration_seconds": Described("histogram", _FIRM, "Duration of a tick"),
    "firmwide_firm_tick_work_seconds": Described(
        "counter", (*_FIRM, "part"), "Time in ticks by part: departments, environment, log"
    ),
    "firmwide_firm_policy_seconds": Described("counter", _FIRM, "Time in policies, inside the part departments"),
    "firmwide_firm_cost": Described("gauge", _FIRM, "Cost so far; profit counts negative"),
    "firmwide_firm_benchmark_cost": Described("gauge", _FIRM, "Cost of the benchmark's rules on the same chance"),
    "firmwide_firm_benchmark_ticks": Described("counter", _FIRM, "Periods that the benchmark has played in shadow"),
    "firmwide_firm_saving": Described("gauge", _FIRM, "Money that the firm does better than the benchmark so far"),
    "firmwide_firm_demand_units": Described("counter", _FIRM, "Units that customers asked for"),
    "firmwide_firm_served_units": Described("counter", _FIRM, "Units served from stock at once"),
    "firmwide_firm_fill_ratio": Described("gauge", _FIRM, "Share of demand served from stock at once, since the start"),
    "firmwide_firm_canaries": Described("gauge", _FIRM, "Policies that prove themselves in shadow"),
    "firmwide_department_canary_saving": Described(
        "gauge", _OWN, "Money that the canary does better than the policy in office, so far in shadow"
    ),
    "firmwide_department_canary_remaining_ticks": Described("gauge", _OWN, "Periods until the canary is judged"),
    "firmwide_actor_restarts": Described("counter", (*_FIRM, "actor"), "Restarts of actors that are no department"),
    "firmwide_department_up": Described("gauge", _OWN, "1 if the department answers, else 0"),
    "firmwide_department_policy": Described("info", _OWN, "Kind of the department, and the policy it follows"),
    "firmwide_department_policy_version": Described("gauge", _OWN, "Version of the policy it follows"),
    "firmwide_department_mode": Described("gauge", (*_OWN, "mode"), "1 for how it came to its last decision"),
    "firmwide_department_order_units": Described("gauge", _BY_PRODUCT, "Units ordered in the last tick"),
    "firmwide_department_on_hand_units": Described("gauge", _BY_PRODUCT, "Units in stock"),
    "firmwide_department_inventory_position_units": Described("gauge", _BY_PRODUCT, "Inventory position"),
    "firmwide_department_backlog_units": Described("gauge", _BY_PRODUCT, "Units owed to customers"),
    "firmwide_department_exposure_ratio": Described(
        "gauge", (*_OWN, "segment", "product"), "Exposure of a product that is recommended to a segment"
    ),
    "firmwide_department_cost": Described("gauge", _OWN, "Cost so far; profit counts negative"),
    "firmwide_department_benchmark_cost": Described("gauge", _OWN, "Cost by the benchmark's rules in shadow"),
    "firmwide_department_demand_units": Described("counter", _OWN, "Units that customers asked for"),
    "firmwide_department_served_units": Described("counter", _OWN, "Units served from stock at once"),
    "firmwide_department_fill_ratio": Described("gauge", _OWN, "Share of demand served at once, since the start"),
    "firmwide_department_decisions": Described("counter", _OWN, "Decisions"),
    "firmwide_department_decision_duration_seconds": Described("histogram", _OWN, "Time from question to answer"),
    "firmwide_department_swaps": Described("counter", _OWN, "Policies replaced"),
    "firmwide_department_rollbacks": Described("counter", _OWN, "Returns to the policy before"),
    "firmwide_department_overrides": Described("counter", _OWN, "Orders given by hand"),
    "firmwide_department_pauses": Described("counter", _OWN, "Pauses"),
    "firmwide_department_refusals": Described("counter", _OWN, "Commands refused"),
    "firmwide_department_fallbacks": Described("counter", _OWN, "Ticks in which the benchmark's rule stood in"),
    "firmwide_department_restarts": Described("counter", _OWN, "Restarts of its process"),
    "firmwide_run_up": Described("gauge", _RUN, "1 if the run folder can be read, else 0"),
    "firmwide_run": Described("info", _RUN, "Firm file, scheme and seed"),
    "firmwide_run_finished": Described("gauge", _RUN, "1 if the final comparison is there"),
    "firmwide_run_written_timestamp_seconds": Described("gauge", _RUN, "Unix time of the last row of metrics.csv"),
    "firmwide_run_iterations": Described("counter", _RUN, "Iterations of learning"),
    "firmwide_run_env_steps": Described("counter", _RUN, "Environment steps"),
    "firmwide_run_duration_seconds": Described("gauge", _RUN, "Time of learning, over all resumptions"),
    "firmwide_run_cost": Described("gauge", _RUN, "Cost of an episode on selection episodes; profit counts negative"),
    "firmwide_run_benchmark_cost": Described("gauge", _RUN, "The same of the policies that learning began from"),
    "firmwide_run_value_loss": Described("gauge", _RUN, "Squared error of the critic"),
    "firmwide_run_explained_variance_ratio": Described("gauge", _RUN, "Variance of returns that the critic explains"),
    "firmwide_run_worker_restarts": Described("counter", _RUN, "Restarts of workers"),
    "firmwide_learner_learning_rate": Described("gauge", _LEARNER, "Learning rate of the last update"),
    "firmwide_learner_step_law": Described(
        "info", _LEARNER, "Timescale: learning rate initial (delay / (delay + episodes))^decay; decay 0: constant"
    ),
    "firmwide_learner_updates": Described("counter", _LEARNER, "Updates"),
    "firmwide_learner_kl_nats": Described("gauge", _LEARNER, "KL divergence of the last update"),
    "firmwide_learner_entropy_nats": Described("gauge", _LEARNER, "Entropy of the policy"),
    "firmwide_learner_clip_ratio": Described("gauge", _LEARNER, "Share of samples whose ratio was clipped"),
    "firmwide_learner_gradient_norm": Described("gauge", _LEARNER, "Norm of the gradient before clipping"),
    "firmwide_learner_accepted": Described("counter", _LEARNER, "Versions accepted"),
    "firmwide_learner_last_gain": Described("gauge", _LEARNER, "Money an episode that the last accepted version saves"),
}
_SUFFIXES = {"gauge": ("",), "counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}
SAMPLES = {name + suffix for name, metric in REGISTRY.items() for suffix in _SUFFIXES[metric.kind]}
Family = GaugeMetricFamily | CounterMetricFamily | InfoMetricFamily | HistogramMetricFamily


class Families:
    """One scrape in the making."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._families: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Metric]:
        """The metrics that got a value, in the registry's order."""
        return iter(self._families[name] for name in REGISTRY if name in self._families)

    def _family(self, name: str) -> Any:  # noqa: ANN401
        if name not in self._families:
            described = REGISTRY[name]
            kinds: dict[Kind, type[Family]] = {
                "gauge": GaugeMetricFamily,
                "counter": CounterMetricFamily,
                "info": InfoMetricFamily,
                "histogram": HistogramMetricFamily,
            }
            self._families[name] = kinds[described.kind](name, described.help, labels=described.labels)
        return self._families[name]

    def set(self, name: str, value: float | None, *labels: str) -> None:
        """A gauge or a counter; what has no value is left out."""
        if value is not None:
            self._family(name).add_metric(labels, float(value))

    def tell(self, name: str, texts: Mapping[str, str], *labels: str) -> None:
        """An info."""
        self._family(name).add_metric(labels, dict(texts))

    def choose(self, name: str, options: tuple[str, ...], chosen: str, *labels: str) -> None:
        """A gauge per option, 1 for the chosen one."""
        for option in options:
            self.set(name, option == chosen, *labels, option)

    def count(self, name: str, histogram: Mapping[str, Any], *labels: str) -> None:
        """A histogram as docs/live.md has it: cumulative `buckets`, `sum`, `count`."""
        buckets = [("+Inf" if end == float("inf") else f"{end:g}", count) for end, count in histogram["buckets"]]
        self._family(name).add_metric(labels, buckets, histogram["sum"])

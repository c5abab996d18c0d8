"""Every metric that is exported, as `metrics.yml` has it. Nothing else is; panels and rules name no other.

Names follow Prometheus' conventions: base units, `_total` for what only grows, `_info` for texts. Labels are bounded by
the firm: its departments, products and segments. Money is that of the firm file; profit counts as negative cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
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


def _read() -> dict[str, Described]:
    text = Path(__file__).with_name("metrics.yml").read_text(encoding="utf-8")
    return {name: Described(of["kind"], tuple(of["labels"]), of["help"]) for name, of in yaml.safe_load(text).items()}


REGISTRY = _read()
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

"""Every metric that is exported, as `metrics.yml` has it. Nothing else is; panels and rules name no other.

Names follow Prometheus' conventions: base units, `_total` for what only grows, `_info` for texts. Labels are bounded by
the firm: its departments, products and segments. Money is that of the firm file; profit counts as negative cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from prometheus_client.registry import Collector

Kind = Literal["gauge", "counter", "histogram", "info"]
STATES = ("running", "waiting", "done", "stopped", "failed")
MODES = ("policy", "paused", "override", "fallback", "changed")


class Described(NamedTuple):
    """A metric; the name without `_total`, `_info`."""

    kind: Kind
    labels: tuple[str, ...]
    help: str


_FILE = yaml.safe_load(Path(__file__).with_name("metrics.yml").read_text(encoding="utf-8"))
REGISTRY = {name: Described(of["kind"], tuple(of["labels"]), of["help"]) for name, of in _FILE.items()}
_KINDS: dict[Kind, tuple[Any, tuple[str, ...]]] = {  # with what stands behind the names
    "gauge": (GaugeMetricFamily, ("",)),
    "counter": (CounterMetricFamily, ("_total",)),
    "info": (InfoMetricFamily, ("_info",)),
    "histogram": (HistogramMetricFamily, ("_bucket", "_sum", "_count")),
}
SAMPLES = {name + suffix for name, metric in REGISTRY.items() for suffix in _KINDS[metric.kind][1]}


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
            kind, labels, about = REGISTRY[name]
            self._families[name] = _KINDS[kind][0](name, about, labels=labels)
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


class Told(Collector):
    """Somebody who is asked for figures at every scrape; while there are none, only `firmwide_KIND_up 0` is told."""

    def __init__(self, kind: str, name: str, again: str, report: Callable[[str], None]) -> None:
        """Ask nothing yet.

        Args:
            kind: firm or run.
            name: of the firm or run.
            again: what it does when there are figures again.
            report: is told, once, why there are none, and that there are again.
        """
        self.name, self._kind, self._again, self._report, self._reason = name, kind, again, report, ""

    def tell(self, found: Families) -> None:
        """All metrics of now; ValueError or RuntimeError, one line, where there are none."""
        raise NotImplementedError

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        found, reason = Families(), ""
        try:
            self.tell(found)
        except (ValueError, RuntimeError) as error:
            found, reason = Families(), " ".join(str(error).split())
        found.set(f"firmwide_{self._kind}_up", not reason, self.name)
        if reason != self._reason:
            self._report(reason or f"{self._kind} {self.name!r} {self._again}")
        self._reason = reason
        return iter(found)
